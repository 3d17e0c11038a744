"""Selects the images to claim next: most urgent and oldest first, with a share for overdue ones. Changes no row."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

from sqlalchemy import ColumnElement, Row, Select, or_, select
from sqlalchemy.orm import Session

from worker.database import clock, now
from worker.studies.records import Image, ImageState, Priority

#: Share of a batch for overdue images, so that they are scored while urgent ones keep coming; urgent ones get the rest.
OVERDUE_SHARE = 0.25

#: id, root, path, sha256, attempts, received_at.
Candidate: TypeAlias = "Row[int, str, str, str | None, int, datetime]"


def candidates(session: Session, limit: int, max_wait: Mapping[Priority, timedelta]) -> list[Candidate]:
    """Return and lock the next images to score together.

    An image that was tried before must be scored alone: it is returned alone if it comes first, else left out.
    """
    overdue = _overdue(session, max(1, int(limit * OVERDUE_SHARE)), max_wait)
    urgent = session.execute(
        _waiting()
        .where(Image.id.not_in([row.id for row in overdue]))
        .order_by(Image.priority, Image.id)
        .limit(limit - len(overdue))
    ).all()
    for head in (*urgent[:1], *overdue[:1]):
        if head.attempts:
            return [head]
    return [image for image in (*urgent, *overdue) if not image.attempts]


def any_waiting(session: Session) -> bool:
    """Return whether an image can be claimed now."""
    return session.scalar(select(Image.id).where(_claimable()).limit(1)) is not None


def _overdue(session: Session, limit: int, max_wait: Mapping[Priority, timedelta]) -> list[Candidate]:
    """Return the oldest images that have waited longer than their priority allows.

    The oldest of each priority are read, overdue or not, because the index is ordered by id and not by age.
    """
    rows = [
        row
        for priority, wait in max_wait.items()
        for row in session.execute(_waiting().where(Image.priority == priority).order_by(Image.id).limit(limit))
        if row.received_at < now() - wait
    ]
    return sorted(rows, key=lambda row: row.received_at)[:limit]


def _waiting() -> Select[int, str, str, str | None, int, datetime]:
    """Return the query for images that can be claimed; rows that another process has locked are skipped."""
    columns = (Image.id, Image.root, Image.path, Image.sha256, Image.attempts, Image.received_at)
    return select(*columns).where(_claimable()).with_for_update(skip_locked=True)


def _claimable() -> ColumnElement[bool]:
    return (Image.state == ImageState.WAITING) & or_(Image.not_before.is_(None), Image.not_before <= clock())
