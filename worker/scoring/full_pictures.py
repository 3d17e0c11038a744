"""Draws the full-size pictures into which a reader zooms, on request. Does not import Celery."""

import logging
from dataclasses import replace

from worker.database import reading
from worker.decoding import Limits, decode
from worker.errors import RejectedImage, TryAgainLater
from worker.films import archive
from worker.films.archive import detail_path, preview_path
from worker.films.previews import DETAIL_SIDE_PIXELS, save_detail, save_preview
from worker.settings import Settings
from worker.studies.records import Image

logger = logging.getLogger(__name__)


def draw(image_id: int, settings: Settings) -> None:
    """Store the full-size picture and the preview of a film that was decoded before.

    A film that cannot be read now is logged; the next request tries again.
    """
    with reading() as session:
        image = session.get(Image, image_id)
    if image is None or image.sha256 is None:
        return
    if all(path(settings.previews_dir, image.sha256).is_file() for path in (detail_path, preview_path)):
        return
    limits = Limits(settings.max_file_bytes, settings.max_pixels)
    try:
        data = archive.read_verified(image.root, image.path, image.sha256, settings.roots, limits.max_bytes)
        film = decode(data, replace(limits, jpeg_side_pixels=DETAIL_SIDE_PIXELS))
        save_detail(film, image.sha256, settings.previews_dir)
        save_preview(film, image.sha256, settings.previews_dir)
    except (RejectedImage, TryAgainLater) as error:
        logger.warning("the full-size picture of a film cannot be drawn: %s", error)
