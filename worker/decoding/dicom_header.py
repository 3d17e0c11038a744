"""Makes a typed header of a DICOM file's attributes; rejects what is no frontal grey chest film of an allowed size."""

from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import UID, JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes, RLELossless

from worker.decoding.damage import damage_is_rejected
from worker.decoding.dicom_attributes import integer, required_integer, text
from worker.decoding.dicom_content import INVERTED, check_content
from worker.decoding.dicom_grey_scale import GreyScale, read_grey_scale
from worker.decoding.limits import Limits, check_size
from worker.errors import Reason, RejectedImage

ALLOCATIONS = (8, 16)

HTJ2K = ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203")
#: The pydicom plug-in for each transfer syntax; among several, the one that is best maintained and raises on damage.
PLUGINS: dict[str, str] = {
    **dict.fromkeys(JPEGTransferSyntaxes, "gdcm"),
    **dict.fromkeys(JPEGLSTransferSyntaxes, "pyjpegls"),
    **dict.fromkeys((*JPEG2000TransferSyntaxes, *HTJ2K, RLELossless), "pylibjpeg"),
}


@dataclass(frozen=True)
class FilmHeader:
    """A film whose attributes agree with each other and with the limits."""

    transfer_syntax: UID
    #: The plug-in of pydicom that decodes it; empty if the film is not compressed.
    plugin: str
    #: 64 or more.
    rows: int
    columns: int
    #: 8 or 16.
    bits_allocated: int
    #: 1 <= bits_stored <= high_bit + 1 <= bits_allocated
    bits_stored: int
    high_bit: int
    is_signed: bool
    grey_scale: GreyScale


def read_header(film: Dataset, limits: Limits) -> FilmHeader:
    """Return the header of a file that holds one frontal chest film, checked before a decoder is given its pixels.

    Args:
        film: the attributes, and the transfer syntax in `file_meta`.
        limits: of one file.

    Raises:
        RejectedImage: as `check_content` and `check_size`; unsupported_transfer_syntax or corrupt.
    """
    check_content(film)
    rows, columns = required_integer(film, "Rows"), required_integer(film, "Columns")
    check_size(columns, rows, limits)
    bits_allocated, bits_stored = required_integer(film, "BitsAllocated"), required_integer(film, "BitsStored")
    high_bit = integer(film, "HighBit")
    high_bit = bits_stored - 1 if high_bit is None else high_bit
    sign = required_integer(film, "PixelRepresentation")
    if (
        bits_allocated not in ALLOCATIONS
        or not 1 <= bits_stored <= high_bit + 1 <= bits_allocated
        or sign not in {0, 1}
    ):
        raise RejectedImage(
            Reason.CORRUPT,
            f"{bits_stored} bits, the highest {high_bit}, in {bits_allocated}: no grey values are stored so",
        )
    syntax, plugin = _syntax(film)
    is_inverted = text(film, "PhotometricInterpretation") == INVERTED
    grey_scale = read_grey_scale(film, bits_stored, is_signed=bool(sign), is_inverted=is_inverted)
    return FilmHeader(syntax, plugin, rows, columns, bits_allocated, bits_stored, high_bit, bool(sign), grey_scale)


def _syntax(film: Dataset) -> tuple[UID, str]:
    """Return the transfer syntax and the plug-in that decodes it."""
    with damage_is_rejected("the transfer syntax cannot be read"):
        syntax: UID = film.file_meta.TransferSyntaxUID
        if not syntax.is_encapsulated:
            return syntax, ""
    if syntax not in PLUGINS:
        raise RejectedImage(Reason.UNSUPPORTED_TRANSFER_SYNTAX, f"{syntax.name} is not read")
    return syntax, PLUGINS[syntax]
