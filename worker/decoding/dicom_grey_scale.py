"""Reads from a DICOM file, as checked numbers, how its stored values become grey values.

Everything that the arithmetic of `worker.decoding.dicom_display` assumes is checked here.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydicom import Dataset

from worker.decoding.damage import damage_is_rejected
from worker.decoding.dicom_attributes import first_number, items, text
from worker.errors import Reason, RejectedImage

#: Entries of a table whose descriptor says 0, and the most that any table has.
MAX_ENTRIES = 1 << 16
LINEAR = "LINEAR"
FUNCTIONS = frozenset({LINEAR, "LINEAR_EXACT", "SIGMOID"})
MIN_LINEAR_WIDTH = 1
EIGHT_BITS = 8


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
class GreyScale:
    """What is done to stored values, in this order."""

    #: The stored value that fills the area beside the film.
    padding: float | None
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
    tables = items(film, "ModalityLUTSequence")
    modality: LookupTable | Rescale | None
    if tables:
        modality, is_changed = _table(tables[0], film), True
    else:
        modality, is_changed = _rescale(film, bits_stored, is_signed=is_signed)
    return GreyScale(
        padding=_padding(film),
        modality=modality,
        voi=_voi(film),
        is_made_for_display=bits_stored <= EIGHT_BITS and not is_signed and not is_changed,
        is_inverted=is_inverted,
    )


def _padding(film: Dataset) -> float | None:
    with damage_is_rejected("the attribute PixelPaddingValue cannot be read"):
        value = film.get("PixelPaddingValue")
    return float(value) if isinstance(value, int | float) else None


def _rescale(film: Dataset, bits_stored: int, *, is_signed: bool) -> tuple[Rescale | None, bool]:
    """Return the line, if both of its numbers are stated, and whether either of them says that values change."""
    with damage_is_rejected("the attributes RescaleSlope and RescaleIntercept cannot be read"):
        stated = film.get("RescaleSlope"), film.get("RescaleIntercept")
        is_changed = (film.get("RescaleSlope", 1), film.get("RescaleIntercept", 0)) != (1, 0)
        if None in stated:
            return None, is_changed
        slope, intercept = map(float, stated)
    lowest = -(1 << bits_stored - 1) if is_signed else 0
    ends = [slope * stored + intercept for stored in (lowest, lowest + (1 << bits_stored) - 1)]
    if not all(map(math.isfinite, [*ends, ends[1] - ends[0]])):
        raise RejectedImage(Reason.CORRUPT, "the rescaled values are not finite numbers")
    return Rescale(slope, intercept), is_changed


def _voi(film: Dataset) -> LookupTable | Window | None:
    """Return the first table, else the first window, since the others are for other tissues; None without either."""
    if tables := items(film, "VOILUTSequence"):
        table = _table(tables[0], film)
        if table.outputs.min() < 0:
            raise RejectedImage(Reason.CORRUPT, "a table has grey values below 0")
        return table
    center, width = first_number(film, "WindowCenter"), first_number(film, "WindowWidth")
    function = text(film, "VOILUTFunction") or LINEAR
    if center is None or width is None or not (math.isfinite(center) and math.isfinite(width)):
        return None
    if width <= 0 or (function == LINEAR and width < MIN_LINEAR_WIDTH):
        return None
    if function not in FUNCTIONS:
        raise RejectedImage(Reason.CORRUPT, "the window has an unknown function")
    return Window(center, width, function)


def _table(item: Dataset, film: Dataset) -> LookupTable:
    with damage_is_rejected("a table of grey values cannot be read"):
        entries, first, _ = item.LUTDescriptor
        data = item.LUTData
        if isinstance(data, bytes):
            data = np.frombuffer(data, "<u2" if film.file_meta.TransferSyntaxUID.is_little_endian else ">u2")
        outputs = np.atleast_1d(np.asarray(data, np.float64))[: entries or MAX_ENTRIES]
        first_input = int(first)
    if outputs.ndim != 1 or not len(outputs) or not np.isfinite(outputs).all():
        raise RejectedImage(Reason.CORRUPT, "a table of grey values is empty, or has entries that are not finite")
    return LookupTable(first_input, outputs)
