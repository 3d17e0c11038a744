"""The stored values of a DICOM film, from every transfer syntax for which a decoder with a free licence is kept up."""

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.encaps import get_frame, parse_basic_offsets
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
    JPEGTransferSyntaxes,
    RLELossless,
)

from worker.decoding.counted_reads import CountedReads
from worker.decoding.jpeg_headers import check_scans, read_header
from worker.decoding.limits import Limits
from worker.decoding.pictures import read_plain_jpeg
from worker.errors import Reason, RejectedImage

Stored = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

HTJ2K = ("1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.202", "1.2.840.10008.1.2.4.203")
#: Which of pydicom's plug-ins decodes what: of several the one that is best kept up and raises on damage.
PLUGINS: dict[str, str] = {
    **dict.fromkeys(JPEGTransferSyntaxes, "gdcm"),
    **dict.fromkeys(JPEGLSTransferSyntaxes, "pyjpegls"),
    **dict.fromkeys((*JPEG2000TransferSyntaxes, *HTJ2K, RLELossless), "pylibjpeg"),
}


def stored_values(film: Dataset, limits: Limits) -> Stored:
    """Return the stored values as unsigned bit patterns, shape (rows, columns).

    A plain 8-bit JPEG comes at its reduced scale, as it does from a JPEG file.

    Raises:
        RejectedImage: unsupported_transfer_syntax, several_frames or corrupt.
        ValueError: the pixel data is damaged. So do the other errors of `worker.decoding.dicom.DAMAGE`.
    """
    syntax = film.file_meta.TransferSyntaxUID
    if "PixelData" not in film:
        raise RejectedImage(Reason.CORRUPT, "there is no pixel data")
    if not syntax.is_encapsulated:
        _check_length(film)
        return _unsigned(_decoded(film, ""))
    if syntax not in PLUGINS:
        raise RejectedImage(Reason.UNSUPPORTED_TRANSFER_SYNTAX, f"{syntax.name} is not read")
    stream = _only_frame(film)
    if syntax != RLELossless:
        header = read_header(stream)
        if (header.width, header.height, header.components) != (film.Columns, film.Rows, 1):
            raise RejectedImage(Reason.CORRUPT, "the compressed picture is not of the size that the file states")
        if header.is_plain_jpeg:
            check_scans(stream, header, limits)
            return read_plain_jpeg(stream, limits)
    return _unsigned(_decoded(film, PLUGINS[syntax]))


def _check_length(film: Dataset) -> None:
    """Refuse pixel data of another length than one film: decoders make more frames of what is too long."""
    expected = film.Rows * film.Columns * film.BitsAllocated // 8
    found = len(film.PixelData)
    if found not in {expected, expected + expected % 2}:
        raise RejectedImage(Reason.CORRUPT, f"{found} bytes of pixel data; the film has {expected}")


def _only_frame(film: Dataset) -> bytes:
    data = CountedReads(film.PixelData)
    if len(parse_basic_offsets(data)) > 1:
        raise RejectedImage(Reason.SEVERAL_FRAMES, "several frames; a film is one")
    return get_frame(CountedReads(film.PixelData), 0, number_of_frames=1)


def _decoded(film: Dataset, plugin: str) -> npt.NDArray[Any]:
    decoder = get_decoder(film.file_meta.TransferSyntaxUID)
    options: dict[str, Any] = {"view_only": True}  # No copy of what is not compressed.
    values, _ = decoder.as_array(film, raw=True, decoding_plugin=plugin, **options)
    if values.shape != (film.Rows, film.Columns):
        raise RejectedImage(Reason.CORRUPT, "the decoded picture is not of the size that the file states")
    decoded: npt.NDArray[Any] = values
    return decoded


def _unsigned(values: npt.NDArray[Any]) -> Stored:
    """Return the same bits without a sign, in the machine's byte order."""
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    unsigned: Stored = native.view(f"u{native.dtype.itemsize}")
    return unsigned
