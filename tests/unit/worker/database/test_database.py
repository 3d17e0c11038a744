"""The clock of the database, and which of its errors are trouble that may pass."""

import sqlite3
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import InternalError, OperationalError

from worker.database import clock, is_outage, now, postgres, reading, transaction
from worker.monitoring import heartbeats
from worker.monitoring.records import Process


@pytest.mark.parametrize("seconds", [0, 90.5, -3600])
def test_a_statement_knows_the_moment(database, seconds):
    """In UTC, with its zone, and as far away as it was asked for."""
    with reading() as session:
        moment = session.scalar(select(clock(timedelta(seconds=seconds))))

    assert UTC == moment.tzinfo
    assert abs(moment - now() - timedelta(seconds=seconds)) < timedelta(seconds=5)


def test_a_moment_is_compared_with_what_was_stored(database):
    """SQLite compares texts, which therefore have the same form."""
    heartbeats.record_heartbeat("worker-1@host", "worker", now())
    with transaction() as session:
        session.get_one(Process, "worker-1@host").finished_at = now() - timedelta(seconds=10)

    def found(condition) -> int:
        with reading() as session:
            return len(session.scalars(select(Process).where(condition)).all())

    assert 1 == found(Process.seen_at <= clock())
    assert 0 == found(Process.seen_at < clock(-timedelta(seconds=10)))
    assert 1 == found(Process.finished_at < clock(-timedelta(seconds=9)))
    assert 0 == found(Process.finished_at < clock(-timedelta(seconds=60)))


def test_a_host_with_another_clock_knows_that_of_the_server(database, monkeypatch):
    """Once it has a connection; SQLite has no other clock than its host's."""
    with reading() as session:
        session.execute(text("SELECT 1"))
        on_server = session.get_bind().dialect.name == "postgresql"

    class Late(datetime):
        """A clock that is an hour behind."""

        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) - timedelta(hours=1)

    monkeypatch.setattr("worker.database.datetime", Late)

    off = abs(now() - datetime.now(UTC))
    assert (off < timedelta(seconds=5)) == (on_server or postgres.server_clock.now() is not None)


def test_the_clock_of_the_server_goes_on_between_two_readings():
    """By a clock that nobody sets."""
    clock = postgres.ServerClock()
    assert clock.now() is None
    moment = datetime(2026, 1, 1, tzinfo=UTC)

    clock.set(moment)

    assert moment <= clock.now() < moment + timedelta(seconds=5)


def of_sqlite(code: int, message: str) -> OperationalError:
    """Return an error as SQLAlchemy raises it."""
    error = sqlite3.OperationalError(message)
    error.sqlite_errorcode = code
    return OperationalError("INSERT", {}, error)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (sqlite3.SQLITE_BUSY, "database is locked"),
        (sqlite3.SQLITE_FULL, "database or disk is full"),
        (sqlite3.SQLITE_IOERR_WRITE, "disk I/O error"),
        (sqlite3.SQLITE_IOERR_SHMSIZE, "disk I/O error"),
        (sqlite3.SQLITE_READONLY, "attempt to write a readonly database"),
        (sqlite3.SQLITE_READONLY_DIRECTORY, "attempt to write a readonly database"),
        (sqlite3.SQLITE_CANTOPEN, "unable to open database file"),
    ],
)
def test_trouble_around_sqlite_may_pass(code, message):
    """Its disk is full, broken, read-only or not mounted, or another process writes."""
    assert is_outage(of_sqlite(code, message))


def test_a_missing_table_does_not_pass():
    """SQLite raises the same class for it."""
    assert not is_outage(of_sqlite(sqlite3.SQLITE_ERROR, "no such table: studies"))


def test_trouble_around_postgresql_may_pass():
    """Its disk is full, or it is a standby."""
    assert is_outage(OperationalError("INSERT", {}, psycopg.errors.DiskFull("could not extend file")))
    assert is_outage(InternalError("INSERT", {}, psycopg.errors.ReadOnlySqlTransaction("read-only transaction")))
    assert not is_outage(InternalError("INSERT", {}, psycopg.errors.InFailedSqlTransaction("aborted")))
