"""The tables of monitoring: heartbeats of processes, the figures of a day, and drift alarms."""

from datetime import date, datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from worker.database import Base, UtcDateTime, now
from worker.models.documents.column import DocumentColumn
from worker.monitoring.drift import Day


class Process(Base):
    """The last heartbeat of one process of the deployment."""

    __tablename__ = "processes"

    #: Kind, process id and host, as Celery names its nodes.
    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    started_at: Mapped[datetime] = mapped_column(UtcDateTime)
    #: The time of the last heartbeat.
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
    #: The version that a scoring worker has loaded, and the device on which it computes.
    model_version: Mapped[str | None] = mapped_column(String(64))
    device: Mapped[str | None] = mapped_column(String(64))
    #: When it last finished a task. A process that runs but finishes no work is not healthy.
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: Since when work has waited while this process finished none; null while no work waits.
    work_waits_since: Mapped[datetime | None] = mapped_column(UtcDateTime)


class DriftDay(Base):
    """The films that one source sent on one day and the results of one version; written once the day is over."""

    __tablename__ = "watched_days"
    __table_args__ = (UniqueConstraint("day", "source", "model_version_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    #: A date in the configured time zone.
    day: Mapped[date] = mapped_column(index=True)
    source: Mapped[str] = mapped_column(String(64))
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"))
    #: Counts, sums and sums of squares, so that days add up.
    figures: Mapped[Day] = mapped_column(DocumentColumn(Day))


class DriftAlarm(Base):
    """A difference between a day and the reference that is too large to be chance. Rows are never changed."""

    __tablename__ = "drift_alarms"
    __table_args__ = (UniqueConstraint("day", "source", "model_version_id", "kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(index=True)
    source: Mapped[str] = mapped_column(String(64))
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"))
    #: What drifted: one of `worker.monitoring.drift.Kind`.
    kind: Mapped[str] = mapped_column(String(32))
    #: A sentence with the figures behind the alarm.
    reason: Mapped[str] = mapped_column(String(512))
    raised_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
