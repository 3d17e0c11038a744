"""The pictures of a film: the preview made with its score, and the large picture that a worker makes on demand."""

from http import HTTPStatus
from pathlib import Path

from flask import Blueprint, abort, send_file, url_for
from flask.typing import ResponseReturnValue

from dashboard.accounts.access import READERS, requires
from worker import wakeups
from worker.database import reading
from worker.films.archive import detail_path, preview_path
from worker.settings import settings
from worker.studies.records import Image, ImageState

blueprint = Blueprint("pictures", __name__)

ADDRESS = "/films/<row_id:image_id>"


@blueprint.get(f"{ADDRESS}/preview.jpg")
@requires(READERS)
def preview(image_id: int) -> ResponseReturnValue:
    """Return the preview that the worker made when it scored the film."""
    return _send(preview_path(settings().previews_dir, _film(image_id).sha256 or ""))


@blueprint.post(f"{ADDRESS}/detail")
@requires(READERS, polled=True)
def request_detail(image_id: int) -> ResponseReturnValue:
    """Request the large picture: 202 while it is being made, 200 with its address once it is there."""
    image = _film(image_id)
    answer = _answer(image)
    if answer["picture"]:
        return answer, HTTPStatus.OK
    if image.state != ImageState.SCORED:  # No decoder has read this film successfully.
        abort(404)
    if not wakeups.wake_for_full_picture(image.id):
        abort(503)
    return answer, HTTPStatus.ACCEPTED


@blueprint.get(f"{ADDRESS}/detail")
@requires(READERS, polled=True)
def detail_state(image_id: int) -> ResponseReturnValue:
    """Return whether the large picture is there."""
    return _answer(_film(image_id))


@blueprint.get(f"{ADDRESS}/detail.jpg")
@requires(READERS, polled=True, audited="view film in full")
def detail(image_id: int) -> ResponseReturnValue:
    """Return the large picture."""
    return _send(detail_path(settings().previews_dir, _film(image_id).sha256 or ""))


def _film(image_id: int) -> Image:
    with reading() as session:
        return session.get(Image, image_id) or abort(404)


def _answer(image: Image) -> dict[str, object]:
    exists = detail_path(settings().previews_dir, image.sha256 or "").is_file()
    return {
        "state": "done" if exists else "asked",
        "picture": url_for("pictures.detail", image_id=image.id) if exists else None,
    }


def _send(path: Path) -> ResponseReturnValue:
    if not path.is_file():
        abort(404)
    return send_file(path, mimetype="image/jpeg")
