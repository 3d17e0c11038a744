"""Reads the stored values of a DICOM film, in each transfer syntax for which there is a maintained and free decoder."""

from dataclasses import dataclass
from functools import cached_property
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
from worker.decoding.grey_range import histogram
from worker.decoding.limits import Limits, check_memory
from worker.decoding.pictures import read_plain_jpeg
from worker.errors import Reason, RejectedImage

SIXTEEN_BITS = 16

Patterns = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

DAMAGED = "the pixel data is damaged or cut short"
#: Bytes of a pixel in a decoder's memory, by plug-in: what the plug-in takes, the stored values and the grey value.
BYTES_PER_PIXEL = {"": 1, "pylibjpeg": 7, "pyjpegls": 5, "gdcm": 8}
#: Pixels of padding are marked for a while.
BYTES_OF_PADDING = 3
#: The bytes of pixels lie in the file and in its attribute; those of a stream also in a decoder, once or twice.
COPIES_OF_PIXELS, COPIES_OF_STREAM = 2, 4
#: pydicom neither copies pixels that are not compressed, nor masks bits, nor extends a sign: `StoredValues.meant` does.
AS_THEY_ARE: dict[str, Any] = {
    "view_only": True,
    "correct_unused_bits": False,
    "apply_j2k_sign_correction": False,
    "apply_jls_sign_correction": False,
}


@dataclass(frozen=True)
class StoredValues:
    """The stored values of a film as patterns of bits, and what the bits mean."""

    #: uint8 or uint16, shape (rows, columns).
    patterns: Patterns
    #: The value lies in this many bits, 1 to 16, above `shift` bits that do not count. Bits above may be anything.
    bits: int
    shift: int
    #: Two's complement.
    is_signed: bool

    @cached_property
    def counts(self) -> npt.NDArray[np.int_]:
        """How many pixels have each pattern, shape (256,) or (65536,)."""
        return histogram(self.patterns)

    def meant(self, codes: npt.NDArray[np.int_]) -> npt.NDArray[np.int_]:
        """Return the number that each pattern means; this is the only place that shifts, masks and extends a sign."""
        values = (codes >> self.shift) & ((1 << self.bits) - 1)
        return values - (values >> (self.bits - 1) << self.bits) if self.is_signed else values


def stored_values(film: Dataset, header: FilmHeader, limits: Limits) -> StoredValues:
    """Return the stored values.

    A plain 8-bit JPEG comes at its reduced scale, as it does from a JPEG file.

    Raises:
        RejectedImage: several_frames or corrupt.
    """
    pixel_data = _pixel_data(film)
    shift = header.high_bit + 1 - header.bits_stored
    if not header.plugin:
        _check_length(pixel_data, header)
        _check_memory(pixel_data, header, limits)
        return StoredValues(_decoded(film, header), header.bits_stored, shift, header.is_signed)
    stream = _only_frame(pixel_data)
    if header.transfer_syntax == RLELossless:
        del stream  # It is another copy of the pixel data.
        _check_memory(pixel_data, header, limits)
        return StoredValues(_decoded(film, header), header.bits_stored, shift, header.is_signed)
    claims = jpeg_headers.read_header(stream)
    if (claims.width, claims.height, claims.components) != (header.columns, header.rows, 1):
        raise RejectedImage(Reason.CORRUPT, "the compressed picture is not of the size that the file states")
    if claims.precision > SIXTEEN_BITS:
        raise RejectedImage(Reason.CORRUPT, f"the compressed picture has values of {claims.precision} bits")
    if claims.is_plain_jpeg:
        return _checked(read_plain_jpeg(stream, claims, limits), claims, header)
    del stream
    _check_memory(pixel_data, header, limits, claims.block_bytes)
    return _checked(_decoded(film, header), claims, header)


