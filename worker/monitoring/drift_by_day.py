"""Compares each day's films and results, by source, with the first films that the version scored; stores alarms.

The sweep computes the figures from SQL once a day is over. The reference of a version and a source is its first days,
as many as together have `REFERENCE_FILMS` scored films. A training set cannot be the reference, because prevalence
differs between hospitals.
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
from worker.monitoring.records import DriftAlarm, DriftDay
from worker.settings import settings
from worker.studies import reviews
from worker.studies.records import Image, ImageState, Prediction, Study, Submission, Verdict

logger = logging.getLogger(__name__)

#: The `source` of the rows over all sources together.
EVERY_SOURCE = ""
REFERENCE_FILMS = 200
#: Days further back than this are not made up for.
MOST_DAYS_BACK = 30
#: How many reviews of a version and a source are judged together.
NEWEST_REVIEWS = 50

#: By (source, model version).
Days = dict[tuple[str, int], Day]


def check_past_days(today: date) -> None:
    """Store figures and alarms of every day before `today` that has none yet; concurrent calls store a day once."""
    with reading() as session:
        active, last = registry.active_id(session), session.scalar(select(func.max(DriftDay.day)))
    if active is None:
        return
    first = max(last + timedelta(days=1) if last else date.min, today - timedelta(days=MOST_DAYS_BACK))
    for day in (first + timedelta(days=number) for number in range((today - first).days)):
        try:
            with transaction() as session:
                _check_day(session, day, active)
        except IntegrityError:
            return


def _check_day(session: Session, day: date, active: int) -> None:
    for (source, version), figures in _figures(session, day, active).items():
        row = DriftDay(day=day, source=source, model_version_id=version, figures=figures)
        session.add(row)
        alarms = [*_drifted(session, row, figures), *_disagreed(session, row)]
        for kind, reason in alarms:
            logger.warning("drift of %s on %s: %s", kind, day, reason)
            session.add(DriftAlarm(day=day, source=source, model_version_id=version, kind=kind, reason=reason))


def _figures(session: Session, day: date, active: int) -> Days:
    """Return a day's figures; rejected films, which no version scored, count for the active one."""
    days: Days = defaultdict(Day, {(EVERY_SOURCE, active): Day()})
    for row in session.execute(_scored(day)):
        days[row.source, row.model_version_id] += _day_of(row)
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


def _day_of(row: Row[Any]) -> Day:
    columns = row._mapping  # noqa: SLF001 - SQLAlchemy's name for a row as a mapping
    moments = {
        kind: Moments(
            n=columns[f"{kind}_n"],
            total=columns[f"{kind}_total"] or 0.0,
            squares=float(columns[f"{kind}_squares"] or 0.0),
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


def _drifted(session: Session, row: DriftDay, figures: Day) -> Iterable[Alarm]:
    reference = reference_of(session, row.source, row.model_version_id, before=row.day)
    return drift.alarms(figures, reference) if reference else ()


def reference_of(session: Session, source: str, model_version_id: int, before: date) -> Day | None:
    """Return the figures of a version's first days with a source; None while they have too few films."""
    reference = Day()
    for stored in session.scalars(
        select(DriftDay.figures)
        .where(DriftDay.source == source, DriftDay.model_version_id == model_version_id, DriftDay.day < before)
        .order_by(DriftDay.day)
    ):
        reference += stored
        if reference.scored >= REFERENCE_FILMS:
            return reference
    return None


def _disagreed(session: Session, row: DriftDay) -> Iterable[Alarm]:
    version = session.get_one(ModelVersion, row.model_version_id)
    test = version.card.metrics.get("test")
    if test is None or test.accuracy is None or row.source == EVERY_SOURCE:
        return
    verdicts = reviews.newest_of_version(session, row.model_version_id, row.source, NEWEST_REVIEWS)
    if reason := drift.disagreement(
        sum(verdict == Verdict.CORRECT for verdict in verdicts), len(verdicts), 1 - test.accuracy
    ):
        yield Alarm(Kind.REVIEWS, reason)


def recent_alarms(session: Session, since: date) -> list[DriftAlarm]:
    """Return the alarms over days from `since` on, newest first."""
    query = select(DriftAlarm).where(DriftAlarm.day >= since).order_by(DriftAlarm.day.desc(), DriftAlarm.id)
    return list(session.scalars(query))


def newest_days(session: Session) -> list[DriftDay]:
    """Return the rows of the newest day: one for each source and version."""
    last = select(func.max(DriftDay.day)).scalar_subquery()
    return list(session.scalars(select(DriftDay).where(DriftDay.day == last).order_by(DriftDay.id)))


def days(session: Session, source: str, since: date) -> list[DriftDay]:
    """Return the rows of one source, or of `EVERY_SOURCE`, for days from `since` on, oldest first."""
    query = select(DriftDay).where(DriftDay.source == source, DriftDay.day >= since)
    return list(session.scalars(query.order_by(DriftDay.day, DriftDay.model_version_id)))
