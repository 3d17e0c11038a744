"""The effect of each setting of training that no other test sets in its environment."""

from contextlib import nullcontext
from pathlib import Path
from unittest.mock import Mock

import pytest

from model_training import candidate, tasks
from model_training.retraining import run
from model_training.settings import settings
from worker.models.documents.retraining import RunRequest


@pytest.fixture
def setting(data_dir, monkeypatch):
    """A function that sets an environment variable before the settings are read."""

    def set_variable(name, value):
        monkeypatch.setenv(f"THORAQ_TRAINING_{name}", value)
        settings.cache_clear()

    return set_variable


def test_films_of_other_hospitals_are_evaluated_by_a_run(setting):
    """Their folder is THORAQ_TRAINING_EXTERNAL."""
    setting("DATA", "/films")
    setting("EXTERNAL", "/other-hospitals")

    assert Path("/other-hospitals") == run._recipe(RunRequest(), settings()).external


def test_a_training_has_the_priority_and_threads_that_are_set(setting, monkeypatch):
    """They are THORAQ_TRAINING_NICENESS and THORAQ_TRAINING_THREADS."""
    setting("NICENESS", "17")
    setting("THREADS", "2")
    limits = Mock()
    monkeypatch.setattr(tasks, "yield_to_scoring", limits)
    monkeypatch.setattr(tasks, "retrain", lambda run_id: None)

    tasks.retrain_run(1)

    limits.assert_called_once_with(17, 2)


def test_a_training_uses_the_devices_that_are_set(setting, monkeypatch, tmp_path):
    """THORAQ_TRAINING_DEVICES is `one` or `all`."""
    setting("DEVICES", "all")
    distributed = Mock(return_value=nullcontext())
    monkeypatch.setattr(candidate, "distribute_over", distributed)
    monkeypatch.setattr(candidate, "_checkpoint_path", lambda *_: tmp_path / "state")
    monkeypatch.setattr(candidate, "summarize", Mock())
    monkeypatch.setattr(candidate.fit, "fit", Mock(side_effect=FloatingPointError))

    with pytest.raises(FloatingPointError):
        candidate.build(candidate.Recipe(tmp_path, "phantom"), tmp_path, Mock(), data=Mock())

    distributed.assert_called_once_with("all")
