"""Studies as rows of a list: state, findings, model versions, times. Only reads.

The worker stores the result of a study with the study; nothing is computed here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import JSON, func, select, type_coerce
from sqlalchemy.orm import Session

from worker.models.records import ModelVersion
from worker.studies.records import Image, ImageState, Prediction, Rejection, Study, StudyState, Submission


@dataclass(frozen=True)
class Version:
    """The model version that made a prediction."""

    version: str
    #: Whether it was trained on drawn phantoms: its predictions are meaningless for patients.
    phantoms: bool


@dataclass(frozen=True)
class Row:
    """One study in a list."""

    study_id: int
    received_at: datetime
    priority: int
    state: StudyState
    #: Number of films by state.
    films: dict[str, int]
    #: (finding, probability), the highest probability first; empty while no film is scored.
    findings: list[tuple[str, float]]
    versions: list[Version]
    #: Reasons for which films of the study were rejected.
    reasons: list[str]
    #: The sender's reference for the first film.
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
        """Return how many of the films are scored or rejected."""
        return self.films.get(ImageState.SCORED, 0) + self.films.get(ImageState.REJECTED, 0)


def rows(session: Session, ids: Sequence[int]) -> list[Row]:
    """Return the rows of the studies `ids`, in this order; ids without a study are left out."""
    films = _films(session, ids)
    versions, reasons = _versions(session, ids), _reasons(session, ids)
    first_reference = select(func.min(Image.reference)).where(Image.study_id == Study.id).scalar_subquery()
    columns = session.execute(
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
    by_id = {
        study_id: Row(
            study_id,
            received_at,
            priority,
            StudyState(state),
            films.get(study_id, {}),
            ranked({finding: result["probability"] for finding, result in findings.items()}),
            versions.get(study_id, []),
            reasons.get(study_id, []),
            *rest,
        )
        for study_id, received_at, priority, state, findings, *rest in columns
    }
    return [by_id[study_id] for study_id in ids if study_id in by_id]


def ranked(probabilities: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return (finding, probability), the highest probability first; ties are in alphabetical order."""
    return sorted(probabilities.items(), key=lambda item: (-item[1], item[0]))


def classes(session: Session) -> list[str]:
    """Return the findings that the registered model versions can predict, in the order of their cards."""
    cards = session.scalars(select(ModelVersion.card).order_by(ModelVersion.id.desc()))
    return list(dict.fromkeys(name for card in cards for name in card.classes))


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
        select(
            Image.study_id,
            ModelVersion.id,
            ModelVersion.version,
            type_coerce(ModelVersion.card, JSON)["trained_on"].as_string(),
        )
        .join(Prediction, Prediction.id == Image.prediction_id)
        .join(Prediction.model_version)
        .where(Image.study_id.in_(ids))
        .order_by(ModelVersion.id)
        .distinct()
    )
    for study_id, _, version, trained_on in session.execute(query):
        versions.setdefault(study_id, []).append(Version(version, phantoms=trained_on == "phantoms"))
    return versions
