"""A run's heartbeat: its progress, and whether it must stop."""

import time

import pytest
from sqlalchemy.exc import OperationalError

from model_training.retraining import heartbeat
from model_training.retraining.heartbeat import RunHeartbeat, RunLost, RunStopped
from worker.models.retraining_runs import Progress, Standing


@pytest.fixture
def reports(monkeypatch):
    """The reports that the row received; it answers with `reports.standing`."""

    class Reports(list):
        standing = Standing.GO_ON

    reports = Reports()

    def report(_run_id, _owner, progress):
        reports.append(progress)
        return reports.standing

    monkeypatch.setattr(heartbeat.retraining_runs, "report", report)
    return reports


def test_an_epoch_is_reported_at_once_with_its_losses(reports):
    """The time left follows from the epochs in this process."""
    beat = RunHeartbeat(7, "t", 3, 60)
    beat.on_epoch(1, 3, {"loss": 0.5, "val_loss": 0.6})
    beat.on_epoch(2, 3, {"loss": 0.4, "val_loss": 0.7})

    assert [Progress(1, 3, 0.5, 0.6), (2, 3)] == [reports[0], (reports[1].epochs_done, reports[1].epochs_planned)]
    assert 0 <= reports[1].seconds_left < 10


def test_batches_are_not_reported_one_by_one(reports):
    """A batch takes milliseconds; a row is not written for each."""
    beat = RunHeartbeat(7, "t", 3, 60)

    for _ in range(50):
        beat.on_step()

    assert [] == reports


def test_the_thread_reports_while_nothing_else_does(reports):
    """Compiling and evaluating have no batches."""
    with RunHeartbeat(7, "t", 3, 0.01):
        deadline = time.monotonic() + 60
        while len(reports) < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    assert {Progress(0, 3)} == set(reports)


@pytest.mark.parametrize(("standing", "error"), [(Standing.CANCEL, RunStopped), (Standing.LOST, RunLost)])
def test_a_cancelled_or_lost_run_stops_at_its_next_batch(reports, standing, error):
    """A batch that has begun is finished."""
    beat = RunHeartbeat(7, "t", 3, 60)
    reports.standing = standing
    beat.send()

    with pytest.raises(error):
        beat.on_step()


def test_a_training_that_hangs_has_no_heartbeat(reports, monkeypatch, caplog):
    """The sweep then finds the run."""
    monkeypatch.setattr(heartbeat, "HANGS_AFTER_SECONDS", 0)
    beat = RunHeartbeat(7, "t", 3, 0.01)
    with beat:
        beat._thread.join(5)

    assert [] == reports
    assert "made no progress" in caplog.text


def test_a_training_survives_a_database_that_is_out(monkeypatch, caplog):
    """Hours of work do not depend on one heartbeat."""

    def out(*_):
        raise OperationalError("UPDATE", {}, Exception("no answer"))

    monkeypatch.setattr(heartbeat.retraining_runs, "report", out)

    RunHeartbeat(7, "t", 3, 60).on_epoch(1, 3, {})

    assert "run 7 goes on" in caplog.text
