"""Picture files, by their content and not their name: PNG, JPEG, TIFF, BMP, GIF and WebP as one grey film."""

import io
import struct
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFile, ImageOps, UnidentifiedImageError

from worker.decoding.jpeg_headers import SEQUENTIAL, check_scans, read_header
from worker.decoding.limits import Grey, Limits, check_size
from worker.errors import Reason, RejectedImage

#: What Pillow may open. Anything else, though Pillow knows it, is refused: fewer decoders, fewer holes.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
EIGHT_BITS = 8
#: Pillow keeps grey values and palettes in one byte, deep ones in two, everything else in four.
BYTES_PER_PIXEL = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}
BYTES_OF_COLOUR = 4
#: A progressive JPEG's coefficients.
BYTES_PER_COEFFICIENT = 2
#: TIFF's PhotometricInterpretation, and its value for "0 is white", which Pillow heeds for 8 bits only.
TIFF_PHOTOMETRIC, WHITE_IS_ZERO = 262, 0

#: A pixel whose Cb and Cr lie this far from the picture's own tint is coloured. Scans of film have a tint, and some
#: bear a coloured arrow or stamp.
COLOURED_DISTANCE = 24
#: More coloured pixels than this and the picture is no radiograph: real films have at most 0.01.
MAX_COLOURED_SHARE = 0.05
COLOUR_SAMPLE = (64, 64)

# Pillow warns where we check and reject ourselves. Set once: catch_warnings is not safe in threads.
warnings.filterwarnings("ignore", module="PIL")
Image.MAX_IMAGE_PIXELS = None


def read_picture(data: bytes, limits: Limits) -> Grey:
    """Return the film in a picture file, upright.

    Raises:
        RejectedImage: unsupported_format, too_many_pixels, too_small, not_film_shaped, several_frames, colour, corrupt.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        _check_header(image, data, limits)
        _load(image, len(data), limits)
        white_is_zero = image.format == "TIFF" and image.getexif().get(TIFF_PHOTOMETRIC) == WHITE_IS_ZERO
        ImageOps.exif_transpose(image, in_place=True)  # A copy of every film that lies right otherwise.
        if image.mode == "L" and "transparency" not in image.info:
            return np.asarray(image)
        return _to_grey(image, deep_white_is_zero=white_is_zero)
    except UnidentifiedImageError as error:
        raise RejectedImage(
            Reason.UNSUPPORTED_FORMAT, "not an image of a format that is read: DICOM, " + ", ".join(FORMATS)
        ) from error
    # What Pillow's decoders raise on damaged content; mutated files in the tests look for more.
    except (OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, struct.error, OverflowError) as error:
        raise RejectedImage(Reason.CORRUPT, "the image data is damaged or cut short") from error


def read_plain_jpeg(stream: bytes, limits: Limits) -> Grey:
    """Return the grey values of a one-component 8-bit JPEG whose header was checked, at its reduced scale.

    Raises:
        OSError: the stream is damaged or cut short.
        ValueError: it is not grey.
    """
    image = Image.open(io.BytesIO(stream), formats=("JPEG",))
    if image.mode != "L":
        raise ValueError("not grey")
    _load(image, len(stream), limits)
    return np.asarray(image)


def scaled(film: Grey, size: tuple[int, int]) -> Grey:
    """Return `film` at (height, width) `size`, area-weighted bilinear, the aspect ratio not kept (like the paper)."""
    if film.shape == size:
        return film
    height, width = size
    return np.asarray(Image.fromarray(film).resize((width, height), Image.Resampling.BILINEAR))


def _load(image: ImageFile.ImageFile, size_bytes: int, limits: Limits) -> None:
    """Decode; a JPEG at its reduced scale, grey straight from the decoder where it is grey.

    The decoder is given the whole file at once: Pillow takes the interpreter's lock between two pieces.
    """
    if image.format == "JPEG":
        image.draft(image.mode, (limits.jpeg_side_pixels, limits.jpeg_side_pixels))
        image.decodermaxblock = size_bytes
    image.load()


def _check_header(image: Image.Image, data: bytes, limits: Limits) -> None:
    width, height = image.size
    bytes_per_pixel = BYTES_PER_PIXEL.get(image.mode, BYTES_OF_COLOUR)
    if image.format == "JPEG":
        header = read_header(data)
        # At its reduced scale the picture itself is small.
        bytes_per_pixel = 1 if header.frame in SEQUENTIAL else BYTES_PER_COEFFICIENT * header.components
        check_scans(data, header, limits)
    check_size(width, height, limits, bytes_per_pixel)
    if getattr(image, "is_animated", False):
        raise RejectedImage(Reason.SEVERAL_FRAMES, "several frames or pages; a film is one")


def _to_grey(image: Image.Image, *, deep_white_is_zero: bool) -> Grey:
    """Return 8-bit grey values: alpha over black, colour by luma, deeper greys by their significant bits."""
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        grey = _narrow(np.asarray(image))
        return 255 - grey if deep_white_is_zero else grey
    if image.mode in {"P", "PA"} or "transparency" in image.info:
        image = image.convert("RGBA")
    elif image.mode == "CMYK":
        image = image.convert("RGB")
    if image.mode in {"RGB", "RGBA"}:
        _refuse_colour(image)
    grey_image = image.convert("L")
    if "A" in image.getbands():
        grey_image = ImageChops.multiply(grey_image, image.getchannel("A"))
    return np.asarray(grey_image)


def _refuse_colour(image: Image.Image) -> None:
    """Refuse a picture that lives by its colours.

    Raises:
        RejectedImage: colour.
    """
    sample = (
        image.convert("RGB") if image.size <= COLOUR_SAMPLE else image.resize(COLOUR_SAMPLE, Image.Resampling.NEAREST)
    )
    chroma = np.asarray(sample.convert("RGB").convert("YCbCr"), np.int16)[..., 1:].reshape(-1, 2)
    distance = np.abs(chroma - np.median(chroma, axis=0)).sum(axis=1)
    share = float((distance > COLOURED_DISTANCE).mean())
    if share > MAX_COLOURED_SHARE:
        raise RejectedImage(Reason.COLOUR, f"{share:.0%} of the picture is coloured; a radiograph is grey")


def _narrow(values: npt.NDArray[Any]) -> Grey:
    """Return deep grey values in 8 bits.

    Integers keep the top 8 of the bits in use (a 12-bit film stored in 16 bits is not black); floats, whose scale
    nobody declares, and integers below zero are stretched between their least and greatest finite value.
    """
    if np.issubdtype(values.dtype, np.integer) and values.min() >= 0:
        return np.asarray(values >> max(0, int(values.max()).bit_length() - EIGHT_BITS), np.uint8)
    finite = np.nan_to_num(values.astype(np.float32), posinf=0, neginf=0)
    low, high = float(finite.min()), float(finite.max())
    finite -= low
    finite *= 255 / (high - low or 1)
    return finite.round().astype(np.uint8)
