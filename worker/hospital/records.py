"""The tables of the hospital door: what arrived, and the parts of a study to which it belongs."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from worker.database import Base, UtcDateTime, now
from worker.studies.records import UID_LENGTH, Image, Submission

AE_TITLE_LENGTH = 16


class ClosedBy(StrEnum):
    """Why a part takes no more instances."""

    SILENCE = "silence"  #: Nothing came for as long as its door says, and no association is open that carried some.
    MAXIMUM = "maximum"  #: It was open for `part_maximum_seconds`; more may come.
    REPLACED = "replaced"  #: An instance came again with another film; the next part has the new one.


class ArrivalPart(Base):
    """A study, or what of it has arrived so far. A late instance makes a further part, which has all of them.

    A part is one submission with one study. Results are owed for a part when it is closed, unless it was replaced.
    """

    __tablename__ = "arrival_parts"
    __table_args__ = (
        UniqueConstraint("source", "study_instance_uid", "number"),
        CheckConstraint("(closed_at IS NULL) = (closed_by IS NULL)", name="ck_arrival_parts_closed"),
        # For the parts that may be due.
        Index(
            "ix_arrival_parts_open",
            "closes_at",
            postgresql_where=text("closed_at IS NULL"),
            sqlite_where=text("closed_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    #: The source of the door.
    source: Mapped[str] = mapped_column(String(64))
    study_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    #: 1, 2, ... within the study.
    number: Mapped[int]
    #: The called AE title of the last instance.
    door: Mapped[str] = mapped_column(String(AE_TITLE_LENGTH))
    #: Null while it has no film.
    submission_id: Mapped[str | None] = mapped_column(ForeignKey("submissions.id"), unique=True)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    #: When its last instance came into the ledger.
    last_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    #: When the silence after the last instance is long enough.
    closes_at: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    closed_by: Mapped[str | None] = mapped_column(String(16))
    #: How many instances the sender or the PACS says the study has; null if nobody said.
    expected: Mapped[int | None]
    #: Instances that are no films.
    set_aside: Mapped[int] = mapped_column(default=0)
    #: Whether it was closed while more was expected.
    incomplete: Mapped[bool] = mapped_column(default=False)

    submission: Mapped[Submission | None] = relationship()
    arrivals: Mapped[list["Arrival"]] = relationship(back_populates="part", order_by="Arrival.id")


class Arrival(Base):
    """One instance of a part: the newest film under its SOP Instance UID."""

    __tablename__ = "arrivals"
    __table_args__ = (UniqueConstraint("part_id", "sop_instance_uid"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    part_id: Mapped[int] = mapped_column(ForeignKey("arrival_parts.id"))
    sop_instance_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    sop_class_uid: Mapped[str] = mapped_column(String(UID_LENGTH))
    #: The SHA-256 of the stored film; null for an instance that is set aside.
    film_sha256: Mapped[str | None] = mapped_column(String(64))
    #: Null for an instance that is set aside.
    image_id: Mapped[int | None] = mapped_column(ForeignKey("images.id"), index=True)
    #: The sealed identity (`worker.hospital.identity`): CMS EnvelopedData in DER. Null once it was deleted.
    identity: Mapped[bytes | None] = mapped_column(LargeBinary, deferred=True)
    #: HMAC-SHA256 of the identity with the key of the pseudonyms, which tells a changed identity from the same one.
    identity_mac: Mapped[str] = mapped_column(String(64))
    calling_ae: Mapped[str] = mapped_column(String(AE_TITLE_LENGTH))
    #: By the clock of the receiver's host, since the database may be out when a film arrives.
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)

    part: Mapped[ArrivalPart] = relationship(back_populates="arrivals")
    image: Mapped[Image | None] = relationship()
