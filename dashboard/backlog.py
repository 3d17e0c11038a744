"""How the queue stands, from SQL alone: films by state, ages, rejections, processes, and whether work stands still."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dashboard.display import duration, plural
from worker.database import now
from worker.records import Image, ImageState, Process, Rejection
from worker.settings import settings

#: `Process.kind` of the processes that score films.
SCORING_KIND = "worker"
#: Films wait and none was finished for this long: the slowest sound batch takes less.
STANDSTILL_SECONDS = 60
#: Heartbeats after which a silent process is no longer "up", and counts as "down".
UP_HEARTBEATS, UNKNOWN_HEARTBEATS = 2, 6
THROUGHPUT_SECONDS = 300


class Life(StrEnum):
    """What the last sign of life of a process says."""

    UP = "up"
    UNKNOWN = "unknown"
    DOWN = "down"


@dataclass(frozen=True)
class Sign:
    """A process and whether it lives."""

    process: Process
    life: Life


@dataclass(frozen=True)
class Backlog:
    """The queue at one moment."""

    now: datetime
    films: dict[str, int]
    oldest_waiting_at: datetime | None
    last_finished_at: datetime | None
    #: Films finished in the last `THROUGHPUT_SECONDS`.
    finished_lately: int
    rejections: list[tuple[str, int]]
    processes: list[Sign]

    @property
    def scorers_up(self) -> int:
        """Return how many scoring workers are up."""
        return sum(sign.process.kind == SCORING_KIND and sign.life == Life.UP for sign in self.processes)

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
    """Return how the queue stands now."""
    counted = session.execute(select(Image.state, func.count()).group_by(Image.state))
    rejections = (
        select(Rejection.reason, func.count())
        .group_by(Rejection.reason)
        .order_by(func.count().desc(), Rejection.reason)
    )
    processes = session.scalars(select(Process).order_by(Process.kind, Process.name))
    lately = now() - timedelta(seconds=THROUGHPUT_SECONDS)
    return Backlog(
        now=now(),
        films={state.value: 0 for state in ImageState} | dict(counted.all()),
        oldest_waiting_at=session.scalar(select(func.min(Image.received_at)).where(Image.state == ImageState.WAITING)),
        last_finished_at=session.scalar(select(func.max(Image.finished_at))),
        finished_lately=session.scalar(select(func.count()).where(Image.finished_at > lately)) or 0,
        rejections=[(reason, count) for reason, count in session.execute(rejections)],
        processes=[Sign(process, life(process)) for process in processes],
    )


def life(process: Process) -> Life:
    """Return what a process's last sign of life says now."""
    silence = (now() - process.seen_at).total_seconds() / settings().heartbeat_seconds
    if silence <= UP_HEARTBEATS:
        return Life.UP
    return Life.UNKNOWN if silence <= UNKNOWN_HEARTBEATS else Life.DOWN
