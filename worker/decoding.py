"""From the bytes of a file to one 8-bit grey radiograph, or a `RejectedImage`; training reads films here too.

Knows nothing of databases, queues or networks. The array is the same whether a film is trained on or scored.
"""

import io
import struct
import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from worker.errors import Reason, RejectedImage

#: Names every choice below; it travels in the model's card. Change a pixel, change the name.
PREPROCESSING = "grey8-bilinear-2"
#: What a network may have been trained on to be asked for films prepared so. `grey8-bilinear-1` decoded every JPEG at
#: full size: its arrays differ only for JPEG whose sides are both 1024 pixels or more.
ACCEPTED_PREPROCESSING = frozenset({PREPROCESSING, "grey8-bilinear-1"})
#: A JPEG is decoded at the smallest scale of its cosine transform that leaves the shorter side this long: what no
#: network of ours looks at is not computed, and a preview keeps its size.
JPEG_SIDE_PIXELS = 512
#: What Pillow may open. Anything else, though Pillow knows it, is refused: fewer decoders, fewer holes.
FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
#: A chest film is never this small; smaller pictures are icons and thumbnails.
MIN_SIDE_PIXELS = 64
EIGHT_BITS = 8

# Pillow warns where we check and reject ourselves. Set once: catch_warnings is not safe in threads.
warnings.filterwarnings("ignore", module="PIL")
Image.MAX_IMAGE_PIXELS = None

Grey = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Limits:
    """What one file may cost."""

    max_bytes: int = 64 * 2**20
    max_pixels: int = 64_000_000


def decode(data: bytes, limits: Limits = Limits()) -> Grey:
    """Return the film in `data` as uint8 grey values, shape (height, width), 0 black to 255 white.

    Raises:
        RejectedImage: with the reason; nothing else is raised, whatever the bytes.
    """
    if not data:
        raise RejectedImage(Reason.EMPTY, "the file is empty")
    if len(data) > limits.max_bytes:
        raise RejectedImage(Reason.TOO_MANY_BYTES, f"{len(data)} bytes; the limit is {limits.max_bytes}")
    grey = _to_grey(_open(data, limits))
    if grey.min() == grey.max():
        raise RejectedImage(Reason.BLANK, "every pixel has the same value")
    return grey


def resize(film: Grey, size: tuple[int, int]) -> Grey:
    """Return `film` at (height, width) `size`, area-weighted bilinear, the aspect ratio not kept (like the paper)."""
    if film.shape == size:
        return film
    height, width = size
    return np.asarray(Image.fromarray(film).resize((width, height), Image.Resampling.BILINEAR))


def _open(data: bytes, limits: Limits) -> Image.Image:
    """Return the loaded picture, upright; header checks come before any pixel is decoded."""
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        width, height = image.size
        if width * height > limits.max_pixels:
            raise RejectedImage(Reason.TOO_MANY_PIXELS, f"{width} x {height} pixels; the limit is {limits.max_pixels}")
        if min(width, height) < MIN_SIDE_PIXELS:
            raise RejectedImage(Reason.TOO_SMALL, f"{width} x {height} pixels; a side needs {MIN_SIDE_PIXELS}")
        if (frames := getattr(image, "n_frames", 1)) > 1:
            raise RejectedImage(Reason.SEVERAL_FRAMES, f"{frames} frames; a film is one")
        if image.format == "JPEG":
            image.draft(image.mode, (JPEG_SIDE_PIXELS, JPEG_SIDE_PIXELS))
        image.load()
        return ImageOps.exif_transpose(image)
    except UnidentifiedImageError as error:
        raise RejectedImage(
            Reason.UNSUPPORTED_FORMAT, "not an image of a format that is read: " + ", ".join(FORMATS)
        ) from error
    # What Pillow's decoders raise on damaged content; mutated files in the tests look for more.
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, KeyError, TypeError, struct.error) as error:
        raise RejectedImage(Reason.CORRUPT, "the image data is damaged or cut short") from error


def _to_grey(image: Image.Image) -> Grey:
    """Return 8-bit grey values: alpha over black, colour by luma, deeper greys by their significant bits."""
    if image.mode in {"I", "F"} or image.mode.startswith("I;16"):
        return _narrow(np.asarray(image))
    if "A" in image.getbands() or "transparency" in image.info:
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image.convert("RGBA"))
    return np.asarray(image.convert("L"))


def _narrow(values: npt.NDArray[np.generic]) -> Grey:
    """Return deep grey values in 8 bits.

    Integers keep the top 8 of the bits in use (a 12-bit film stored in 16 bits is not black); floats, whose scale
    nobody declares, are stretched between their least and greatest finite value.
    """
    if np.issubdtype(values.dtype, np.floating):
        finite = np.nan_to_num(values.astype(np.float64), posinf=0, neginf=0)
        low, high = float(finite.min()), float(finite.max())
        return ((finite - low) * (255 / (high - low or 1))).round().astype(np.uint8)
    whole = np.clip(values.astype(np.int64), 0, None)
    return (whole >> max(0, int(whole.max()).bit_length() - EIGHT_BITS)).astype(np.uint8)
