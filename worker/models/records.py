"""The tables of model versions and of the retraining runs that make them.

They record what was published, what was active since when, what the gate decided, and each run with its log.
"""

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from worker.database import Base, UtcDateTime, now
from worker.models.documents.card import ModelCard
from worker.models.documents.column import DocumentColumn
from worker.models.documents.report import Report
from worker.models.documents.retraining import LearnedFrom, RunRequest
from worker.models.documents.verdict import Verdict


class ModelVersion(Base):
    """One published network: its card, the SHA-256 of its file and its evaluation report."""

    __tablename__ = "model_versions"

    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(String(64), unique=True)
    sha256: Mapped[str] = mapped_column(String(64))
    card: Mapped[ModelCard] = mapped_column(DocumentColumn(ModelCard))
    report: Mapped[Report] = mapped_column(DocumentColumn(Report))
    registered_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Activation(Base):
    """One promotion or rollback. The newest row names the active version; the rows are never changed."""

    __tablename__ = "activations"

    id: Mapped[int] = mapped_column(primary_key=True)
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"))
    #: The activation to which a rollback returns; it skips versions that were rolled back.
    returns_to_id: Mapped[int | None] = mapped_column(ForeignKey("activations.id"))
    activated_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    activated_by: Mapped[str] = mapped_column(String(64))
    #: True if a person promoted it although the gate had not passed it.
    forced: Mapped[bool] = mapped_column(default=False)
    #: The verdict at the time of the promotion; null for a version without one, and for a rollback.
    verdict_id: Mapped[int | None] = mapped_column(ForeignKey("gate_verdicts.id"))

    model_version: Mapped[ModelVersion] = relationship()


class GateVerdict(Base):
    """The gate's verdict on a candidate, compared with the version that was active then; never changed."""

    __tablename__ = "gate_verdicts"

    id: Mapped[int] = mapped_column(primary_key=True)
    candidate_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), index=True)
    #: Null where no version was active.
    active_id: Mapped[int | None] = mapped_column(ForeignKey("model_versions.id"))
    passed: Mapped[bool]
    #: Written by `model_training.retraining.gate`.
    verdict: Mapped[Verdict] = mapped_column(DocumentColumn(Verdict))
    judged_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    candidate: Mapped[ModelVersion] = relationship(foreign_keys=candidate_id)


class RunState(StrEnum):
    """The state of a retraining run."""

    ASKED = "asked"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RetrainingRun(Base):
    """One request to retrain, its progress and its outcome."""

    __tablename__ = "retraining_runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(String(16), default=RunState.ASKED, index=True)
    #: True until the run ends, then null; unique, so that there is at most one unfinished run.
    unfinished: Mapped[bool | None] = mapped_column(unique=True)
    asked_by: Mapped[str] = mapped_column(String(64))
    #: The date of a nightly run; unique, so that several beat processes request one run a night.
    night: Mapped[date | None] = mapped_column(unique=True)
    #: What to train where it differs from the settings.
    request: Mapped[RunRequest] = mapped_column(DocumentColumn(RunRequest), default=RunRequest)
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: The trainer that works on the run; after a long silence a trainer may find that another one has it.
    owner: Mapped[str | None] = mapped_column(String(64))
    #: How often a trainer has started it since it last finished an epoch.
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
    #: Who asked to stop it; the trainer stops between two batches.
    cancel_asked_by: Mapped[str | None] = mapped_column(String(64))
    #: The training set; null until the trainer has read it.
    learned_from: Mapped[LearnedFrom | None] = mapped_column(DocumentColumn(LearnedFrom))
    #: How it ended, for a person.
    message: Mapped[str | None] = mapped_column(String(1024))
    candidate_id: Mapped[int | None] = mapped_column(ForeignKey("model_versions.id"))

    candidate: Mapped[ModelVersion | None] = relationship()
    events: Mapped[list["RetrainingEvent"]] = relationship(order_by="RetrainingEvent.id")


class RetrainingEvent(Base):
    """One line of a run's log; never changed."""

    __tablename__ = "retraining_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("retraining_runs.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    text: Mapped[str] = mapped_column(String(1024))
