"""What one file may cost, checked before its pixels are decoded, and the array that a decoded film is."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.errors import Reason, RejectedImage
from worker.film_limits import MAX_FILE_BYTES, MAX_PIXELS

Grey = npt.NDArray[np.uint8]

#: A chest film is never this small; smaller pictures are icons and thumbnails.
MIN_SIDE_PIXELS = 64
#: Chest films are nearly square; twice this is a strip.
MAX_ASPECT = 3


@dataclass(frozen=True)
class Limits:
    """What one file may cost.

    A decoder's work is bounded by bytes times pixels times passes, which are checked in the headers. What gets past
    that is ended with its decoder, and tried alone.
    """

    max_bytes: int = MAX_FILE_BYTES
    max_pixels: int = MAX_PIXELS
    #: Of the decoded picture while a decoder holds it, in bytes; a progressive JPEG keeps its coefficients, too.
    max_memory: int = 384 * 2**20
    #: A JPEG is decoded at the smallest scale of its cosine transform that leaves the shorter side this long: what no
    #: network of ours looks at is not computed, and a preview keeps its size.
    jpeg_side_pixels: int = 512


DEFAULT_LIMITS = Limits()


def check_size(width: int, height: int, limits: Limits, bytes_per_pixel: int = 1) -> None:
    """Refuse a picture by its header.

    Raises:
        RejectedImage: too_many_pixels, too_small or not_film_shaped.
    """
    pixels = width * height
    if pixels > limits.max_pixels or pixels * bytes_per_pixel > limits.max_memory:
        raise RejectedImage(Reason.TOO_MANY_PIXELS, f"{width} x {height} pixels; the limit is {limits.max_pixels}")
    if min(width, height) < MIN_SIDE_PIXELS:
        raise RejectedImage(Reason.TOO_SMALL, f"{width} x {height} pixels; a side needs {MIN_SIDE_PIXELS}")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise RejectedImage(Reason.NOT_FILM_SHAPED, f"{width} x {height} pixels: a strip, not a film")
