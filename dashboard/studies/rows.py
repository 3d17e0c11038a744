"""Studies as the rows of a list: state, findings, versions, what else a reader needs beside them. Only reads.

A study's result is stored with it by the worker; nothing is combined here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from worker.models.records import ModelVersion
from worker.studies.records import Image, ImageState, Prediction, Rejection, Study, StudyState, Submission


@dataclass(frozen=True)
class Version:
    """The model version that a prediction comes from, as far as a reader must know it beside the figure."""

    version: str
    phantoms: bool


@dataclass(frozen=True)
class Row:
    """One study in a list."""

    study_id: int
    received_at: datetime
    priority: int
    state: StudyState
    #: Films by state.
    films: dict[str, int]
    #: (finding, probability), the highest first; empty while nothing is scored.
    findings: list[tuple[str, float]]
    versions: list[Version]
    #: Why films of it were rejected.
    reasons: list[str]
    #: The sender's name for its first film.
    reference: str | None
    source: str
    due_at: datetime
    read_at: datetime | None

    @property
    def film_count(self) -> int:
        """Return how many films the study has."""
        return sum(self.films.values())

    @property
    def finished_count(self) -> int:
        """Return how many of its films are scored or rejected."""
        return self.films.get(ImageState.SCORED, 0) + self.films.get(ImageState.REJECTED, 0)


def rows(session: Session, ids: Sequence[int]) -> list[Row]:
    """Return the rows of the studies `ids`, in this order."""
    films = _films(session, ids)
    versions, reasons = _versions(session, ids), _reasons(session, ids)
    first_reference = select(func.min(Image.reference)).where(Image.study_id == Study.id).scalar_subquery()
    heads = session.execute(
        select(
            Study.id,
            Study.received_at,
            Submission.priority,
            Study.state,
            Study.findings,
            first_reference,
            Study.source,
            Study.due_at,
            Study.read_at,
        )
        .join(Study.submission)
        .where(Study.id.in_(ids))
    )
    found = {
        study_id: Row(
            study_id,
            received_at,
            priority,
            StudyState(state),
            films.get(study_id, {}),
            ranked({finding: said["probability"] for finding, said in findings.items()}),
            versions.get(study_id, []),
            reasons.get(study_id, []),
            *rest,
        )
        for study_id, received_at, priority, state, findings, *rest in heads
    }
    return [found[study_id] for study_id in ids if study_id in found]


def ranked(probabilities: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return (finding, probability), the highest first, of equal ones the first by name."""
    return sorted(probabilities.items(), key=lambda said: (-said[1], said[0]))


def classes(session: Session) -> list[str]:
    """Return the findings that any registered model version can name, in the order of their cards."""
    cards = session.scalars(select(ModelVersion.card).order_by(ModelVersion.id.desc()))
    return list(dict.fromkeys(str(name) for card in cards for name in card.get("classes", ())))


def _films(session: Session, ids: Sequence[int]) -> dict[int, dict[str, int]]:
    films: dict[int, dict[str, int]] = {}
    query = select(Image.study_id, Image.state, func.count()).where(Image.study_id.in_(ids))
    for study_id, state, count in session.execute(query.group_by(Image.study_id, Image.state)):
        films.setdefault(study_id, {})[state] = count
    return films


def _reasons(session: Session, ids: Sequence[int]) -> dict[int, list[str]]:
    reasons: dict[int, list[str]] = {}
    query = select(Image.study_id, Rejection.reason).join(Image.rejection).where(Image.study_id.in_(ids)).distinct()
    for study_id, reason in session.execute(query.order_by(Rejection.reason)):
        reasons.setdefault(study_id, []).append(reason)
    return reasons


def _versions(session: Session, ids: Sequence[int]) -> dict[int, list[Version]]:
    versions: dict[int, list[Version]] = {}
    query = (
        select(Image.study_id, ModelVersion.id, ModelVersion.version, ModelVersion.card["trained_on"].as_string())
        .join(Prediction, Prediction.id == Image.prediction_id)
        .join(Prediction.model_version)
        .where(Image.study_id.in_(ids))
        .order_by(ModelVersion.id)
        .distinct()
    )
    for study_id, _, version, trained_on in session.execute(query):
        versions.setdefault(study_id, []).append(Version(version, phantoms=trained_on == "phantoms"))
    return versions
