"""The tables of what is sent to archives: the outbox of exports, and the destinations that rest."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from worker.database import Base, UtcDateTime, now
from worker.hospital.records import ArrivalPart
from worker.studies.records import UID_LENGTH

#: The longest name of a destination, and of a code.
NAME_LENGTH, CODE_LENGTH = 64, 64


class Export(Base):
    """One object that is owed to a destination for a part of a study. Rows are never deleted."""

    __tablename__ = "exports"
    __table_args__ = (
        UniqueConstraint("part_id", "destination", "kind", "number"),
        CheckConstraint("kind IN ('sr', 'picture')", name="ck_exports_kind"),
        # For the exports that are due.
        Index(
            "ix_exports_next_at",
            "next_at",
            postgresql_where=text("next_at IS NOT NULL"),
            sqlite_where=text("next_at IS NOT NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    part_id: Mapped[int] = mapped_column(ForeignKey("arrival_parts.id"))
    #: The name in `THORAQ_DESTINATIONS`.
    destination: Mapped[str] = mapped_column(String(NAME_LENGTH))
    #: `sr` or `picture`.
    kind: Mapped[str] = mapped_column(String(16))
    #: 1; more where a person asked for a replacement.
    number: Mapped[int] = mapped_column(default=1)
    #: A random UUID, of which the UID of the object is made, so that every attempt sends the same object.
    key: Mapped[str] = mapped_column(String(36), unique=True)
    #: The series of the object, which it shares with those that it replaces.
    series_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    #: The export before this one for the same study, destination and kind; it goes first.
    replaces_id: Mapped[int | None] = mapped_column(ForeignKey("exports.id"), index=True)
    #: Attempts that count. A destination that is set up wrongly costs none.
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    #: When the next attempt is due; null once it is sent, refused or cancelled.
    next_at: Mapped[datetime | None] = mapped_column(UtcDateTime, default=now)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    refused_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    cancelled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: What was sent.
    sop_class_uid: Mapped[str | None] = mapped_column(String(UID_LENGTH))
    sop_instance_uid: Mapped[str | None] = mapped_column(String(UID_LENGTH))
    #: The code of the last answer, or of a warning: no text of the archive.
    trouble: Mapped[str | None] = mapped_column(String(CODE_LENGTH))

    part: Mapped[ArrivalPart] = relationship()

    @property
    def state(self) -> str:
        """`sent`, `refused`, `cancelled` or `owed`."""
        for state, moment in (("sent", self.sent_at), ("refused", self.refused_at), ("cancelled", self.cancelled_at)):
            if moment:
                return state
        return "owed"


class DestinationPause(Base):
    """A destination that is not called for a while; the row goes when something was sent."""

    __tablename__ = "destination_pauses"

    destination: Mapped[str] = mapped_column(String(NAME_LENGTH), primary_key=True)
    until: Mapped[datetime] = mapped_column(UtcDateTime)
    since: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    #: Failures in a row.
    failures: Mapped[int]
    #: Whether it is set up wrongly, which a person has to mend.
    misconfigured: Mapped[bool]
    trouble: Mapped[str] = mapped_column(String(CODE_LENGTH))
