"""The tables: submissions, studies, images, predictions, rejections, reviews.

They hold columns and constraints only; `worker.studies.ledger` changes the state of an image.
"""

from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, String, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from worker.database import Base, UtcDateTime, now
from worker.models.records import ModelVersion

#: The longest UID of DICOM (PS3.5 section 9).
UID_LENGTH = 64
MAX_NOTE_CHARACTERS = 1024
#: The class that says that a film shows no finding. It excludes every other finding.
NO_FINDINGS = "No-Findings"
#: Restricts an index to unread studies, so that it stays as small as the worklist.
UNREAD: dict[str, Any] = {
    "postgresql_where": text("read_at IS NULL"),
    "sqlite_where": text("read_at IS NULL"),
}


class Priority(IntEnum):
    """Priority of a submission; the smallest number is claimed first."""

    URGENT = 0
    ROUTINE = 1
    OFFPEAK = 2


class ImageState(StrEnum):
    """The state of an image. It starts waiting and ends scored or rejected; a person can have it tried again."""

    WAITING = "waiting"  #: Accepted; no worker has claimed it.
    SCORING = "scoring"  #: Claimed under a lease; goes back to waiting when the lease ends.
    SCORED = "scored"  #: Has a prediction.
    REJECTED = "rejected"  #: Has a rejection with its reason.


#: States of an image that has no outcome yet.
UNFINISHED = (ImageState.WAITING, ImageState.SCORING)


class StudyState(StrEnum):
    """The state of a study, which follows from its films."""

    WAITING = "waiting"  #: A film waits, is being scored or may still arrive; the result so far is preliminary.
    SCORED = "scored"  #: Every film is finished, and at least one has a prediction.
    REJECTED = "rejected"  #: Every film was rejected.


class Submission(Base):
    """The studies that a sender submitted in one request. A repeated request is recognised by its key."""

    __tablename__ = "submissions"
    __table_args__ = (UniqueConstraint("source", "request_id"),)

    #: A random hexadecimal number.
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    source: Mapped[str] = mapped_column(String(64))
    request_id: Mapped[str] = mapped_column(String(128))
    #: SHA-256 of the envelope; the same key with another content is a conflict.
    content_sha256: Mapped[str] = mapped_column(String(64))
    priority: Mapped[int]
    #: The items that were not accepted: [{"index", "reference", "reason", "detail"}].
    refused: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    #: Fields of the envelope that this version does not use, stored as they came.
    extra: Mapped[dict[str, Any]] = mapped_column(JSON)
    #: The configured name of the endpoint that is called when every film has its outcome.
    callback: Mapped[str | None] = mapped_column(String(64))
    #: True while the callback is still to be sent, otherwise null, so that the index holds only callbacks that are due.
    callback_due: Mapped[bool | None] = mapped_column(index=True)
    #: Films may still be added. Its studies stay `waiting` meanwhile, so that their results are preliminary.
    open: Mapped[bool] = mapped_column(default=False, server_default=false())
    received_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now, index=True)

    studies: Mapped[list["Study"]] = relationship(back_populates="submission")


class Refusal(Base):
    """A message that was refused as a whole, stored so that its sender can ask why."""

    __tablename__ = "refusals"
    __table_args__ = (Index("ix_refusals_key", "source", "request_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    #: Null where the message has none.
    source: Mapped[str | None] = mapped_column(String(64))
    request_id: Mapped[str | None] = mapped_column(String(128))
    code: Mapped[str] = mapped_column(String(32))
    detail: Mapped[str] = mapped_column(String(512))
    refused_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)


class Study(Base):
    """One examination; its images are scored separately and make one result.

    `worker.studies.results` writes that result: state, label, probability, findings and finished_at.
    """

    __tablename__ = "studies"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'scored', 'rejected')", name="ck_studies_state"),
        # For lists of studies, newest first, in one state or with one label.
        Index("ix_studies_state", "state", "id"),
        Index("ix_studies_label", "label", "state", "id"),
        Index("ix_studies_source", "source", "id"),
        Index("ix_studies_model_version", "model_version_id", "id"),
        Index("ix_studies_received", "received_at", "id"),
        # For the worklist: unread studies, earliest due first, all of them and under each filter.
        *(
            Index(f"ix_studies_due{'_' * bool(by)}{by}", *filter(None, [by]), "due_at", "id", **UNREAD)
            for by in ("", "state", "label", "source", "model_version_id")
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    submission_id: Mapped[str] = mapped_column(ForeignKey("submissions.id"), index=True)
    study_instance_uid: Mapped[str | None] = mapped_column(String(UID_LENGTH), index=True)
    accession_number: Mapped[str | None] = mapped_column(String(64), index=True)
    accession_issuer: Mapped[str | None] = mapped_column(String(64))
    #: The sender's pseudonym for the patient; never a name or a hospital number.
    patient_key: Mapped[str | None] = mapped_column(String(128), index=True)
    state: Mapped[str] = mapped_column(String(16), default=StudyState.WAITING, server_default=StudyState.WAITING.value)
    #: The finding with the highest probability over the films scored so far, and that probability.
    label: Mapped[str | None] = mapped_column(String(64))
    probability: Mapped[float | None]
    #: Finding -> {"probability": in [0, 1], "image_id": the film whose prediction decides}.
    findings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict, server_default="{}")
    #: When its last film was finished; null while one is not.
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: The submission's source, repeated here for filters and indexes.
    source: Mapped[str] = mapped_column(String(64), default="", server_default="")
    received_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    #: When it is due to be read (`worker.studies.worklist_order`); the worklist shows the earliest first.
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    #: When a person first read it; it stays on the worklist while this is null.
    read_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: The newest version that scored one of its films. No foreign key: versions are never deleted.
    model_version_id: Mapped[int | None]

    submission: Mapped[Submission] = relationship(back_populates="studies")
    images: Mapped[list["Image"]] = relationship(back_populates="study", order_by="Image.id")


