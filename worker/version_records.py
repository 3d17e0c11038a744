"""The tables of model versions: what was published, which is active since when, and what the gate said of it."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from worker.database import Base, UtcDateTime, now


class ModelVersion(Base):
    """One trained network, as published: its card, its file's SHA-256 and its evaluation report."""

    __tablename__ = "model_versions"

    id: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(String(64), unique=True)
    sha256: Mapped[str] = mapped_column(String(64))
    card: Mapped[dict[str, Any]] = mapped_column(JSON)
    report: Mapped[dict[str, Any]] = mapped_column(JSON)
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
    #: A person promoted it though no passed verdict of the gate spoke for it.
    forced: Mapped[bool] = mapped_column(default=False)
    #: The verdict on which the promotion stands; null for one that was not judged, and for a rollback.
    verdict_id: Mapped[int | None] = mapped_column(ForeignKey("gate_verdicts.id"))

    model_version: Mapped[ModelVersion] = relationship()


class GateVerdict(Base):
    """What the gate said of a candidate beside the version that was active then; never changed."""

    __tablename__ = "gate_verdicts"

    id: Mapped[int] = mapped_column(primary_key=True)
    candidate_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), index=True)
    #: Null where no version was active.
    active_id: Mapped[int | None] = mapped_column(ForeignKey("model_versions.id"))
    passed: Mapped[bool]
    #: Reasons, figures and the fingerprints of the locked splits, as `model_training.gate` writes them.
    verdict: Mapped[dict[str, Any]] = mapped_column(JSON)
    judged_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    candidate: Mapped[ModelVersion] = relationship(foreign_keys=candidate_id)
