"""The table of heat maps."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from worker.database import Base, UtcDateTime, now
from worker.studies.records import Prediction


class HeatMapState(StrEnum):
    """The state of a heat map."""

    ASKED = "asked"  #: Requested, and perhaps being drawn.
    DONE = "done"  #: Its file is stored.
    FAILED = "failed"  #: It could not be drawn; `detail` says why.


class HeatMap(Base):
    """A requested picture of where a model version saw a finding in an image."""

    __tablename__ = "heat_maps"
    __table_args__ = (
        UniqueConstraint("prediction_id", "finding"),
        CheckConstraint("state IN ('asked', 'done', 'failed')", name="ck_heat_maps_state"),
        Index("ix_heat_maps_state", "state", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    #: The prediction names the image content and the model version.
    prediction_id: Mapped[int] = mapped_column(ForeignKey("predictions.id"))
    finding: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16), default=HeatMapState.ASKED)
    attempts: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: Why it failed, for a person.
    detail: Mapped[str | None] = mapped_column(String(512))

    prediction: Mapped[Prediction] = relationship()
