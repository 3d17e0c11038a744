"""The results as rows: studies with their state and their findings, newest first, page by page. Only reads.

A study's result is, per finding, the maximum over its scored films, and the minimum for No-Findings: one film that
shows something is enough.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, case, exists, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from worker.records import FindingProbability, Image, ImageState, ModelVersion, Prediction, Rejection, Study, Submission

#: The one class that says that nothing was found.
NO_FINDINGS = "No-Findings"
PAGE_SIZE = 50
#: The largest id that an INTEGER column of PostgreSQL holds.
MAX_ROW_ID = 2**31 - 1


class StudyState(StrEnum):
    """Where a study stands, by its films."""

    WAITING = "waiting"  #: A film waits or is being scored.
    SCORED = "scored"  #: Every film is finished, and at least one has a prediction.
    REJECTED = "rejected"  #: Every film was rejected.


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
        select(Study.id, Submission.received_at, Submission.priority, first_reference)
        .join(Study.submission)
        .where(Study.id.in_(ids))
    )
    found = {
        study_id: Row(
            study_id,
            received_at,
            priority,
            state_of(films.get(study_id, {})),
            films.get(study_id, {}),
            findings.get(study_id, []),
            versions.get(study_id, []),
            reasons.get(study_id, []),
            reference,
        )
        for study_id, received_at, priority, reference in heads
    }
    return [found[study_id] for study_id in ids if study_id in found]


def state_of(films: dict[str, int]) -> StudyState:
    """Return a study's state from the number of its films in each state."""
    if films.get(ImageState.WAITING) or films.get(ImageState.SCORING):
        return StudyState.WAITING
    return StudyState.SCORED if films.get(ImageState.SCORED) else StudyState.REJECTED


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
        query = query.where(_is_in(filters.state))
    if filters.finding is not None:
        query = query.where(_is_in(StudyState.SCORED), _top_finding() == filters.finding)
    return query


def _is_in(state: StudyState) -> ColumnElement[bool]:
    """Return the condition that a study is in `state`; says in SQL what `state_of` says of numbers."""
    unfinished = _has_film(ImageState.WAITING, ImageState.SCORING)
    if state == StudyState.WAITING:
        return unfinished
    scored = _has_film(ImageState.SCORED)
    return ~unfinished & (scored if state == StudyState.SCORED else ~scored)


def _has_film(*states: ImageState) -> ColumnElement[bool]:
    return exists().where(Image.study_id == Study.id, Image.state.in_(states))


def _combined() -> ColumnElement[float]:
    """Return a study's probability of one finding: the rule of this module's head, under GROUP BY study, finding."""
    probability: InstrumentedAttribute[float] = FindingProbability.probability
    return case((FindingProbability.finding == NO_FINDINGS, func.min(probability)), else_=func.max(probability))


def _top_finding() -> ColumnElement[str]:
    return (
        select(FindingProbability.finding)
        .join(Image, Image.prediction_id == FindingProbability.prediction_id)
        .where(Image.study_id == Study.id)
        .correlate(Study)
        .group_by(FindingProbability.finding)
        .order_by(_combined().desc(), FindingProbability.finding)
        .limit(1)
        .scalar_subquery()
    )


def _films(session: Session, ids: Sequence[int]) -> dict[int, dict[str, int]]:
    films: dict[int, dict[str, int]] = {}
    query = select(Image.study_id, Image.state, func.count()).where(Image.study_id.in_(ids))
    for study_id, state, count in session.execute(query.group_by(Image.study_id, Image.state)):
        films.setdefault(study_id, {})[state] = count
    return films


def _findings(session: Session, ids: Sequence[int]) -> dict[int, list[tuple[str, float]]]:
    combined: dict[int, list[tuple[str, float]]] = {}
    query = (
        select(Image.study_id, FindingProbability.finding, _combined().label("probability"))
        .join(Image, Image.prediction_id == FindingProbability.prediction_id)
        .where(Image.study_id.in_(ids))
        .group_by(Image.study_id, FindingProbability.finding)
        .order_by(Image.study_id, _combined().desc(), FindingProbability.finding)
    )
    for study_id, finding, probability in session.execute(query):
        combined.setdefault(study_id, []).append((finding, probability))
    return combined


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
