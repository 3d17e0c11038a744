"""The errors of scoring, cut where callers branch: the film's fault, or trouble outside."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a film was rejected. The value is stable: it is stored, shown and scripted against."""

    EMPTY = "empty"  #: The file has no bytes.
    NOT_FOUND = "not_found"  #: The reference names no file.
    NOT_READABLE = "not_readable"  #: The reference names something that is no file, or that we may not read.
    OUTSIDE_ROOT = "outside_root"  #: The reference leaves its root.
    TOO_MANY_BYTES = "too_many_bytes"  #: The file is larger than the limit.
    CHECKSUM_MISMATCH = "checksum_mismatch"  #: The bytes are not those the sender announced.
    UNSUPPORTED_FORMAT = "unsupported_format"  #: Not one of the image formats that we read.
    CORRUPT = "corrupt"  #: A known format whose content cannot be decoded.
    TOO_MANY_PIXELS = "too_many_pixels"  #: Width times height is over the limit.
    TOO_SMALL = "too_small"  #: A side is too short to be a radiograph.
    SEVERAL_FRAMES = "several_frames"  #: More than one page or frame: which one is the film is not for us to guess.
    NOT_FILM_SHAPED = "not_film_shaped"  #: One side is several times the other.
    UNSUPPORTED_TRANSFER_SYNTAX = "unsupported_transfer_syntax"  #: DICOM, compressed in a way that is not read.
    WRONG_MODALITY = "wrong_modality"  #: DICOM that is not CR or DX, or does not say so.
    WRONG_BODY_PART = "wrong_body_part"  #: DICOM that names another part of the body than the chest.
    NOT_FRONTAL = "not_frontal"  #: DICOM whose view is lateral or oblique.
    COLOUR = "colour"  #: A picture in colours.
    BLANK = "blank"  #: Nearly every pixel has the same value.
    TOO_FEW_GREYS = "too_few_greys"  #: Black and white, or little more.
    NOISE = "noise"  #: Neighbouring pixels have nothing to do with each other.
    NOT_A_CHEST_FILM = "not_a_chest_film"  #: Unlike every film that the model learned from.
    CRASHED_THE_WORKER = "crashed_the_worker"  #: Scoring it, alone, killed the process repeatedly.
    CANCELLED = "cancelled"  #: Its submission was withdrawn before anybody scored it.


class ScoringError(Exception):
    """Scoring failed."""


class RejectedImage(ScoringError):
    """This film cannot be scored, now or later; the reason is recorded and it is never retried.

    Attributes:
        reason: the stable code.
        detail: one sentence for a person, without identifiers.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        """Keep the reason as data beside its sentence."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class TryAgainLater(ScoringError):
    """Something outside the film failed; the film goes back unharmed and uncharged."""


class ModelUnavailable(ScoringError):
    """No model version can be loaded: none is active, or its file is not the registered one."""


class UnreadableDocument(ModelUnavailable):
    """A stored document of a model version, such as its card or its report, has JSON that makes no sense."""


class NotConfigured(ScoringError):
    """A setting without which this command cannot work is missing."""


class RefusedSubmission(ScoringError):
    """A submission cannot be accepted as it is.

    Attributes:
        code: `invalid`, `unsupported_schema`, `unknown_callback` or `conflict`.
        detail: one sentence for the sender, without identifiers.
    """

    def __init__(self, code: str, detail: str) -> None:
        """Keep the code as data beside its sentence."""
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
