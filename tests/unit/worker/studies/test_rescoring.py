"""What one version scored is scored by another on request; neither result is lost."""

import io
from datetime import timedelta

import pytest
from PIL import Image as Picture
from sqlalchemy import select

from worker.database import now, reading, transaction
from worker.films.phantoms import draw
from worker.models import directory, registry
from worker.settings import settings
from worker.studies import rescoring
from worker.studies.records import Image, Priority, Study
from worker.submissions import intake


@pytest.fixture
def scored(eager, phantom_model):
    """Three studies of one film each, scored by the phantoms' version; returns its name."""
    films = {}
    for seed in range(3):
        buffer = io.BytesIO()
        Picture.fromarray(draw("Opacity", seed)).save(buffer, "PNG")
        films[str(seed)] = buffer.getvalue()
    intake.submit_files(films.items(), source="test", request_id=None, priority=Priority.URGENT)
    return phantom_model


@pytest.fixture
def other(scored):
    """Another version is active: the paper's network."""
    with transaction() as session:
        row = registry.import_model(session, directory.SHIPPED_PAPER, settings().models_dir)
        return registry.promote(session, row.version, "t").version


def versions():
    """Return the version of each film's result, and of all that are kept."""
    with reading() as session:
        images = session.scalars(select(Image).order_by(Image.id)).all()
        now_ = [image.prediction.model_version.version for image in images]
        kept = [[made.model_version.version for made in rescoring.history(session, image.study_id)[image.id]]
                for image in images]  # fmt: skip
        return now_, kept


def test_a_study_is_scored_by_the_active_version_and_the_first_result_stays(scored, other):
    assert 1 == rescoring.request([2])

    current, kept = versions()
    assert [scored, other, scored] == current
    assert [[scored], [other, scored], [scored]] == kept


def test_the_studys_result_is_the_new_versions(scored, other):
    """Findings that only the earlier version knew do not decide any more."""
    rescoring.request([1])

    with reading() as session:
        study = session.get_one(Study, 1)
        assert "Opacity" not in study.findings
        assert ("scored", study.images[0].prediction.label) == (study.state, study.label)


def test_all_of_a_time_are_scored_again_and_what_the_active_version_scored_is_left(scored, other):
    rescoring.request([1])

    assert 0 == rescoring.request(since=now() + timedelta(hours=1))
    assert 2 == rescoring.request(since=now() - timedelta(hours=1), until=now() + timedelta(hours=1))
    assert 0 == rescoring.request(since=now() - timedelta(hours=1))
    assert [other] * 3 == versions()[0]


def test_what_waits_for_its_first_result_comes_before(scored, other):
    rescoring.request([1])

    with reading() as session:
        assert Priority.OFFPEAK == session.get_one(Image, 1).priority


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"other")])
def test_a_film_that_is_gone_or_changed_keeps_its_first_result(scored, other, spoil):
    with reading() as session:
        image = session.get_one(Image, 1)
        content = image.sha256
        spoil(settings().archive_dir / image.path)

    rescoring.request([1, 2])

    assert [scored, other, scored] == versions()[0]
    with reading() as session:
        image = session.get_one(Image, 1)
        assert (content, None) == (image.sha256, image.rejection)
        assert "scored" == image.study.state
