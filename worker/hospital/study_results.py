"""Reads the result of a part from the ledger, with the identities of its films, and the film for the picture."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from PIL import Image as Picture
from PIL import UnidentifiedImageError
from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, undefer

from worker.database import now
from worker.errors import ScoringError
from worker.films.archive import detail_path, preview_path
from worker.hospital.identity import Identity
from worker.hospital.records import Arrival, ArrivalPart
from worker.hospital.reported_study import ReportedModel, ReportedStudy, ScoredFilm
from worker.hospital.summary_picture import ShownFilm
from worker.models.operating_points import decisions, operating_points
from worker.scoring import heat_map_requests
from worker.scoring.heat_map_requests import heat_map_path
from worker.scoring.records import HeatMapState
from worker.settings import Settings
from worker.studies.records import NO_FINDINGS, Image, Prediction, Study

#: How long a picture waits for its film and its heat map. Then it goes without the heat map, but not without the film.
PATIENCE: Final = timedelta(minutes=2)


class NothingToSend(ScoringError):
    """There is no result that could be sent.

    Attributes:
        code: why.
    """

    def __init__(self, code: str) -> None:
        """Keep the code."""
        super().__init__(code)
        self.code = code


class NotReady(ScoringError):
    """The film or the heat map of the picture is still to be drawn."""


def read_study(
    session: Session, part_id: int, open_identity: Callable[[bytes], Identity], settings: Settings
) -> ReportedStudy:
    """Return the result of a part whose study is finished.

    Args:
        session: only reads.
        part_id: of a closed part.
        open_identity: opens a sealed identity; what it raises is raised.
        settings: for the time zone.

    Raises:
        NothingToSend: no film was scored, or the identity of a film was deleted or is not complete.
    """
    part = session.get_one(ArrivalPart, part_id)
    study = _study(session, part)
    arrivals = session.scalars(
        select(Arrival)
        .where(Arrival.part_id == part_id, Arrival.image_id.is_not(None))
        .order_by(Arrival.id)
        .options(undefer(Arrival.identity), joinedload(Arrival.image).joinedload(Image.rejection))
        .options(joinedload(Arrival.image).joinedload(Image.prediction).joinedload(Prediction.model_version))
    ).all()
    scored, rejected = [], []
    for arrival in arrivals:
        if arrival.image and arrival.image.prediction:
            scored.append(_scored(session, arrival, arrival.image.prediction, open_identity))
        elif arrival.image and arrival.image.rejection:
            rejected.append(arrival.image.rejection.reason)
    if not scored:
        raise NothingToSend("no_film_was_scored")
    points = operating_points(session, study.model_version_id)
    findings = sorted(
        ((finding, float(deciding["probability"])) for finding, deciding in study.findings.items()),
        key=lambda pair: (-pair[1], pair[0]),
    )
    finished_at: datetime = study.finished_at or now()
    return ReportedStudy(
        scored, rejected, decisions(findings, points), finished_at.astimezone(ZoneInfo(settings.timezone))
    )


def _study(session: Session, part: ArrivalPart) -> Study:
    study = session.scalar(select(Study).where(Study.submission_id == part.submission_id))
    if study is None:
        raise NothingToSend("no_film_was_scored")
    return study


def _scored(
    session: Session, arrival: Arrival, prediction: Prediction, open_identity: Callable[[bytes], Identity]
) -> ScoredFilm:
    if arrival.identity is None:
        raise NothingToSend("identity_gone")
    identity = open_identity(arrival.identity)
    if not (identity.study_instance_uid and identity.series_instance_uid and identity.sop_instance_uid):
        raise NothingToSend("identity_incomplete")
    card = prediction.model_version.card
    points = operating_points(session, prediction.model_version_id)
    figures = [(name, prediction.probabilities[name]) for name in card.classes if name in prediction.probabilities]
    return ScoredFilm(identity, ReportedModel(card.version, card.network, card.trained_on), decisions(figures, points))


def shown_film(session: Session, part_id: int, settings: Settings, waits_since: datetime) -> ShownFilm:
    """Return the film that decides about the leading finding, with its heat map.

    A heat map that nobody has requested is requested.

    Args:
        session: only reads.
        part_id: of a part with a scored film.
        settings: for the folders of pictures.
        waits_since: since when the picture is owed.

    Raises:
        NotReady: the preview or the heat map is still to be drawn.
        NothingToSend: there is no preview after `PATIENCE`.
    """
    study = _study(session, session.get_one(ArrivalPart, part_id))
    finding = study.label or ""
    image = session.get_one(Image, study.findings[finding]["image_id"])
    patient = now() < max(waits_since, study.finished_at or waits_since) + PATIENCE
    sha256 = image.sha256 or ""
    film = _picture(detail_path(settings.previews_dir, sha256)) or _picture(preview_path(settings.previews_dir, sha256))
    if film is None:
        if patient:
            raise NotReady("the preview is not drawn yet")
        raise NothingToSend("no_preview")
    heat = None if finding == NO_FINDINGS else _heat(session, image.id, finding, settings, patient=patient)
    return ShownFilm(film, heat)


def _heat(session: Session, image_id: int, finding: str, settings: Settings, *, patient: bool) -> Picture.Image | None:
    row = heat_map_requests.find(session, image_id, finding)
    if row is None and patient:
        heat_map_requests.request(image_id, finding)
    if row is None or row.state == HeatMapState.ASKED:
        if patient:
            raise NotReady("the heat map is not drawn yet")
        return None
    if row.state != HeatMapState.DONE:
        return None
    prediction = row.prediction
    path = heat_map_path(settings.heat_maps_dir, prediction.image_sha256, prediction.model_version.version, finding)
    return _picture(path)


def _picture(path: Path) -> Picture.Image | None:
    """Return a stored picture, read to its end; None if it is missing or damaged."""
    try:
        with Picture.open(path) as picture:
            return picture.convert("L")
    except (OSError, UnidentifiedImageError):
        return None
