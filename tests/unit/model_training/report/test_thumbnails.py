"""The small pictures beside a run's report."""

import pytest
from PIL import Image

from model_training.report import thumbnails
from worker.models.documents.report import DataSummary, Report, Sample, WorstError

REPORT = Report(
    worst_errors=[
        WorstError(film=f"test/A/{name}.png", truth="A", predicted="B", probability=0.9, truth_probability=0.1)
        for name in ("wide", "gone", "broken")
    ],
    data=DataSummary(counts={}, samples=[Sample(class_name="A", film="test/A/wide.png")]),
)


@pytest.fixture
def films(tmp_path):
    """A wide film, and a file that is not a film."""
    folder = tmp_path / "data" / "test" / "A"
    folder.mkdir(parents=True)
    Image.linear_gradient("L").resize((600, 300)).save(folder / "wide.png")
    (folder / "broken.png").write_text("no film")
    return tmp_path / "data"


def test_pictures_are_small_and_a_film_that_is_gone_has_none(films, tmp_path):
    """One picture has the film's own aspect ratio, the other is the network's input."""
    thumbnails.save(REPORT, films, (64, 64), tmp_path / "run")

    sizes = {}
    for path in (tmp_path / "run" / "thumbnails").iterdir():
        with Image.open(path) as picture:
            sizes[path.name] = picture.size
    assert {
        "error-01.png": (256, 128),
        "sample-01-found.png": (256, 128),
        "sample-01-seen.png": (64, 64),
    } == sizes


def test_films_are_found_beside_a_manifest(films, tmp_path):
    """The data may be given as the manifest file."""
    (films / "manifest.csv").write_text("file,class\n")

    thumbnails.save(REPORT, films / "manifest.csv", (64, 64), tmp_path / "run")

    assert (tmp_path / "run" / "thumbnails" / "error-01.png").is_file()
