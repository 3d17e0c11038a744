"""Scoring again what an earlier version scored, on request; the results of both versions stay."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from worker import wakeups
from worker.database import transaction
from worker.errors import ModelUnavailable
from worker.models import registry
from worker.settings import settings
from worker.studies import ledger
from worker.studies.records import Image, Prediction

#: Studies put back in one transaction, so that no claim waits long for it.
PAGE = 200


def request(
    study_ids: Sequence[int] | None = None, *, since: datetime | None = None, until: datetime | None = None
) -> int:
    """Have studies scored by the active version, after all that waits, and return how many films that is.

    Films that the active version scored already are left as they are, as are their studies' other films.

    Args:
        study_ids: which; None: all of a time.
        since: whose films were finished at this moment or later.
        until: whose films were finished before it.

    Raises:
        ModelUnavailable: no version is active.
    """
    films, last = 0, 0
    while True:
        with transaction() as session:
            page = _studies(session, study_ids, since, until, after=last)
            if not page:
                break
            films += ledger.rescore(session, page)
        last = page[-1]
    if films:
        wakeups.wake_scorers(films, settings().batch_size)
    return films


def _studies(
    session: Session, study_ids: Sequence[int] | None, since: datetime | None, until: datetime | None, *, after: int
) -> list[int]:
    """Return the next studies with a film that another version than the active one scored, in order."""
    active = registry.active_id(session)
    if active is None:
        raise ModelUnavailable("no model version is active: there is nothing to score with")
    query = (
        select(Image.study_id)
        .join(Prediction, Prediction.id == Image.prediction_id)
        .where(Prediction.model_version_id != active, Image.study_id > after)
    )
    if study_ids is not None:
        query = query.where(Image.study_id.in_(study_ids))
    if since is not None:
        query = query.where(Image.finished_at >= since)
    if until is not None:
        query = query.where(Image.finished_at < until)
    return list(session.scalars(query.distinct().order_by(Image.study_id).limit(PAGE)))


def history(session: Session, study_id: int) -> dict[int, list[Prediction]]:
    """Return the predictions of all versions for each film of a study, newest first, with their versions."""
    images = session.scalars(select(Image).where(Image.study_id == study_id).order_by(Image.id)).all()
    predictions = session.scalars(
        select(Prediction)
        .where(Prediction.image_sha256.in_([image.sha256 for image in images if image.sha256]))
        .options(joinedload(Prediction.model_version))
        .order_by(Prediction.id.desc())
    ).all()
    return {image.id: [made for made in predictions if made.image_sha256 == image.sha256] for image in images}