class Image(Base):
    """One film: where its bytes are stored, and its state."""

    __tablename__ = "images"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'scoring', 'scored', 'rejected')", name="ck_images_state"),
        CheckConstraint("(state = 'scored') = (prediction_id IS NOT NULL)", name="ck_images_scored_has_prediction"),
        CheckConstraint("(state = 'scoring') = (owner IS NOT NULL)", name="ck_images_scoring_has_owner"),
        # For claims: state, priority, age.
        Index("ix_images_claim", "state", "priority", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    series_instance_uid: Mapped[str | None] = mapped_column(String(UID_LENGTH))
    sop_instance_uid: Mapped[str | None] = mapped_column(String(UID_LENGTH))
    #: The sender's own name for the film, returned with its result.
    reference: Mapped[str | None] = mapped_column(String(512))
    #: The name of a configured root folder (`archive` for uploads), and the path below it.
    root: Mapped[str] = mapped_column(String(64))
    path: Mapped[str] = mapped_column(String(1024))
    #: The SHA-256 that the sender announced, then that of the bytes that the worker read.
    sha256: Mapped[str | None] = mapped_column(String(64), index=True)
    priority: Mapped[int]
    state: Mapped[str] = mapped_column(String(16), default=ImageState.WAITING)
    #: Claims so far. Each is counted before a byte is decoded, so that a claim that kills its process counts too.
    attempts: Mapped[int] = mapped_column(default=0)
    #: The id of the task that holds the lease.
    owner: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: Not claimed before this moment; set when it is postponed, for example because a root is not mounted.
    not_before: Mapped[datetime | None] = mapped_column(UtcDateTime)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    prediction_id: Mapped[int | None] = mapped_column(ForeignKey("predictions.id"), index=True)
    #: Its summary (`worker.films.summary`) from when it was scored, for drift monitoring.
    grey_mean: Mapped[float | None]
    grey_spread: Mapped[float | None]
    height_pixels: Mapped[int | None]
    width_pixels: Mapped[int | None]

    study: Mapped[Study] = relationship(back_populates="images")
    prediction: Mapped["Prediction | None"] = relationship()
    #: The rejection that no replay has ended.
    rejection: Mapped["Rejection | None"] = relationship(
        primaryjoin="and_(Rejection.image_id == Image.id, Rejection.replayed_at.is_(None))", back_populates="image"
    )


class Prediction(Base):
    """What one model version predicts for one image content; at most one row for each pair."""

    __tablename__ = "predictions"
    __table_args__ = (
        UniqueConstraint("image_sha256", "model_version_id"),
        CheckConstraint("probability >= 0 AND probability <= 1", name="ck_predictions_probability"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    image_sha256: Mapped[str] = mapped_column(String(64))
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), index=True)
    #: The finding with the highest probability, and that probability.
    label: Mapped[str] = mapped_column(String(64))
    probability: Mapped[float]
    #: Finding -> probability in [0, 1].
    probabilities: Mapped[dict[str, float]] = mapped_column(JSON)
    predicted_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)

    model_version: Mapped[ModelVersion] = relationship()


class Rejection(Base):
    """Why an image has no prediction. A replay ends it and keeps its row; an image has at most one open one."""

    __tablename__ = "rejections"
    __table_args__ = (
        Index(
            "uq_rejections_standing",
            "image_id",
            unique=True,
            sqlite_where=text("replayed_at IS NULL"),
            postgresql_where=text("replayed_at IS NULL"),
        ),
        Index("ix_rejections_reason", "reason", "id"),
        Index("ix_rejections_rejected_at", "rejected_at", "reason"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[int] = mapped_column(ForeignKey("images.id"), index=True)
    reason: Mapped[str] = mapped_column(String(32))
    detail: Mapped[str] = mapped_column(String(512))
    #: How often the image had been claimed by then.
    attempts: Mapped[int] = mapped_column(default=0, server_default="0")
    rejected_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    #: When the image was replayed, and by whom.
    replayed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    replayed_by: Mapped[str | None] = mapped_column(String(64))

    image: Mapped[Image] = relationship(back_populates="rejection")


class Verdict(StrEnum):
    """A reviewer's verdict on a result."""

    AGREE = "agree"
    CORRECT = "correct"


class Review(Base):
    """One person's review of a study, or of one of its films."""

    __tablename__ = "reviews"
    __table_args__ = (CheckConstraint("verdict IN ('agree', 'correct')", name="ck_reviews_verdict"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    #: Null if the review is of the study as a whole.
    image_id: Mapped[int | None] = mapped_column(ForeignKey("images.id"), index=True)
    verdict: Mapped[str] = mapped_column(String(16))
    #: The findings that the reviewer sees: those of the result, or the corrected ones.
    findings: Mapped[list[str]] = mapped_column(JSON)
    note: Mapped[str | None] = mapped_column(String(MAX_NOTE_CHARACTERS))
    #: The account's name.
    reviewed_by: Mapped[str] = mapped_column(String(64))
    reviewed_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now, index=True)
    #: The version whose result was shown.
    model_version_id: Mapped[int | None] = mapped_column(ForeignKey("model_versions.id"))
