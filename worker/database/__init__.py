"""One engine for each process, and sessions from it. Does not import any table."""

import importlib.resources
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import (
    URL,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Float,
    MetaData,
    create_engine,
    event,
    inspect,
    literal,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator
from tenacity import retry, retry_if_exception, stop_after_delay, wait_exponential

from worker.database import postgres
from worker.errors import NotConfigured
from worker.settings import settings

logger = logging.getLogger(__name__)

SQLITE_BUSY_TIMEOUT_SECONDS = 20
#: SQLite's codes for trouble around the database: locks, and a disk that is full, read-only, broken or not mounted.
SQLITE_TROUBLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)
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
    """Return the current moment in UTC by the clock of the database.

    For SQLite, that is the clock of this host. `clock` is the same inside a statement.
    """
    moment = postgres.server_clock.now()
    if moment is None and settings().database_url.get_backend_name() == "postgresql":
        with suppress(DBAPIError), engine().connect():  # A new connection reads the server's clock.
            moment = postgres.server_clock.now()
    return moment or datetime.now(UTC)


class clock(FunctionElement[datetime]):  # noqa: N801 - used like the functions of `sqlalchemy.func`
    """The moment at which the database begins a statement, or a moment that lies a `timedelta` after it.

    Leases, pauses and heartbeats are written and compared with it: whoever writes one and whoever compares it may run
    on hosts whose clocks differ.
    """

    type = UtcDateTime()
    inherit_cache = True

    def __init__(self, after: timedelta = timedelta()) -> None:
        """Keep the difference as a parameter of the statement."""
        super().__init__(literal(after.total_seconds(), Float))


@compiles(clock, "postgresql")
def _on_postgresql(element: clock, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    seconds = compiler.process(element.clauses, **options)
    return f"(statement_timestamp() + make_interval(secs => {seconds}))"


@compiles(clock, "sqlite")
def _on_sqlite(element: clock, compiler: SQLCompiler, **options: Any) -> str:  # noqa: ANN401
    seconds = compiler.process(element.clauses, **options)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', printf('%+.3f seconds', {seconds}))"


def connect(url: str | URL) -> Engine:
    """Return an engine for `url` with the timeouts and the locking that the ledger relies on."""
    url = make_url(url)
    if url.get_backend_name() == "sqlite":
        return _connect_sqlite(url)
    engine = create_engine(
        url,
        # Parameters may be identifiers, and the text of an error is logged.
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=5,
        # New connections read the server's clock.
        pool_recycle=3600,
        connect_args=postgres.arguments(url),
    )
    postgres.prepare(engine)
    return engine


def _connect_sqlite(url: URL) -> Engine:
    """Return an engine with write-ahead logging whose transactions begin with BEGIN IMMEDIATE.

    Such a transaction waits for other writers when it begins, and cannot fail later because another one wrote.
    """
    if database := url.database:
        Path(database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # isolation_level None keeps the driver from issuing a BEGIN of its own.
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
    """Return whether the configured database exists, without creating it; only SQLite's file can be missing."""
    url = settings().database_url
    return url.get_backend_name() != "sqlite" or url.database in {None, "", ":memory:"} or Path(url.database).is_file()


@cache
def engine() -> Engine:
    """Return this process's engine; a forked child must call `forget_parent_connections` first.

    Its first connection raises `NotConfigured` if the schema is one that this version does not know.
    """
    made = connect(settings().database_url)
    checked = False

    @event.listens_for(made, "engine_connect")
    def _check_schema(connection: Connection) -> None:
        nonlocal checked
        if not checked:
            with ExitStack() as unless_known:
                unless_known.callback(connection.close)  # Nobody else has it yet: it would stay open at the server.
                _refuse_unknown_schema(connection)
                unless_known.pop_all()
            checked = True

    return made


def _refuse_unknown_schema(connection: Connection) -> None:
    """Refuse a database that a later version of Thoraq has upgraded; one without a schema is accepted.

    Raises:
        NotConfigured: its revision is none of ours.
    """
    with connection.begin():
        has_schema = inspect(connection).has_table("alembic_version")
        found = connection.scalars(text("SELECT version_num FROM alembic_version")).all() if has_schema else []
    files = (file.name for file in importlib.resources.files("migrations.versions").iterdir())
    known = sorted(name.partition("_")[0] for name in files if name[0].isdigit())
    if unknown := set(found) - set(known):
        raise NotConfigured(
            f"the database has the schema {', '.join(unknown)}; this version of Thoraq knows none after {known[-1]}, "
            "so install the version that made it"
        )


def check() -> None:
    """Connect once, so that a process that cannot work with the database ends before it does anything.

    If the database does not answer or does not exist yet, this only returns, because it may do so later.

    Raises:
        NotConfigured: the database cannot be used as it is.
    """
    if not exists():
        return
    try:
        with reading() as session:
            session.connection()
    except DBAPIError as error:
        logger.warning("the database does not answer yet: %s", type(error.orig).__name__)


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
    """Return whether an error is trouble with the database that may pass: connection, lock, timeout, disk."""
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error.orig, sqlite3.OperationalError):  # SQLite also raises this for a missing table.
        return "locked" in str(error.orig) or getattr(error.orig, "sqlite_errorcode", 0) & 0xFF in SQLITE_TROUBLE
    if isinstance(error.orig, psycopg.errors.ReadOnlySqlTransaction):  # A standby that has not taken over yet.
        return True
    return isinstance(error, OperationalError | InterfaceError) or error.connection_invalidated


#: Decorator that retries a transaction while the database is out: 0.5 s to 5 s apart, for a minute, which is half of a
#: task's default time limit.
through_outages = retry(
    retry=retry_if_exception(is_outage),
    wait=wait_exponential(multiplier=0.5, max=5),
    stop=stop_after_delay(60),
    reraise=True,
)
