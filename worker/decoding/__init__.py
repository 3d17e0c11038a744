"""From the bytes of a file to one 8-bit grey radiograph, or a `RejectedImage`; training reads films here too.

Knows nothing of databases, queues or networks. The array is the same whether a film is trained on or scored.
"""

from worker.decoding.blank_checks import check_not_blank
from worker.decoding.dicom import is_dicom, read_dicom
from worker.decoding.limits import DEFAULT_LIMITS, Grey, Limits
from worker.decoding.pictures import read_picture
from worker.decoding.pictures import scaled as resize
from worker.errors import Reason, RejectedImage

__all__ = ["ACCEPTED_PREPROCESSING", "PREPROCESSING", "Grey", "Limits", "decode", "resize"]

#: Names every choice of the decoder; it travels in the model's card. Change a pixel, change the name.
PREPROCESSING = "grey8-bilinear-2"
#: What a network may have been trained on to be asked for films prepared so. `grey8-bilinear-1` decoded every JPEG at
#: full size: its arrays differ only for JPEG whose sides are both 1024 pixels or more.
ACCEPTED_PREPROCESSING = frozenset({PREPROCESSING, "grey8-bilinear-1"})


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Grey:
    """Return the film in `data` as uint8 grey values, shape (height, width), 0 black to 255 white.

    Raises:
        RejectedImage: with the reason; nothing else is raised, whatever the bytes.
    """
    if not data:
        raise RejectedImage(Reason.EMPTY, "the file is empty")
    if len(data) > limits.max_bytes:
        raise RejectedImage(Reason.TOO_MANY_BYTES, f"{len(data)} bytes; the limit is {limits.max_bytes}")
    film = read_dicom(data, limits) if is_dicom(data) else read_picture(data, limits)
    check_not_blank(film)
    return film
