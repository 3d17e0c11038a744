"""Reads a PNG, JPEG, TIFF, BMP, GIF or WebP file as one grey film; its content and not its name decides the format.

Pillow opens and decodes the file inside a broad `except`. The result is a typed header and checked arrays. Our own
arithmetic works on these, outside the `except`.
"""

import io
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFile, ImageOps, UnidentifiedImageError

from worker.decoding import colour_check, jpeg_headers
from worker.decoding.damage import damage_is_rejected
from worker.decoding.limits import Grey, Limits, check_size
from worker.errors import Reason, RejectedImage

#: The formats that Pillow may open. The others that it reads are rejected: fewer decoders have fewer security holes.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
EIGHT_BITS = 8
WHITE = 255
#: Pillow stores grey values and palettes in one byte, deep greys in two, everything else in four.
BYTES_PER_PIXEL = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}
BYTES_OF_COLOUR = 4
#: Each coefficient of a JPEG in several scans, such as a progressive one.
BYTES_PER_COEFFICIENT = 2
#: TIFF's PhotometricInterpretation, and its value for "0 is white", which Pillow applies to 8 bits only.
TIFF_PHOTOMETRIC, WHITE_IS_ZERO = 262, 0

DAMAGED = "the image data is damaged or cut short"

# This module checks and rejects where Pillow only warns. This is set once, since catch_warnings is not safe in threads.
warnings.filterwarnings("ignore", module="PIL")
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class PictureHeader:
    """What a picture file says of itself before it is decoded."""

    #: One of `FORMATS`.
    format: str
    #: Pillow's name for the kind of pixels.
    mode: str
    width: int
    height: int


@dataclass(frozen=True)
class Pixels:
    """A decoded picture, upright."""

    #: Integers or floats, shape (height, width), at least one pixel; uint8 is grey already, everything else is deep.
    grey: npt.NDArray[Any]
    #: The least value is white, and Pillow has not inverted the picture.
    white_is_zero: bool = False
    #: Cb and Cr, uint8, shape (n, 2), of a few pixels evenly spread; None where the file has no colours.
    chroma: npt.NDArray[np.uint8] | None = None


def read_picture(data: bytes, limits: Limits) -> Grey:
    """Return the film in a picture file, upright.

    Raises:
        RejectedImage: unsupported_format, too_many_pixels, too_small, not_film_shaped, several_frames, colour, corrupt.
            Any other error is a fault of this program.
    """
    image, header = _open(data)
    _check_header(header, data, limits)
    with damage_is_rejected(DAMAGED):
        if getattr(image, "is_animated", False):
            raise RejectedImage(Reason.SEVERAL_FRAMES, "several frames or pages; a film is one")
        pixels = _decoded(image, len(data), limits)
    return _film(pixels)


def read_plain_jpeg(stream: bytes, limits: Limits) -> Grey:
    """Return the grey values of a one-component 8-bit JPEG whose header was checked, at its reduced scale.

    Raises:
        RejectedImage: corrupt; the stream is damaged, cut short, or not grey.
    """
    with damage_is_rejected(DAMAGED):
        image = Image.open(io.BytesIO(stream), formats=("JPEG",))
        if image.mode != "L":
            raise ValueError("not grey")
        _load(image, len(stream), limits)
        return np.asarray(image)


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
        width, height = image.size
        return image, PictureHeader(str(image.format), str(image.mode), int(width), int(height))


def _check_header(header: PictureHeader, data: bytes, limits: Limits) -> None:
    bytes_per_pixel = BYTES_PER_PIXEL.get(header.mode, BYTES_OF_COLOUR)
    if header.format == "JPEG":
        jpeg = jpeg_headers.read_header(data)
        # At its reduced scale the picture itself is small; its coefficients are not.
        has_coefficients = jpeg_headers.has_several_scans(data, jpeg)
        bytes_per_pixel = BYTES_PER_COEFFICIENT * jpeg.components if has_coefficients else 1
        jpeg_headers.check_scans(data, jpeg, limits)
    check_size(header.width, header.height, limits, bytes_per_pixel)


def _decoded(image: ImageFile.ImageFile, size_bytes: int, limits: Limits) -> Pixels:
    """Have Pillow decode and convert: alpha over black, colour by luma, deep greys as they are."""
    _load(image, size_bytes, limits)
    white_is_zero = image.format == "TIFF" and image.getexif().get(TIFF_PHOTOMETRIC) == WHITE_IS_ZERO
    ImageOps.exif_transpose(image, in_place=True)  # Otherwise it would copy every film that is upright already.
    if image.mode == "L" and "transparency" not in image.info:
        return _checked(image)
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return _checked(image, white_is_zero=white_is_zero)
    picture: Image.Image = image
    if image.mode in {"P", "PA"} or "transparency" in image.info:
        picture = image.convert("RGBA")
    elif image.mode == "CMYK":
        picture = image.convert("RGB")
    grey = picture.convert("L")
    if "A" in picture.getbands():
        grey = ImageChops.multiply(grey, picture.getchannel("A"))
    return _checked(grey, chroma=colour_check.chroma_sample(picture) if picture.mode in {"RGB", "RGBA"} else None)


def _load(image: ImageFile.ImageFile, size_bytes: int, limits: Limits) -> None:
    """Decode, a JPEG at its reduced scale.

    A JPEG decoder gets the whole file at once, since Pillow takes the interpreter's lock between two pieces.
    """
    if image.format == "JPEG":
        image.draft(image.mode, (limits.jpeg_side_pixels, limits.jpeg_side_pixels))
        image.decodermaxblock = size_bytes
    image.load()


def _checked(image: Image.Image, *, white_is_zero: bool = False, chroma: npt.NDArray[np.uint8] | None = None) -> Pixels:
    grey = np.asarray(image)
    if grey.ndim != 2 or not grey.size or grey.dtype.kind not in "iuf":  # noqa: PLR2004 - rows and columns
        raise ValueError("not one grey picture")
    return Pixels(grey, white_is_zero, chroma)


def _film(pixels: Pixels) -> Grey:
    """Return 8-bit grey values of a decoded picture.

    Raises:
        RejectedImage: colour.
    """
    if pixels.chroma is not None:
        colour_check.check_colour(pixels.chroma)
    if pixels.grey.dtype == np.uint8:
        return pixels.grey
    grey = _narrow(pixels.grey)
    return WHITE - grey if pixels.white_is_zero else grey


def _narrow(values: npt.NDArray[Any]) -> Grey:
    """Return deep grey values in 8 bits.

    Integers keep the top 8 of the bits in use, so that a 12-bit film stored in 16 bits is not black. Floats, whose
    scale is unknown, and integers below zero are stretched between their least and greatest finite value.
    """
    if np.issubdtype(values.dtype, np.integer) and values.min() >= 0:
        return np.asarray(values >> max(0, int(values.max()).bit_length() - EIGHT_BITS), np.uint8)
    finite = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
    low, high = float(finite.min()), float(finite.max())
    finite -= low
    finite *= 255 / (high - low or 1)
    return finite.round().astype(np.uint8)
