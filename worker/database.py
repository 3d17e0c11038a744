"""One engine for each process, and sessions from it. Does not import any table."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import DateTime, Dialect, Engine, MetaData, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator
from tenacity import retry, retry_if_exception, stop_after_delay, wait_exponential

from worker.settings import settings

#: Longer than any of our statements takes; a lock that is held longer belongs to a process in trouble.
STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 5_000
SILENT_NETWORK_MS = 10_000
CONNECT_TIMEOUT_SECONDS = 5
SQLITE_BUSY_TIMEOUT_SECONDS = 20
#: The largest id that an INTEGER column of PostgreSQL holds.
MAX_ROW_ID = 2**31 - 1


class Base(DeclarativeBase):
    """The base class of every table."""

    #: Names every constraint, so that a migration can find it on any database.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        }
    )


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC with its time zone; SQLite does not store the zone, so it is added when a value is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the moment in UTC.

        Raises:
            ValueError: it has no time zone.
        """
        if value is not None and value.tzinfo is None:
            message = "a naive datetime cannot be stored"
            raise ValueError(message)
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the moment in UTC."""
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


def now() -> datetime:
    """Return the current moment in UTC."""
    return datetime.now(UTC)


def connect(url: str) -> Engine:
    """Return an engine for `url` with the timeouts and the locking that the ledger relies on."""
    if make_url(url).get_backend_name() == "sqlite":
        return _connect_sqlite(url)
    options = f"-c statement_timeout={STATEMENT_TIMEOUT_MS} -c lock_timeout={LOCK_TIMEOUT_MS}"
    return create_engine(
        url,
        # Parameters may be identifiers, and the text of an error is logged.
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=5,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_SECONDS,
            "options": options,
            # The server's timeouts cannot end a wait for a server that is unreachable; those of the kernel can.
            "tcp_user_timeout": SILENT_NETWORK_MS,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
        },
    )


def _connect_sqlite(url: str) -> Engine:
    """Write-ahead logging, and BEGIN IMMEDIATE: a transaction that will write must not find out too late."""
    # isolation_level None keeps the driver from issuing a BEGIN of its own.
    if database := make_url(url).database:
        Path(database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    driver = {"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "isolation_level": None}
    engine = create_engine(url, hide_parameters=True, connect_args=driver)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:  # noqa: ANN401
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:  # noqa: ANN401
        connection.exec_driver_sql(f"BEGIN {connection.get_execution_options().get('sqlite_begin', 'IMMEDIATE')}")

    return engine


def exists() -> bool:
    """Return whether the configured database exists; only SQLite's file can be missing, and connecting creates it."""
    url = make_url(settings().database_url)
    return url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"} or Path(url.database).is_file()


@cache
def engine() -> Engine:
    """Return this process's engine; a forked child must call `forget_parent_connections` first."""
    return connect(settings().database_url)


def forget_parent_connections() -> None:
    """Drop the connections inherited through a fork without closing them for the parent."""
    engine().dispose(close=False)


@contextmanager
def transaction() -> Iterator[Session]:
    """Yield a session that commits at the end of the block, or rolls back if the block raises."""
    with Session(engine(), expire_on_commit=False) as session, session.begin():
        yield session


@contextmanager
def reading() -> Iterator[Session]:
    """Yield a session that only reads, so that it never waits for a writer."""
    with Session(engine().execution_options(sqlite_begin="DEFERRED"), expire_on_commit=False) as session:
        yield session


def is_outage(error: BaseException) -> bool:
    """Return whether an error is trouble with the database (connection, lock, timeout) that a retry may overcome."""
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.OperationalError):  # SQLite also raises this for a missing table.
        return "locked" in str(error.orig)
    return isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated


#: Decorator: retries a transaction while the database is out, 0.5 s to 5 s apart, for half of a task's time limit.
through_outages = retry(
    retry=retry_if_exception(is_outage),
    wait=wait_exponential(multiplier=0.5, max=5),
    stop=stop_after_delay(60),
    reraise=True,
)
