"""Retraining runs as rows: one at a time, one a night, never forgotten."""

from datetime import date, timedelta

import pytest
from sqlalchemy import select, update

from worker import doorbell, retraining, tasks
from worker.database import now, reading, transaction
from worker.run_records import RetrainingRun

NIGHT = date(2026, 11, 23)


@pytest.fixture
def bells(database, monkeypatch):
    """The runs for which the trainer was rung."""
    rung = []
    monkeypatch.setattr(doorbell, "ring_trainer", lambda run_id: rung.append(run_id) or True)
    return rung


def runs():
    with reading() as session:
        return list(session.scalars(select(RetrainingRun).order_by(RetrainingRun.id)))


def test_ten_asks_make_one_run(bells):
    """Whoever asks while a run is unfinished gets that run."""
    asked = {retraining.ask(by=f"person {number}") for number in range(10)}

    assert 1 == len(asked) == len(runs())
    assert "person 0" == runs()[0].asked_by


def test_a_run_under_way_is_not_rung_for_again(bells):
    """A second trainer would train the same again."""
    run = retraining.ask(by="a")
    assert retraining.start(run)
    retraining.ask(by="b")

    assert [run] == bells


def test_a_run_is_taken_once(bells):
    """A bell that is delivered twice finds the run taken."""
    run = retraining.ask(by="a")

    assert [True, False] == [retraining.start(run), retraining.start(run)]


def test_one_night_has_one_run_however_many_timetables_tick(bells):
    """The second timetable finds the night's run, even after it has ended."""
    first = retraining.ask(by="nightly", night=NIGHT)
    retraining.start(first)
    retraining.fail(first, "no data")

    assert first == retraining.ask(by="nightly", night=NIGHT)
    assert first != retraining.ask(by="nightly", night=NIGHT + timedelta(days=1))
    assert 2 == len(runs())


def test_the_nightly_task_asks_for_the_date_of_the_configured_zone(bells, monkeypatch):
    """The timetable's task makes the night's run."""
    tasks.retrain_nightly()
    tasks.retrain_nightly()

    assert ["nightly"] == [run.asked_by for run in runs()]
    assert runs()[0].night is not None


def test_a_run_whose_trainer_went_silent_is_given_up_and_says_so(bells):
    """Nothing stays "running" for ever."""
    run = retraining.ask(by="a")
    retraining.start(run)
    retraining.progress(run, 3, 70)
    silent_since = now() - timedelta(seconds=retraining.SILENCE_SECONDS + 1)
    with transaction() as session:
        session.execute(update(RetrainingRun).values(heartbeat_at=silent_since))

    retraining.sweep()

    assert ("failed", 3, None) == (runs()[0].state, runs()[0].epochs_done, runs()[0].candidate_id)
    assert "silent" in runs()[0].message


def test_a_run_that_comes_back_from_its_silence_keeps_its_candidate(bells):
    """The candidate is registered, so the run says so; nobody's result is dropped."""
    run = retraining.ask(by="a")
    retraining.start(run)
    retraining.fail(run, "given up")

    retraining.finish(run, candidate_id=None, message="registered")

    assert ("done", "registered") == (runs()[0].state, runs()[0].message)


def test_a_bell_that_nobody_heard_is_rung_again(bells):
    """An asked run waits for its trainer, not for luck."""
    run = retraining.ask(by="a")
    retraining.sweep()

    assert [run, run] == bells


def test_two_who_ask_at_the_same_moment_share_one_run(bells, monkeypatch):
    """The database, not the look before the leap, keeps it to one."""
    look = retraining._unfinished
    blind = [True]
    first = retraining.ask(by="a")
    monkeypatch.setattr(retraining, "_unfinished", lambda session: None if blind and blind.pop() else look(session))

    assert first == retraining.ask(by="b")
    assert 1 == len(runs())
