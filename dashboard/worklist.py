"""The results as rows: studies with their state and their findings, newest first, page by page. Only reads.

A study's result is stored with it by the worker; nothing is combined here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from worker.records import (
    Image,
    ImageState,
    ModelVersion,
    Prediction,
    Rejection,
    Study,
    StudyFinding,
    StudyState,
    Submission,
)

PAGE_SIZE = 50
#: The largest id that an INTEGER column of PostgreSQL holds.
MAX_ROW_ID = 2**31 - 1


@dataclass(frozen=True)
class Filters:
    """What a list is narrowed to, and where in it the page begins: just `before` or just `after` a study's id."""

    finding: str | None = None
    state: StudyState | None = None
    submission_id: str | None = None
    before: int | None = None
    after: int | None = None


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

    @property
    def film_count(self) -> int:
        """Return how many films the study has."""
        return sum(self.films.values())

    @property
    def finished_count(self) -> int:
        """Return how many of its films are scored or rejected."""
        return self.films.get(ImageState.SCORED, 0) + self.films.get(ImageState.REJECTED, 0)


@dataclass(frozen=True)
class Page:
    """A slice of the list, and the ids at which its neighbours begin; None where there is none."""

    rows: list[Row]
    newer_than: int | None
    older_than: int | None


def page(session: Session, filters: Filters, size: int = PAGE_SIZE) -> Page:
    """Return one page of studies, newest first."""
    backwards = filters.after is not None
    query = _filtered(filters).limit(size + 1)
    if backwards:
        query = query.where(Study.id > filters.after).order_by(Study.id)
    else:
        query = query.order_by(Study.id.desc())
        if filters.before is not None:
            query = query.where(Study.id < filters.before)
    found = list(session.scalars(query))
    more, ids = len(found) > size, sorted(found[:size], reverse=True)
    has_newer = more if backwards else filters.before is not None
    has_older = bool(ids) if backwards else more
    return Page(
        rows(session, ids),
        newer_than=ids[0] if ids and has_newer else None,
        older_than=ids[-1] if ids and has_older else None,
    )


def rows(session: Session, ids: Sequence[int]) -> list[Row]:
    """Return the rows of the studies `ids`, in this order."""
    films = _films(session, ids)
    findings, versions = _findings(session, ids), _versions(session, ids)
    reasons = _reasons(session, ids)
    first_reference = select(func.min(Image.reference)).where(Image.study_id == Study.id).scalar_subquery()
    heads = session.execute(
        select(Study.id, Submission.received_at, Submission.priority, Study.state, first_reference)
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
            findings.get(study_id, []),
            versions.get(study_id, []),
            reasons.get(study_id, []),
            reference,
        )
        for study_id, received_at, priority, state, reference in heads
    }
    return [found[study_id] for study_id in ids if study_id in found]


def row_id(text: str | None) -> int | None:
    """Return the row's id that a query string names; None for anything that is none."""
    return min(int(text), MAX_ROW_ID) if text and text.isascii() and text.isdecimal() else None


def classes(session: Session) -> list[str]:
    """Return the findings that any registered model version can name, in the order of their cards."""
    cards = session.scalars(select(ModelVersion.card).order_by(ModelVersion.id.desc()))
    return list(dict.fromkeys(str(name) for card in cards for name in card.get("classes", ())))


def _filtered(filters: Filters) -> Select[int]:
    query = select(Study.id)
    if filters.submission_id is not None:
        query = query.where(Study.submission_id == filters.submission_id)
    if filters.state is not None:
        query = query.where(Study.state == filters.state)
    if filters.finding is not None:
        query = query.where(Study.state == StudyState.SCORED, Study.label == filters.finding)
    return query


def _films(session: Session, ids: Sequence[int]) -> dict[int, dict[str, int]]:
    films: dict[int, dict[str, int]] = {}
    query = select(Image.study_id, Image.state, func.count()).where(Image.study_id.in_(ids))
    for study_id, state, count in session.execute(query.group_by(Image.study_id, Image.state)):
        films.setdefault(study_id, {})[state] = count
    return films


def _findings(session: Session, ids: Sequence[int]) -> dict[int, list[tuple[str, float]]]:
    found: dict[int, list[tuple[str, float]]] = {}
    query = select(StudyFinding.study_id, StudyFinding.finding, StudyFinding.probability)
    order = StudyFinding.study_id, StudyFinding.probability.desc(), StudyFinding.finding
    for study_id, finding, probability in session.execute(query.where(StudyFinding.study_id.in_(ids)).order_by(*order)):
        found.setdefault(study_id, []).append((finding, probability))
    return found


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
