"""What a DICOM file says of its content: whether it is one frontal grey film of a chest, of a size that may be read."""

from pydicom import Dataset

from worker.decoding.limits import Limits, check_size
from worker.errors import Reason, RejectedImage

MODALITIES = frozenset({"CR", "DX"})
#: Parts of the names that senders give to the chest, in several languages.
CHEST = ("CHEST", "THORA", "TORAX", "THX", "LUNG", "CXR", "PULMO")
#: What says nothing.
UNSTATED = frozenset({"", "UNKNOWN", "OTHER", "NONE", "UNSPECIFIED", "DEFAULT"})
#: Lateral (left, right) and oblique; of DICOM's defined terms and as senders abbreviate them.
NOT_FRONTAL = frozenset({"LL", "RL", "LLO", "RLO", "LAO", "RAO", "LPO", "RPO", "LAT", "LLAT", "RLAT", "OBL"})
#: Words of a view's name that make it one; a decubitus film, though "lateral", is frontal.
NOT_FRONTAL_WORDS, STILL_FRONTAL_WORD = ("LATERAL", "OBLIQUE"), "DECUB"
GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
ALLOCATIONS = (8, 16)
#: Bytes of a decoded pixel, the table's index and the film made of it.
BYTES_PER_PIXEL = 4


def check_content(film: Dataset, limits: Limits) -> None:
    """Refuse what is no frontal chest film, then what no decoder should be given.

    Raises:
        RejectedImage: wrong_modality, wrong_body_part, not_frontal, several_frames, colour, corrupt; or as
            `check_size`.
        ValueError: an attribute has no value that can be read; or another error of `worker.decoding.dicom.DAMAGE`.
    """
    if _text(film, "Modality") not in MODALITIES:
        raise RejectedImage(Reason.WRONG_MODALITY, "the modality is not CR or DX")
    part = _text(film, "BodyPartExamined")
    if part not in UNSTATED and not any(name in part for name in CHEST):
        raise RejectedImage(Reason.WRONG_BODY_PART, "the body part is not the chest")
    if any(_is_not_frontal(view) for view in _views(film)):
        raise RejectedImage(Reason.NOT_FRONTAL, "a lateral or oblique view")
    if int(film.get("NumberOfFrames") or 1) != 1:
        raise RejectedImage(Reason.SEVERAL_FRAMES, f"{int(film.NumberOfFrames)} frames; a film is one")
    if film.SamplesPerPixel != 1 or _text(film, "PhotometricInterpretation") not in GREY:
        raise RejectedImage(Reason.COLOUR, "the picture is in colours")
    check_size(int(film.Columns), int(film.Rows), limits, BYTES_PER_PIXEL)
    _check_bits(film)


def _check_bits(film: Dataset) -> None:
    allocated, stored = film.BitsAllocated, film.BitsStored
    high = film.get("HighBit", stored - 1)
    if (
        allocated not in ALLOCATIONS
        or not 1 <= stored <= high + 1 <= allocated
        or film.PixelRepresentation not in {0, 1}
    ):
        raise RejectedImage(
            Reason.CORRUPT, f"{stored} bits, the highest {high}, in {allocated}: no grey values are stored so"
        )


def _text(film: Dataset, keyword: str) -> str:
    return str(film.get(keyword) or "").strip().upper()


def _views(film: Dataset) -> list[str]:
    codes = film.get("ViewCodeSequence") or []
    return [_text(film, "ViewPosition"), *(_text(code, "CodeMeaning") for code in codes)]


def _is_not_frontal(view: str) -> bool:
    if STILL_FRONTAL_WORD in view:
        return False
    return view in NOT_FRONTAL or any(word in view for word in NOT_FRONTAL_WORDS)
