"""Publishing, registering, promoting and rolling back model versions."""

import json
import shutil

import pytest

from worker.commands.model_choice import resolve
from worker.database import reading, transaction
from worker.errors import ModelUnavailable
from worker.models import directory as model_directory
from worker.models import promotion, registry
from worker.models.classifier import Classifier
from worker.scoring.active_model import ActiveModel
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


def change_card(directory, **changes):
    """Change the card of a model directory, as somebody who can write there would."""
    path = directory / model_directory.CARD_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    "change",
    [
        lambda card: {"classes": list(reversed(card["classes"]))},
        lambda card: {"film_check": None},
        lambda card: {"input_size": [32, 32]},
        lambda card: {"trained_on": "phantoms"},
    ],
    ids=["classes in another order", "no film check", "another size", "other data"],
)
def test_a_card_that_was_changed_after_registration_is_not_believed(database, change):
    """The registry has the fields that decide a result, so that writing to the disk mislabels no prediction."""
    with transaction() as session:
        row = registry.import_model(session, model_directory.SHIPPED_FILMS, settings().models_dir)
        card = row.card
    directory = settings().models_dir / card.version
    change_card(directory, **change(card.stored()))

    with pytest.raises(ModelUnavailable, match="not the card that was registered"):
        Classifier.load(directory, registered=card)
    with pytest.raises(ModelUnavailable, match="not the card that was registered"):
        ActiveModel(settings()).load_current()
    with pytest.raises(ModelUnavailable, match="not the card that was registered"):
        resolve("active")
    with pytest.raises(ModelUnavailable, match="not the card that was registered"), transaction() as session:
        registry.register(session, directory)


def test_a_reworded_card_is_the_same_model(database):
    """A later release may say more of a network's limits."""
    with transaction() as session:
        card = registry.import_model(session, model_directory.SHIPPED_PHANTOMS, settings().models_dir).card
    change_card(settings().models_dir / card.version, limits=["Research use only."])

    assert resolve("active") == settings().models_dir / card.version


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
