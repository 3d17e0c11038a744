"""Retraining runs as rows: who requested one, its progress, and how it ended. `model_training` does the training."""

import logging
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from zoneinfo import ZoneInfo

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from worker import wakeups
from worker.database import clock, now, reading, through_outages, transaction
from worker.models.documents.retraining import LearnedFrom, RunRequest
from worker.models.records import RetrainingEvent, RetrainingRun, RunState
from worker.settings import settings

logger = logging.getLogger(__name__)

UNFINISHED = (RunState.ASKED, RunState.RUNNING)
#: A run fails once its trainer has died this many times without finishing an epoch in between.
MAX_DEATHS = 3
#: How long after its hour a missing nightly run is requested; beat normally requests it on time.
CATCH_UP_AFTER = timedelta(minutes=10)


@dataclass(frozen=True)
class Progress:
    """The progress of a run."""

    epochs_done: int
    epochs_planned: int
    #: Mean cross-entropy in nats after the last epoch.
    loss: float | None = None
    validation_loss: float | None = None
    #: None until an epoch is done.
    seconds_left: float | None = None


class Standing(Enum):
    """The answer to a trainer that reports its progress."""

    GO_ON = "go on"
    CANCEL = "cancel"
    LOST = "lost"  #: The run is over, or another trainer has it.


def ask(by: str, night: date | None = None, request: RunRequest | None = None) -> int:
    """Request a retraining run and return its id, or the id of the unfinished run if there is one.

    Args:
        by: who requests it.
        night: the date of a nightly run; there is at most one run for a date.
        request: what to train.
    """
    try:
        with transaction() as session:
            run = _unfinished(session)
            if run is None:
                run = _new(session, by, night, request or RunRequest())
    except IntegrityError:  # Another process requested one at the same moment, or for the same night.
        with reading() as session:
            run = _unfinished(session) or session.scalar(select(RetrainingRun).where(RetrainingRun.night == night))
        if run is None:  # That run has ended meanwhile.
            return ask(by, night, request)
    if run.state == RunState.ASKED:
        wakeups.wake_trainer(run.id)
    return run.id


def _new(session: Session, by: str, night: date | None, request: RunRequest) -> RetrainingRun:
    run = RetrainingRun(asked_by=by, night=night, request=request, unfinished=True)
    session.add(run)
    session.flush()
    _log(session, run.id, f"asked for by {by}")
    return run


def _unfinished(session: Session) -> RetrainingRun | None:
    return session.scalar(select(RetrainingRun).where(RetrainingRun.unfinished.is_(True)))


@through_outages
def start(run_id: int, owner: str) -> RetrainingRun | None:
    """Start a requested run and return it; None if another started it, as after a second delivery of its message.

    Args:
        run_id: the run.
        owner: a new name for each delivery; a repeated call finds the run that the first one started.
    """
    with transaction() as session:
        started = session.scalar(
            update(RetrainingRun)
            .where(RetrainingRun.id == run_id, RetrainingRun.state == RunState.ASKED)
            .values(
                state=RunState.RUNNING,
                owner=owner,
                attempts=RetrainingRun.attempts + 1,
                started_at=now(),
                heartbeat_at=clock(),
            )
            .returning(RetrainingRun.id)
        )
        if started is None:
            row = session.get(RetrainingRun, run_id)
            return row if row and (row.owner, row.state) == (owner, RunState.RUNNING) else None
        _log(session, run_id, "taken up by a trainer")
        return session.get_one(RetrainingRun, run_id)


def report(run_id: int, owner: str, progress: Progress) -> Standing:
    """Record the progress of a run, which is its heartbeat, and return whether to go on.

    A silent trainer whose run was released gets it back if no other trainer has started it.
    """
    with transaction() as session:
        run = session.get_one(RetrainingRun, run_id, with_for_update=True)
        ours = run.owner == owner and run.state == RunState.RUNNING
        if not ours and not (run.owner is None and run.state == RunState.ASKED):
            return Standing.LOST
        run.state, run.owner, run.heartbeat_at = RunState.RUNNING, owner, clock()
        if progress.epochs_done > run.epochs_done:
            run.attempts = 0
        run.epochs_done, run.epochs_planned = progress.epochs_done, progress.epochs_planned
        run.loss, run.validation_loss = progress.loss, progress.validation_loss
        left = progress.seconds_left
        run.expected_at = None if left is None else now() + timedelta(seconds=left)
        return Standing.CANCEL if run.cancel_asked_by else Standing.GO_ON


