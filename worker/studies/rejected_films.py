"""Rejected films: list them, replay them, and cancel films that still wait. A person asks for each of these.

This module selects the films; `worker.studies.ledger` changes their state. The caller wakes the scorers after its
commit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pydantic import BaseModel
from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session, contains_eager

from worker.errors import Reason
from worker.studies import ledger
from worker.studies.records import Image, ImageState, Rejection, Study, Submission

#: The most films changed in one transaction, so that locks are held for a moment only.
CHUNK = 500


@dataclass(frozen=True)
class Selection:
    """Which rejections are meant. None means any."""

    reason: Reason | None = None
    submission_id: str | None = None
    image_id: int | None = None
    #: Only films rejected at this moment or earlier: a replay must not select films that were rejected because of it.
    until: datetime | None = None


class RejectedFilm(BaseModel):
    """One rejected film and why; it is named by the sender's reference."""

    image_id: int
    submission_id: str
    reference: str | None
    reason: str
    detail: str
    attempts: int
    rejected_at: datetime


def rejections(session: Session, selection: Selection) -> Iterator[RejectedFilm]:
    """Yield the rejected films, oldest rejection first; rows are read in pages of `CHUNK`."""
    last = 0
    query = _selected(selection).join(Image.study).options(contains_eager(Image.study), contains_eager(Image.rejection))
    while page := session.scalars(query.where(Rejection.id > last)).all():
        for image in page:
            if image.rejection:
                yield _rejected_film(image, image.rejection)
                last = image.rejection.id
        session.expunge_all()


def replay(session: Session, by: str, selection: Selection) -> int:
    """Let up to `CHUNK` rejected films wait again and return how many; call again until it returns 0.

    Args:
        session: in a transaction. The caller commits it, and wakes the scorers.
        by: who asked, stored with the rejection.
        selection: which films. Without `until`, a film that is rejected again meanwhile is replayed again.
    """
    query = _selected(selection).with_for_update(of=Image, skip_locked=True)
    images = session.scalars(query.options(contains_eager(Image.rejection))).all()
    ledger.replay(session, images, by)
    _owe_callbacks(session, [image.id for image in images])
    return len(images)


def cancel(session: Session, submission_id: str, by: str) -> int:
    """Reject up to `CHUNK` films of a submission that wait for their first result, and return how many.

    Films that are being scored are finished, and so are films that have a result and wait to be scored again. Call
    again until it returns 0.
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
    ledger.withdraw(session, images, by)
    return len(images)


def _selected(selection: Selection) -> Select[Image]:
    """Return the query for rejected films, oldest rejection first."""
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


def _owe_callbacks(session: Session, image_ids: list[int]) -> None:
    """Mark the submissions of these films, so that their callback is sent again when they are finished again."""
    of_films = select(Study.submission_id).join(Image).where(Image.id.in_(image_ids))
    session.execute(
        update(Submission)
        .where(Submission.id.in_(of_films), Submission.callback.is_not(None))
        .values(callback_due=True)
        .execution_options(synchronize_session=False)
    )
