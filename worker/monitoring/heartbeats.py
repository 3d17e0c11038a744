"""Heartbeats of the deployment's processes, stored as rows that the dashboard reads without asking the broker."""

from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from worker.database import clock, now, transaction
from worker.monitoring.records import Process
from worker.settings import settings

#: The row of a process whose last heartbeat is older than this is deleted.
DELETE_AFTER = timedelta(days=1)


def record_heartbeat(name: str, kind: str, started_at: datetime, *, work_waits: bool = False) -> None:
    """Record that a process runs, and whether work waits that it could do."""
    with transaction() as session:
        row = session.get(Process, name)
        if row is None:
            row = Process(name=name, kind=kind)
            session.add(row)
        row.seen_at, row.started_at = clock(), started_at
        row.work_waits_since = (row.work_waits_since or clock()) if work_waits else None


def record_finished_task(name: str, model_version: str | None = None, device: str | None = None) -> None:
    """Record that a process finished a task, and with which model version on which device."""
    with transaction() as session:
        session.execute(
            update(Process)
            .where(Process.name == name)
            .values(finished_at=clock(), work_waits_since=None, model_version=model_version, device=device)
        )


def delete_process(name: str) -> None:
    """Delete the row of a process that stopped in order."""
    with transaction() as session:
        session.execute(delete(Process).where(Process.name == name))


def alive(session: Session, kind: str, host: str) -> bool:
    """Return whether a process of this kind on this host had a heartbeat within three periods and is not stalled."""
    since = clock(-timedelta(seconds=3 * settings().heartbeat_seconds))
    processes = session.scalars(select(Process).where(Process.kind == kind, Process.seen_at >= since))
    return any(process.name.partition("@")[2] == host and not stalled(process) for process in processes)


def stalled(process: Process) -> bool:
    """Return whether work has waited for over `stalled_seconds` while this process finished none."""
    return process.work_waits_since is not None and is_stalled(process.work_waits_since, now())


def is_stalled(waiting_since: datetime, moment: datetime) -> bool:
    """Return whether work that has waited since `waiting_since`, with none finished, counts as stalled.

    The rule is the same for one process and for the whole queue: longer than `stalled_seconds`.
    """
    return (moment - waiting_since).total_seconds() > settings().stalled_seconds


def last_sweep(session: Session) -> datetime | None:
    """Return when an intake process that is still listed last finished a sweep; None if none did."""
    return session.scalar(select(func.max(Process.finished_at)).where(Process.kind == "intake"))


def note_sweep(session: Session) -> None:
    """Let the last sweep of every listed intake process have been finished now."""
    session.execute(
        update(Process).where(Process.kind == "intake", Process.finished_at.is_not(None)).values(finished_at=clock())
    )


def sweeping(session: Session) -> bool:
    """Return whether a sweep was finished within three of its periods."""
    last = last_sweep(session)
    return last is not None and last >= now() - timedelta(seconds=3 * settings().sweep_seconds)


def delete_silent(session: Session) -> None:
    """Delete the rows of processes whose last heartbeat is older than `DELETE_AFTER`."""
    session.execute(delete(Process).where(Process.seen_at < clock(-DELETE_AFTER)))
