"""Retraining runs as rows: one at a time, one a night, and none is lost."""

from datetime import UTC, date, datetime, timedelta
from threading import Barrier, Thread
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from worker import wakeups
from worker.database import now, reading, transaction
from worker.models import retraining_runs
from worker.models.documents.retraining import RunRequest
from worker.models.records import RetrainingEvent, RetrainingRun
from worker.models.retraining_runs import Progress, Standing
from worker.settings import settings
from worker.tasks import intake

NIGHT = date(2026, 11, 23)


@pytest.fixture
def wakeups_sent(database, monkeypatch):
    """The runs for which the trainer was woken."""
    sent = []
    monkeypatch.setattr(wakeups, "wake_trainer", lambda run_id: sent.append(run_id) or True)
    return sent


def runs():
    with reading() as session:
        return list(session.scalars(select(RetrainingRun).order_by(RetrainingRun.id)))


def log(run_id):
    with reading() as session:
        return list(session.scalars(select(RetrainingEvent.text).where(RetrainingEvent.run_id == run_id)))


def fall_silent():
    with transaction() as session:
        since = now() - timedelta(seconds=settings().trainer_silence_seconds + 1)
        session.execute(update(RetrainingRun).values(heartbeat_at=since))


def test_ten_requests_make_one_run(wakeups_sent):
    """A request while a run is unfinished returns that run."""
    asked = {retraining_runs.ask(by=f"person {number}") for number in range(10)}

    assert 1 == len(asked) == len(runs())
    assert "person 0" == runs()[0].asked_by


