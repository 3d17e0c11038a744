"""Reads a PNG, JPEG, TIFF, BMP, GIF or WebP file as one grey film; its content and not its name decides the format.

Pillow opens and decodes the file inside a broad `except`. The result is a typed header and checked arrays. Our own
arithmetic works on these, outside the `except`.
"""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, UnidentifiedImageError

from worker.decoding import colour_check, jpeg_headers
from worker.decoding.damage import damage_is_left_out, damage_is_rejected
from worker.decoding.deep_greys import narrowed
from worker.decoding.grey_range import SMALL_PIXELS, bands
from worker.decoding.limits import Grey, Limits, check_memory, check_size
from worker.decoding.picture_header import (
    BYTES_OF_WEBP,
    EXIF_ORIENTATION,
    UPRIGHT,
    PictureHeader,
    read_header,
    webp_size,
)
from worker.decoding.png_texts import without_large_texts
from worker.errors import Reason, RejectedImage

#: The formats that Pillow may open. The others that it reads are rejected: fewer decoders have fewer security holes.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
OPAQUE = 255
#: Pillow decodes run-length coding in Python: this many bytes take three seconds, and hold any film that is stored so.
MAX_RUN_LENGTH_BYTES = 8 * 2**20
#: TIFF's PhotometricInterpretation, and its value for "0 is white", which Pillow applies to 8 bits only.
TIFF_PHOTOMETRIC, WHITE_IS_ZERO = 262, 0
#: What makes a picture upright, for each of EXIF's orientations.
TURNED: dict[int, Callable[[Grey], Grey]] = {
    2: np.fliplr,
    3: partial(np.rot90, k=2),
    4: np.flipud,
    5: np.transpose,
    6: partial(np.rot90, k=-1),
    7: lambda grey: np.rot90(grey, 2).T,
    8: np.rot90,
}
#: A picture of which less can be seen has an alpha channel that means nothing.
MIN_VISIBLE_SHARE = 0.01

DAMAGED = "the image data is damaged or cut short"

# This module checks and rejects where Pillow only warns. This is set once, since catch_warnings is not safe in threads.
warnings.filterwarnings("ignore", module="PIL")
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class Pixels:
    """A decoded picture, as it lies in the file."""

    #: Integers or floats, shape (height, width), at least one pixel; uint8 is grey already, everything else is deep.
    grey: npt.NDArray[Any]
    #: The least value is white, and Pillow has not inverted the picture, which it does to 8 bits only.
    white_is_zero: bool = False
    #: uint8, shape (height, width), 0 for what is not seen; None where everything is.
    alpha: Grey | None = None
    #: Cb and Cr, uint8, shape (n, 2), of a few pixels evenly spread; None where the file has no colours.
    chroma: npt.NDArray[np.uint8] | None = None
    #: EXIF's number for the way in which the picture is turned.
    orientation: int = 1


def read_picture(data: bytes, limits: Limits) -> Grey:
    """Return the film in a picture file, upright.

    Raises:
        RejectedImage: unsupported_format, too_many_pixels, too_small, not_film_shaped, several_frames, colour, corrupt.
            Any other error is a fault of this program.
    """
    if size := webp_size(data):
        check_size(*size, limits)
        check_memory(*size, BYTES_OF_WEBP, len(data), limits)
    image, header = _open(without_large_texts(data))
    _check_header(header, data, limits)
    with damage_is_rejected(DAMAGED):
        if getattr(image, "is_animated", False):
            raise RejectedImage(Reason.SEVERAL_FRAMES, "several frames or pages; a film is one")
        pixels = _decoded(image, len(data), limits)
    del image  # Its memory is free for the arithmetic.
    return _film(pixels)


def read_plain_jpeg(stream: bytes, claims: jpeg_headers.Header, limits: Limits) -> Grey:
    """Return the grey values of a one-component 8-bit JPEG, at its reduced scale.

    Raises:
        RejectedImage: too_many_pixels, or corrupt: the stream is damaged, cut short, or not grey.
    """
    jpeg_headers.check_work(stream, claims, limits)
    with damage_is_rejected(DAMAGED):
        image = Image.open(io.BytesIO(stream), formats=("JPEG",))
        if image.mode != "L":
            raise ValueError("not grey")
        _load(image, len(stream), limits)
        return _copied(image, np.asarray)


def scaled(film: Grey, size: tuple[int, int]) -> Grey:
    """Return `film` at `size`, (height, width), by area-weighted bilinear interpolation.

    The aspect ratio is not kept, as in the paper.
    """
    if film.shape == size:
        return film
    height, width = size
    return np.asarray(Image.fromarray(film).resize((width, height), Image.Resampling.BILINEAR))


