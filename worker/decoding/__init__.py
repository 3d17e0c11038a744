"""Turns the bytes of a file into one 8-bit grey radiograph, or raises `RejectedImage`.

Training and scoring both read films here, so they get the same array from the same file. Does not import a database, a
queue, the settings or a network.
"""

from worker.decoding.blank_checks import check_not_blank
from worker.decoding.dicom import is_dicom, read_dicom
from worker.decoding.limits import DEFAULT_LIMITS, Grey, Limits
from worker.decoding.pictures import read_picture
from worker.decoding.pictures import scaled as resize
from worker.errors import Reason, RejectedImage

__all__ = ["ACCEPTED_PREPROCESSING", "PREPROCESSING", "Grey", "Limits", "decode", "resize"]

#: Names everything that determines a pixel. A model's card states it. A change that alters any pixel needs a new name.
PREPROCESSING = "grey8-bilinear-3"
#: A network that was trained with one of these can score films. `grey8-bilinear-2` gave other arrays only for films
#: that it showed wrongly (decision 20). `grey8-bilinear-1` also decoded every JPEG at full size, which changes a JPEG
#: whose sides are both 1024 pixels or more.
ACCEPTED_PREPROCESSING = frozenset({PREPROCESSING, "grey8-bilinear-2", "grey8-bilinear-1"})


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Grey:
    """Return the film in `data` as uint8 grey values, shape (height, width), 0 black to 255 white.

    Raises:
        RejectedImage: with the reason. Any other error is a fault of this program or of its host, never of the bytes.
    """
    if not data:
        raise RejectedImage(Reason.EMPTY, "the file is empty")
    if len(data) > limits.max_bytes:
        raise RejectedImage(Reason.TOO_MANY_BYTES, f"{len(data)} bytes; the limit is {limits.max_bytes}")
    film = read_dicom(data, limits) if is_dicom(data) else read_picture(data, limits)
    check_not_blank(film)
    return film
