"""Previews and full-size pictures for the pages."""

import io

import numpy as np
import pytest
from PIL import Image as Picture
from sqlalchemy import select

from worker.database import reading
from worker.films.archive import detail_path, preview_path
from worker.films.phantoms import draw
from worker.films.previews import DETAIL_SIDE_PIXELS, PREVIEW_SIDE_PIXELS
from worker.settings import settings
from worker.studies.records import Image, Priority
from worker.submissions import intake
from worker.tasks.scoring import draw_full_picture


@pytest.fixture
def film(eager, phantom_model):
    """A scored JPEG of 3000 pixels, taller than it is wide, whose preview is gone."""
    drawn = Picture.fromarray(draw("Opacity", 1)).resize((2400, 3000), Picture.Resampling.BICUBIC)
    buffer = io.BytesIO()
    drawn.save(buffer, "JPEG", quality=90)
    intake.submit_files([("a", buffer.getvalue())], source="t", request_id=None, priority=Priority.ROUTINE)
    with reading() as session:
        image = session.scalars(select(Image)).one()
    assert "scored" == image.state
    preview_path(settings().previews_dir, image.sha256).unlink()
    return image, np.asarray(drawn)


def test_a_full_size_picture_has_more_detail_than_the_network_needs(film):
    """It is decoded at a larger scale than for scoring, and a missing preview is made with it."""
    image, drawn = film
    draw_full_picture(image.id)

    with Picture.open(detail_path(settings().previews_dir, image.sha256)) as detail:
        assert (DETAIL_SIDE_PIXELS * 4 // 5, DETAIL_SIDE_PIXELS) == detail.size
        expected = np.asarray(Picture.fromarray(drawn).resize(detail.size), int)
        assert np.abs(np.asarray(detail, int) - expected).mean() < 3
    with Picture.open(preview_path(settings().previews_dir, image.sha256)) as preview:
        assert PREVIEW_SIDE_PIXELS == max(preview.size)


def test_a_film_whose_file_changed_or_is_gone_has_no_other_picture(film, caplog):
    """Only the film that was scored is shown."""
    image, _ = film
    path = settings().archive_dir / image.path
    path.write_bytes(b"another file")
    draw_full_picture(image.id)
    path.unlink()
    draw_full_picture(image.id)

    assert not detail_path(settings().previews_dir, image.sha256).exists()
    assert 2 == caplog.text.count("the full-size picture of a film cannot be drawn")


def test_a_film_that_does_not_exist_is_no_error(database):
    """A message may name a film that was never committed."""
    draw_full_picture(4711)
