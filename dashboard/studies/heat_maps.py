"""Heat maps of films: requested here, drawn by a worker, served here once they are drawn."""

from http import HTTPStatus

from flask import Blueprint, abort, send_file, url_for
from flask.typing import ResponseReturnValue

from dashboard.accounts.access import READERS, requires
from worker.database import reading
from worker.scoring import heat_map_requests
from worker.scoring.heat_map_requests import heat_map_path
from worker.scoring.records import HeatMap, HeatMapState
from worker.settings import settings
from worker.studies.records import Image

blueprint = Blueprint("heat_maps", __name__)

ADDRESS = "/studies/<row_id:study_id>/images/<row_id:image_id>/heat-maps/<finding>"


@blueprint.post(ADDRESS)
@requires(READERS, polled=True)
def request_heat_map(study_id: int, image_id: int, finding: str) -> ResponseReturnValue:
    """Request a heat map: 202 while it is being drawn, 200 with the address of its picture once it is drawn."""
    _require_film(study_id, image_id, finding)
    row = heat_map_requests.request(image_id, finding)
    if row is None:
        abort(404)
    return _answer(row, study_id, image_id), HTTPStatus.OK if _is_drawn(row) else HTTPStatus.ACCEPTED


@blueprint.get(ADDRESS)
@requires(READERS, polled=True)
def state(study_id: int, image_id: int, finding: str) -> ResponseReturnValue:
    """Return the state of a requested heat map."""
    return _answer(_find(study_id, image_id, finding), study_id, image_id)


@blueprint.get(f"{ADDRESS}/picture.png")
@requires(READERS, polled=True)
def picture(study_id: int, image_id: int, finding: str) -> ResponseReturnValue:
    """Return a heat map as PNG: grey and alpha both hold the heat; it covers the whole film."""
    row = _find(study_id, image_id, finding)
    prediction = row.prediction
    path = heat_map_path(
        settings().heat_maps_dir, prediction.image_sha256, prediction.model_version.version, row.finding
    )
    if not _is_drawn(row) or not path.is_file():
        abort(404)
    return send_file(path, mimetype="image/png")


def _require_film(study_id: int, image_id: int, finding: str) -> None:
    """Answer 404 for a film of another study, and for a finding that no card can hold (PostgreSQL stores no NUL)."""
    with reading() as session:
        image = session.get(Image, image_id)
    if image is None or image.study_id != study_id or not finding.isprintable():
        abort(404)


def _find(study_id: int, image_id: int, finding: str) -> HeatMap:
    _require_film(study_id, image_id, finding)
    with reading() as session:
        row = heat_map_requests.find(session, image_id, finding)
    return row or abort(404)


def _is_drawn(row: HeatMap) -> bool:
    return row.state == HeatMapState.DONE


def _answer(row: HeatMap, study_id: int, image_id: int) -> dict[str, object]:
    address = url_for("heat_maps.picture", study_id=study_id, image_id=image_id, finding=row.finding)
    return {
        "finding": row.finding,
        "state": row.state,
        "detail": row.detail,
        "picture": address if _is_drawn(row) else None,
    }
