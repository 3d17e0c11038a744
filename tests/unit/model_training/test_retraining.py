"""A retraining run, from its row to its end."""

import subprocess
import sys

import pytest
from sqlalchemy.exc import OperationalError

from model_training import retraining
from model_training.tasks import WEEK_SECONDS, retrain_run
from worker import registry
from worker.celery_app import RETRAIN, app
from worker.database import reading, transaction
from worker.run_records import RetrainingRun, RunState


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
        run = RetrainingRun(asked_by="test")
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
    assert (RunState.DONE, 2, 2) == (run.state, run.epochs_done, run.epochs_planned)
    assert run.candidate.version in run.message
    with reading() as session:
        assert registry.active(session) is None
    directory = configured / "models" / run.candidate.version
    assert run.candidate.sha256 == registry.sha256_of(directory / registry.MODEL_FILE)
    assert (directory / "curves.svg").is_file()


def test_a_run_that_another_took_is_left_alone(configured, monkeypatch):
    """Redis may ring twice."""
    run_id = asked()
    with transaction() as session:
        session.get_one(RetrainingRun, run_id).state = RunState.RUNNING
    monkeypatch.setattr(retraining, "make", lambda *_: pytest.fail("it was trained twice"))

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

    monkeypatch.setattr(retraining, "make", break_down)
    run_id = asked()

    with pytest.raises(RuntimeError):
        retraining.retrain(run_id)

    run = look_at(run_id)
    assert RunState.FAILED == run.state
    assert "RuntimeError" in run.message
    assert "secret detail" not in run.message


def test_a_training_survives_a_database_that_is_out(monkeypatch, caplog):
    """Hours of work do not hang on one sign of life."""

    def out(*_):
        raise OperationalError("UPDATE", {}, Exception("no answer"))

    monkeypatch.setattr(retraining.retraining, "progress", out)

    retraining.RunProgress(7, 3).on_epoch(1, 3, {})

    assert "run 7 goes on" in caplog.text


def test_signs_of_life_are_given_seconds_apart(monkeypatch):
    """A batch takes milliseconds; a row is not written for each."""
    told = []
    monkeypatch.setattr(retraining.retraining, "progress", lambda *values: told.append(values))
    progress = retraining.RunProgress(7, 3)

    for _ in range(50):
        progress.on_step()
    progress.on_epoch(1, 3, {})

    assert [(7, 0, 3), (7, 1, 3)] == told


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
