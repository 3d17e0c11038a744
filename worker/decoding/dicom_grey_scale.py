"""Reads from a DICOM file, as checked numbers, how its stored values become grey values.

Everything that the arithmetic of `worker.decoding.dicom_display` assumes is checked here.
"""

import math
import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from worker.decoding.dicom_attributes import integer, items, number, raw_element, text
from worker.errors import Reason, RejectedImage

#: Entries of a table whose descriptor says 0, and the most that any table has.
MAX_ENTRIES = 1 << 16
LINEAR = "LINEAR"
FUNCTIONS = frozenset({LINEAR, "LINEAR_EXACT", "SIGMOID"})
MIN_LINEAR_WIDTH = 1
EIGHT_BITS, SIXTEEN_BITS = 8, 16
PATTERNS = 1 << SIXTEEN_BITS
#: A table's descriptor is three numbers of 16 bits: entries, first input, bits of an entry.
DESCRIPTOR_BYTES = 6
#: DICOM's type of a signed number of 16 bits.
SIGNED = "SS"


@dataclass(frozen=True)
class LookupTable:
    """A table of grey values: `outputs[i]` is the output for the input `first + i`."""

    first: int
    #: Finite, shape (entries,), at least one.
    outputs: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rescale:
    """A straight line whose values are finite for every number that can be stored."""

    slope: float
    intercept: float


@dataclass(frozen=True)
class Window:
    """The range of values that is spread over black to white; finite, the width above 0 and for LINEAR at least 1."""

    center: float
    width: float
    #: One of `FUNCTIONS`.
    function: str


@dataclass(frozen=True)
class Padding:
    """The stored values from `lowest` to `highest`, and the pattern of bits that the attribute has."""

    lowest: int
    highest: int
    #: 0 to 65,535. It may have bits beyond those that are stored.
    pattern: int


@dataclass(frozen=True)
class GreyScale:
    """What is done to stored values, in this order."""

    #: The values that fill the area beside the film.
    padding: Padding | None
    modality: LookupTable | Rescale | None
    #: A table's outputs are 0 or more.
    voi: LookupTable | Window | None
    #: The stored values are grey values already: up to 8 bits, no sign, nothing that changes them.
    is_made_for_display: bool
    #: The least value is white.
    is_inverted: bool


def read_grey_scale(film: Dataset, bits_stored: int, *, is_signed: bool, is_inverted: bool) -> GreyScale:
    """Return what a film's attributes say of its grey values.

    Args:
        film: the attributes, and the transfer syntax in `file_meta`.
        bits_stored: 1 to 16.
        is_signed: stored values are two's complement.
        is_inverted: the least value is white.

    Raises:
        RejectedImage: corrupt; an attribute cannot be read or applied.
    """
    lowest = -(1 << bits_stored - 1) if is_signed else 0
    inputs = lowest, lowest + (1 << bits_stored) - 1
    modality: LookupTable | Rescale | None
    if tables := items(film, "ModalityLUTSequence"):
        modality, is_changed = _table(tables[0], inputs), True
        if modality is None:
            raise RejectedImage(Reason.CORRUPT, "a table of stored values is empty")
        inputs = int(modality.outputs.min()), int(modality.outputs.max())
    else:
        modality, is_changed = _rescale(film, inputs)
        if modality is not None:
            ends = [modality.slope * stored + modality.intercept for stored in inputs]
            inputs = math.floor(min(ends)), math.ceil(max(ends))
    return GreyScale(
        padding=_padding(film, bits_stored, is_signed=is_signed),
        modality=modality,
        voi=_voi(film, inputs),
        is_made_for_display=bits_stored <= EIGHT_BITS and not is_signed and not is_changed,
        is_inverted=is_inverted,
    )


def _padding(film: Dataset, bits_stored: int, *, is_signed: bool) -> Padding | None:
    """Return the padding, if it is stated; a range if its limit is stated, too."""
    value, limit = integer(film, "PixelPaddingValue"), integer(film, "PixelPaddingRangeLimit")
    if value is None:
        return None
    ends = [_stored(one, bits_stored, is_signed=is_signed) for one in (value, value if limit is None else limit)]
    return Padding(min(ends), max(ends), value % PATTERNS)


