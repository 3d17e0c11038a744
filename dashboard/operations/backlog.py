"""The state of the queue, from SQL: films by state and priority, ages, rejections, and whether work stands still.

Every query reads a short range of an index, never the whole table.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dashboard.formatting import duration, plural
from dashboard.operations import process_status
from dashboard.operations.process_status import ProcessStatus
from worker.database import now
from worker.monitoring import heartbeats
from worker.studies.records import UNFINISHED, Image, ImageState, Priority, Rejection

#: If the oldest waiting film has waited for longer than this, somebody should look.
ALARM_SECONDS = 120
#: The throughput is measured over this time.
THROUGHPUT_SECONDS = 300
#: Waiting films are counted up to this number: counting more takes longer, and the exact number changes nothing.
MAX_COUNTED = 100_000
REJECTIONS_SHOWN_FOR = timedelta(days=7)


@dataclass(frozen=True)
class Backlog:
    """The state of the queue at the moment `now`."""

    now: datetime
    #: Number of films waiting and being scored, each counted up to `MAX_COUNTED`.
    films: dict[str, int]
    oldest_waiting_at: datetime | None
    last_finished_at: datetime | None
    #: Number of films finished in the last `THROUGHPUT_SECONDS`.
    recently_finished: int
    #: Number of films finished in the last 24 hours, by outcome.
    finished_in_a_day: dict[str, int]
    #: (reason, number) of films rejected in the last week and not retried since.
    rejections: list[tuple[str, int]]
    processes: Sequence[ProcessStatus]

    @property
    def per_minute(self) -> float:
        """Return the throughput of the last `THROUGHPUT_SECONDS` in films a minute."""
        return 60 * self.recently_finished / THROUGHPUT_SECONDS

    @property
    def scorers_up(self) -> int:
        """Return how many scoring workers are up."""
        return sum(entry.scores for entry in self.processes)

    def standstill(self) -> str | None:
        """Return why films wait and none is finished, as a sentence; None if work goes on."""
        waiting = self.films[ImageState.WAITING]
        if not waiting or self.oldest_waiting_at is None:
            return None
        wait = "1 film waits" if waiting == 1 else f"{plural(waiting, 'film')} wait"
        if not self.scorers_up:
            return f"{wait} and no scoring worker is up. Start one with `thoraq worker`."
        since = max(filter(None, (self.oldest_waiting_at, self.last_finished_at)))
        if not heartbeats.is_stalled(since, self.now):
            return None
        up = "1 worker is" if self.scorers_up == 1 else f"{self.scorers_up} workers are"
        silence = duration((self.now - since).total_seconds())
        return f"{wait} and none was finished in the last {silence}, though {up} up. Look at the worker's log."


def backlog(session: Session) -> Backlog:
    """Return the state of the queue now."""
    moment = now()
    recent = select(func.count()).where(Image.finished_at > moment - timedelta(seconds=THROUGHPUT_SECONDS))
    return Backlog(
        now=moment,
        films={state.value: _count(session, state) for state in UNFINISHED},
        oldest_waiting_at=oldest_waiting(session),
        last_finished_at=session.scalar(select(func.max(Image.finished_at))),
        recently_finished=session.scalar(recent) or 0,
        finished_in_a_day=_finished_since(session, moment - timedelta(days=1)),
        rejections=_rejections_since(session, moment - REJECTIONS_SHOWN_FOR),
        processes=process_status.processes(session),
    )


def _count(session: Session, state: ImageState) -> int:
    some = select(Image.id).where(Image.state == state).limit(MAX_COUNTED).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def oldest_waiting(session: Session) -> datetime | None:
    """Return when the oldest waiting film was received; None if none waits. Reads one index entry per priority."""
    waiting = select(Image.received_at).where(Image.state == ImageState.WAITING).order_by(Image.id).limit(1)
    firsts = [session.scalar(waiting.where(Image.priority == priority)) for priority in Priority]
    return min(filter(None, firsts), default=None)


def oldest_waiting_seconds(session: Session) -> float:
    """Return for how long the oldest waiting film has waited; 0 if none waits."""
    received_at = oldest_waiting(session)
    return max(0.0, (now() - received_at).total_seconds()) if received_at else 0.0


def count_unfinished(session: Session) -> dict[tuple[str, str], int]:
    """Return how many films wait or are being scored, by (state, priority), zeros included."""
    counted = session.execute(
        select(Image.state, Image.priority, func.count())
        .where(Image.state.in_(UNFINISHED))
        .group_by(Image.state, Image.priority)
    )
    zeros = {(state.value, priority.name.lower()): 0 for state in UNFINISHED for priority in Priority}
    return zeros | {(state, Priority(priority).name.lower()): count for state, priority, count in counted}


def count_recently_finished(session: Session) -> dict[tuple[str, str], int]:
    """Return how many films were finished in the last `THROUGHPUT_SECONDS`, by (state, reason of a rejection or "")."""
    reason = func.coalesce(Rejection.reason, "")
    counted = session.execute(
        select(reason, func.count())
        .select_from(Image)
        .outerjoin(Image.rejection)
        .where(Image.finished_at > now() - timedelta(seconds=THROUGHPUT_SECONDS))
        .group_by(reason)
    )
    films = {(ImageState.REJECTED.value if why else ImageState.SCORED.value, why): count for why, count in counted}
    return {(ImageState.SCORED.value, ""): 0} | films


def _finished_since(session: Session, since: datetime) -> dict[str, int]:
    counted = session.execute(select(Image.state, func.count()).where(Image.finished_at > since).group_by(Image.state))
    return dict.fromkeys((ImageState.SCORED.value, ImageState.REJECTED.value), 0) | dict(counted.all())


def _rejections_since(session: Session, since: datetime) -> list[tuple[str, int]]:
    counted = session.execute(
        select(Rejection.reason, func.count())
        .where(Rejection.rejected_at > since, Rejection.replayed_at.is_(None))
        .group_by(Rejection.reason)
        .order_by(func.count().desc(), Rejection.reason)
    )
    return [(reason, count) for reason, count in counted]
