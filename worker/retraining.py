"""Retraining runs as rows: who asked, how far it is, how it ended. The training itself lives on the other floor."""

from datetime import date, timedelta

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from worker import doorbell
from worker.database import now, reading, through_outages, transaction
from worker.run_records import RetrainingRun, RunState

UNFINISHED = (RunState.ASKED, RunState.RUNNING)
#: A running trainer reports every few seconds; one that was silent this long is dead.
SILENCE_SECONDS = 180


def ask(by: str, night: date | None = None) -> int:
    """Ask for one retraining and return its run's id; the unfinished run's where there is one.

    Args:
        by: who asked.
        night: the date of a nightly run; of all that ask for one date, the first makes the run.
    """
    try:
        with transaction() as session:
            run = _unfinished(session)
            if run is None:
                run = RetrainingRun(asked_by=by, night=night, unfinished=True)
                session.add(run)
                session.flush()
    except IntegrityError:  # Another asked at the same moment, or for the same night before.
        with reading() as session:
            run = _unfinished(session) or session.scalar(select(RetrainingRun).where(RetrainingRun.night == night))
        if run is None:  # The other's run has ended in between.
            return ask(by, night)
    if run.state == RunState.ASKED:
        doorbell.ring_trainer(run.id)
    return run.id


def _unfinished(session: Session) -> RetrainingRun | None:
    return session.scalar(select(RetrainingRun).where(RetrainingRun.unfinished.is_(True)))


@through_outages
def start(run_id: int) -> bool:
    """Take an asked run and tell whether it is ours; a second delivery of its bell finds it taken."""
    with transaction() as session:
        taken = session.scalar(
            update(RetrainingRun)
            .where(RetrainingRun.id == run_id, RetrainingRun.state == RunState.ASKED)
            .values(state=RunState.RUNNING, started_at=now(), heartbeat_at=now())
            .returning(RetrainingRun.id)
        )
        return taken is not None


def progress(run_id: int, epochs_done: int, epochs_planned: int) -> None:
    """Record how far a run is; this is its sign of life."""
    with transaction() as session:
        session.execute(
            update(RetrainingRun)
            .where(RetrainingRun.id == run_id)
            .values(epochs_done=epochs_done, epochs_planned=epochs_planned, heartbeat_at=now())
        )


def finish(run_id: int, *, candidate_id: int, message: str) -> None:
    """Record that a run registered its candidate, though it may have been given up for its silence before."""
    _end(run_id, RunState.DONE, message, candidate_id)


def fail(run_id: int, message: str) -> None:
    """Record why a run ended without a candidate."""
    _end(run_id, RunState.FAILED, message, None)


@through_outages
def _end(run_id: int, state: RunState, message: str, candidate_id: int | None) -> None:
    with transaction() as session:
        session.execute(
            update(RetrainingRun)
            .where(RetrainingRun.id == run_id, RetrainingRun.state != RunState.DONE)
            .values(state=state, unfinished=None, message=message[:1024], candidate_id=candidate_id, finished_at=now())
        )


def sweep() -> None:
    """Ring again for a run that was asked for and not begun; fail one whose trainer went silent."""
    silent = RetrainingRun.heartbeat_at < now() - timedelta(seconds=SILENCE_SECONDS)
    with transaction() as session:
        session.execute(
            update(RetrainingRun)
            .where(RetrainingRun.state == RunState.RUNNING, silent)
            .values(
                state=RunState.FAILED,
                unfinished=None,
                finished_at=now(),
                message=f"the trainer went silent for {SILENCE_SECONDS} s and was given up",
            )
        )
        asked = session.scalars(select(RetrainingRun.id).where(RetrainingRun.state == RunState.ASKED)).all()
    for run_id in asked:
        doorbell.ring_trainer(run_id)


def recent(session: Session, limit: int = 20) -> list[RetrainingRun]:
    """Return the newest runs, newest first."""
    return list(session.scalars(select(RetrainingRun).order_by(RetrainingRun.id.desc()).limit(limit)))
