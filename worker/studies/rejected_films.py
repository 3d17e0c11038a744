"""Rejected films: listing them, having them tried again, and withdrawing what still waits. What a person asks for.

A replay begins a new series of attempts; the rejection that it ends stays in its row. The caller commits, then
wakes scorers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel
from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session, contains_eager

from worker.database import now
from worker.errors import Reason
from worker.studies import results
from worker.studies.records import Image, ImageState, Rejection, Study, Submission

#: Films changed in one transaction: locks are held for a moment only.
CHUNK = 500
#: A film that killed its process is claimed alone from its replay on: one attempt counts as made.
ATTEMPTS_THAT_CLAIM_ALONE = 1


@dataclass(frozen=True)
class Selection:
    """Which rejections are meant; everything that is not given narrows nothing."""

    reason: Reason | None = None
    submission_id: str | None = None
    image_id: int | None = None
    #: Only what had been rejected by then, so that a replay does not chase what it causes.
    until: datetime | None = None


class RejectedFilm(BaseModel):
    """One rejected film and why; the sender's reference is the only name that it has here."""

    image_id: int
    submission_id: str
    reference: str | None
    reason: str
    detail: str
    attempts: int
    rejected_at: datetime


def rejections(session: Session, selection: Selection) -> Iterator[RejectedFilm]:
    """Yield the rejections that stand, oldest first, in pages of `CHUNK`."""
    last = 0
    query = _selected(selection).join(Image.study).options(contains_eager(Image.study), contains_eager(Image.rejection))
    while page := session.scalars(query.where(Rejection.id > last)).all():
        for image in page:
            if image.rejection:
                yield _rejected_film(image, image.rejection)
                last = image.rejection.id
        session.expunge_all()


def replay(session: Session, by: str, selection: Selection) -> int:
    """Let up to `CHUNK` rejected films wait again and return how many; call again until none is left.

    Args:
        session: in a transaction; the caller commits, and wakes scorers.
        by: who asked, kept with the rejection.
        selection: which films; give `until`, or a film that is rejected anew meanwhile is replayed anew.
    """
    query = _selected(selection).with_for_update(of=Image, skip_locked=True)
    images = session.scalars(query.options(contains_eager(Image.rejection))).all()
    for image in images:
        if image.rejection:
            _reopen(image, image.rejection, by)
    session.flush()
    ids = [image.id for image in images]
    results.update(session, ids)
    _owe_callbacks(session, ids)
    return len(images)


def cancel(session: Session, submission_id: str, by: str) -> int:
    """Reject up to `CHUNK` films of a submission that nobody has claimed yet, and return how many.

    What is being scored at this moment is finished, and so is what has a result and waits to be scored again; call
    again until none is left.
    """
    waiting = (
        select(Image)
        .join(Image.study)
        .where(Study.submission_id == submission_id, Image.state == ImageState.WAITING, Image.finished_at.is_(None))
        .order_by(Image.id)
        .limit(CHUNK)
        .with_for_update(of=Image, skip_locked=True)
    )
    images = session.scalars(waiting).all()
    for image in images:
        detail = f"withdrawn by {by}"
        session.add(Rejection(image_id=image.id, reason=Reason.CANCELLED, detail=detail, attempts=image.attempts))
        image.state, image.finished_at, image.not_before = ImageState.REJECTED, now(), None
    session.flush()
    results.update(session, [image.id for image in images])
    return len(images)


def _selected(selection: Selection) -> Select[Image]:
    """Return the question for rejected films, oldest rejection first."""
    query = select(Image).join(Image.rejection).where(Image.state == ImageState.REJECTED)
    if selection.reason is not None:
        query = query.where(Rejection.reason == selection.reason)
    if selection.image_id is not None:
        query = query.where(Image.id == selection.image_id)
    if selection.until is not None:
        query = query.where(Rejection.rejected_at <= selection.until)
    if selection.submission_id is not None:
        of_submission = select(Study.id).where(Study.submission_id == selection.submission_id)
        query = query.where(Image.study_id.in_(of_submission))
    return query.order_by(Rejection.id).limit(CHUNK)


def _rejected_film(image: Image, rejection: Rejection) -> RejectedFilm:
    return RejectedFilm(
        image_id=image.id,
        submission_id=image.study.submission_id,
        reference=image.reference,
        reason=rejection.reason,
        detail=rejection.detail,
        attempts=rejection.attempts,
        rejected_at=rejection.rejected_at,
    )


def _reopen(image: Image, rejection: Rejection, by: str) -> None:
    rejection.replayed_at, rejection.replayed_by = now(), by
    image.state, image.finished_at, image.not_before = ImageState.WAITING, None, None
    image.attempts = ATTEMPTS_THAT_CLAIM_ALONE if rejection.reason == Reason.CRASHED_THE_WORKER else 0


def _owe_callbacks(session: Session, image_ids: list[int]) -> None:
    """Have the submissions of these films told anew when they are finished again."""
    of_films = select(Study.submission_id).join(Image).where(Image.id.in_(image_ids))
    session.execute(
        update(Submission)
        .where(Submission.id.in_(of_films), Submission.callback.is_not(None))
        .values(callback_due=True)
        .execution_options(synchronize_session=False)
    )
