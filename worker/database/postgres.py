"""Connections to PostgreSQL: their settings, how long they wait for an answer, and which databases they refuse.

The server's timeouts end a long statement, a wait for a lock and an idle transaction. They cannot end the wait for a
server, or a proxy before it, that keeps the network connection open and sends nothing; `Connection.wait` does.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import sqlalchemy
from psycopg.abc import RV, Params, PQGen, Query
from sqlalchemy import URL, Engine, event

from worker.errors import NotConfigured

#: No statement of ours takes this long.
STATEMENT_TIMEOUT_MS = 30_000
#: A process that holds a lock for longer is in trouble.
LOCK_TIMEOUT_MS = 5_000
#: No transaction of ours computes this long between two statements. After it, a hanging process loses its locks.
IDLE_TIMEOUT_MS = 30_000
#: Settings that every transaction relies on, whatever the defaults of the server, the database and the role are.
RELIED_ON = {
    "statement_timeout": str(STATEMENT_TIMEOUT_MS),
    "lock_timeout": str(LOCK_TIMEOUT_MS),
    "idle_in_transaction_session_timeout": str(IDLE_TIMEOUT_MS),
    "DateStyle": "ISO",  # psycopg reads no other.
    "TimeZone": "UTC",
}
_VALUES = ", ".join(f"('{name}', '{value}')" for name, value in RELIED_ON.items())
#: Sets them for the session, unless a pooler passed the statement to another server process than it connected us to.
_SET_FOR_SESSION = f"""
SELECT CASE WHEN pg_backend_pid() = %s THEN set_config(name, value, false) END,
       extract(epoch FROM clock_timestamp())::float8
FROM (VALUES {_VALUES}) AS relied_on (name, value)
"""  # noqa: S608 - constants
_SET_FOR_TRANSACTION = f"SELECT set_config(name, value, true) FROM (VALUES {_VALUES}) AS relied_on (name, value)"  # noqa: S608
_LIFT = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0"

#: How long a connection waits for an answer: longer than the server lets a statement run.
ANSWER_SECONDS = STATEMENT_TIMEOUT_MS / 1000 + 5
#: The same outside a transaction, where only the pool asks whether the connection still works.
PING_SECONDS = 5
#: What a connection asks for unless the URL says otherwise.
CONNECT_ARGUMENTS: Mapping[str, str | int] = {
    "connect_timeout": 5,
    # The kernel's timeouts end a wait for an unreachable host sooner than `ANSWER_SECONDS`.
    "tcp_user_timeout": 10_000,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "client_encoding": "utf8",
}


class ServerClock:
    """The server's clock as this process read it last, and counted on by a clock that nobody sets.

    The clock of a host may be minutes off. It is read with each new connection, and the pool makes new ones at least
    every hour.
    """

    def __init__(self) -> None:
        """Not read yet."""
        self._read: tuple[datetime, float] | None = None

    def set(self, moment: datetime) -> None:
        """Note what the server's clock says."""
        self._read = moment.astimezone(UTC), _steady_seconds()

    def now(self) -> datetime | None:
        """Return what the server's clock says now, in UTC; None if it was never read."""
        if self._read is None:
            return None
        moment, at = self._read
        return moment + timedelta(seconds=_steady_seconds() - at)


#: The clock of this process's server.
server_clock = ServerClock()


def _steady_seconds() -> float:
    """Return seconds that also pass while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Cursor(psycopg.Cursor[Any]):
    """A cursor that leaves the server's clock of idle transactions running."""

    def executemany(self, query: Query, params_seq: Iterable[Params], *, returning: bool = False) -> None:
        """Execute a statement with each of many parameters, sent at once, and an empty statement after them.

        After the last answer psycopg asks for a flush. From then until the next statement PostgreSQL would not count
        how long the transaction stands still.
        """
        super().executemany(query, params_seq, returning=returning)
        if not returning:
            self.connection.execute("")


class Connection(psycopg.Connection[Any]):
    """A connection whose every wait for the server has a limit."""

    #: How long it waits for an answer; None while a migration rewrites a table.
    answer_seconds: float | None = ANSWER_SECONDS
    #: True behind a pooler that gives each transaction another session.
    pooled = False

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - psycopg's
        """Let it make cursors of this module."""
        super().__init__(*arguments, **options)
        self.cursor_factory = Cursor

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for an answer; every statement, COMMIT and ROLLBACK of psycopg comes through here.

        Raises:
            psycopg.OperationalError: there was no answer in time. The connection is closed.
        """
        limit = timeout or self.answer_seconds
        if self.autocommit and limit is not None:
            limit = min(limit, PING_SECONDS)
        since = time.monotonic()
        try:
            return super().wait(gen, interval, limit)
        except psycopg.OperationalError as error:
            if limit is None or time.monotonic() - since < limit:
                raise
            self.close()
            raise psycopg.OperationalError(f"no answer within {limit:g} s") from error


def arguments(url: URL) -> dict[str, str | int]:
    """Return the arguments of a connection beside those that the URL has."""
    return {name: value for name, value in CONNECT_ARGUMENTS.items() if name not in url.query}


def prepare(engine: Engine) -> None:
    """Let an engine make connections of this module."""

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]) -> Connection:  # noqa: ANN401
        with ExitStack() as unless_set_up:
            connection = unless_set_up.enter_context(closing(Connection.connect(*arguments, **options)))
            _set_up(connection, options)
            unless_set_up.pop_all()
        return connection

    @event.listens_for(engine, "begin")
    def _begin(connection: sqlalchemy.Connection) -> None:
        if _driver(connection).pooled:
            connection.exec_driver_sql(_SET_FOR_TRANSACTION)


def _set_up(connection: Connection, options: Mapping[str, Any]) -> None:
    """Set what transactions rely on for the session, or find that a pooler makes it necessary for each transaction.

    Raises:
        NotConfigured: the database cannot store our texts, or the pooler would ignore settings of the URL.
    """
    encoding = connection.info.parameter_status("server_encoding")
    if encoding not in {None, "UTF8"}:
        raise NotConfigured(f"the database stores text as {encoding}: create one with the encoding UTF8")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(_SET_FOR_SESSION, (connection.info.backend_pid,))
        applied, seconds = cursor.fetchall()[0]
    connection.pooled = applied is None
    server_clock.set(datetime.fromtimestamp(seconds, UTC))
    connection.autocommit = False
    if connection.pooled:
        if options.get("options"):
            raise NotConfigured(
                "behind a connection pooler, `options` in THORAQ_DATABASE_URL have no effect: "
                "use ALTER ROLE ... SET for them"
            )
        connection.prepare_threshold = None  # The next transaction may have a session without the prepared statement.


def _driver(connection: sqlalchemy.Connection) -> Connection:
    driver = connection.connection.dbapi_connection
    assert isinstance(driver, Connection)  # noqa: S101 - `prepare` made it
    return driver


@contextmanager
def long_statements(connection: sqlalchemy.Connection) -> Iterator[None]:
    """Lift the time limits in one transaction, for statements such as those that rewrite a large table.

    Args:
        connection: of PostgreSQL; its transaction has begun.
    """
    driver = _driver(connection)
    driver.answer_seconds = None
    try:
        if connection.get_isolation_level() != "AUTOCOMMIT":
            connection.exec_driver_sql(_LIFT)
        yield
    finally:
        del driver.answer_seconds
