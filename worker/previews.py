"""Small pictures of decoded films, stored by the worker for the pages, which decode nothing themselves."""

from pathlib import Path

from PIL import Image

from worker.archive import preview_path, temporary_beside
from worker.decoding import Grey
from worker.errors import TryAgainLater

#: Longest side of a preview: enough to recognise a film by, little enough to keep for every film.
PREVIEW_SIDE_PIXELS = 512
PREVIEW_JPEG_QUALITY = 85


def put_preview(film: Grey, sha256: str, previews_dir: Path) -> None:
    """Store a small JPEG of a decoded film, once for each content.

    Raises:
        TryAgainLater: the disk is full or read-only.
    """
    target = preview_path(previews_dir, sha256)
    if target.is_file():
        return
    image = Image.fromarray(film)
    image.thumbnail((PREVIEW_SIDE_PIXELS, PREVIEW_SIDE_PIXELS))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary_beside(target) as staging:
            image.save(staging, "JPEG", quality=PREVIEW_JPEG_QUALITY)
            staging.replace(target)
    except OSError as error:
        raise TryAgainLater("the preview cannot be stored") from error
