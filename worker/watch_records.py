"""The tables of the watch: what films look like, what a day brought, and the alarms raised over it."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, UniqueConstraint
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session, mapped_column

from worker.database import Base, UtcDateTime, now
from worker.film_look import FilmLook


class FilmStatistics(Base):
    """Grey levels and size of one decoded film, as the decoder gave it, before it was resized."""

    __tablename__ = "film_statistics"

    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), primary_key=True)
    #: Mean and standard deviation of the grey levels, 0 to 255.
    grey_mean: Mapped[float]
    grey_spread: Mapped[float]
    height_pixels: Mapped[int]
    width_pixels: Mapped[int]


class WatchedDay(Base):
    """What one source sent on one day and what one version said of it; written once the day is over."""

    __tablename__ = "watched_days"
    __table_args__ = (UniqueConstraint("day", "source", "model_version_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    #: A date in the configured time zone.
    day: Mapped[date] = mapped_column(index=True)
    source: Mapped[str] = mapped_column(String(64))
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"))
    #: As `worker.drift.Day` writes it: counts, sums and sums of squares, so that days add up.
    figures: Mapped[dict[str, Any]] = mapped_column(JSON)


class DriftAlarm(Base):
    """A difference between a day and the reference that is too great to be chance; never changed."""

    __tablename__ = "drift_alarms"
    __table_args__ = (UniqueConstraint("day", "source", "model_version_id", "kind"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(index=True)
    source: Mapped[str] = mapped_column(String(64))
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"))
    #: What drifted: one of `worker.drift.Kind`.
    kind: Mapped[str] = mapped_column(String(32))
    #: A sentence with the figures on which the alarm stands.
    reason: Mapped[str] = mapped_column(String(512))
    raised_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


def keep_looks(session: Session, looks: Mapping[int, FilmLook]) -> None:
    """Store the looks of films by their image's id; one that is scored again looks as it did."""
    rows = [{"image_id": image_id, **asdict(look)} for image_id, look in looks.items()]
    if rows:
        insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert
        session.execute(insert(FilmStatistics).on_conflict_do_nothing(), rows)
