"""Pictures of films for the pages, which decode nothing themselves: a small one of each, a full one on demand."""

import logging
from dataclasses import replace
from pathlib import Path

from PIL import Image

from worker import archive
from worker.archive import detail_path, preview_path, temporary_beside
from worker.database import reading
from worker.decoding import Grey, Limits, decode
from worker.errors import RejectedImage, TryAgainLater
from worker.records import Image as Film
from worker.settings import Settings

logger = logging.getLogger(__name__)

#: Longest side of a preview: enough to recognise a film by, little enough to keep for every film.
PREVIEW_SIDE_PIXELS = 512
PREVIEW_JPEG_QUALITY = 85
#: Of the picture that a reader zooms into: what a monitor for reading shows of a film at once.
DETAIL_SIDE_PIXELS = 2048
DETAIL_JPEG_QUALITY = 92


def put_preview(film: Grey, sha256: str, previews_dir: Path) -> None:
    """Store a small JPEG of a decoded film, once for each content.

    Raises:
        TryAgainLater: the disk is full or read-only.
    """
    _put(film, preview_path(previews_dir, sha256), PREVIEW_SIDE_PIXELS, PREVIEW_JPEG_QUALITY)


def put_pictures(image_id: int, settings: Settings) -> None:
    """Store both pictures of a film whose content was decoded before; what cannot be read now is logged, no more."""
    with reading() as session:
        image = session.get(Film, image_id)
    if image is None or image.sha256 is None:
        return
    if all(path(settings.previews_dir, image.sha256).is_file() for path in (detail_path, preview_path)):
        return
    limits = Limits(settings.max_file_bytes, settings.max_pixels)
    try:
        data = archive.read_again(image.root, image.path, image.sha256, archive.all_roots(settings), limits.max_bytes)
        film = decode(data, replace(limits, jpeg_side_pixels=DETAIL_SIDE_PIXELS))
        _put(film, detail_path(settings.previews_dir, image.sha256), DETAIL_SIDE_PIXELS, DETAIL_JPEG_QUALITY)
        put_preview(film, image.sha256, settings.previews_dir)
    except (RejectedImage, TryAgainLater) as error:
        logger.warning("a film has no picture in full: %s", error)


def _put(film: Grey, target: Path, side: int, quality: int) -> None:
    if target.is_file():
        return
    image = Image.fromarray(film)
    image.thumbnail((side, side))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary_beside(target) as staging:
            image.save(staging, "JPEG", quality=quality)
            staging.replace(target)
    except OSError as error:
        raise TryAgainLater("the picture cannot be stored") from error
