"""Scores studies again with the active version, on request; the predictions of earlier versions stay."""

from collections import defaultdict
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

#: Studies changed in one transaction, so that no claim waits long for it.
PAGE = 200


def request(
    study_ids: Sequence[int] | None = None, *, since: datetime | None = None, until: datetime | None = None
) -> int:
    """Let the active version score studies again, after all waiting films, and return how many films that is.

    A study whose films were all scored by the active version stays as it is.

    Args:
        study_ids: which studies; None for all in the given time.
        since: only studies with films finished at this moment or later.
        until: only studies with films finished before this moment.

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
    """Return the ids of the next studies, in order, that have a film scored by another version than the active one."""
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
    """Return, for each film of a study, its predictions by all versions, newest first."""
    images = session.scalars(select(Image).where(Image.study_id == study_id).order_by(Image.id)).all()
    predictions = session.scalars(
        select(Prediction)
        .where(Prediction.image_sha256.in_([image.sha256 for image in images if image.sha256]))
        .options(joinedload(Prediction.model_version))
        .order_by(Prediction.id.desc())
    ).all()
    by_content: dict[str, list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        by_content[prediction.image_sha256].append(prediction)
    return {image.id: by_content[str(image.sha256)] for image in images}
