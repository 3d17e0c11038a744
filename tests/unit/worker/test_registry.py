"""Publishing, registering, promoting and rolling back model versions."""

import json
import os
import shutil
import time

import pytest

from worker import registry
from worker.database import reading, transaction
from worker.errors import ModelUnavailable
from worker.settings import settings


@pytest.fixture
def versions(database, tmp_path):
    """Three registered versions: the shipped phantom network under three names."""
    names = []
    for name in ("a", "b", "c"):
        directory = tmp_path / name
        shutil.copytree(registry.SHIPPED_PHANTOMS, directory)
        card = json.loads((directory / registry.CARD_FILE).read_text()) | {"version": f"test-{name}"}
        (directory / registry.CARD_FILE).write_text(json.dumps(card))
        with transaction() as session:
            names.append(registry.import_model(session, directory, settings().models_dir).version)
    return names


def active():
    with reading() as session:
        row = registry.active(session)
        return row.version if row else None


def promote(version):
    with transaction() as session:
        registry.promote(session, version, by="test")


def rollback():
    with transaction() as session:
        registry.rollback(session, by="test")


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
    path, card = registry.verified(settings().models_dir / "test-a")
    assert card.sha256 == registry.sha256_of(path)


def test_what_a_killed_process_left_half_written_is_cleared_away(database):
    """An hour later, since another may be writing at this moment."""
    models = settings().models_dir
    for name, age_seconds in (("old", 2 * 3600), ("new", 60)):
        (models / f".staging-{name}" / "half").mkdir(parents=True)
        os.utime(models / f".staging-{name}", (time.time() - age_seconds,) * 2)

    published = registry.publish(registry.SHIPPED_PHANTOMS, models)

    assert {".staging-new", published.name} == {path.name for path in models.iterdir()}


def test_a_file_that_does_not_fit_its_card_is_not_published(database, tmp_path):
    """A damaged candidate never enters the registry."""
    directory = tmp_path / "damaged"
    shutil.copytree(registry.SHIPPED_PHANTOMS, directory)
    with (directory / registry.MODEL_FILE).open("ab") as file:
        file.write(b"x")

    with transaction() as session, pytest.raises(ModelUnavailable):
        registry.import_model(session, directory, settings().models_dir)

    assert not settings().models_dir.exists()
    assert active() is None


def test_a_card_that_is_none_is_told_so(tmp_path):
    """An empty directory is no model."""
    with pytest.raises(ModelUnavailable, match="no readable card"):
        registry.read_card(tmp_path)


SHIPPED_KINDS = {".npz", ".keras", ".json", ".svg", ".html", ".css"}


@pytest.mark.parametrize("directory", registry.SHIPPED)
def test_the_shipped_models_are_whole_small_and_honest(directory):
    """Each has its card, a report with a test split, and stays small; none brings a picture or the answer to a film."""
    path, card = registry.verified(directory)
    report = registry.read_report(directory)

    assert path.stat().st_size < 20_000_000
    assert ("phantoms" if directory == registry.SHIPPED_PHANTOMS else "films") == card.trained_on
    assert {".keras", ".json", ".svg"} <= {file.suffix for file in directory.iterdir()} <= SHIPPED_KINDS
    assert sum(card.data_counts["test"].values()) == report["test"]["n"] == card.metrics["test"]["n"]
    assert card.limits


def test_the_papers_final_network_is_shipped_beside_ours():
    """Six classes in alphabetical order, and the paper's number of parameters."""
    card = registry.read_card(registry.SHIPPED_PAPER)

    assert ("v3", 167_750) == (card.network, card.trainable_parameters)
    assert card.classes == registry.read_card(registry.SHIPPED_FILMS).classes
    assert card.data_fingerprint == registry.read_card(registry.SHIPPED_FILMS).data_fingerprint
    assert ("Covid-19", "Effusions", "Infiltration", "No-Findings", "Pneumonia", "Pneumothorax") == card.classes
