"""The pictures of a film: the preview that came with its score, and the one in full, asked of a worker on demand."""

from http import HTTPStatus
from pathlib import Path
from typing import Any

from flask import Blueprint, abort, send_file, url_for
from flask.typing import ResponseReturnValue

from dashboard.accounts.access import READERS, requires
from worker import wakeups
from worker.database import reading
from worker.films.archive import detail_path, preview_path
from worker.settings import settings
from worker.studies.records import Image, ImageState

blueprint = Blueprint("pictures", __name__)

ADDRESS = "/films/<int(max=2147483647):image_id>"


@blueprint.get(f"{ADDRESS}/preview.jpg")
@requires(READERS)
def preview(image_id: int) -> ResponseReturnValue:
    """Return the small grey picture that the worker made of a film."""
    return _served(preview_path(settings().previews_dir, _film(image_id).sha256 or ""))


@blueprint.post(f"{ADDRESS}/detail")
@requires(READERS, polled=True)
def ask(image_id: int) -> ResponseReturnValue:
    """Ask for the picture in full: 202 while it is not there, 200 with its address when it is."""
    image = _film(image_id)
    answer = _answer(image)
    if answer["picture"]:
        return answer, HTTPStatus.OK
    if image.state != ImageState.SCORED:  # No decoder has come through with it.
        abort(404)
    if not wakeups.wake_for_full_picture(image.id):
        abort(503)
    return answer, HTTPStatus.ACCEPTED


@blueprint.get(f"{ADDRESS}/detail")
@requires(READERS, polled=True)
def state(image_id: int) -> ResponseReturnValue:
    """Tell whether the picture in full is there."""
    return _answer(_film(image_id))


@blueprint.get(f"{ADDRESS}/detail.jpg")
@requires(READERS, polled=True, audited="view film in full")
def detail(image_id: int) -> ResponseReturnValue:
    """Return the picture in full."""
    return _served(detail_path(settings().previews_dir, _film(image_id).sha256 or ""))


def _film(image_id: int) -> Image:
    with reading() as session:
        return session.get(Image, image_id) or abort(404)


def _answer(image: Image) -> dict[str, Any]:
    there = detail_path(settings().previews_dir, image.sha256 or "").is_file()
    return {
        "state": "done" if there else "asked",
        "picture": url_for("pictures.detail", image_id=image.id) if there else None,
    }


def _served(path: Path) -> ResponseReturnValue:
    if not path.is_file():
        abort(404)
    return send_file(path, mimetype="image/jpeg")
