"""Turns stored values into the grey values of display: modality LUT, VOI LUT or window, polarity, in DICOM's order.

Everything is computed once for each value that can be stored, 65,536 at most, and the film is looked up in that table.
The header and the stored values have been checked, so an error here is a fault of this program and never of the film.
"""

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.pixels.processing import apply_windowing

from worker.decoding.dicom_grey_scale import EIGHT_BITS, GreyScale, LookupTable, Rescale, Window
from worker.decoding.dicom_header import FilmHeader
from worker.decoding.dicom_pixels import Stored
from worker.decoding.limits import Grey

Integers = npt.NDArray[np.int_]
Values = npt.NDArray[np.float64]
Present = npt.NDArray[np.bool_]

BLACK, WHITE = 0, 255
HALVES_DECIMALS = 6


def displayed(stored: Stored, header: FilmHeader) -> Grey:
    """Return the film as it is meant to be seen, uint8, 0 black to 255 white, in the shape of `stored`.

    Args:
        stored: uint8 or uint16, shape (rows, columns), at least one pixel.
        header: of the same film.
    """
    codes = np.arange(1 << EIGHT_BITS * stored.dtype.itemsize)
    values = _significant(codes, header)
    present = np.zeros(len(codes), np.bool_)
    present[stored.ravel()] = True
    grey_scale = header.grey_scale
    if grey_scale.padding is not None and (film := present & (values != grey_scale.padding)).any():
        present = film
    shown = _shown(values, present, header)
    if grey_scale.is_inverted:
        shown = WHITE - shown
    # Inversion comes before rounding, and halves are made exact, so that a film and its negative give the same film.
    return np.rint(shown.round(HALVES_DECIMALS)).astype(np.uint8)[stored]


def _significant(codes: Integers, header: FilmHeader) -> Integers:
    """Return the number that each bit pattern means: without unused bits, with its sign."""
    bits = header.bits_stored
    codes = (codes >> (header.high_bit + 1 - bits)) & ((1 << bits) - 1)
    return codes - (codes >> (bits - 1) << bits) if header.is_signed else codes


def _shown(values: Integers, present: Present, header: FilmHeader) -> Values:
    """Return the grey value, 0 to 255, of each stored value.

    If a window or table leaves nothing visible of this film, the film's own range is shown.
    """
    modal = _modality(values, header.grey_scale)
    shown = _voi(modal, header.grey_scale)
    if shown is None and header.grey_scale.is_made_for_display:
        display: Values = modal * (WHITE / ((1 << header.bits_stored) - 1))
        return display
    if shown is None or np.ptp(shown[present]) < 1:
        return _stretched(modal, present)
    return shown


def _modality(values: Integers, grey_scale: GreyScale) -> Values:
    match grey_scale.modality:
        case LookupTable() as table:
            return _looked_up(table.outputs, values - table.first)
        case Rescale(slope, intercept):
            return values.astype(np.float64) * slope + intercept
        case _:
            return values.astype(np.float64)


def _voi(modal: Values, grey_scale: GreyScale) -> Values | None:
    """Return grey values by the table or the window, None where there is neither."""
    match grey_scale.voi:
        case LookupTable() as table:
            outputs = _looked_up(table.outputs, np.rint(modal) - table.first)
            return outputs * float(WHITE / (outputs.max() or 1))
        case Window() as window:
            return _windowed(modal, window)
        case _:
            return None


def _windowed(modal: Values, window: Window) -> Values:
    # The formula needs only the range of what comes out, which is 8 bits without a sign here.
    attributes = Dataset()
    attributes.PhotometricInterpretation = "MONOCHROME2"
    attributes.BitsStored, attributes.PixelRepresentation = EIGHT_BITS, 0
    attributes.WindowCenter, attributes.WindowWidth = window.center, window.width
    attributes.VOILUTFunction = window.function
    shown: Values = apply_windowing(modal, attributes)
    return shown


def _looked_up(outputs: Values, positions: Integers | Values) -> Values:
    """Return a table's outputs; positions before the first or after the last entry get that entry's output.

    pydicom's own function counts the inputs in the data type of the outputs, and so folds an 8-bit table over itself.
    """
    values: Values = outputs[np.clip(positions, 0, len(outputs) - 1).astype(np.int64)]
    return values


def _stretched(modal: Values, present: Present) -> Values:
    """Stretch values so that the least that the film has is black and the greatest is white."""
    low, high = modal[present].min(), modal[present].max()
    stretched: Values = np.clip((modal - low) * (WHITE / ((high - low) or 1)), BLACK, WHITE)
    return stretched
