"""The errors that callers tell apart: the fault of a film, the fault of a submission, or trouble outside both."""

from enum import StrEnum


class Reason(StrEnum):
    """Why a film was rejected. The values are stable: they are stored, shown, and used by scripts."""

    EMPTY = "empty"  #: The file has no bytes.
    NOT_FOUND = "not_found"  #: The reference names no file.
    NOT_READABLE = "not_readable"  #: The reference is not a regular file, or the worker may not read it.
    OUTSIDE_ROOT = "outside_root"  #: The path leads outside its root.
    TOO_MANY_BYTES = "too_many_bytes"  #: The file is larger than the limit.
    CHECKSUM_MISMATCH = "checksum_mismatch"  #: The bytes are not those the sender announced.
    UNSUPPORTED_FORMAT = "unsupported_format"  #: Not one of the image formats that are read.
    CORRUPT = "corrupt"  #: A known format whose content cannot be decoded.
    TOO_MANY_PIXELS = "too_many_pixels"  #: Width times height, or the memory for them, is over the limit.
    TOO_SMALL = "too_small"  #: A side is too short to be a radiograph.
    SEVERAL_FRAMES = "several_frames"  #: More than one page or frame: which one is the film cannot be known.
    NOT_FILM_SHAPED = "not_film_shaped"  #: One side is several times the other.
    UNSUPPORTED_TRANSFER_SYNTAX = "unsupported_transfer_syntax"  #: DICOM, compressed in a way that is not supported.
    WRONG_MODALITY = "wrong_modality"  #: DICOM whose modality is neither CR nor DX, or is missing.
    WRONG_BODY_PART = "wrong_body_part"  #: DICOM that names another part of the body than the chest.
    NOT_FRONTAL = "not_frontal"  #: DICOM whose view is lateral or oblique.
    FOR_PROCESSING = "for_processing"  #: DICOM with a detector's raw values, which no reader is meant to see.
    COLOUR = "colour"  #: A picture in colours.
    BLANK = "blank"  #: Nearly every pixel has the same value.
    TOO_FEW_GREYS = "too_few_greys"  #: Black and white, or little more.
    NOISE = "noise"  #: Neighbouring pixels are unrelated.
    NOT_A_CHEST_FILM = "not_a_chest_film"  #: Unlike every film that the model learned from.
    CRASHED_THE_WORKER = "crashed_the_worker"  #: Its decoder, or the process that scored it, failed again and again.
    CANCELLED = "cancelled"  #: Its submission was withdrawn before it was scored.


class ScoringError(Exception):
    """Scoring failed."""


class RejectedImage(ScoringError):
    """This film cannot be scored, now or later. The reason is recorded, and only a person can have it tried again.

    Attributes:
        reason: the stable code.
        detail: one sentence for a person, without identifiers.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        """Store the reason beside its sentence."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class TryAgainLater(ScoringError):
    """Something outside the film failed. The film waits again, and the attempt is not counted."""


class NotStored(TryAgainLater):
    """A file cannot be written: the disk is full, read-only or broken.

    Attributes:
        full: whether there is no room.
    """

    def __init__(self, detail: str, *, full: bool) -> None:
        """Store the cause beside its sentence."""
        super().__init__(detail)
        self.full = full


class ModelUnavailable(ScoringError):
    """No model version can be loaded: none is active, or its file is not the registered one."""


class NoHeatMap(ScoringError):
    """The network cannot show where it looked: it has no such finding, or no feature map."""


class UnreadableDocument(ModelUnavailable):
    """A stored document of a model version, such as its card or its report, does not have the expected form."""


class NotConfigured(ScoringError):
    """A setting without which this command cannot work is missing."""


class RefusedSubmission(ScoringError):
    """A submission cannot be accepted as it is.

    Attributes:
        code: `invalid`, `too_large`, `unsupported_schema`, `unknown_callback` or `conflict`.
        detail: one sentence for the sender, without identifiers.
    """

    def __init__(self, code: str, detail: str) -> None:
        """Store the code beside its sentence."""
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
