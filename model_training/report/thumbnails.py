"""Small pictures of a few films beside a run's report: its worst errors, and one film of each class before and after.

They are real films. They stay in the run's directory, are never committed to a repository, and no published page
shows them.
"""

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from model_training.data.films import Size
from worker.decoding import Grey, Limits, decode, resize
from worker.errors import RejectedImage
from worker.models.documents.report import Report
from worker.settings import settings

THUMBNAILS_DIR = "thumbnails"
#: Longest side: enough to see what a film shows, too little to read it.
SIDE_PIXELS = 256


def error_file(index: int) -> str:
    """Return the name of the picture of a worst error, by its index from 0."""
    return f"error-{index + 1:02}.png"


def sample_files(index: int) -> tuple[str, str]:
    """Return the names of the two pictures of a sample, by its index from 0: the film, and the network's input."""
    return f"sample-{index + 1:02}-found.png", f"sample-{index + 1:02}-seen.png"


def save(report: Report, folder: Path, size: Size, directory: Path) -> None:
    """Write the pictures of a report's worst errors and samples into the folder `thumbnails` of a directory.

    A film that is gone, or cannot be read any more, has no picture.

    Args:
        report: names the films, below `folder`, in `worst_errors` and in `data.samples`.
        folder: the data folder, or the manifest in it.
        size: height and width of the network's input in pixels.
        directory: the directory of the run.
    """
    root = folder.parent if folder.is_file() else folder
    target = directory / THUMBNAILS_DIR
    target.mkdir(parents=True, exist_ok=True)
    for name, film in _pictures(report, root, size):
        Image.fromarray(film).save(target / name, "PNG")


def _pictures(report: Report, root: Path, size: Size) -> Iterator[tuple[str, Grey]]:
    for index, error in enumerate(report.worst_errors or ()):
        if (film := _film(root / error.film)) is not None:
            yield error_file(index), _small(film)
    for index, sample in enumerate(report.data.samples if report.data else ()):
        if (film := _film(root / sample.film)) is not None:
            original, resized = sample_files(index)
            yield original, _small(film)
            yield resized, resize(film, size)


def _film(path: Path) -> Grey | None:
    try:
        return decode(path.read_bytes(), Limits(settings().max_file_bytes, settings().max_pixels))
    except (OSError, RejectedImage):
        return None


def _small(film: Grey) -> Grey:
    """Return a film whose longest side is at most `SIDE_PIXELS`, with its aspect ratio."""
    height, width = film.shape
    scale = min(1.0, SIDE_PIXELS / max(height, width))
    return resize(film, (max(1, round(height * scale)), max(1, round(width * scale))))
