"""From stored values to what a reader would see: modality LUT, VOI LUT or window, polarity, in DICOM's order.

Everything is computed once for each value that can be stored, 65,536 at most, and the film is looked up in that table.
"""

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels.processing import apply_windowing

from worker.decoding.dicom_pixels import Stored
from worker.decoding.limits import Grey

Values = npt.NDArray[np.float64]
Present = npt.NDArray[np.bool_]

BLACK, WHITE = 0, 255
EIGHT_BITS = 8
MIN_LINEAR_WIDTH = 1
HALVES_DECIMALS = 6


def displayed(stored: Stored, film: Dataset) -> Grey:
    """Return the film as it is meant to be seen, uint8, 0 black to 255 white.

    Raises:
        ValueError: an attribute cannot be applied. So do the other errors of `worker.decoding.dicom.DAMAGE`.
    """
    codes = np.arange(1 << EIGHT_BITS * stored.dtype.itemsize)
    values = _significant(codes, film)
    present = np.zeros(len(codes), np.bool_)
    present[stored.ravel()] = True
    if (padding := film.get("PixelPaddingValue")) is not None and (kept := present & (values != padding)).any():
        present = kept
    shown = _shown(values, present, film)
    if str(film.PhotometricInterpretation).strip().upper() == "MONOCHROME1":
        shown = WHITE - shown
    # Inverted before it is rounded, and halves made exact, so that a film and its negative give the same film.
    return np.rint(shown.round(HALVES_DECIMALS)).astype(np.uint8)[stored]


def _significant(codes: npt.NDArray[np.int_], film: Dataset) -> npt.NDArray[np.int_]:
    """Return the number that each bit pattern means: without unused bits, with its sign."""
    bits = film.BitsStored
    codes = (codes >> (film.get("HighBit", bits - 1) + 1 - bits)) & ((1 << bits) - 1)
    return codes - (codes >> (bits - 1) << bits) if film.PixelRepresentation else codes


def _shown(values: npt.NDArray[np.int_], present: Present, film: Dataset) -> Values:
    """Return the grey value, 0 to 255, of each stored value.

    A window or table that leaves nothing to be seen of this film is no guide; the film's own range then is.
    """
    modal = _modality(values, film)
    if not np.isfinite(modal).all():
        raise ValueError("the modality's values are no numbers")
    shown = _voi(modal, film)
    if shown is None and _is_made_for_display(film):
        display: Values = modal * (WHITE / ((1 << film.BitsStored) - 1))
        return display
    if shown is None or np.ptp(shown[present]) < 1:
        return _stretched(modal, present)
    return shown


def _modality(values: npt.NDArray[np.int_], film: Dataset) -> Values:
    if tables := film.get("ModalityLUTSequence"):
        return _looked_up(tables[0], values, film)
    slope, intercept = film.get("RescaleSlope"), film.get("RescaleIntercept")
    if slope is None or intercept is None:
        return values.astype(np.float64)
    return values.astype(np.float64) * float(slope) + float(intercept)


def _voi(modal: Values, film: Dataset) -> Values | None:
    """Return grey values by the first table, else the first window; None where there is none that can be applied."""
    if tables := film.get("VOILUTSequence"):
        outputs = _looked_up(tables[0], np.rint(modal).astype(np.int64), film)
        return outputs * float(WHITE / (outputs.max() or 1))
    center, width = _first(film.get("WindowCenter")), _first(film.get("WindowWidth"))
    function = str(film.get("VOILUTFunction") or "LINEAR").strip().upper()
    if center is None or width is None or width <= 0 or (function == "LINEAR" and width < MIN_LINEAR_WIDTH):
        return None
    # What the window is applied to is of no matter to the formula, only what comes out: 8 bits without a sign.
    window = Dataset()
    window.PhotometricInterpretation = "MONOCHROME2"
    window.BitsStored, window.PixelRepresentation = EIGHT_BITS, 0
    window.WindowCenter, window.WindowWidth, window.VOILUTFunction = center, width, function
    shown: Values = apply_windowing(modal, window)
    return shown


def _first(values: object) -> float | None:
    """Return the first of an attribute's values; the others are for other tissues."""
    if isinstance(values, MultiValue):
        values = values[0] if values else None
    return None if values in {None, ""} else float(str(values))


def _looked_up(table: Dataset, values: npt.NDArray[np.int_], film: Dataset) -> Values:
    """Return what a LUT makes of values: below its first and above its last input it goes on evenly.

    pydicom's own counts the inputs in the type of the outputs, and so folds an 8-bit table over itself.
    """
    entries, first, _ = table.LUTDescriptor
    data = table.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, "<u2" if film.file_meta.TransferSyntaxUID.is_little_endian else ">u2")
    outputs = np.atleast_1d(np.asarray(data, np.float64))[: entries or 1 << 16]
    found: Values = outputs[np.clip(values - first, 0, len(outputs) - 1)]
    return found


def _is_made_for_display(film: Dataset) -> bool:
    """Tell whether stored values are grey values already: up to 8 bits, no sign, nothing that changes them."""
    changed = film.get("ModalityLUTSequence") or (film.get("RescaleSlope", 1), film.get("RescaleIntercept", 0)) != (
        1,
        0,
    )
    return film.BitsStored <= EIGHT_BITS and not film.PixelRepresentation and not changed


def _stretched(modal: Values, present: Present) -> Values:
    """Return values between black for the least and white for the greatest that the film has."""
    low, high = modal[present].min(), modal[present].max()
    stretched: Values = np.clip((modal - low) * (WHITE / ((high - low) or 1)), BLACK, WHITE)
    return stretched
