"""Stores pictures of decoded films for the pages, since the dashboard itself decodes nothing."""

from pathlib import Path

from PIL import Image

from worker.decoding.limits import Grey
from worker.films.archive import detail_path, preview_path
from worker.storage import atomic_files, disk

#: The longest side of a preview: enough to recognise a film, and small enough to store for every film.
PREVIEW_SIDE_PIXELS = 512
PREVIEW_JPEG_QUALITY = 85
#: The longest side of the full-size picture that a reader zooms into: about what a diagnostic monitor shows at once.
DETAIL_SIDE_PIXELS = 2048
DETAIL_JPEG_QUALITY = 92


def save_preview(film: Grey, sha256: str, previews_dir: Path) -> None:
    """Store a small JPEG of a decoded film, unless there is one already.

    Raises:
        NotStored: the disk is full or read-only.
    """
    _put(film, preview_path(previews_dir, sha256), PREVIEW_SIDE_PIXELS, PREVIEW_JPEG_QUALITY)


def save_detail(film: Grey, sha256: str, previews_dir: Path) -> None:
    """Store the full-size picture of a decoded film, unless there is one already.

    Raises:
        NotStored: the disk is full or read-only.
    """
    _put(film, detail_path(previews_dir, sha256), DETAIL_SIDE_PIXELS, DETAIL_JPEG_QUALITY)


def _put(film: Grey, target: Path, side: int, quality: int) -> None:
    if target.is_file():
        return
    image = Image.fromarray(film)
    image.thumbnail((side, side))
    with disk.storing("the picture"), atomic_files.replacing(target, durable=False) as staging:
        image.save(staging, "JPEG", quality=quality)
