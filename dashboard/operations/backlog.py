"""How the queue stands, from SQL alone: films by state, ages, rejections, processes, and whether work stands still."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dashboard.formatting import duration, plural
from worker.database import now
from worker.monitoring.heartbeats import Process
from worker.settings import settings
from worker.studies.records import Image, ImageState, Priority, Rejection

#: `Process.kind` of the processes that score films.
SCORING_KIND = "worker"
#: Films wait and none was finished for this long: the slowest sound batch takes less.
STANDSTILL_SECONDS = 60
#: Heartbeats after which a silent process is no longer "up", and counts as "down".
UP_HEARTBEATS, UNKNOWN_HEARTBEATS = 2, 6
THROUGHPUT_SECONDS = 300
#: Beyond this many waiting films, how many exactly changes nothing; counting them would take longer and longer.
MOST_COUNTED = 100_000
REJECTIONS_FOR = timedelta(days=7)


class ProcessStatus(StrEnum):
    """What the age of the last heartbeat of a process says about it."""

    UP = "up"
    UNKNOWN = "unknown"
    DOWN = "down"


@dataclass(frozen=True)
class ListedProcess:
    """A process and its status."""

    process: Process
    status: ProcessStatus


@dataclass(frozen=True)
class Backlog:
    """The queue at one moment."""

    now: datetime
    #: Films waiting and being scored, each counted up to `MOST_COUNTED`.
    films: dict[str, int]
    oldest_waiting_at: datetime | None
    last_finished_at: datetime | None
    #: Films finished in the last `THROUGHPUT_SECONDS`, and in the last day by outcome.
    finished_lately: int
    finished_in_a_day: dict[str, int]
    #: Films rejected in the last week that nobody had tried again, by reason.
    rejections: list[tuple[str, int]]
    processes: list[ListedProcess]

    @property
    def per_minute(self) -> float:
        """Return how many films a minute were finished lately."""
        return 60 * self.finished_lately / THROUGHPUT_SECONDS

    @property
    def scorers_up(self) -> int:
        """Return how many scoring workers are up."""
        return sum(row.process.kind == SCORING_KIND and row.status == ProcessStatus.UP for row in self.processes)

    def standstill(self) -> str | None:
        """Return in words why films wait and nothing happens; None when work goes on."""
        waiting = self.films[ImageState.WAITING]
        if not waiting or self.oldest_waiting_at is None:
            return None
        wait = "1 film waits" if waiting == 1 else f"{plural(waiting, 'film')} wait"
        if not self.scorers_up:
            return f"{wait} and no scoring worker is up. Start one with `thoraq worker`."
        since = max(filter(None, (self.oldest_waiting_at, self.last_finished_at)))
        silence = (self.now - since).total_seconds()
        if silence <= STANDSTILL_SECONDS:
            return None
        up = "1 worker is" if self.scorers_up == 1 else f"{self.scorers_up} workers are"
        return f"{wait} and none was finished for {duration(silence)}, though {up} up. Look at the worker's log."


def backlog(session: Session) -> Backlog:
    """Return how the queue stands now; each question looks at a stretch of an index, never at the whole table."""
    moment = now()
    processes = session.scalars(select(Process).order_by(Process.kind, Process.name))
    lately = select(func.count()).where(Image.finished_at > moment - timedelta(seconds=THROUGHPUT_SECONDS))
    return Backlog(
        now=moment,
        films={state.value: _count(session, state) for state in (ImageState.WAITING, ImageState.SCORING)},
        oldest_waiting_at=_oldest_waiting(session),
        last_finished_at=session.scalar(select(func.max(Image.finished_at))),
        finished_lately=session.scalar(lately) or 0,
        finished_in_a_day=_finished_since(session, moment - timedelta(days=1)),
        rejections=_rejections_since(session, moment - REJECTIONS_FOR),
        processes=[ListedProcess(process, status_of(process)) for process in processes],
    )


def _count(session: Session, state: ImageState) -> int:
    some = select(Image.id).where(Image.state == state).limit(MOST_COUNTED).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def _oldest_waiting(session: Session) -> datetime | None:
    """Return when the oldest waiting film came: of each priority the first, as the index holds them."""
    waiting = select(Image.received_at).where(Image.state == ImageState.WAITING).order_by(Image.id).limit(1)
    firsts = [session.scalar(waiting.where(Image.priority == priority)) for priority in Priority]
    return min(filter(None, firsts), default=None)


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


def status_of(process: Process) -> ProcessStatus:
    """Return the status of a process by the age of its last heartbeat."""
    silence = (now() - process.seen_at).total_seconds() / settings().heartbeat_seconds
    if silence <= UP_HEARTBEATS:
        return ProcessStatus.UP
    return ProcessStatus.UNKNOWN if silence <= UNKNOWN_HEARTBEATS else ProcessStatus.DOWN
