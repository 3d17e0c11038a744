"""A retraining run, from its row to its end."""

import subprocess
import sys
import time
from threading import Thread

import pytest
from sqlalchemy import select

import worker.models.retraining_runs
from model_training.retraining import run as retraining
from model_training.tasks import WEEK_SECONDS, retrain_run
from worker.celery_app import RETRAIN, app
from worker.database import reading, transaction
from worker.models import directory as model_directory
from worker.models import promotion, registry
from worker.models.documents.retraining import RunRequest
from worker.models.records import RetrainingEvent, RetrainingRun, RunState
from worker.settings import settings


@pytest.fixture
def configured(database, shared_data, monkeypatch, forgotten_settings):
    """A database, and settings for two epochs of the small network."""
    monkeypatch.setenv("THORAQ_TRAINING_DATA", str(shared_data))
    monkeypatch.setenv("THORAQ_TRAINING_NETWORK", "phantom")
    monkeypatch.setenv("THORAQ_TRAINING_EPOCHS", "2")
    forgotten_settings()
    return database


def requested():
    """Request a run and return its id."""
    with transaction() as session:
        run = RetrainingRun(asked_by="test", unfinished=True)
        session.add(run)
        session.flush()
        return run.id


def look_at(run_id):
    """Return a run with its candidate."""
    with reading() as session:
        run = session.get_one(RetrainingRun, run_id)
        assert run.candidate is None or run.candidate.version
        return run


def test_a_run_learns_from_data_without_splits(configured, shared_data, monkeypatch, forgotten_settings):
    """Class folders alone are split, and the gate's films are set apart from the part for training."""
    monkeypatch.setenv("THORAQ_TRAINING_DATA", str(shared_data / "train"))
    forgotten_settings()
    run_id = requested()

    retraining.retrain(run_id)

    run = look_at(run_id)
    assert RunState.DONE == run.state, run.message
    assert 0 == run.candidate.report.data.splitting.seed


def test_a_run_registers_its_candidate_and_promotes_nothing(configured):
    """A person decides which version is active."""
    run_id = requested()

    retraining.retrain(run_id)

    run = look_at(run_id)
    assert (RunState.DONE, 2, 2) == (run.state, run.epochs_done, run.epochs_planned), run.message
    assert run.candidate.version in run.message
    with reading() as session:
        assert registry.active(session) is None
        verdict = promotion.latest(session, run.candidate_id)
    assert not verdict.passed
    assert "there is no active version to compare with" in verdict.verdict.reasons
    directory = configured / "models" / run.candidate.version
    assert run.candidate.sha256 == model_directory.sha256_of(directory / model_directory.MODEL_FILE)
    assert (directory / "curves.svg").is_file()
    assert [] == list((configured / "candidates").iterdir())


def test_a_run_records_its_training_set(configured):
    """It has the counts of every split and the gate, and the fingerprints of the locked splits."""
    run_id = requested()

    retraining.retrain(run_id)

    learned_from = look_at(run_id).learned_from
    assert 24 == sum(learned_from.counts["train"].values()) + sum(learned_from.counts["gate"].values())
    assert {"validation", "test", "gate"} == learned_from.fingerprints.keys()
    assert () == learned_from.corrections.films


def test_a_run_of_another_trainer_is_left_alone(configured, monkeypatch):
    """Redis may deliver a message twice."""
    run_id = requested()
    with transaction() as session:
        session.get_one(RetrainingRun, run_id).state = RunState.RUNNING
    monkeypatch.setattr(retraining.candidate, "build", lambda *_: pytest.fail("it was trained twice"))

    retraining.retrain(run_id)

    assert RunState.RUNNING == look_at(run_id).state


def test_a_run_without_data_fails_and_says_what_to_set(configured, monkeypatch, forgotten_settings):
    """The operator reads the message."""
    monkeypatch.delenv("THORAQ_TRAINING_DATA")
    forgotten_settings()
    run_id = requested()

    retraining.retrain(run_id)

    run = look_at(run_id)
    assert RunState.FAILED == run.state
    assert "THORAQ_TRAINING_DATA" in run.message


def test_a_run_on_bad_data_fails_with_the_reason(configured, monkeypatch, tmp_path, forgotten_settings):
    """The message is that of the data set."""
    monkeypatch.setenv("THORAQ_TRAINING_DATA", str(tmp_path))
    forgotten_settings()
    run_id = requested()

    retraining.retrain(run_id)

    run = look_at(run_id)
    assert RunState.FAILED == run.state
    assert "needs at least two class folders" in run.message


def test_a_run_of_an_unknown_network_fails_with_the_names(configured, monkeypatch, forgotten_settings):
    """A mistake in the settings does not stop the trainer."""
    monkeypatch.setenv("THORAQ_TRAINING_NETWORK", "v9")
    forgotten_settings()
    run_id = requested()

    retraining.retrain(run_id)

    assert "v9" in look_at(run_id).message


def test_an_unexpected_error_is_recorded_and_raised(configured, monkeypatch):
    """The run does not stay "running", and the error is not hidden."""

    def break_down(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(retraining.candidate, "build", break_down)
    run_id = requested()

    with pytest.raises(RuntimeError):
        retraining.retrain(run_id)

    run = look_at(run_id)
    assert RunState.FAILED == run.state
    assert "RuntimeError" in run.message
    assert "secret detail" not in run.message


def test_a_run_that_is_cancelled_stops_between_two_batches(configured, monkeypatch, forgotten_settings):
    """Its checkpoint stays, no candidate is registered, and the log says who cancelled it."""
    monkeypatch.setenv("THORAQ_TRAINING_EPOCHS", "500")
    monkeypatch.setenv("THORAQ_HEARTBEAT_SECONDS", "0.1")
    forgotten_settings()
    settings.cache_clear()
    run_id = requested()
    trainer = Thread(target=retraining.retrain, args=(run_id,))
    trainer.start()
    deadline = time.monotonic() + 120
    while look_at(run_id).epochs_done < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    assert worker.models.retraining_runs.cancel(run_id, "ann")
    trainer.join(60)

    run = look_at(run_id)
    assert (RunState.CANCELLED, None) == (run.state, run.candidate_id)
    assert list((configured / "checkpoints").glob("*.npz"))
    with reading() as session:
        log = session.scalars(select(RetrainingEvent.text).where(RetrainingEvent.run_id == run_id)).all()
    assert any("ann" in line for line in log), log


def test_a_request_rules_over_the_settings(configured):
    """It may name data, network, epochs and seed."""
    run_id = worker.models.retraining_runs.ask(by="test", request=RunRequest(epochs=1, seed=9))

    retraining.retrain(run_id)

    run = look_at(run_id)
    assert (1, 9) == (run.epochs_planned, run.candidate.card.seed)


def test_the_task_is_acknowledged_at_once_and_outlives_the_limits_of_scoring():
    """Celery would use the application's limits if the task had none."""
    task = app.tasks[RETRAIN]

    assert task.name == retrain_run.name
    assert not task.acks_late
    assert (WEEK_SECONDS, WEEK_SECONDS) == (task.time_limit, task.soft_time_limit)
    assert task.time_limit > app.conf.task_time_limit


def test_the_task_module_does_not_import_keras():
    """A process that forks children must not have loaded Keras."""
    code = (
        "import sys, model_training.tasks; print({'keras', 'tensorflow', 'matplotlib', 'sklearn'} & sys.modules.keys())"
    )

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "set()" == answer.stdout.strip()