@through_outages
def note(run_id: int, text: str, learned_from: LearnedFrom | None = None) -> None:
    """Add a line to a run's log, and store its training set if it is given."""
    with transaction() as session:
        _log(session, run_id, text)
        if learned_from is not None:
            session.execute(update(RetrainingRun).where(RetrainingRun.id == run_id).values(learned_from=learned_from))


def cancel(run_id: int, by: str) -> bool:
    """Ask for a run to be stopped; return whether it was unfinished.

    A run that no trainer has started ends at once. A trainer stops between two batches and keeps its checkpoint.
    """
    with transaction() as session:
        run = session.get(RetrainingRun, run_id, with_for_update=True)
        if run is None or run.state not in UNFINISHED:
            return False
        run.cancel_asked_by = by
        _log(session, run_id, f"{by} asked to stop it")
        if run.state == RunState.ASKED:
            _close(session, run, RunState.CANCELLED, f"cancelled by {by} before it began")
        return True


def finish(run_id: int, owner: str, *, candidate_id: int, message: str) -> bool:
    """Record that a run registered its candidate; return whether the run was still the owner's."""
    return _end(run_id, owner, RunState.DONE, message, candidate_id)


def fail(run_id: int, owner: str, message: str) -> bool:
    """Record why a run failed; return whether the run was still the owner's."""
    return _end(run_id, owner, RunState.FAILED, message, None)


def stopped(run_id: int, owner: str) -> bool:
    """Record that the trainer stopped on request; return whether the run was still the owner's."""
    return _end(run_id, owner, RunState.CANCELLED, "cancelled while it trained", None)


@through_outages
def _end(run_id: int, owner: str, state: RunState, message: str, candidate_id: int | None) -> bool:
    with transaction() as session:
        run = session.get_one(RetrainingRun, run_id, with_for_update=True)
        if run.owner == owner and run.state == state and run.message == message[:1024]:
            return True  # It was recorded before, and the answer was lost.
        if run.owner != owner or run.state != RunState.RUNNING:
            return False
        run.candidate_id = candidate_id
        _close(session, run, state, message)
        return True


def _close(session: Session, run: RetrainingRun, state: RunState, message: str) -> None:
    run.state, run.unfinished, run.message, run.finished_at = state, None, message[:1024], now()
    run.expected_at = None
    _log(session, run.id, f"{state}: {message}")


def _log(session: Session, run_id: int, text: str) -> None:
    session.add(RetrainingEvent(run_id=run_id, text=text[:1024]))
    logger.info("run %d: %s", run_id, text)


def sweep() -> None:
    """Wake the trainer for requested runs, release the runs of dead trainers, and request a missed nightly run."""
    since = clock(-timedelta(seconds=settings().trainer_silence_seconds))
    with transaction() as session:
        for run in session.scalars(
            select(RetrainingRun)
            .where(RetrainingRun.state == RunState.RUNNING, RetrainingRun.heartbeat_at < since)
            .with_for_update(skip_locked=True)
        ):
            _release(session, run)
        session.flush()
        asked = session.scalars(select(RetrainingRun.id).where(RetrainingRun.state == RunState.ASKED)).all()
    for run_id in asked:
        wakeups.wake_trainer(run_id)
    catch_up(now().astimezone(ZoneInfo(settings().timezone)))


def _release(session: Session, run: RetrainingRun) -> None:
    if run.cancel_asked_by:
        _close(session, run, RunState.CANCELLED, f"cancelled by {run.cancel_asked_by}; its trainer was gone")
    elif run.attempts >= MAX_DEATHS:
        _close(session, run, RunState.FAILED, f"the trainer died or hung {run.attempts} times within one epoch")
    else:
        run.state, run.owner, run.expected_at = RunState.ASKED, None, None
        _log(session, run.id, "the trainer went silent; another goes on from the last checkpoint")


def catch_up(local: datetime) -> None:
    """Request this night's run if its hour has passed without one and an earlier night had one.

    Args:
        local: the time in the configured zone.
    """
    if not settings().nightly_at:
        return
    hour, minute = map(int, settings().nightly_at.split(":"))
    due = local.replace(hour=hour, minute=minute, second=0, microsecond=0) + CATCH_UP_AFTER
    with reading() as session:
        last = session.scalar(select(RetrainingRun.night).order_by(RetrainingRun.night.desc().nulls_last()).limit(1))
        busy = _unfinished(session) is not None
    if last is not None and last < local.date() and local >= due and not busy:
        ask(by="nightly, caught up", night=local.date())


def recent(session: Session, limit: int = 20) -> list[RetrainingRun]:
    """Return the newest runs, newest first."""
    return list(session.scalars(select(RetrainingRun).order_by(RetrainingRun.id.desc()).limit(limit)))
