"""Reads the stored values of a DICOM film, in each transfer syntax for which there is a maintained and free decoder."""

from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.encaps import get_frame, parse_basic_offsets
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import RLELossless

from worker.decoding import jpeg_headers
from worker.decoding.counted_reads import CountedReads
from worker.decoding.damage import damage_is_rejected
from worker.decoding.dicom_header import FilmHeader
from worker.decoding.limits import Limits
from worker.decoding.pictures import read_plain_jpeg
from worker.errors import Reason, RejectedImage

Stored = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

DAMAGED = "the pixel data is damaged or cut short"


def stored_values(film: Dataset, header: FilmHeader, limits: Limits) -> Stored:
    """Return the stored values as unsigned bit patterns, shape (rows, columns), uint8 or uint16.

    A plain 8-bit JPEG comes at its reduced scale, as it does from a JPEG file.

    Raises:
        RejectedImage: several_frames or corrupt.
    """
    pixel_data = _pixel_data(film)
    if not header.plugin:
        _check_length(pixel_data, header)
        return _decoded(film, header)
    stream = _only_frame(pixel_data)
    if header.transfer_syntax != RLELossless:
        claims = jpeg_headers.read_header(stream)
        if (claims.width, claims.height, claims.components) != (header.columns, header.rows, 1):
            raise RejectedImage(Reason.CORRUPT, "the compressed picture is not of the size that the file states")
        if claims.is_plain_jpeg:
            jpeg_headers.check_scans(stream, claims, limits)
            return read_plain_jpeg(stream, limits)
    return _decoded(film, header)


def _pixel_data(film: Dataset) -> bytes:
    with damage_is_rejected(DAMAGED):
        pixel_data = film.get("PixelData")
    if not isinstance(pixel_data, bytes):
        raise RejectedImage(Reason.CORRUPT, "there is no pixel data")
    return pixel_data


def _check_length(pixel_data: bytes, header: FilmHeader) -> None:
    """Reject pixel data that is shorter or longer than one film; decoders make several frames of longer data."""
    expected = header.rows * header.columns * header.bits_allocated // 8
    length = len(pixel_data)
    if length not in {expected, expected + expected % 2}:
        raise RejectedImage(Reason.CORRUPT, f"{length} bytes of pixel data; the film has {expected}")


def _only_frame(pixel_data: bytes) -> bytes:
    with damage_is_rejected(DAMAGED):
        if len(parse_basic_offsets(CountedReads(pixel_data))) > 1:
            raise RejectedImage(Reason.SEVERAL_FRAMES, "several frames; a film is one")
        return get_frame(CountedReads(pixel_data), 0, number_of_frames=1)


def _decoded(film: Dataset, header: FilmHeader) -> Stored:
    """Decode with pydicom or its plug-in; return checked values in the machine's byte order, without a sign."""
    values: npt.NDArray[Any]
    with damage_is_rejected(DAMAGED):
        options: dict[str, Any] = {"view_only": True}  # Does not copy pixels that are not compressed.
        decoder = get_decoder(header.transfer_syntax)
        values, _ = decoder.as_array(film, raw=True, decoding_plugin=header.plugin, **options)
    if values.shape != (header.rows, header.columns):
        raise RejectedImage(Reason.CORRUPT, "the decoded picture is not of the size that the file states")
    if values.dtype.kind not in "iu" or values.dtype.itemsize > 2:  # noqa: PLR2004 - bytes of 16 bits
        raise RejectedImage(Reason.CORRUPT, f"the decoded picture has values of type {values.dtype}")
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    unsigned: Stored = native.view(f"u{native.dtype.itemsize}")
    return unsigned
