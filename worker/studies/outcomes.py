"""Reads the state of submissions and the outcomes of their films, for the command line and other systems."""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from pydantic import BaseModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from worker.database import now
from worker.inputs.printable import printable
from worker.studies.records import UNFINISHED, Image, ImageState, Prediction, Refusal, Study, Submission

#: Rows read at a time, so that memory does not grow with the table.
PAGE = 500


class SubmissionStatus(BaseModel):
    """How many films are in each state, in one submission or in all."""

    submission_id: str | None = None
    waiting: int = 0
    scoring: int = 0
    scored: int = 0
    rejected: int = 0
    #: Items of submissions, and whole messages, that were refused.
    refused: int = 0
    #: Age of the oldest film that is not finished; null when all are.
    oldest_waiting_seconds: float | None = None

    @property
    def finished(self) -> bool:
        """Whether every accepted film has its outcome."""
        return self.waiting + self.scoring == 0


class RefusedMessage(BaseModel):
    """A message that was refused as a whole, and why."""

    code: str
    detail: str
    refused_at: datetime


class Outcome(BaseModel):
    """One film and its state; a field without a value is null."""

    submission_id: str
    study_id: int
    image_id: int
    reference: str | None
    accession_number: str | None
    study_instance_uid: str | None
    sop_instance_uid: str | None
    outcome: Literal["waiting", "scoring", "scored", "rejected"]
    reason: str | None
    detail: str | None
    label: str | None
    probabilities: dict[str, float] | None
    model_version: str | None
    #: What the model was trained on: "films" or "phantoms".
    trained_on: str | None
    attempts: int
    received_at: datetime
    finished_at: datetime | None


def submission_status(session: Session, submission_id: str | None = None) -> SubmissionStatus:
    """Return how many films are in each state, in one submission or in all."""
    counts = select(Image.state, func.count(), func.min(Image.received_at)).group_by(Image.state)
    refused = select(Submission.refused).where(func.json_array_length(Submission.refused) > 0)
    refused_messages = 0
    if submission_id is not None:
        counts = counts.join(Study).where(Study.submission_id == submission_id)
        refused = refused.where(Submission.id == submission_id)
    else:
        refused_messages = session.scalar(select(func.count()).select_from(Refusal)) or 0
    rows = session.execute(counts).all()
    unfinished = [first for state, _, first in rows if state in UNFINISHED]
    return SubmissionStatus(
        submission_id=submission_id,
        **{state: count for state, count, _ in rows},
        refused=refused_messages + sum(len(entries) for entries in session.scalars(refused)),
        oldest_waiting_seconds=max(0.0, (now() - min(unfinished)).total_seconds()) if unfinished else None,
    )


def exists(session: Session, submission_id: str) -> bool:
    """Return whether there is such a submission."""
    return session.get(Submission, submission_id) is not None


def find(session: Session, source: str, request_id: str) -> str | None:
    """Return the id of the submission with a sender's own key; None if there is none."""
    return session.scalar(select(Submission.id).where(Submission.source == source, Submission.request_id == request_id))


def refusals(session: Session, source: str, request_id: str) -> list[RefusedMessage]:
    """Return the messages with a sender's own key that were refused as a whole, oldest first."""
    # A refused key may be too long or hold any character; this is how `store_refusal` makes it fit.
    same_key = Refusal.source == printable(source)[:64], Refusal.request_id == printable(request_id)[:128]
    query = select(Refusal).where(*same_key).order_by(Refusal.id)
    return [
        RefusedMessage(code=row.code, detail=row.detail, refused_at=row.refused_at)
        for row in session.scalars(query.limit(PAGE))
    ]


def latest_submission(session: Session) -> str | None:
    """Return the id of the newest submission; None if there is none."""
    return session.scalar(select(Submission.id).order_by(Submission.received_at.desc()).limit(1))


def outcomes(session: Session, submission_id: str | None = None) -> Iterator[Outcome]:
    """Yield the films of one submission, or of all, in the order of their acceptance."""
    last = 0
    while True:
        query = (
            select(Image)
            .join(Study)
            .where(Image.id > last)
            .options(
                joinedload(Image.study),
                joinedload(Image.rejection),
                joinedload(Image.prediction).joinedload(Prediction.model_version),
            )
            .order_by(Image.id)
            .limit(PAGE)
        )
        if submission_id is not None:
            query = query.where(Study.submission_id == submission_id)
        images = session.scalars(query).all()
        if not images:
            return
        yield from map(_outcome, images)
        last = images[-1].id
        session.expunge_all()


def _outcome(image: Image) -> Outcome:
    prediction, rejection = image.prediction, image.rejection
    return Outcome(
        submission_id=image.study.submission_id,
        study_id=image.study_id,
        image_id=image.id,
        reference=image.reference,
        accession_number=image.study.accession_number,
        study_instance_uid=image.study.study_instance_uid,
        sop_instance_uid=image.sop_instance_uid,
        outcome=ImageState(image.state).value,
        reason=rejection.reason if rejection else None,
        detail=rejection.detail if rejection else None,
        label=prediction.label if prediction else None,
        probabilities=prediction.probabilities if prediction else None,
        model_version=prediction.model_version.version if prediction else None,
        trained_on=prediction.model_version.card.trained_on if prediction else None,
        attempts=image.attempts,
        received_at=image.received_at,
        finished_at=image.finished_at,
    )
