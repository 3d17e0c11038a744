"""Publishing, registering, promoting and rolling back model versions."""

import json
import shutil

import pytest

from worker.database import reading, transaction
from worker.errors import ModelUnavailable
from worker.models import directory as model_directory
from worker.models import promotion, registry
from worker.settings import settings


@pytest.fixture
def versions(database, tmp_path):
    """Three registered versions: the shipped phantom network under three names."""
    names = []
    for name in ("a", "b", "c"):
        directory = tmp_path / name
        shutil.copytree(model_directory.SHIPPED_PHANTOMS, directory)
        card = json.loads((directory / model_directory.CARD_FILE).read_text()) | {"version": f"test-{name}"}
        (directory / model_directory.CARD_FILE).write_text(json.dumps(card))
        with transaction() as session:
            names.append(registry.import_model(session, directory, settings().models_dir).version)
    return names


def active():
    with reading() as session:
        row = registry.active(session)
        return row.version if row else None


def promote(version):
    with transaction() as session:
        registry.activate(session, version, by="test")


def rollback():
    with transaction() as session:
        promotion.rollback(session, by="test")


def test_the_first_import_becomes_active_and_later_ones_do_not(versions):
    """A fresh database has a model to score with; nothing else promotes itself."""
    assert "test-a" == active()


def test_rollback_returns_to_what_was_replaced_and_further_back_each_time(versions):
    """Two promotions are undone by two rollbacks."""
    promote("test-b")
    promote("test-c")
    rollback()
    assert "test-b" == active()
    rollback()
    assert "test-a" == active()

    with pytest.raises(ModelUnavailable, match="no earlier version"):
        rollback()


def test_promoting_the_active_version_changes_nothing(versions):
    """A repeated promotion leaves the way back as it was."""
    promote("test-b")
    promote("test-b")
    rollback()

    assert "test-a" == active()


def test_an_unknown_version_cannot_be_promoted(versions):
    """A typing error does not leave the worker without a model."""
    with pytest.raises(ModelUnavailable):
        promote("test-z")

    assert "test-a" == active()


def test_a_published_directory_is_complete_and_leaves_nothing_behind(versions):
    """Readers see whole directories only."""
    assert ["test-a", "test-b", "test-c"] == sorted(path.name for path in settings().models_dir.iterdir())
    path, card = model_directory.verified(settings().models_dir / "test-a")
    assert card.sha256 == model_directory.sha256_of(path)


def test_a_file_that_does_not_fit_its_card_is_not_published(database, tmp_path):
    """A damaged candidate never enters the registry."""
    directory = tmp_path / "damaged"
    shutil.copytree(model_directory.SHIPPED_PHANTOMS, directory)
    with (directory / model_directory.MODEL_FILE).open("ab") as file:
        file.write(b"x")

    with transaction() as session, pytest.raises(ModelUnavailable):
        registry.import_model(session, directory, settings().models_dir)

    assert not settings().models_dir.exists()
    assert active() is None
