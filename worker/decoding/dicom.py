"""Reads the one picture of a DICOM file as a grey film.

The bytes come from outside, so inflating and parsing have limits. Only the attributes listed here are read, and none of
them names a patient.

There are three steps: pydicom parses the file, `dicom_header` makes a typed and checked header of its attributes, and
our own arithmetic works on that header and on decoded pixels. Only the calls into pydicom and its decoders stand inside
a broad `except`.
"""

import logging
import warnings
import zlib
from collections.abc import Callable

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filereader import read_dataset, read_preamble
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian

from worker.decoding.counted_reads import CountedReads
from worker.decoding.damage import damage_is_rejected
from worker.decoding.dicom_display import displayed
from worker.decoding.dicom_header import read_header
from worker.decoding.dicom_pixels import stored_values
from worker.decoding.limits import Grey, Limits
from worker.errors import Reason, RejectedImage
from worker.inputs.dicomdir import MAGIC, MAGIC_POSITION, is_dicomdir

#: The largest attribute that a film needs is a table of 65,536 entries.
MAX_ATTRIBUTE_BYTES = 256 * 2**10
PIXEL_DATA = 0x7FE00010
KEYWORDS = (
    "SOPClassUID", "Modality", "PresentationIntentType", "BodyPartExamined", "AnatomicRegionSequence", "ViewPosition",
    "ViewCodeSequence", "PatientOrientation",
    "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "ModalityLUTSequence", "RescaleSlope", "RescaleIntercept",
    "VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction", "PixelData",
)  # fmt: skip
TAGS: list[BaseTag | int] = [tag for name in KEYWORDS if (tag := tag_for_keyword(name)) is not None]

# This package checks and rejects where pydicom only warns and logs. Messages of pydicom may quote the file.
warnings.filterwarnings("ignore", module="pydicom")
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)


def is_dicom(data: bytes) -> bool:
    """Tell whether bytes are a DICOM file; one without its preamble is not recognised."""
    return data.startswith(MAGIC, MAGIC_POSITION)


def read_dicom(data: bytes, limits: Limits) -> Grey:
    """Return the film in a DICOM file as its sender wants it shown: uint8, shape (height, width), 255 for dense parts.

    Raises:
        RejectedImage: with the reason. Any other error is a fault of this program.
    """
    if is_dicomdir(data):
        raise RejectedImage(
            Reason.UNSUPPORTED_FORMAT, "a DICOMDIR, the index of a CD; its films are files of their own"
        )
    with damage_is_rejected("the DICOM file is damaged"):
        film = _parse(data, limits)
    header = read_header(film, limits)
    return displayed(stored_values(film, header, limits), header)


def _parse(data: bytes, limits: Limits) -> Dataset:
    """Return the attributes named in `KEYWORDS`, with the transfer syntax in `file_meta`."""
    file = CountedReads(data)
    read_preamble(file, force=False)
    meta = FileMetaDataset(
        read_dataset(file, is_implicit_VR=False, is_little_endian=True, stop_when=_beyond(0x0002_FFFF))
    )
    syntax = meta.TransferSyntaxUID
    if not (syntax.is_transfer_syntax and not syntax.is_private):
        raise RejectedImage(Reason.UNSUPPORTED_TRANSFER_SYNTAX, "an unknown or private transfer syntax")
    if syntax == DeflatedExplicitVRLittleEndian:
        file = CountedReads(_inflated(data[file.tell() :], limits))
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
    film = read_dataset(
        file, syntax.is_implicit_VR, syntax.is_little_endian, stop_when=_after_pixels(), specific_tags=TAGS
    )
    if not film:
        raise RejectedImage(Reason.CORRUPT, "nothing that describes a film can be read")
    film.file_meta = meta
    _check_lengths(film)
    return film


def _check_lengths(film: Dataset) -> None:
    """Reject long attributes, which grow when they are converted: two bytes of the file become a number of fifty."""
    for tag in film.keys() - {PIXEL_DATA}:
        value = film.get_item(tag).value
        if isinstance(value, bytes) and len(value) > MAX_ATTRIBUTE_BYTES:
            raise RejectedImage(Reason.CORRUPT, f"an attribute of {len(value)} bytes")


def _beyond(last: int) -> Callable[[BaseTag, str | None, int], bool]:
    return lambda tag, _vr, _length: tag > last


def _after_pixels() -> Callable[[BaseTag, str | None, int], bool]:
    """Return a function that stops the parser after the pixel data: what follows may be padding of any form."""
    are_read = False

    def stop(tag: BaseTag, _vr: str | None, _length: int) -> bool:
        nonlocal are_read
        if are_read or tag > PIXEL_DATA:
            return True
        are_read = tag == PIXEL_DATA
        return False

    return stop


def _inflated(deflated: bytes, limits: Limits) -> bytes:
    """Inflate no more than the limit on a file's bytes allows: 1 MB can hold a gigabyte."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    inflated = inflater.decompress(deflated, limits.max_bytes)
    if inflater.unconsumed_tail:
        raise RejectedImage(Reason.TOO_MANY_BYTES, f"inflated, more than {limits.max_bytes} bytes")
    return inflated
