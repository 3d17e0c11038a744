"""The thread that stores heartbeats, so that Celery's loop does not wait for the database."""

import threading
import time

import pytest
from sqlalchemy import select

from worker.database import reading
from worker.monitoring import heartbeats
from worker.monitoring.heartbeat_thread import HeartbeatThread
from worker.monitoring.records import Process

PERIOD_SECONDS = 0.05


@pytest.fixture
def thread(database, monkeypatch):
    """The thread of a worker with short periods; it is stopped afterwards."""
    monkeypatch.setenv("THORAQ_HEARTBEAT_SECONDS", str(PERIOD_SECONDS))
    from worker.settings import settings

    settings.cache_clear()
    thread = HeartbeatThread("worker-1@host", "worker", lambda: True)
    yield thread
    thread.stop()


def wait_for(condition) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def rows():
    with reading() as session:
        return session.scalars(select(Process)).all()


def test_a_process_has_a_row_until_it_stops(thread):
    """The row says whether work waits."""
    thread.start()
    wait_for(rows)

    (row,) = rows()
    assert ("worker-1@host", "worker", True) == (row.name, row.kind, row.work_waits_since is not None)

    thread.stop()
    assert [] == rows()


def test_a_loop_that_turns_has_heartbeats_and_one_that_stands_still_has_none(thread):
    """Otherwise a process that takes no message would look alive."""
    thread.start()
    wait_for(rows)
    first = rows()[0].seen_at
    thread.on_turn()
    wait_for(lambda: rows()[0].seen_at > first)
    last = rows()[0].seen_at

    time.sleep(4 * PERIOD_SECONDS)

    assert last == rows()[0].seen_at


def test_a_database_that_does_not_answer_stops_no_loop(thread, monkeypatch):
    """The loop starts and turns without waiting, and ends after a short wait."""
    monkeypatch.setattr("worker.monitoring.heartbeat_thread.STOP_SECONDS", 0.1)
    asked, answers = threading.Event(), threading.Event()

    def silence(*_arguments, **_fields) -> None:
        asked.set()
        answers.wait(20)

    monkeypatch.setattr(heartbeats, "record_heartbeat", silence)
    since = time.monotonic()
    thread.start()
    assert asked.wait(20)
    thread.on_turn()
    thread.stop()
    took = time.monotonic() - since
    answers.set()

    assert took < 10
