"""The watch: a day's inputs and answers, by source, against the first films that the version scored; alarms as rows.

The sweep computes it from SQL once a day is over. A version's first days with a source that hold `REFERENCE_FILMS` are
its reference there: prevalence differs between hospitals, so a training set would be the wrong one.
"""

import logging
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Row, Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from worker.database import reading, transaction
from worker.models import registry
from worker.models.records import ModelVersion
from worker.monitoring import drift
from worker.monitoring.drift import Alarm, Day, Kind, Moments
from worker.monitoring.records import DriftAlarm, WatchedDay
from worker.settings import settings
from worker.studies import reviews
from worker.studies.records import Image, ImageState, Prediction, Study, Submission
from worker.studies.reviews import Verdict

logger = logging.getLogger(__name__)

#: The rows over all sources together.
EVERY_SOURCE = ""
REFERENCE_FILMS = 200
#: A watch that was not kept for longer begins anew.
MOST_DAYS_BACK = 30
#: Of a version and a source that are judged together.
NEWEST_REVIEWS = 50

#: By (source, model version).
Days = dict[tuple[str, int], Day]


def look_back(today: date) -> None:
    """Watch every day before `today` that was not watched yet; a second process that does the same finds it done."""
    with reading() as session:
        active, last = registry.active_id(session), session.scalar(select(func.max(WatchedDay.day)))
    if active is None:
        return
    first = max(last + timedelta(days=1) if last else date.min, today - timedelta(days=MOST_DAYS_BACK))
    for day in (first + timedelta(days=number) for number in range((today - first).days)):
        try:
            with transaction() as session:
                _watch(session, day, active)
        except IntegrityError:
            return


def _watch(session: Session, day: date, active: int) -> None:
    for (source, version), figures in _figures(session, day, active).items():
        row = WatchedDay(day=day, source=source, model_version_id=version, figures=figures.model_dump())
        session.add(row)
        found = [*_drifted(session, row, figures), *_disagreed(session, row)]
        for kind, reason in found:
            logger.warning("drift of %s on %s: %s", kind, day, reason)
            session.add(DriftAlarm(day=day, source=source, model_version_id=version, kind=kind, reason=reason))


def _figures(session: Session, day: date, active: int) -> Days:
    """Return a day's figures; rejected films, which no version saw, count with the active one."""
    days: Days = defaultdict(Day, {(EVERY_SOURCE, active): Day()})
    for row in session.execute(_scored(day)):
        days[row.source, row.model_version_id] += _of(row)
    for source, version, label, count in session.execute(_labelled(day)):
        days[source, version] += Day(labels={label: count})
    for source, count in session.execute(_rejected(day)):
        days[source, active] += Day(rejected=count)
    for (_, version), figures in list(days.items()):
        days[EVERY_SOURCE, version] += figures
    return days


def _on(day: date) -> tuple[datetime, datetime]:
    zone = ZoneInfo(settings().timezone)
    return datetime.combine(day, time(), zone), datetime.combine(day + timedelta(days=1), time(), zone)


def _films(day: date, query: Select[*tuple[Any, ...]], state: ImageState) -> Select[*tuple[Any, ...]]:
    start, end = _on(day)
    return (
        query.join(Study, Study.id == Image.study_id)
        .join(Submission, Submission.id == Study.submission_id)
        .where(Image.state == state, Image.finished_at >= start, Image.finished_at < end)
    )


def _scored(day: date) -> Select[*tuple[Any, ...]]:
    measured = {
        Kind.GREY_MEAN: Image.grey_mean,
        Kind.GREY_SPREAD: Image.grey_spread,
        Kind.HEIGHT: Image.height_pixels,
        Kind.WIDTH: Image.width_pixels,
        Kind.CONFIDENCE: Prediction.probability,
    }
    sums = [
        column
        for kind, figure in measured.items()
        for column in (
            func.count(figure).label(f"{kind}_n"),
            func.sum(figure).label(f"{kind}_total"),
            func.sum(figure * 1.0 * figure).label(f"{kind}_squares"),
        )
    ]
    query = select(Submission.source, Prediction.model_version_id, func.count().label("films"), *sums)
    query = query.select_from(Image).join(Prediction, Prediction.id == Image.prediction_id)
    return _films(day, query, ImageState.SCORED).group_by(Submission.source, Prediction.model_version_id)


