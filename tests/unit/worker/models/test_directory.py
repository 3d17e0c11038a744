"""Model directories: their content, and how they are published."""

import os
import time

import pytest

from worker.errors import ModelUnavailable
from worker.models import directory as model_directory


def test_half_written_directories_of_a_killed_process_are_removed(tmp_path):
    """Recent ones stay, since another process may be writing them."""
    models = tmp_path / "models"
    for name, age_seconds in (("old", 2 * 3600), ("new", 60)):
        (models / f".staging-{name}" / "half").mkdir(parents=True)
        os.utime(models / f".staging-{name}", (time.time() - age_seconds,) * 2)

    published = model_directory.publish(model_directory.SHIPPED_PHANTOMS, models)

    assert {".staging-new", published.name} == {path.name for path in models.iterdir()}


def test_a_missing_card_is_an_error(tmp_path):
    """An empty directory is not a model."""
    with pytest.raises(ModelUnavailable, match="no readable card"):
        model_directory.read_card(tmp_path)


SHIPPED_KINDS = {".npz", ".keras", ".json", ".svg", ".html", ".css"}


@pytest.mark.parametrize("directory", model_directory.SHIPPED)
def test_the_shipped_models_are_complete_and_small(directory):
    """Each has a card and a report with a test split, and is small; none contains a picture or a film's prediction."""
    path, card = model_directory.verified(directory)
    report = model_directory.read_report(directory)

    assert path.stat().st_size < 20_000_000
    assert ("phantoms" if directory == model_directory.SHIPPED_PHANTOMS else "films") == card.trained_on
    assert {".keras", ".json", ".svg"} <= {file.suffix for file in directory.iterdir()} <= SHIPPED_KINDS
    assert sum(card.data_counts["test"].values()) == report.test.n == card.metrics["test"].n
    assert card.limits


def test_the_papers_final_network_is_shipped_beside_ours():
    """Six classes in alphabetical order, and the paper's number of parameters."""
    card = model_directory.read_card(model_directory.SHIPPED_PAPER)

    assert ("v3", 167_750) == (card.network, card.trainable_parameters)
    assert card.classes == model_directory.read_card(model_directory.SHIPPED_FILMS).classes
    assert card.data_fingerprint == model_directory.read_card(model_directory.SHIPPED_FILMS).data_fingerprint
    assert ("Covid-19", "Effusions", "Infiltration", "No-Findings", "Pneumonia", "Pneumothorax") == card.classes
