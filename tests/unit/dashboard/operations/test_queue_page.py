"""The queue page: figures from SQL, processes by their last heartbeat, and standstill in words."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from dashboard.accounts.accounts import Role
from dashboard.operations.backlog import backlog
from dashboard.operations.process_status import Status, status_of
from worker.database import now, reading, transaction
from worker.monitoring.records import Process
from worker.studies.records import Image


@pytest.fixture(autouse=True)
def _person(auth):
    """A client that is logged in as a viewer."""
    auth.login(Role.VIEWER)


def age_films(seconds: float) -> None:
    """Set the age of every film."""
    moment = now() - timedelta(seconds=seconds)
    with transaction() as session:
        session.execute(update(Image).values(received_at=moment))
        session.execute(update(Image).where(Image.finished_at.is_not(None)).values(finished_at=moment))


def standstill() -> str | None:
    """Return the current standstill message."""
    with reading() as session:
        return backlog(session).standstill()


@pytest.mark.parametrize(
    ("silent_seconds", "expected"),
    [(0, Status.UP), (19, Status.UP), (21, Status.UNKNOWN), (59, Status.UNKNOWN), (61, Status.DOWN)],
)
def test_two_missed_heartbeats_make_a_process_unknown_and_six_down(database, silent_seconds, expected):
    """The time between two heartbeats is ten seconds."""
    moment = now() - timedelta(seconds=silent_seconds)

    assert expected == status_of(Process(name="w", kind="worker", started_at=moment, seen_at=moment))


def test_the_page_shows_counts_reasons_and_processes(client, rows, scores):
    """The broker is not asked."""
    model = rows.model()
    rows.study(scores(Pneumonia=0.9), model=model)
    rows.study("blank", "blank", "corrupt")
    rows.study(None)
    rows.process(name="worker-7@reading-room")

    text = client.get("/queue/").text

    for part in ("Blank", "Corrupt", "worker-7@reading-room", "tensorflow cpu", "v3-0123456789ab"):
        assert part in text
    assert {"waiting": 1, "scoring": 0} == client.get("/queue/now").json["films"]


def test_films_that_wait_without_a_worker_are_a_standstill(client, rows):
    """The message comes at once and names the command that helps."""
    rows.study(None, None)
    rows.process(seen_seconds_ago=3600)

    assert "2 films wait and no scoring worker is up. Start one with `thoraq worker`." == standstill()
    assert "<code>thoraq worker</code>" in client.get("/queue/").text
    assert "Work stands still." in client.get("/queue/now").json["parts"]["alert"]


def test_films_that_wait_while_nothing_is_finished_are_a_standstill_although_workers_are_up(rows):
    """A running process does not prove that films are scored."""
    rows.study(None)
    rows.process()
    age_films(125)

    assert (
        "1 film waits and none was finished in the last 2 minutes and 5 seconds, though 1 worker is up. "
        "Look at the worker's log." == standstill()
    )


def test_films_that_have_only_just_come_are_no_standstill(rows):
    """A worker needs some time."""
    rows.study(None)
    rows.process()

    assert standstill() is None


def test_a_queue_whose_films_get_finished_is_no_standstill_however_long(rows, scores):
    """The age of the oldest film does not matter."""
    rows.study(None)
    age_films(3600)
    rows.study(scores(Pneumonia=0.9), model=rows.model())
    rows.process()

    assert standstill() is None


def test_an_idle_system_is_no_standstill_but_a_missing_worker_is_shown(client):
    """No film waits, but new ones will."""
    assert standstill() is None
    assert "No scoring worker is up" in client.get("/queue/").text
    assert "No process has sent a heartbeat yet" in client.get("/queue/").text
