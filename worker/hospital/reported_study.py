"""What is reported of a study: the figures of its films beside their original identifiers. Plain data, no database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from worker.hospital.identity import Identity
from worker.models.documents.card import TrainedOn
from worker.models.operating_points import Decision


@dataclass(frozen=True)
class ReportedModel:
    """The model version behind the figures of a film."""

    version: str
    #: The architecture's name.
    network: str
    trained_on: TrainedOn


@dataclass(frozen=True)
class ScoredFilm:
    """A film with its figures."""

    identity: Identity
    model: ReportedModel
    #: One for each class of the model, in the order of the model's card.
    decisions: Sequence[Decision]


@dataclass(frozen=True)
class ReportedStudy:
    """The result of a study, as it is sent."""

    #: At least one.
    scored: Sequence[ScoredFilm]
    #: The reason of each film that was rejected (`worker.errors.Reason`).
    rejected: Sequence[str]
    #: Over the scored films, as `worker.studies.results` computes it; the most probable finding first.
    decisions: Sequence[Decision]
    #: When its last film was finished, in the time zone in which dates are written.
    finished_at: datetime

    @property
    def leading(self) -> Decision:
        """The most probable finding."""
        return self.decisions[0]

    @property
    def model(self) -> ReportedModel:
        """The model version that scored the last film."""
        return self.scored[-1].model

    @property
    def identity(self) -> Identity:
        """The identity whose patient and study the objects of the study carry: that of the newest film."""
        return self.scored[-1].identity
