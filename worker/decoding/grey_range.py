"""The range of grey values that a film is shown in where its sender states none.

A range from the least to the greatest value has one flaw: a dead pixel or a lead marker at the end of the scale leaves
the film itself almost no grey. So a few values far from all others are shown as plain black or white.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

#: This share of the pixels may lie far away, at either end.
OUTLYING_SHARE = 0.01
BULK = OUTLYING_SHARE, 1 - OUTLYING_SHARE
#: A value is far away if it is farther from the bulk of the pixels than this many times the width of that bulk. Fewer
#: than a hundredth of the pixels would take up half of the range.
FAR_WIDTHS = 1
#: numpy makes eight bytes of each pixel that it counts or looks up, so it gets about this many pixels at once.
PIXELS_AT_ONCE = 2**18
#: A picture of this many pixels is converted as a whole, which takes less time and about 50 MB.
SMALL_PIXELS = 2**22
SAMPLED_PIXELS = 2**16

Range = tuple[float, float]
Codes = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]


def histogram(codes: Codes) -> npt.NDArray[np.int_]:
    """Return how many pixels have each code, shape (256,) or (65536,).

    Args:
        codes: shape (height, width).
    """
    counts = np.zeros(1 << 8 * codes.dtype.itemsize, np.int_)
    for rows in bands(codes):
        counts += np.bincount(codes[rows].ravel(), minlength=len(counts))
    return counts


def looked_up(table: npt.NDArray[np.uint8], codes: Codes) -> npt.NDArray[np.uint8]:
    """Return the table's entry for each code, in the shape of `codes`.

    Args:
        table: an entry for each code, shape (256,) or (65536,).
        codes: shape (height, width).
    """
    found = np.empty(codes.shape, np.uint8)
    for rows in bands(codes):
        np.take(table, codes[rows], out=found[rows], mode="clip")
    return found


def bands(picture: npt.NDArray[Any]) -> Iterator[slice]:
    """Yield slices of rows that together are the whole picture."""
    height, width = picture.shape
    step = max(1, PIXELS_AT_ONCE // width)
    for first in range(0, height, step):
        yield slice(first, first + step)


def shown_range(values: npt.NDArray[np.int_] | npt.NDArray[np.float64], counts: npt.NDArray[np.int_]) -> Range:
    """Return the least and the greatest value that is not far from the others.

    Args:
        values: finite numbers, shape (n,), ascending.
        counts: how many pixels have each value, shape (n,); one or more has pixels.
    """
    present = counts > 0
    values = values[present]
    below = np.cumsum(counts[present])
    low, high = _fences(*(float(values[np.searchsorted(below, share * below[-1])]) for share in BULK))
    near = values[(values >= low) & (values <= high)]
    return float(near[0]), float(near[-1])


def near_range(values: npt.NDArray[Any]) -> Range:
    """Return the same range of a whole picture; the bulk of its pixels is known from a grid of some of them.

    Args:
        values: integers or floats, shape (height, width). What is not finite does not count; (0, 0) if nothing is.
    """
    step = max(1, math.isqrt(values.size // SAMPLED_PIXELS))
    sample = values[::step, ::step].ravel()
    sample = sample[np.isfinite(sample)]
    if not len(sample):
        return 0.0, 0.0
    places = [int(share * (len(sample) - 1)) for share in BULK]
    # In double precision, which holds what lies beyond the ends of single precision.
    low, high = map(np.float64, _fences(*map(float, np.partition(sample, places)[places])))
    least, greatest = float(values.min()), float(values.max())
    if low <= least and greatest <= high and math.isfinite(greatest - least):
        return least, greatest
    least, greatest = math.inf, -math.inf
    for rows in bands(values):
        near = values[rows][np.isfinite(values[rows]) & (values[rows] >= low) & (values[rows] <= high)]
        if len(near):
            least, greatest = min(least, float(near.min())), max(greatest, float(near.max()))
    return least, greatest


def _fences(bulk_low: float, bulk_high: float) -> Range:
    """Return the range outside which a value is far from the bulk of the pixels."""
    margin = FAR_WIDTHS * (bulk_high - bulk_low)
    return (bulk_low - margin, bulk_high + margin) if margin else (-np.inf, np.inf)
