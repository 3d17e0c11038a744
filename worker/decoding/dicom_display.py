"""Turns stored values into the grey values of display: modality LUT, VOI LUT or window, polarity, in DICOM's order.

Everything is computed once for each value that can be stored, 65,536 at most, and the film is looked up in that table.
The header and the stored values have been checked, so an error here is a fault of this program and never of the film.
"""

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.pixels.processing import apply_windowing

from worker.decoding.dicom_grey_scale import EIGHT_BITS, GreyScale, LookupTable, Padding, Rescale, Window
from worker.decoding.dicom_header import FilmHeader
from worker.decoding.dicom_pixels import StoredValues
from worker.decoding.grey_range import looked_up, shown_range
from worker.decoding.limits import Grey

Integers = npt.NDArray[np.int_]
Values = npt.NDArray[np.float64]
Present = npt.NDArray[np.bool_]

BLACK, WHITE = 0, 255
HALVES_DECIMALS = 6


def displayed(stored: StoredValues, header: FilmHeader) -> Grey:
    """Return the film as it is meant to be seen, uint8, 0 black to 255 white, shape (rows, columns)."""
    codes = np.arange(len(stored.counts))
    values = stored.meant(codes)
    counts, grey_scale = stored.counts, header.grey_scale
    is_padding = _is_padding(codes, values, grey_scale.padding)
    if (film := np.where(is_padding, 0, counts)).any():
        counts = film
    shown = _shown(values, counts, header)
    if grey_scale.is_inverted:
        shown = WHITE - shown
    # Inversion comes before rounding, and halves are made exact, so that a film and its negative give the same film.
    greys = np.rint(shown.round(HALVES_DECIMALS)).astype(np.uint8)
    picture = looked_up(greys, stored.patterns)
    if greys[is_padding & (stored.counts > 0)].any():
        picture[_beside_the_film(looked_up(is_padding.view(np.uint8), stored.patterns).view(np.bool_))] = BLACK
    return picture


def _is_padding(codes: Integers, values: Integers, padding: Padding | None) -> Present:
    """Tell of each pattern whether it fills the area beside the film."""
    if padding is None:
        return np.zeros(len(codes), np.bool_)
    is_padding: Present = ((values >= padding.lowest) & (values <= padding.highest)) | (codes == padding.pattern)
    return is_padding


def _beside_the_film(is_padding: Present) -> Present:
    """Return the pixels of padding from which a row or a column of padding leads to the edge of the picture.

    Other pixels with the same value are parts of the film, the darkest or the brightest ones.
    """
    beside = np.zeros_like(is_padding)
    for axis in (0, 1):
        for way in (slice(None), slice(None, None, -1)):
            steps = (way, slice(None)) if axis == 0 else (slice(None), way)
            beside[steps] |= np.logical_and.accumulate(is_padding[steps], axis)
    return beside


def _shown(values: Integers, counts: Integers, header: FilmHeader) -> Values:
    """Return the grey value, 0 to 255, of each stored value; `counts` says how many pixels of the film have it.

    If a window or table leaves nothing visible of this film, the film's own range is shown.
    """
    modal = _modality(values, header.grey_scale)
    shown = _voi(modal, header.grey_scale)
    if shown is None and header.grey_scale.is_made_for_display:
        display: Values = modal * (WHITE / ((1 << header.bits_stored) - 1))
        return display
    if shown is None or np.ptp(shown[counts > 0]) < 1:
        return _stretched(modal, counts)
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


def _stretched(modal: Values, counts: Integers) -> Values:
    """Stretch values so that the film's range is shown from black to white."""
    order = np.argsort(modal, kind="stable")
    low, high = shown_range(modal[order], counts[order])
    stretched: Values = np.clip((modal - low) * (WHITE / ((high - low) or 1)), BLACK, WHITE)
    return stretched
