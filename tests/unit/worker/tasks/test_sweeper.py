"""The sweeper, and the heartbeats of processes."""

from datetime import timedelta
from functools import cache

import pytest
from sqlalchemy import select, update

from worker import wakeups
from worker.database import now, reading, transaction
from worker.monitoring import heartbeats
from worker.monitoring.records import Process
from worker.studies import ledger
from worker.studies.records import Image, Priority
from worker.submissions import intake
from worker.tasks import sweeper


@pytest.fixture
def wakeups_sent(database, monkeypatch):
    """The numbers of films for which scorers were woken."""
    sent = []
    monkeypatch.setattr(wakeups, "wake_scorers", lambda images, _batch: sent.append(images) or True)
    return sent


def submit():
    """Accept one film."""
    intake.submit_files([("a.png", b"a")], source="t", request_id=None, priority=Priority.ROUTINE)


def test_nobody_is_woken_when_nothing_waits(wakeups_sent):
    """An idle system sends no wake-ups."""
    sweeper.sweep()

    assert [] == wakeups_sent


def test_scorers_are_woken_until_a_waiting_film_is_claimed(wakeups_sent):
    """The number of lost wake-ups does not matter."""
    submit()
    wakeups_sent.clear()

    sweeper.sweep()
    with transaction() as session:
        ledger.claim(session, "a", limit=9, lease_seconds=60, max_attempts=3)
    sweeper.sweep()

    assert 1 == len(wakeups_sent)


def test_a_film_whose_lease_expired_waits_again_with_its_attempt_charged(wakeups_sent):
    """Its worker has disappeared."""
    submit()
    with transaction() as session:
        ledger.claim(session, "a", limit=9, lease_seconds=60, max_attempts=3)
        session.execute(update(Image).values(lease_until=now() - timedelta(seconds=1)))

    sweeper.sweep()

    with reading() as session:
        image = session.scalars(select(Image)).one()
    assert ("waiting", None, 1) == (image.state, image.owner, image.attempts)
    assert 2 == len(wakeups_sent)


def test_a_process_is_alive_while_it_sends_heartbeats(database):
    """It is not alive without them, its row is deleted when it stops in order, and after a day of silence."""
    heartbeats.record_heartbeat("worker-1@host", "worker", now())
    heartbeats.record_finished_task("worker-1@host", "v3-0", "tensorflow cpu")
    with reading() as session:
        row = session.get(Process, "worker-1@host")
        assert ("v3-0", "tensorflow cpu") == (row.model_version, row.device)
        assert heartbeats.alive(session, "worker", "host")
        assert not heartbeats.alive(session, "worker", "other")
        assert not heartbeats.alive(session, "intake", "host")

    with transaction() as session:
        session.execute(update(Process).values(seen_at=now() - timedelta(seconds=60)))
        assert not heartbeats.alive(session, "worker", "host")
    heartbeats.record_heartbeat("worker-2@host", "worker", now())
    heartbeats.delete_process("worker-2@host")
    with transaction() as session:
        session.execute(update(Process).values(seen_at=now() - timedelta(days=2)))
        heartbeats.delete_silent(session)

    with reading() as session:
        assert [] == list(session.scalars(select(Process)))


def test_beat_is_alive_while_sweeps_are_done(database):
    """The sweeps that it sends are its heartbeat."""
    heartbeats.record_heartbeat("intake-1@host", "intake", now())
    with reading() as session:
        assert not heartbeats.sweeping(session)
    heartbeats.record_finished_task("intake-1@host")
    with reading() as session:
        assert heartbeats.sweeping(session)


def test_a_worker_that_finishes_nothing_while_films_wait_is_not_alive(database):
    """A heartbeat is not enough; a worker that finishes work, or has none, is alive."""

    def alive() -> bool:
        with reading() as session:
            return heartbeats.alive(session, "worker", "host")

    def later(seconds: float) -> None:
        with transaction() as session:
            since = now() - timedelta(seconds=seconds)
            session.execute(update(Process).where(Process.work_waits_since.is_not(None)).values(work_waits_since=since))

    heartbeats.record_heartbeat("worker-1@host", "worker", now(), work_waits=True)
    later(50)
    assert alive()
    heartbeats.record_heartbeat("worker-1@host", "worker", now(), work_waits=True)
    later(61)
    assert not alive()
    heartbeats.record_finished_task("worker-1@host")
    assert alive()
    heartbeats.record_heartbeat("worker-1@host", "worker", now(), work_waits=True)
    later(61)
    heartbeats.record_heartbeat("worker-1@host", "worker", now(), work_waits=False)
    assert alive()


def claimed_film(attempts):
    """Claim one film for the `attempts`th time, and let its lease expire."""
    submit()
    with transaction() as session:
        ledger.claim(session, "a", limit=9, lease_seconds=60, max_attempts=9)
        session.execute(update(Image).values(lease_until=now() - timedelta(seconds=1), attempts=attempts))


def state():
    with reading() as session:
        image = session.scalars(select(Image)).one()
    return image.state, image.owner, image.attempts


@pytest.mark.parametrize(("since_last_sweep", "attempts"), [(20, 2), (80, 2), (100, 1), (3600, 1)])
def test_no_film_is_charged_for_an_outage_that_held_up_the_sweeper(wakeups_sent, since_last_sweep, attempts):
    """A process that died during the outage may have died of it."""
    claimed_film(attempts=2)
    heartbeats.record_heartbeat("intake-1@host", "intake", now())
    heartbeats.record_finished_task("intake-1@host")
    with transaction() as session:
        session.execute(update(Process).values(finished_at=now() - timedelta(seconds=since_last_sweep)))

    sweeper.sweep()

    assert ("waiting", None, attempts) == state()


def test_films_of_a_task_that_an_outage_ended_wait_again_uncharged(wakeups_sent, monkeypatch):
    """This is done in the background, as soon as the database answers."""
    from sqlalchemy.exc import OperationalError

    from worker.tasks import scoring

    claimed_film(attempts=1)
    outages = [OperationalError("UPDATE", {}, Exception("gone"))] * 3
    return_uncharged = sweeper._return_uncharged
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _seconds: None)
    monkeypatch.setattr(
        sweeper, "_return_uncharged", lambda owner: return_uncharged(owner) if not outages else throw(outages.pop())
    )
    monkeypatch.setattr(scoring, "scorer", cache(Out))
    monkeypatch.setattr(scoring.threading, "Thread", Now)

    with pytest.raises(OperationalError):
        scoring.score.apply(task_id="a", throw=True)

    assert ("waiting", None, 0) == state()


class Out:
    """A scorer that cannot record."""

    def score_waiting(self, owner):
        from sqlalchemy.exc import OperationalError

        raise OperationalError("UPDATE", {}, Exception("gone"))


class Now:
    """A thread that runs at once in the calling thread."""

    def __init__(self, target, args, daemon):
        self.start = lambda: target(*args)


def throw(error):
    raise error
