"""A run's pulse: how far it is, and whether to go on."""

import pytest
from sqlalchemy.exc import OperationalError

from model_training.retraining import heartbeat
from model_training.retraining.heartbeat import Pulse, RunLost, RunStopped
from worker.models.retraining_runs import Progress, Standing


@pytest.fixture
def told(monkeypatch):
    """What the row was told; it answers with `told.standing`."""

    class Told(list):
        standing = Standing.GO_ON

    told = Told()

    def report(_run_id, _owner, progress):
        told.append(progress)
        return told.standing

    monkeypatch.setattr(heartbeat.retraining_runs, "report", report)
    return told


def test_an_epoch_is_told_at_once_with_its_losses(told):
    """The end in sight follows from the epochs that this process saw."""
    beat = Pulse(7, "t", 3, 60)
    beat.on_epoch(1, 3, {"loss": 0.5, "val_loss": 0.6})
    beat.on_epoch(2, 3, {"loss": 0.4, "val_loss": 0.7})

    assert [Progress(1, 3, 0.5, 0.6), (2, 3)] == [told[0], (told[1].epochs_done, told[1].epochs_planned)]
    assert 0 <= told[1].seconds_left < 10


def test_batches_are_not_told_one_by_one(told):
    """A batch takes milliseconds; a row is not written for each."""
    beat = Pulse(7, "t", 3, 60)

    for _ in range(50):
        beat.on_step()

    assert [] == told


def test_the_thread_tells_while_nothing_else_does(told):
    """Compiling and evaluating have no batches."""
    with Pulse(7, "t", 3, 0.01):
        while len(told) < 3:
            pass

    assert {Progress(0, 3)} == set(told)


@pytest.mark.parametrize(("standing", "error"), [(Standing.CANCEL, RunStopped), (Standing.LOST, RunLost)])
def test_what_the_row_answers_stops_the_training_at_its_next_batch(told, standing, error):
    """Between two batches, never within one."""
    beat = Pulse(7, "t", 3, 60)
    told.standing = standing
    beat.tell()

    with pytest.raises(error):
        beat.on_step()


def test_a_training_that_hangs_has_no_pulse(told, monkeypatch, caplog):
    """So that the sweep finds it."""
    monkeypatch.setattr(heartbeat, "HANGS_AFTER_SECONDS", 0)
    beat = Pulse(7, "t", 3, 0.01)
    with beat:
        beat._thread.join(5)

    assert [] == told
    assert "has not moved" in caplog.text


def test_a_training_survives_a_database_that_is_out(monkeypatch, caplog):
    """Hours of work do not hang on one sign of life."""

    def out(*_):
        raise OperationalError("UPDATE", {}, Exception("no answer"))

    monkeypatch.setattr(heartbeat.retraining_runs, "report", out)

    Pulse(7, "t", 3, 60).on_epoch(1, 3, {})

    assert "run 7 goes on" in caplog.text
