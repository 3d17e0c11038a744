"""How much work and memory one file may take, checked before its pixels are decoded."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.errors import Reason, RejectedImage
from worker.inputs.film_limits import MAX_FILE_BYTES, MAX_MEMORY, MAX_PIXELS

Grey = npt.NDArray[np.uint8]

#: Pictures with a shorter side are icons and thumbnails, never chest films.
MIN_SIDE_PIXELS = 64
#: The longer side may be at most this many times the shorter one. Chest films are nearly square.
MAX_ASPECT = 3


@dataclass(frozen=True)
class Limits:
    """How much work and memory one file may take.

    A decoder's work is at most bytes times pixels times passes, and the headers are checked for these. If a file takes
    too long nevertheless, its decoder is ended, and the file is tried alone.
    """

    max_bytes: int = MAX_FILE_BYTES
    max_pixels: int = MAX_PIXELS
    #: Bytes of the file and of all that is made of it in a decoder's memory, as far as the header tells.
    max_memory: int = MAX_MEMORY
    #: A JPEG is decoded at the smallest scale of its cosine transform that leaves the shorter side this long, which is
    #: enough for every network and for previews.
    jpeg_side_pixels: int = 512


DEFAULT_LIMITS = Limits()


def check_size(width: int, height: int, limits: Limits) -> None:
    """Reject a picture whose header states a size that cannot be a film's.

    Raises:
        RejectedImage: too_many_pixels, too_small or not_film_shaped.
    """
    pixels = width * height
    if pixels > limits.max_pixels:
        raise RejectedImage(Reason.TOO_MANY_PIXELS, f"{width} x {height} pixels; the limit is {limits.max_pixels}")
    if min(width, height) < MIN_SIDE_PIXELS:
        raise RejectedImage(Reason.TOO_SMALL, f"{width} x {height} pixels; a side needs {MIN_SIDE_PIXELS}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise RejectedImage(Reason.NOT_FILM_SHAPED, f"{width} x {height} pixels: a strip, not a film")


def check_memory(width: int, height: int, bytes_per_pixel: int, other_bytes: int, limits: Limits) -> None:
    """Reject a picture that a decoder has too little memory for.

    Args:
        width: in pixels.
        height: in pixels.
        bytes_per_pixel: bytes that decoding takes for each pixel, at most.
        other_bytes: bytes that it takes besides, such as the file's own.
        limits: of one file.

    Raises:
        RejectedImage: too_many_pixels.
    """
    if (needed := width * height * bytes_per_pixel + other_bytes) > limits.max_memory:
        detail = f"{width} x {height} pixels need {needed} bytes of memory; the limit is {limits.max_memory}"
        raise RejectedImage(Reason.TOO_MANY_PIXELS, detail)