def _stored(value: int, bits_stored: int, *, is_signed: bool) -> int:
    """Return the stored value that an attribute of 16 bits means, whichever sign its type has."""
    pattern = value % PATTERNS
    if not is_signed:
        return pattern
    bits = bits_stored if pattern < 1 << bits_stored else SIXTEEN_BITS
    return pattern - (pattern >> bits - 1 << bits)


def _rescale(film: Dataset, inputs: tuple[int, int]) -> tuple[Rescale | None, bool]:
    """Return the line, if both of its numbers are stated, and whether either of them says that values change.

    A slope of 0 would make every film blank, so it states nothing.
    """
    slope, intercept = number(film, "RescaleSlope"), number(film, "RescaleIntercept")
    if slope == 0:
        return None, False
    is_changed = slope not in {None, 1} or intercept not in {None, 0}
    if slope is None or intercept is None:
        return None, is_changed
    ends = [slope * stored + intercept for stored in inputs]
    if not all(map(math.isfinite, [*ends, ends[1] - ends[0]])):
        raise RejectedImage(Reason.CORRUPT, "the rescaled values are not finite numbers")
    return Rescale(slope, intercept), is_changed


def _voi(film: Dataset, inputs: tuple[int, int]) -> LookupTable | Window | None:
    """Return the first table, else the first window, since the others are for other tissues; None without either."""
    if (tables := items(film, "VOILUTSequence")) and (table := _table(tables[0], inputs)):
        return table
    center, width = number(film, "WindowCenter"), number(film, "WindowWidth")
    function = text(film, "VOILUTFunction")
    function = function if function in FUNCTIONS else LINEAR
    if center is None or width is None or not (math.isfinite(center) and math.isfinite(width)):
        return None
    if width <= 0 or (function == LINEAR and width < MIN_LINEAR_WIDTH):
        return None
    return Window(center, width, function)


def _table(item: Dataset, inputs: tuple[int, int]) -> LookupTable | None:
    """Return a table, None if it has no entries.

    Args:
        item: of a sequence of tables.
        inputs: the least and the greatest value that can be looked up.

    Raises:
        RejectedImage: corrupt; the table is shorter than it states, or cannot be read.
    """
    descriptor, data = raw_element(item, "LUTDescriptor"), raw_element(item, "LUTData")
    if data is None or not data.value:
        return None
    if descriptor is None or not descriptor.value or len(descriptor.value) != DESCRIPTOR_BYTES:
        raise RejectedImage(Reason.CORRUPT, "a table of grey values does not state its length")
    order = "<" if descriptor.is_little_endian else ">"
    entries, first, bits = struct.unpack(f"{order}HHH", descriptor.value)
    words = np.frombuffer(data.value, f"{order}u2", len(data.value) // 2)
    entries = entries or MAX_ENTRIES
    if len(words) < entries and bits <= EIGHT_BITS:
        words = words.astype("<u2").view(np.uint8)  # Two entries in each word, the first in its lower half.
    if len(words) < entries:
        raise RejectedImage(Reason.CORRUPT, "a table of grey values is shorter than it states")
    first = _first_input(first, entries, inputs, is_signed=None if descriptor.VR is None else descriptor.VR == SIGNED)
    return LookupTable(first, words[:entries].astype(np.float64))


def _first_input(pattern: int, entries: int, inputs: tuple[int, int], *, is_signed: bool | None) -> int:
    """Return the number that a table's first input means.

    It has the sign of what is looked up, but senders write it with either type. The right meaning is the one
    under which the table serves more of the values that can be looked up.

    Args:
        pattern: 16 bits.
        entries: the length of the table.
        inputs: the least and the greatest value that can be looked up.
        is_signed: what the attribute's type says; None where the file names no types.
    """
    signed = pattern - (pattern >> SIXTEEN_BITS - 1 << SIXTEEN_BITS)
    lowest, highest = inputs
    if lowest >= 0 and not is_signed:
        return pattern

    def served(first: int) -> int:
        return min(first + entries - 1, highest) - max(first, lowest)

    return signed if served(signed) >= served(pattern) else pattern