def _of(row: Row[Any]) -> Day:
    told = row._mapping  # noqa: SLF001 - SQLAlchemy's name for a row as a mapping
    moments = {
        kind: Moments(
            n=told[f"{kind}_n"], total=told[f"{kind}_total"] or 0.0, squares=float(told[f"{kind}_squares"] or 0.0)
        )
        for kind in drift.MOMENTS
    }
    return Day(scored=row.films, moments={kind.value: figure for kind, figure in moments.items()})


def _labelled(day: date) -> Select[*tuple[Any, ...]]:
    query = select(Submission.source, Prediction.model_version_id, Prediction.label, func.count())
    query = query.select_from(Image).join(Prediction, Prediction.id == Image.prediction_id)
    grouped = _films(day, query, ImageState.SCORED)
    return grouped.group_by(Submission.source, Prediction.model_version_id, Prediction.label)


def _rejected(day: date) -> Select[*tuple[Any, ...]]:
    query = select(Submission.source, func.count()).select_from(Image)
    return _films(day, query, ImageState.REJECTED).group_by(Submission.source)


def _drifted(session: Session, row: WatchedDay, figures: Day) -> Iterable[Alarm]:
    reference = reference_of(session, row.source, row.model_version_id, before=row.day)
    return drift.alarms(figures, reference) if reference else ()


def reference_of(session: Session, source: str, model_version_id: int, before: date) -> Day | None:
    """Return the figures of a version's first days with a source; None while they hold too few films."""
    reference = Day()
    for stored in session.scalars(
        select(WatchedDay.figures)
        .where(WatchedDay.source == source, WatchedDay.model_version_id == model_version_id, WatchedDay.day < before)
        .order_by(WatchedDay.day)
    ):
        reference += Day.model_validate(stored)
        if reference.scored >= REFERENCE_FILMS:
            return reference
    return None


def _disagreed(session: Session, row: WatchedDay) -> Iterable[Alarm]:
    version = session.get_one(ModelVersion, row.model_version_id)
    accuracy = (version.card.get("metrics", {}).get("test") or {}).get("accuracy")
    if accuracy is None or row.source == EVERY_SOURCE:
        return
    said = reviews.newest_of_version(session, row.model_version_id, row.source, NEWEST_REVIEWS)
    if reason := drift.disagreement(sum(verdict == Verdict.CORRECT for verdict in said), len(said), 1 - accuracy):
        yield Alarm(Kind.REVIEWS, reason)


def recent_alarms(session: Session, since: date) -> list[DriftAlarm]:
    """Return the alarms over days from `since` on, newest first."""
    query = select(DriftAlarm).where(DriftAlarm.day >= since).order_by(DriftAlarm.day.desc(), DriftAlarm.id)
    return list(session.scalars(query))


def newest(session: Session) -> list[WatchedDay]:
    """Return what was watched of the newest day, every source and version apart."""
    last = select(func.max(WatchedDay.day)).scalar_subquery()
    return list(session.scalars(select(WatchedDay).where(WatchedDay.day == last).order_by(WatchedDay.id)))


def days(session: Session, source: str, since: date) -> list[WatchedDay]:
    """Return what was watched of one source, or of `EVERY_SOURCE`, from a day on, oldest first."""
    query = select(WatchedDay).where(WatchedDay.source == source, WatchedDay.day >= since)
    return list(session.scalars(query.order_by(WatchedDay.day, WatchedDay.model_version_id)))
