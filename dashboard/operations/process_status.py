"""What monitors ask of SQL: who works, what waits and since when. No question reads more than what waits now."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dashboard.operations.backlog import SCORING_KIND, ProcessStatus, status_of
from worker.database import now
from worker.monitoring import heartbeats
from worker.monitoring.heartbeats import Process
from worker.studies.records import Image, ImageState, Priority, Rejection

#: An age of the oldest waiting film at which somebody should look.
ALARM_SECONDS = 120
#: What ended in this time is counted, through an index; a count of everything would read everything.
LATELY_SECONDS = 300


@dataclass(frozen=True)
class Workers:
    """Scoring workers by their last heartbeat; a stalled one is connected and finishes nothing."""

    up: int
    stalled: int
    unknown: int

    @property
    def status(self) -> ProcessStatus:
        """Return the best that can be said."""
        if self.up:
            return ProcessStatus.UP
        return ProcessStatus.UNKNOWN if self.unknown and not self.stalled else ProcessStatus.DOWN


def workers(session: Session) -> Workers:
    """Return how many scoring workers are up, stalled and unknown."""
    found = session.scalars(select(Process).filter_by(kind=SCORING_KIND)).all()
    up = [process for process in found if status_of(process) == ProcessStatus.UP]
    stalled = sum(heartbeats.stalled(process) for process in up)
    return Workers(len(up) - stalled, stalled, sum(status_of(process) == ProcessStatus.UNKNOWN for process in found))


def oldest_waiting_seconds(session: Session) -> float:
    """Return for how long the oldest waiting film has waited, 0 when none waits; one index probe a priority."""
    first = [
        session.scalar(
            select(Image.received_at)
            .where(Image.state == ImageState.WAITING, Image.priority == priority)
            .order_by(Image.id)
            .limit(1)
        )
        for priority in Priority
    ]
    moments = [moment for moment in first if moment is not None]
    return max(0.0, (now() - min(moments)).total_seconds()) if moments else 0.0


def unfinished(session: Session) -> dict[tuple[str, str], int]:
    """Return how many films wait or are being scored, by (state, priority), zeros included."""
    states = (ImageState.WAITING, ImageState.SCORING)
    counted = session.execute(
        select(Image.state, Image.priority, func.count())
        .where(Image.state.in_(states))
        .group_by(Image.state, Image.priority)
    )
    zeros = {(state.value, priority.name.lower()): 0 for state in states for priority in Priority}
    return zeros | {(state, Priority(priority).name.lower()): count for state, priority, count in counted}


def finished_lately(session: Session) -> dict[tuple[str, str], int]:
    """Return how many films ended in the last `LATELY_SECONDS`, by (state, reason of a rejection or nothing)."""
    reason = func.coalesce(Rejection.reason, "")
    counted = session.execute(
        select(reason, func.count())
        .select_from(Image)
        .outerjoin(Rejection, Rejection.image_id == Image.id)
        .where(Image.finished_at > now() - timedelta(seconds=LATELY_SECONDS))
        .group_by(reason)
    )
    found = {(ImageState.REJECTED.value if why else ImageState.SCORED.value, why): count for why, count in counted}
    return {(ImageState.SCORED.value, ""): 0} | found


def processes(session: Session) -> Counter[tuple[str, str]]:
    """Return how many processes there are, by (kind, up, unknown or down)."""
    return Counter((process.kind, status_of(process).value) for process in session.scalars(select(Process)))


def sweep_age_seconds(session: Session) -> float | None:
    """Return how long ago a sweep was last finished; None when none ever was."""
    last: datetime | None = heartbeats.last_sweep(session)
    return None if last is None else max(0.0, (now() - last).total_seconds())