def _pixel_data(film: Dataset) -> bytes:
    with damage_is_rejected(DAMAGED):
        pixel_data = film.get("PixelData")
    if not isinstance(pixel_data, bytes):
        raise RejectedImage(Reason.CORRUPT, "there is no pixel data")
    return pixel_data


def _check_memory(pixel_data: bytes, header: FilmHeader, limits: Limits, block_bytes: int = 0) -> None:
    """Reject a film that a decoder has too little memory for."""
    per_pixel = BYTES_PER_PIXEL[header.plugin] + BYTES_OF_PADDING * (header.grey_scale.padding is not None)
    copies = COPIES_OF_STREAM if header.plugin else COPIES_OF_PIXELS
    check_memory(header.columns, header.rows, per_pixel, copies * len(pixel_data) + block_bytes, limits)


def _check_length(pixel_data: bytes, header: FilmHeader) -> None:
    """Reject pixel data that is shorter than one film, or long enough for another one.

    Fewer bytes after the film are padding, which DICOM has a receiver accept.
    """
    expected = header.rows * header.columns * header.bits_allocated // 8
    length = len(pixel_data)
    if not expected <= length < 2 * expected:
        raise RejectedImage(Reason.CORRUPT, f"{length} bytes of pixel data; the film has {expected}")


def _only_frame(pixel_data: bytes) -> bytes:
    with damage_is_rejected(DAMAGED):
        if len(parse_basic_offsets(CountedReads(pixel_data))) > 1:
            raise RejectedImage(Reason.SEVERAL_FRAMES, "several frames; a film is one")
        return get_frame(CountedReads(pixel_data), 0, number_of_frames=1)


def _decoded(film: Dataset, header: FilmHeader) -> Patterns:
    """Decode with pydicom or its plug-in; return checked values in the machine's byte order, without a sign."""
    values: npt.NDArray[Any]
    with damage_is_rejected(DAMAGED):
        decoder = get_decoder(header.transfer_syntax)
        values, _ = decoder.as_array(film, index=0, raw=True, decoding_plugin=header.plugin, **AS_THEY_ARE)
    if values.shape != (header.rows, header.columns):
        raise RejectedImage(Reason.CORRUPT, "the decoded picture is not of the size that the file states")
    if values.dtype.kind not in "iu" or values.dtype.itemsize > 2:  # noqa: PLR2004 - bytes of 16 bits
        raise RejectedImage(Reason.CORRUPT, f"the decoded picture has values of type {values.dtype}")
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    unsigned: Patterns = native.view(f"u{native.dtype.itemsize}")
    return unsigned


def _checked(patterns: Patterns, claims: jpeg_headers.Header, header: FilmHeader) -> StoredValues:
    """Return the values of a compressed picture, as its stream means them.

    Its bits and its sign are stated twice, in the stream and in the file. They may differ as long as every value of the
    film means the same either way.

    Raises:
        RejectedImage: corrupt; the two contradict each other.
    """
    shift = header.high_bit + 1 - header.bits_stored if claims.precision == header.high_bit + 1 else 0
    # Only JPEG 2000 states a sign; else the file alone does. A JPEG of cosine transforms has no signed values.
    is_signed = claims.is_signed if claims.has_sign else header.is_signed and not claims.is_plain_jpeg
    stored = StoredValues(patterns, claims.precision - shift, shift, is_signed)
    present = stored.meant(np.flatnonzero(stored.counts))
    lowest, highest = int(present.min()), int(present.max())
    least = -(1 << header.bits_stored - 1) if header.is_signed else 0
    fits = least <= lowest and highest < least + (1 << header.bits_stored)
    # Where the stream has fewer bits, a lossy JPEG has lost the scale, and a stream without a sign may have lost it.
    is_lost = claims.precision < header.bits_stored and (claims.is_plain_jpeg or (lowest < 0 and not claims.has_sign))
    if is_lost or not fits:
        raise RejectedImage(
            Reason.CORRUPT, "the compressed picture has other bits or another sign than the file states"
        )
    return stored
