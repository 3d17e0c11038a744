"""The status of the deployment's processes, from their heartbeats in SQL."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.database import now
from worker.monitoring import heartbeats
from worker.monitoring.records import Process
from worker.settings import settings

#: `Process.kind` of the processes that score films.
SCORING_KIND = "worker"
#: A process that has missed more heartbeats than the first number is "unknown"; more than the second, "down".
UP_HEARTBEATS, UNKNOWN_HEARTBEATS = 2, 6


class Status(StrEnum):
    """Whether a process, or another dependency, works."""

    UP = "up"
    UNKNOWN = "unknown"
    DOWN = "down"


@dataclass(frozen=True)
class ProcessStatus:
    """A process and its status."""

    process: Process
    status: Status

    @property
    def scores(self) -> bool:
        """Return whether the process is a scoring worker that is up."""
        return self.process.kind == SCORING_KIND and self.status == Status.UP


@dataclass(frozen=True)
class Workers:
    """How many scoring workers are up, stalled (up, but finishing no film though films wait) and unknown."""

    up: int
    stalled: int
    unknown: int

    @property
    def status(self) -> Status:
        """Return `up` if any worker is up, `unknown` if none is up or stalled but some are unknown, else `down`."""
        if self.up:
            return Status.UP
        return Status.UNKNOWN if self.unknown and not self.stalled else Status.DOWN


def status_of(process: Process) -> Status:
    """Return the status of a process by the age of its last heartbeat."""
    missed = (now() - process.seen_at).total_seconds() / settings().heartbeat_seconds
    if missed <= UP_HEARTBEATS:
        return Status.UP
    return Status.UNKNOWN if missed <= UNKNOWN_HEARTBEATS else Status.DOWN


def processes(session: Session) -> Sequence[ProcessStatus]:
    """Return every known process, by kind and name."""
    query = select(Process).order_by(Process.kind, Process.name)
    return [ProcessStatus(process, status_of(process)) for process in session.scalars(query)]


def count_processes(session: Session) -> Counter[tuple[str, str]]:
    """Return how many processes there are, by (kind, status)."""
    return Counter((entry.process.kind, entry.status.value) for entry in processes(session))


def workers(session: Session) -> Workers:
    """Return how many scoring workers are up, stalled and unknown."""
    scoring = [entry for entry in processes(session) if entry.process.kind == SCORING_KIND]
    up = [entry.process for entry in scoring if entry.status == Status.UP]
    stalled = sum(heartbeats.stalled(process) for process in up)
    return Workers(len(up) - stalled, stalled, sum(entry.status == Status.UNKNOWN for entry in scoring))


def sweep_age_seconds(session: Session) -> float | None:
    """Return how long ago the last sweep ended; None if there was none."""
    last = heartbeats.last_sweep(session)
    return None if last is None else max(0.0, (now() - last).total_seconds())
