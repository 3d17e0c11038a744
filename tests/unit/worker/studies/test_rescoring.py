"""Studies are scored again by another version on request; both predictions stay."""

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
        return registry.activate(session, row.version, "t").version


def versions():
    """Return, for each film, the version of its result and the versions of all its predictions."""
    with reading() as session:
        images = session.scalars(select(Image).order_by(Image.id)).all()
        current = [image.prediction.model_version.version for image in images]
        history = [
            [prediction.model_version.version for prediction in rescoring.history(session, image.study_id)[image.id]]
            for image in images
        ]
        return current, history


def test_a_study_is_scored_by_the_active_version_and_its_first_prediction_stays(scored, other):
    """Other studies are left alone."""
    assert 1 == rescoring.request([2])

    current, history = versions()
    assert [scored, other, scored] == current
    assert [[scored], [other, scored], [scored]] == history


def test_the_studys_result_is_that_of_the_new_version(scored, other):
    """Findings that only the earlier version had no longer decide."""
    rescoring.request([1])

    with reading() as session:
        study = session.get_one(Study, 1)
        assert "Opacity" not in study.findings
        assert ("scored", study.images[0].prediction.label) == (study.state, study.label)


def test_studies_of_a_period_are_scored_again_unless_the_active_version_did(scored, other):
    """The period is that in which the films were finished."""
    rescoring.request([1])

    assert 0 == rescoring.request(since=now() + timedelta(hours=1))
    assert 2 == rescoring.request(since=now() - timedelta(hours=1), until=now() + timedelta(hours=1))
    assert 0 == rescoring.request(since=now() - timedelta(hours=1))
    assert [other] * 3 == versions()[0]


def test_films_without_a_result_are_scored_before(scored, other):
    """A film to score again has the lowest priority."""
    rescoring.request([1])

    with reading() as session:
        assert Priority.OFFPEAK == session.get_one(Image, 1).priority


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_bytes(b"other")])
def test_a_film_that_is_gone_or_changed_keeps_its_first_result(scored, other, spoil):
    """It cannot be scored again, and is not rejected for that."""
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
