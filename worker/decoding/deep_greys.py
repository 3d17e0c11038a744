"""Narrows the grey values of a picture file that has more than 8 bits, whose sender states no range, to 8 bits."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from worker.decoding.grey_range import bands, near_range
from worker.decoding.limits import Grey

EIGHT_BITS = 8
BLACK, WHITE = 0, 255
#: Integers that take up fewer of the 256 levels are stretched: a film has more.
MIN_LEVELS = 64
#: In this range of widths, single precision neither overflows nor vanishes.
SINGLE_PRECISION = 1e-30, 1e30

Deep = npt.NDArray[Any]


def narrowed(values: Deep, *, white_is_zero: bool = False) -> Grey:
    """Return deep grey values in 8 bits, 0 black to 255 white, in the shape of `values`.

    Integers keep the top 8 of the bits in use, so that a 12-bit film stored in 16 bits is not black. Where they would
    leave few levels, and for floats and numbers below zero, whose scale is unknown, the range is stretched. What lies
    far outside the range of the film is plain black or white; what is no number is black.

    Args:
        values: integers or floats, shape (height, width), at least one pixel.
        white_is_zero: the least value is white.
    """
    scale = _scale(values, near_range(values), missing=WHITE if white_is_zero else BLACK)
    grey = np.empty(values.shape, np.uint8)
    for rows in bands(values):
        grey[rows] = scale.greys(values[rows])
    return np.subtract(WHITE, grey, out=grey) if white_is_zero else grey


@dataclass(frozen=True)
class _Scale:
    """How values become grey values."""

    low: float
    high: float
    #: How many bits are dropped from each value; None where the range is stretched.
    shift: int | None
    #: The grey value of what is no number.
    missing: int

    def greys(self, values: Deep) -> Grey:
        """Return the grey values of some values, in their shape."""
        if self.shift is not None:
            shifted = values >> self.shift
            is_within = shifted.min() >= BLACK and shifted.max() <= WHITE
            return (shifted if is_within else np.clip(shifted, BLACK, WHITE)).astype(np.uint8)
        width = self.high - self.low
        is_single = not width or SINGLE_PRECISION[0] < width < SINGLE_PRECISION[1]
        finite: npt.NDArray[Any] = values.astype(np.float32 if is_single else np.float64)
        nan = self.high if self.missing == WHITE else self.low
        np.nan_to_num(finite, copy=False, nan=nan, posinf=self.high, neginf=self.low)
        np.clip(finite, self.low, self.high, out=finite)
        finite -= self.low
        finite *= WHITE / (width or 1)
        return np.asarray(finite.round(), np.uint8)


def _scale(values: Deep, shown: tuple[float, float], *, missing: int) -> _Scale:
    """Return how values of this type become grey values, if this range of them is shown."""
    low, high = shown
    if values.dtype.kind in "iu" and low >= 0:
        shift = max(0, int(high).bit_length() - EIGHT_BITS)
        if (int(high) >> shift) - (int(low) >> shift) + 1 >= MIN_LEVELS:
            return _Scale(low, high, shift, missing)
    return _Scale(low, high, None, missing)
