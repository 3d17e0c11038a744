"""Signs of life of the deployment's processes, as rows that the dashboard reads; nobody is asked over the broker."""

from datetime import datetime, timedelta

from sqlalchemy import String, delete, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from worker.database import Base, UtcDateTime, now, transaction
from worker.settings import settings

#: A process that was silent for a day is history, not a problem of now.
FORGET_AFTER = timedelta(days=1)


class Process(Base):
    """The last sign of life of one process of the deployment."""

    __tablename__ = "processes"

    #: Host and kind of process, as Celery names its nodes.
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    #: What a scoring worker has loaded, and on what it computes.
    model_version: Mapped[str | None] = mapped_column(String(64))
    device: Mapped[str | None] = mapped_column(String(64))
    #: When it last finished a task: "up" means finishing work, not running.
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: Since when work has waited without this process finishing any; null while none waits.
    work_waits_since: Mapped[datetime | None] = mapped_column(UtcDateTime)


def seen(name: str, kind: str, started_at: datetime, *, work_waits: bool = False) -> None:
    """Record that a process is alive, and whether work waits that it could do."""
    with transaction() as session:
        row = session.get(Process, name)
        if row is None:
            row = Process(name=name, kind=kind)
            session.add(row)
        row.seen_at, row.started_at = now(), started_at
        row.work_waits_since = (row.work_waits_since or now()) if work_waits else None


def worked(name: str, model_version: str | None = None, device: str | None = None) -> None:
    """Record that a process finished a task, and with which network."""
    with transaction() as session:
        session.execute(
            update(Process)
            .where(Process.name == name)
            .values(finished_at=now(), work_waits_since=None, model_version=model_version, device=device)
        )


def left(name: str) -> None:
    """Record that a process ended in order."""
    with transaction() as session:
        session.execute(delete(Process).where(Process.name == name))


def alive(session: Session, kind: str, host: str) -> bool:
    """Tell whether a process of a kind on a host was seen within three heartbeats and is not stalled."""
    since = now() - timedelta(seconds=3 * settings().heartbeat_seconds)
    found = session.scalars(select(Process).where(Process.kind == kind, Process.seen_at >= since))
    return any(process.name.partition("@")[2] == host and not stalled(process) for process in found)


def stalled(process: Process) -> bool:
    """Tell whether work has waited for long while this process, connected or not, finished nothing."""
    since = process.work_waits_since
    return since is not None and (now() - since).total_seconds() > settings().stalled_seconds


def last_sweep(session: Session) -> datetime | None:
    """Return when a sweep was last finished, as far as the intake processes that are up tell."""
    return session.scalar(select(func.max(Process.finished_at)).where(Process.kind == "intake"))


def sweeping(session: Session) -> bool:
    """Tell whether a sweep was finished within three of its periods."""
    last = last_sweep(session)
    return last is not None and last >= now() - timedelta(seconds=3 * settings().sweep_seconds)


def forget_the_silent(session: Session) -> None:
    """Delete the rows of processes that have been silent for long."""
    session.execute(delete(Process).where(Process.seen_at < now() - FORGET_AFTER))
