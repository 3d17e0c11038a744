"""The tables of retraining: one row a run, and what happened to it, line by line."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from worker.database import Base, UtcDateTime, now
from worker.version_records import ModelVersion


class RunState(StrEnum):
    """Where a retraining run stands."""

    ASKED = "asked"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RetrainingRun(Base):
    """One request to retrain, and what came of it."""

    __tablename__ = "retraining_runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(16), default=RunState.ASKED, index=True)
    #: True until it ends, then null; unique, so that however many ask at once there is one unfinished run.
    unfinished: Mapped[bool | None] = mapped_column(unique=True)
    asked_by: Mapped[str] = mapped_column(String(64))
    #: The date of a nightly run; unique, so that however many timetables tick there is one a night.
    night: Mapped[date | None] = mapped_column(unique=True)
    #: What was asked for beyond the settings: {"data", "network", "epochs", "seed"}, each optional.
    request: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: The trainer that has it; another that comes back from a long silence finds that it lost the run.
    owner: Mapped[str | None] = mapped_column(String(64))
    #: How often it was taken up since it last finished an epoch.
    attempts: Mapped[int] = mapped_column(default=0)
    heartbeat_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    epochs_done: Mapped[int] = mapped_column(default=0)
    epochs_planned: Mapped[int | None]
    #: Mean cross-entropy in nats after the last epoch.
    loss: Mapped[float | None]
    validation_loss: Mapped[float | None]
    #: When the last epoch should be over, at the speed so far.
    expected_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: Who wants it stopped; the trainer stops between two batches.
    cancel_asked_by: Mapped[str | None] = mapped_column(String(64))
    #: What it learned from: counts and fingerprints of the splits, corrected films taken and left out.
    learned_from: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    #: How it ended, for a person.
    message: Mapped[str | None] = mapped_column(String(1024))
    candidate_id: Mapped[int | None] = mapped_column(ForeignKey("model_versions.id"))

    candidate: Mapped[ModelVersion | None] = relationship()
    events: Mapped[list["RetrainingEvent"]] = relationship(order_by="RetrainingEvent.id")


class RetrainingEvent(Base):
    """One line of a run's log; lines are added, never changed."""

    __tablename__ = "retraining_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("retraining_runs.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    text: Mapped[str] = mapped_column(String(1024))