def _open(data: bytes) -> tuple[ImageFile.ImageFile, PictureHeader]:
    with damage_is_rejected("the image has no readable header"):
        try:
            image = Image.open(io.BytesIO(data), formats=FORMATS)
        except UnidentifiedImageError as error:
            detail = "not an image of a format that is read: DICOM, " + ", ".join(FORMATS)
            raise RejectedImage(Reason.UNSUPPORTED_FORMAT, detail) from error
        return image, read_header(image)


def _check_header(header: PictureHeader, data: bytes, limits: Limits) -> None:
    check_size(header.width, header.height, limits)
    if header.format == "JPEG":
        jpeg_headers.check_work(data, jpeg_headers.read_header(data), limits)
        return
    if header.is_run_length_coded and len(data) > MAX_RUN_LENGTH_BYTES:
        detail = f"a run-length coded BMP of {len(data)} bytes; the limit is {MAX_RUN_LENGTH_BYTES}"
        raise RejectedImage(Reason.TOO_MANY_BYTES, detail)
    check_memory(header.width, header.height, header.bytes_per_pixel, header.piece_bytes + len(data), limits)


def _decoded(image: ImageFile.ImageFile, size_bytes: int, limits: Limits) -> Pixels:
    """Have Pillow decode and convert: colour by luma, deep greys as they are."""
    _load(image, size_bytes, limits)
    orientation = _orientation(image)
    if (image.mode == "L" and "transparency" not in image.info) or image.mode in {"I", "F"} or image.mode[:4] == "I;16":
        white_is_zero = image.format == "TIFF" and image.getexif().get(TIFF_PHOTOMETRIC) == WHITE_IS_ZERO
        return Pixels(_copied(image, np.asarray), white_is_zero, orientation=orientation)
    # Pillow would make four bytes of each pixel at once, so it converts a band of rows at a time.
    sample = _in_channels(image.resize(colour_check.sample_size(image.size), Image.Resampling.NEAREST))
    return Pixels(
        grey=_copied(image, lambda band: np.asarray(_in_channels(band).convert("L"))),
        alpha=_copied(image, _alpha) if "A" in sample.getbands() else None,
        chroma=colour_check.chroma(sample) if sample.mode in {"RGB", "RGBA"} else None,
        orientation=orientation,
    )


def _in_channels(picture: Image.Image) -> Image.Image:
    """Return a picture whose channels are those that a person sees: colours of a palette, and transparency."""
    if picture.mode in {"P", "PA"} or "transparency" in picture.info:
        return picture.convert("RGBA")
    return picture.convert("RGB") if picture.mode == "CMYK" else picture


def _alpha(band: Image.Image) -> Grey:
    return np.asarray(_in_channels(band).getchannel("A"))


def _copied(image: Image.Image, convert: Callable[[Image.Image], npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Return a picture's values, in the machine's byte order, converted by a function of a band of rows."""
    width, height = image.size
    if width * height <= SMALL_PIXELS:
        return _native(convert(image), (height, width))
    first = _native(convert(image.crop((0, 0, width, 1))), (1, width))
    values = np.empty((height, width), first.dtype)
    for rows in bands(values):
        values[rows] = convert(image.crop((0, rows.start, width, min(rows.stop, height))))
    return values


def _native(values: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[Any]:
    """Return checked values in the machine's byte order."""
    if values.shape != shape or values.dtype.kind not in "iuf":
        raise ValueError("not one grey picture")
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _orientation(image: Image.Image) -> int:
    """Return how EXIF says that the picture is turned; Pillow has turned a TIFF already."""
    with damage_is_left_out():
        return int(image.getexif().get(EXIF_ORIENTATION, UPRIGHT))
    return UPRIGHT


def _load(image: ImageFile.ImageFile, size_bytes: int, limits: Limits) -> None:
    """Decode, a JPEG at its reduced scale.

    A JPEG decoder gets the whole file at once, since Pillow takes the interpreter's lock between two pieces.
    """
    if image.format == "JPEG":
        image.draft(image.mode, (limits.jpeg_side_pixels, limits.jpeg_side_pixels))
        image.decodermaxblock = size_bytes
    image.load()


def _film(pixels: Pixels) -> Grey:
    """Return 8-bit grey values of a decoded picture, upright, alpha over black.

    Raises:
        RejectedImage: colour.
    """
    if pixels.chroma is not None:
        colour_check.check_colour(pixels.chroma)
    is_deep = pixels.grey.dtype != np.uint8
    grey = narrowed(pixels.grey, white_is_zero=pixels.white_is_zero) if is_deep else pixels.grey
    if pixels.alpha is not None and np.count_nonzero(pixels.alpha) >= MIN_VISIBLE_SHARE * grey.size:
        grey = grey.copy()  # Pillow may have written it down as read-only.
        for rows in bands(grey):
            grey[rows] = grey[rows].astype(np.uint16) * pixels.alpha[rows] // OPAQUE
    return np.ascontiguousarray(TURNED.get(pixels.orientation, np.asarray)(grey))
