"""The limit on colour: a picture with more of it is not taken for a radiograph."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from worker.errors import Reason, RejectedImage

#: A pixel is coloured if its Cb and Cr lie farther than this from the picture's own tint. Scans of film have a tint,
#: and some have a coloured arrow or stamp.
COLOURED_DISTANCE = 24
#: A picture with a larger share of coloured pixels is no radiograph; real films have at most 0.01.
MAX_COLOURED_SHARE = 0.05
COLOUR_SAMPLE = (64, 64)

Chroma = npt.NDArray[np.uint8]


def sample_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return to which (width, height) a picture of this size is reduced for the check, by taking the nearest pixels."""
    return min(size, COLOUR_SAMPLE)


def chroma(sample: Image.Image) -> Chroma:
    """Return Cb and Cr of a reduced picture: uint8, shape (n, 2). Calls Pillow, which may raise anything."""
    return np.asarray(sample.convert("RGB").convert("YCbCr"))[..., 1:].reshape(-1, 2)


def check_colour(chroma: Chroma) -> None:
    """Reject a picture in colours.

    Raises:
        RejectedImage: colour.
    """
    values = chroma.astype(np.int16)
    distance = np.abs(values - np.median(values, axis=0)).sum(axis=1)
    share = float((distance > COLOURED_DISTANCE).mean())
    if share > MAX_COLOURED_SHARE:
        raise RejectedImage(Reason.COLOUR, f"{share:.0%} of the picture is coloured; a radiograph is grey")