def test_two_beat_processes_and_ten_people_at_the_same_moment_make_one_run(wakeups_sent):
    """Twelve threads, one start signal, real transactions."""
    asked, together = [], Barrier(12)

    def ask(number):
        together.wait()
        night = NIGHT if number < 2 else None
        asked.append(retraining_runs.ask(by=str(number), night=night))

    threads = [Thread(target=ask, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 12 == len(asked)
    assert 1 == len(set(asked)) == len(runs())


def test_a_run_stores_its_request(wakeups_sent):
    """Fields that the request does not name are left to the settings."""
    retraining_runs.ask(by="a", request=RunRequest(network="v3", epochs=5))

    assert {"network": "v3", "epochs": 5} == runs()[0].request.stored()


def test_a_run_under_way_wakes_the_trainer_once(wakeups_sent):
    """A second trainer would train the same again."""
    run = retraining_runs.ask(by="a")
    assert retraining_runs.start(run, "t1")
    retraining_runs.ask(by="b")

    assert [run] == wakeups_sent


def test_a_run_is_taken_once(wakeups_sent):
    """A wake-up that is delivered twice finds the run taken."""
    run = retraining_runs.ask(by="a")

    assert [True, False] == [retraining_runs.start(run, owner) is not None for owner in ("t1", "t2")]


def test_one_night_has_one_run_however_many_beat_processes_run(wakeups_sent):
    """The second beat's task finds the night's run, even after it has ended."""
    first = retraining_runs.ask(by="nightly", night=NIGHT)
    retraining_runs.start(first, "t1")
    retraining_runs.fail(first, "t1", "no data")

    assert first == retraining_runs.ask(by="nightly", night=NIGHT)
    assert first != retraining_runs.ask(by="nightly", night=NIGHT + timedelta(days=1))
    assert 2 == len(runs())


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_nightly_task_asks_for_the_date_of_the_configured_zone(wakeups_sent, monkeypatch, zone):
    """The clocks of the two zones differ by 25 hours, so that their dates always differ."""
    monkeypatch.setenv("THORAQ_TIMEZONE", zone)
    settings.cache_clear()
    before = datetime.now(ZoneInfo(zone)).date()

    intake.retrain_nightly()
    intake.retrain_nightly()

    assert {"nightly"} == {run.asked_by for run in runs()}
    assert {run.night for run in runs()} <= {before, datetime.now(ZoneInfo(zone)).date()}
    assert 1 == len(runs())


def test_progress_is_stored_with_its_losses_and_its_expected_end(wakeups_sent):
    """The page shows the values of the row."""
    run = retraining_runs.ask(by="a")
    retraining_runs.start(run, "t1")

    assert Standing.GO_ON == retraining_runs.report(run, "t1", Progress(3, 70, 0.5, 0.6, 120.0))

    row = runs()[0]
    assert (3, 70, 0.5, 0.6) == (row.epochs_done, row.epochs_planned, row.loss, row.validation_loss)
    assert timedelta(seconds=100) < row.expected_at - now() <= timedelta(seconds=120)


def test_a_run_whose_trainer_died_waits_for_a_trainer_again(wakeups_sent):
    """It goes on from its checkpoint, and its log says what happened."""
    run = retraining_runs.ask(by="a")
    retraining_runs.start(run, "t1")
    fall_silent()

    retraining_runs.sweep()

    assert ("asked", None) == (runs()[0].state, runs()[0].owner)
    assert [run, run] == wakeups_sent
    assert any("silent" in line for line in log(run))


def let_trainers_die(epochs):
    """Request a run, and let its trainer die after each of these numbers of epochs."""
    run = retraining_runs.ask(by="a")
    for epoch in epochs:
        retraining_runs.start(run, "t")
        retraining_runs.report(run, "t", Progress(epoch, 70))
        fall_silent()
        retraining_runs.sweep()


def test_a_run_that_kills_its_trainer_again_and_again_fails_with_a_message(wakeups_sent):
    """Three deaths within one epoch have the same cause."""
    let_trainers_die((1, 1, 1, 1))

    assert "failed" == runs()[0].state
    assert "died or hung 3 times" in runs()[0].message


def test_a_run_that_makes_progress_between_two_deaths_goes_on(wakeups_sent):
    """A machine may be restarted every night of a long training."""
    let_trainers_die((1, 2, 3, 4, 5))

    assert "asked" == runs()[0].state


def test_a_trainer_that_comes_back_before_another_took_its_run_keeps_it(wakeups_sent):
    """After a long outage of the database, a trainer need not begin anew."""
    run = retraining_runs.ask(by="a")
    retraining_runs.start(run, "t1")
    fall_silent()
    retraining_runs.sweep()

    assert Standing.GO_ON == retraining_runs.report(run, "t1", Progress(1, 2))
    assert retraining_runs.start(run, "t2") is None


def test_a_trainer_that_lost_its_run_changes_nothing(wakeups_sent):
    """Two trainers never write to the same row."""
    run = retraining_runs.ask(by="a")
    retraining_runs.start(run, "t1")
    fall_silent()
    retraining_runs.sweep()
    retraining_runs.start(run, "t2")

    assert Standing.LOST == retraining_runs.report(run, "t1", Progress(1, 2))
    assert not retraining_runs.fail(run, "t1", "late")
    assert ("running", "t2") == (runs()[0].state, runs()[0].owner)


def test_a_run_that_nobody_began_is_cancelled_at_once(wakeups_sent):
    """Another run may then be requested."""
    run = retraining_runs.ask(by="a")

    assert retraining_runs.cancel(run, "b")

    assert ("cancelled", "cancelled by b before it began") == (runs()[0].state, runs()[0].message)
    assert retraining_runs.start(run, "t1") is None
    assert run != retraining_runs.ask(by="c")


def test_a_trainer_learns_of_a_cancellation_when_it_reports(wakeups_sent):
    """It stops between two batches; an ended run cannot be cancelled."""
    run = retraining_runs.ask(by="a")
    retraining_runs.start(run, "t1")
    retraining_runs.cancel(run, "b")

    assert Standing.CANCEL == retraining_runs.report(run, "t1", Progress(1, 2))
    retraining_runs.stopped(run, "t1")

    assert "cancelled" == runs()[0].state
    assert not retraining_runs.cancel(run, "b")


def test_a_cancelled_run_ends_even_if_its_trainer_is_gone(wakeups_sent):
    """The sweep ends it."""
    run = retraining_runs.ask(by="a")
    retraining_runs.start(run, "t1")
    retraining_runs.cancel(run, "b")
    fall_silent()

    retraining_runs.sweep()

    assert "cancelled" == runs()[0].state


def test_a_lost_wakeup_is_sent_again(wakeups_sent):
    """The sweep wakes the trainer for a requested run."""
    run = retraining_runs.ask(by="a")
    retraining_runs.sweep()

    assert [run, run] == wakeups_sent


def night_of(run_id, night):
    retraining_runs.start(run_id, "t")
    retraining_runs.fail(run_id, "t", "no data")
    with transaction() as session:
        session.execute(update(RetrainingRun).values(night=night))


def test_a_missed_nightly_run_is_requested_once(wakeups_sent):
    """Beat was down at two o'clock."""
    night_of(retraining_runs.ask(by="nightly", night=NIGHT), NIGHT)
    next_day = datetime(2026, 11, 24, 2, 5, tzinfo=UTC)

    retraining_runs.catch_up(next_day)
    assert 1 == len(runs())
    retraining_runs.catch_up(next_day + timedelta(minutes=6))
    retraining_runs.catch_up(next_day + timedelta(hours=6))

    assert [NIGHT, NIGHT + timedelta(days=1)] == [run.night for run in runs()]


def test_an_installation_without_nights_has_none_to_catch_up_with(wakeups_sent):
    """A new installation begins with its first night, not with its first sweep."""
    retraining_runs.catch_up(datetime(2026, 11, 24, 12, tzinfo=UTC))

    assert [] == runs()
