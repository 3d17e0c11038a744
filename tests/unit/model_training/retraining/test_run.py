"""A retraining run, from its row to its end."""

import subprocess
import sys
import time
from threading import Thread

import pytest

import worker.models.retraining_runs
from model_training.retraining import run as retraining
from model_training.tasks import WEEK_SECONDS, retrain_run
from worker.celery_app import RETRAIN, app
from worker.database import reading, transaction
from worker.models import directory as model_directory
from worker.models import promotion, registry
from worker.models.documents.retraining import RunRequest
from worker.models.records import RetrainingRun, RunState
from worker.settings import settings


@pytest.fixture
def configured(database, shared_data, monkeypatch, forgotten_settings):
    """A database, and settings that ask for two epochs of the small network."""
    monkeypatch.setenv("THORAQ_TRAINING_DATA", str(shared_data))
    monkeypatch.setenv("THORAQ_TRAINING_NETWORK", "phantom")
    monkeypatch.setenv("THORAQ_TRAINING_EPOCHS", "2")
    forgotten_settings()
    return database


def asked():
    """Record a run that was asked for and return its id."""
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


def test_a_run_registers_its_candidate_and_promotes_nothing(configured):
    """What is active is for a person to decide."""
    run_id = asked()

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


def test_a_run_tells_what_it_learns_from(configured):
    """Counts of every split, the gate among them, and the locked splits' fingerprints."""
    run_id = asked()

    retraining.retrain(run_id)

    told = look_at(run_id).learned_from
    assert 24 == sum(told.counts["train"].values()) + sum(told.counts["gate"].values())
    assert {"validation", "test", "gate"} == told.fingerprints.keys()
    assert () == told.corrections.films


def test_a_run_that_another_took_is_left_alone(configured, monkeypatch):
    """Redis may deliver a message twice."""
    run_id = asked()
    with transaction() as session:
        session.get_one(RetrainingRun, run_id).state = RunState.RUNNING
    monkeypatch.setattr(retraining.candidate, "build", lambda *_: pytest.fail("it was trained twice"))

    retraining.retrain(run_id)

    assert RunState.RUNNING == look_at(run_id).state


def test_a_run_without_data_fails_and_says_what_to_set(configured, monkeypatch, forgotten_settings):
    """The message is for the operator."""
    monkeypatch.delenv("THORAQ_TRAINING_DATA")
    forgotten_settings()
    run_id = asked()

    retraining.retrain(run_id)

    run = look_at(run_id)
    assert RunState.FAILED == run.state
    assert "THORAQ_TRAINING_DATA" in run.message


def test_a_run_on_bad_data_fails_with_the_reason(configured, monkeypatch, tmp_path, forgotten_settings):
    """The data set's own sentence."""
    monkeypatch.setenv("THORAQ_TRAINING_DATA", str(tmp_path))
    forgotten_settings()
    run_id = asked()

    retraining.retrain(run_id)

    run = look_at(run_id)
    assert RunState.FAILED == run.state
    assert "needs at least two class folders" in run.message


def test_a_run_of_an_unknown_network_fails_with_the_names(configured, monkeypatch, forgotten_settings):
    """A slip in the settings does not stop the trainer."""
    monkeypatch.setenv("THORAQ_TRAINING_NETWORK", "v9")
    forgotten_settings()
    run_id = asked()

    retraining.retrain(run_id)

    assert "v9" in look_at(run_id).message


def test_what_nobody_foresaw_is_recorded_and_raised(configured, monkeypatch):
    """No run stays "running" for good, and no bug is swallowed."""

    def break_down(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(retraining.candidate, "build", break_down)
    run_id = asked()

    with pytest.raises(RuntimeError):
        retraining.retrain(run_id)

    run = look_at(run_id)
    assert RunState.FAILED == run.state
    assert "RuntimeError" in run.message
    assert "secret detail" not in run.message


def test_a_run_that_is_cancelled_stops_between_two_batches(configured, monkeypatch, forgotten_settings):
    """Its checkpoint stays, nothing is registered, and the log says who wanted it."""
    monkeypatch.setenv("THORAQ_TRAINING_EPOCHS", "500")
    monkeypatch.setenv("THORAQ_HEARTBEAT_SECONDS", "0.1")
    forgotten_settings()
    settings.cache_clear()
    run_id = asked()
    trainer = Thread(target=retraining.retrain, args=(run_id,))
    trainer.start()
    while look_at(run_id).epochs_done < 2:
        time.sleep(0.05)

    assert worker.models.retraining_runs.cancel(run_id, "ann")
    trainer.join(60)

    run = look_at(run_id)
    assert (RunState.CANCELLED, None) == (run.state, run.candidate_id)
    assert list((configured / "checkpoints").glob("*.npz"))


def test_a_request_rules_over_the_settings(configured):
    """Data, network, epochs and seed of one run."""
    run_id = worker.models.retraining_runs.ask(by="test", request=RunRequest(epochs=1, seed=9))

    retraining.retrain(run_id)

    run = look_at(run_id)
    assert (1, 9) == (run.epochs_planned, run.candidate.card.seed)


def test_the_task_is_acknowledged_at_once_and_outlives_the_limits_of_scoring():
    """Celery replaces a limit of None by the application's; this one is the task's own."""
    task = app.tasks[RETRAIN]

    assert task.name == retrain_run.name
    assert not task.acks_late
    assert (WEEK_SECONDS, WEEK_SECONDS) == (task.time_limit, task.soft_time_limit)
    assert task.time_limit > app.conf.task_time_limit


def test_the_door_of_retraining_imports_no_keras():
    """A process that forks its children must not have loaded it."""
    code = (
        "import sys, model_training.tasks; print({'keras', 'tensorflow', 'matplotlib', 'sklearn'} & sys.modules.keys())"
    )

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "set()" == answer.stdout.strip()
