"""Which errors of a database are trouble that may pass."""

import sqlite3

import psycopg
import pytest
from sqlalchemy.exc import InternalError, OperationalError

from worker.database import is_outage


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
