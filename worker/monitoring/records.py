"""The tables of drift monitoring: the figures of a day, and the alarms raised over it."""

from datetime import date, datetime

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from worker.database import Base, UtcDateTime, now
from worker.models.documents.column import DocumentColumn
from worker.monitoring.drift import Day


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
    """A difference between a day and the reference that is too great to be chance; never changed."""

    __tablename__ = "drift_alarms"
    __table_args__ = (UniqueConstraint("day", "source", "model_version_id", "kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(index=True)
    source: Mapped[str] = mapped_column(String(64))
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"))
    #: What drifted: one of `worker.monitoring.drift.Kind`.
    kind: Mapped[str] = mapped_column(String(32))
    #: A sentence with the figures on which the alarm stands.
    reason: Mapped[str] = mapped_column(String(512))
    raised_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
