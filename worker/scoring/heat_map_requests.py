"""Heat maps as rows: asked for, claimed by a worker, done or failed; one for each prediction and finding."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, String, UniqueConstraint, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, joinedload, mapped_column, relationship

from worker import wakeups
from worker.database import Base, UtcDateTime, now, reading, through_outages, transaction
from worker.studies.records import Image, Prediction

#: A heat map that killed the process this often is given up; it is a picture, not a result.
MAX_ATTEMPTS = 3
#: After this a claimed heat map counts as abandoned; one takes seconds.
LEASE_SECONDS = 150


class HeatMapState(StrEnum):
    """Where a heat map stands."""

    ASKED = "asked"
    DONE = "done"
    FAILED = "failed"


class HeatMap(Base):
    """One request for a picture of where a model version saw a finding in an image content."""

    __tablename__ = "heat_maps"
    __table_args__ = (
        UniqueConstraint("prediction_id", "finding"),
        CheckConstraint("state IN ('asked', 'done', 'failed')", name="ck_heat_maps_state"),
        Index("ix_heat_maps_state", "state", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    #: Names the image content and the model version.
    prediction_id: Mapped[int] = mapped_column(ForeignKey("predictions.id"))
    finding: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16), default=HeatMapState.ASKED)
    attempts: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    asked_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    #: Why there is none, for a person.
    detail: Mapped[str | None] = mapped_column(String(512))

    prediction: Mapped[Prediction] = relationship()


@dataclass(frozen=True)
class HeatMapRequest:
    """What a worker needs to draw one heat map."""

    heat_map_id: int
    finding: str
    image_sha256: str
    root: str
    path: str
    version: str
    #: Of the model file that made the prediction.
    model_sha256: str


def request(image_id: int, finding: str) -> HeatMap | None:
    """Return the heat map of a scored film and a finding of its model, asking for it if it is new or had failed.

    Returns:
        None when there is no such film, it has no prediction, or its prediction has no such finding.
    """
    try:
        with transaction() as session:
            row = _find_or_add(session, image_id, finding)
    except IntegrityError:  # Somebody asked at the same moment.
        with reading() as session:
            row = find(session, image_id, finding)
    if row is not None and row.state == HeatMapState.ASKED:
        wakeups.wake_for_heat_maps()
    return row


def _find_or_add(session: Session, image_id: int, finding: str) -> HeatMap | None:
    image = session.get(Image, image_id, options=[joinedload(Image.prediction)])
    if image is None or image.prediction is None:
        return None
    if finding not in image.prediction.probabilities:
        return None
    row = find(session, image_id, finding)
    if row is None:
        row = HeatMap(prediction_id=image.prediction.id, finding=finding)
        session.add(row)
    elif row.state == HeatMapState.FAILED:
        row.state, row.attempts, row.lease_until = HeatMapState.ASKED, 0, None
        row.finished_at = row.detail = None
    session.flush()
    return row


def find(session: Session, image_id: int, finding: str) -> HeatMap | None:
    """Return the heat map of a film and a finding, if it was ever asked for."""
    return session.scalar(
        select(HeatMap)
        .join(Image, Image.prediction_id == HeatMap.prediction_id)
        .where(Image.id == image_id, HeatMap.finding == finding)
        .options(joinedload(HeatMap.prediction).joinedload(Prediction.model_version))
    )


def any_requested(session: Session) -> bool:
    """Tell whether a heat map could be claimed now."""
    return session.scalar(select(HeatMap.id).where(_claimable()).limit(1)) is not None


@through_outages
def claim() -> HeatMapRequest | None:
    """Lease the heat map that was asked for first, counting the attempt; None when none is asked for."""
    with transaction() as session:
        while row := session.scalar(
            select(HeatMap).where(_claimable()).order_by(HeatMap.id).limit(1).with_for_update(skip_locked=True)
        ):
            if row.attempts < MAX_ATTEMPTS:
                row.attempts += 1
                row.lease_until = now() + timedelta(seconds=LEASE_SECONDS)
                return _request(session, row)
            _end(session, row.id, HeatMapState.FAILED, f"the process died {row.attempts} times while it drew this")
        return None


def _claimable() -> ColumnElement[bool]:
    free = HeatMap.lease_until.is_(None) | (HeatMap.lease_until < now())
    return (HeatMap.state == HeatMapState.ASKED) & free


def _request(session: Session, row: HeatMap) -> HeatMapRequest:
    """Return where one of the films with the prediction's content lies, and the version to ask."""
    image = session.scalars(select(Image).where(Image.prediction_id == row.prediction_id).limit(1)).one()
    prediction, version = row.prediction, row.prediction.model_version
    return HeatMapRequest(
        row.id, row.finding, prediction.image_sha256, image.root, image.path, version.version, version.sha256
    )


@through_outages
def finish(heat_map_id: int) -> None:
    """Record that the file is there."""
    with transaction() as session:
        _end(session, heat_map_id, HeatMapState.DONE, None)


@through_outages
def fail(heat_map_id: int, detail: str) -> None:
    """Record why there is none; asking again tries again."""
    with transaction() as session:
        _end(session, heat_map_id, HeatMapState.FAILED, detail[:512])


def _end(session: Session, heat_map_id: int, state: HeatMapState, detail: str | None) -> None:
    session.execute(
        update(HeatMap)
        .where(HeatMap.id == heat_map_id, HeatMap.state == HeatMapState.ASKED)
        .values(state=state, detail=detail, finished_at=now(), lease_until=None)
    )


def heat_map_path(heat_maps_dir: Path, image_sha256: str, version: str, finding: str) -> Path:
    """Return where a heat map lies: named by the image's content, the model version and the finding."""
    name = hashlib.sha256(f"{version}|{finding}".encode()).hexdigest()[:16]
    return heat_maps_dir / image_sha256[:2] / f"{image_sha256}-{name}.png"
