"""The tables of callbacks, which the intake process makes, and of messages that were set aside."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from worker.database import Base, UtcDateTime, now
from worker.studies.records import Submission


class Delivery(Base):
    """One event for one endpoint: a submission is finished. Rows are never deleted."""

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("submission_id", "sequence"),
        Index("ix_deliveries_next_at", "next_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    #: The same for every attempt, so that a receiver can recognise a repeated delivery.
    event_id: Mapped[str] = mapped_column(String(36), unique=True)
    submission_id: Mapped[str] = mapped_column(ForeignKey("submissions.id"))
    #: 1 for the first time that the submission was finished, 2 after a replay, and so on.
    sequence: Mapped[int]
    #: The name of the endpoint in `THORAQ_CALLBACKS`.
    endpoint: Mapped[str] = mapped_column(String(64))
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    #: When the next attempt is due; null once the event is delivered or given up.
    next_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=now)
    delivered_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    given_up_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: The error of the last attempt, without addresses or secrets.
    trouble: Mapped[str | None] = mapped_column(String(128))

    submission: Mapped[Submission] = relationship()


class SetAsideMessage(Base):
    """A message that no process could run, with its first bytes. Only the newest are kept."""

    __tablename__ = "set_aside_messages"

    id: Mapped[int] = mapped_column(primary_key=True)
    #: Names the record, so that it is stored once.
    record_id: Mapped[str] = mapped_column(String(32), unique=True)
    #: The queue, or one of `worker.broker.set_aside.Place`.
    place: Mapped[str] = mapped_column(String(32))
    #: One of `worker.broker.set_aside.Flaw`.
    flaw: Mapped[str] = mapped_column(String(32))
    #: Covers the whole message.
    sha256: Mapped[str] = mapped_column(String(64))
    #: The bytes of the whole message.
    size: Mapped[int]
    #: The first bytes of the message; the whole message if it is short.
    head: Mapped[bytes] = mapped_column(LargeBinary)
    #: The sender's key, as far as it could be found.
    source: Mapped[str | None] = mapped_column(String(64))
    request_id: Mapped[str | None] = mapped_column(String(128))
    set_aside_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
