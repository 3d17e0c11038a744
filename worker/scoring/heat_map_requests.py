"""Requests for heat maps, one for each prediction and finding: asked for, claimed by a worker, done or failed."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from worker import wakeups
from worker.database import clock, now, reading, through_outages, transaction
from worker.models.documents.card import ModelCard
from worker.scoring.records import HeatMap, HeatMapState
from worker.studies.records import Image, Prediction

#: A heat map fails after it was claimed this often without a result: drawing it kills the process.
MAX_ATTEMPTS = 3
#: A claimed heat map that is not finished after this time can be claimed again; drawing one takes seconds.
LEASE_SECONDS = 150


@dataclass(frozen=True)
class HeatMapRequest:
    """What a worker needs to draw one heat map."""

    heat_map_id: int
    finding: str
    image_sha256: str
    #: The name of a configured root folder, and the path of the film below it.
    root: str
    path: str
    #: The card of the model version that made the prediction.
    card: ModelCard


def request(image_id: int, finding: str) -> HeatMap | None:
    """Return the heat map of a scored film and a finding; request it if it is new or has failed.

    Returns:
        None if there is no such film, it has no prediction, or its prediction has no such finding.
    """
    try:
        with transaction() as session:
            row = _find_or_add(session, image_id, finding)
    except IntegrityError:  # Someone else requested it at the same moment.
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
    """Return the heat map of a film and a finding, or None if nobody has requested it."""
    return session.scalar(
        select(HeatMap)
        .join(Image, Image.prediction_id == HeatMap.prediction_id)
        .where(Image.id == image_id, HeatMap.finding == finding)
        .options(joinedload(HeatMap.prediction).joinedload(Prediction.model_version))
    )


def any_requested(session: Session) -> bool:
    """Return whether a heat map can be claimed now."""
    return session.scalar(select(HeatMap.id).where(_claimable()).limit(1)) is not None


@through_outages
def claim() -> HeatMapRequest | None:
    """Lease the oldest requested heat map and count the attempt; return None if there is none."""
    with transaction() as session:
        while row := session.scalar(
            select(HeatMap).where(_claimable()).order_by(HeatMap.id).limit(1).with_for_update(skip_locked=True)
        ):
            if row.attempts < MAX_ATTEMPTS:
                row.attempts += 1
                row.lease_until = clock(timedelta(seconds=LEASE_SECONDS))
                return _request(session, row)
            _end(session, row.id, HeatMapState.FAILED, f"the process died {row.attempts} times while it drew this")
        return None


def _claimable() -> ColumnElement[bool]:
    free = HeatMap.lease_until.is_(None) | (HeatMap.lease_until < clock())
    return (HeatMap.state == HeatMapState.ASKED) & free


def _request(session: Session, row: HeatMap) -> HeatMapRequest:
    """Return what is needed to draw a heat map, with the path of any one film that has the prediction's content."""
    image = session.scalars(select(Image).where(Image.prediction_id == row.prediction_id).limit(1)).one()
    prediction = row.prediction
    return HeatMapRequest(
        row.id, row.finding, prediction.image_sha256, image.root, image.path, prediction.model_version.card
    )


@through_outages
def finish(heat_map_id: int) -> None:
    """Record that the heat map's file is stored."""
    with transaction() as session:
        _end(session, heat_map_id, HeatMapState.DONE, None)


@through_outages
def fail(heat_map_id: int, detail: str) -> None:
    """Record why the heat map could not be drawn; the next request tries again."""
    with transaction() as session:
        _end(session, heat_map_id, HeatMapState.FAILED, detail[:512])


def _end(session: Session, heat_map_id: int, state: HeatMapState, detail: str | None) -> None:
    session.execute(
        update(HeatMap)
        .where(HeatMap.id == heat_map_id, HeatMap.state == HeatMapState.ASKED)
        .values(state=state, detail=detail, finished_at=now(), lease_until=None)
    )


def heat_map_path(heat_maps_dir: Path, image_sha256: str, version: str, finding: str) -> Path:
    """Return where a heat map is stored; its name follows from the image content, the model version and the finding."""
    name = hashlib.sha256(f"{version}|{finding}".encode()).hexdigest()[:16]
    return heat_maps_dir / image_sha256[:2] / f"{image_sha256}-{name}.png"
