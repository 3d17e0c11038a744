"""What a retraining run was asked for, and what it learned from."""

from pydantic import Field, JsonValue

from worker.models.documents.document import Document


class RunRequest(Document):
    """What a run shall train. None means what the settings say."""

    #: A folder on the trainer's host.
    data: str | None = None
    network: str | None = None
    epochs: int | None = None
    seed: int | None = None

    def stored(self) -> dict[str, JsonValue]:
        """Return what differs from the settings."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class CorrectedFilms(Document):
    """The films that clinicians confirmed or corrected: those that were learned from, and those that were left out."""

    #: (image id, finding).
    films: tuple[tuple[int, str], ...] = ()
    by_finding: dict[str, int] = Field(default_factory=dict)
    #: (image id, reason).
    left_out: tuple[tuple[int, str], ...] = ()
    left_out_reasons: dict[str, int] = Field(default_factory=dict)


class LearnedFrom(Document):
    """The training set of one run."""

    #: Films by split and class; the gate is one of the splits.
    counts: dict[str, dict[str, int]] = Field(default_factory=dict)
    #: SHA-256 of each split that must not change unnoticed.
    fingerprints: dict[str, str]
    #: Where the gate's films come from, in words.
    gate: str
    corrections: CorrectedFilms
