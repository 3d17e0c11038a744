"""The settings and time limits of a connection to PostgreSQL, and the databases that are refused."""

import time
from urllib.parse import quote

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError
from tcp_proxy import proxy_to

from worker.database import connect, is_outage, postgres
from worker.errors import NotConfigured

RELIED_ON = text("SELECT name, setting FROM pg_settings WHERE name = ANY(:names)")


@pytest.fixture
def proxy(postgres_database):
    """A proxy before the server of this test's database."""
    with proxy_to(make_url(postgres_database).port) as proxy:
        yield proxy


@pytest.fixture
def through_proxy(proxy, postgres_database, monkeypatch):
    """An engine whose connections go through the proxy and wait for an answer for a second."""
    monkeypatch.setattr(postgres.Connection, "answer_seconds", 1.0)
    engine = connect(make_url(postgres_database).set(port=proxy.port))
    yield engine
    engine.dispose()


def settings_of(connection) -> dict[str, str]:
    """Return the values of the settings that a transaction relies on."""
    return dict(connection.execute(RELIED_ON, {"names": list(postgres.RELIED_ON)}).all())


def relied_on() -> dict[str, str]:
    return postgres.RELIED_ON | {"DateStyle": "ISO, MDY"}


def seconds_until_outage(action) -> float:
    """Return how long an action takes to fail; the error must count as an outage."""
    since = time.monotonic()
    with pytest.raises(DBAPIError) as caught:
        action()
    assert is_outage(caught.value), caught.value
    return time.monotonic() - since


def test_a_statement_that_is_not_answered_ends(proxy, through_proxy):
    """The network connection stays open, so no time limit of the server or the kernel ends the wait."""
    with through_proxy.connect() as connection:
        connection.execute(text("SELECT 1"))
        proxy.silent = True

        assert 1 <= seconds_until_outage(lambda: connection.execute(text("SELECT 1"))) < 3


def test_a_commit_that_is_not_answered_ends(proxy, through_proxy):
    """COMMIT does not go through a cursor, as statements do."""
    with through_proxy.connect() as connection:
        connection.execute(text("CREATE TABLE written (id INTEGER)"))
        proxy.silent = True

        assert 1 <= seconds_until_outage(connection.commit) < 3


def test_a_pool_asks_a_silent_connection_and_a_new_one_and_gives_up(proxy, through_proxy):
    """The first transaction after the silence succeeds."""
    with through_proxy.connect() as connection:
        connection.execute(text("SELECT 1"))
    proxy.silent = True

    assert seconds_until_outage(through_proxy.connect) < 1 + postgres.CONNECT_ARGUMENTS["connect_timeout"] + 2

    proxy.silent = False
    with through_proxy.connect() as connection:
        assert 1 == connection.scalar(text("SELECT 1"))


@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_that_is_cut_is_an_outage(proxy, through_proxy, reset):
    """The connection is closed in order, or by a reset."""
    with through_proxy.connect() as connection:
        connection.execute(text("SELECT 1"))
        proxy.cut(reset=reset)

        assert seconds_until_outage(lambda: connection.execute(text("SELECT 1"))) < 1


def test_a_migration_waits_for_as_long_as_it_takes(through_proxy):
    """A revision may rewrite a table for minutes; afterwards the connection waits as before."""
    with through_proxy.connect() as connection:
        with postgres.long_statements(connection):
            connection.execute(text("SELECT pg_sleep(1.5)"))

        assert 1 <= seconds_until_outage(lambda: connection.execute(text("SELECT pg_sleep(5)"))) < 3


@pytest.mark.parametrize("times", [1, 3])
def test_a_transaction_that_stands_still_ends(postgres_database, monkeypatch, times):
    """A frozen process loses its locks and gets an outage, also after many statements that were sent at once."""
    monkeypatch.setattr(postgres, "_SET_FOR_SESSION", postgres._SET_FOR_SESSION.replace("'30000'", "'500'"))
    engine = connect(postgres_database)
    with engine.connect() as connection:
        connection.execute(text("CREATE TABLE many (n INTEGER)"))
        connection.execute(text("INSERT INTO many VALUES (:n)"), times * [{"n": 1}])
        time.sleep(1.5)

        seconds_until_outage(lambda: connection.execute(text("SELECT 1")))
    engine.dispose()


def test_what_is_relied_on_is_set_whatever_the_defaults_are(postgres_database):
    """Here they are the defaults of the database."""
    name = make_url(postgres_database).database
    admin = create_engine(postgres_database, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        for setting in ("DateStyle = 'SQL, DMY'", "TimeZone = 'Asia/Kathmandu'", "statement_timeout = 0"):
            connection.execute(text(f"ALTER DATABASE {name} SET {setting}"))
    admin.dispose()
    engine = connect(postgres_database)

    with engine.connect() as connection:
        found = settings_of(connection)
        moment = connection.scalar(text("SELECT timestamptz '2026-11-29 01:02:03+00'"))

    engine.dispose()
    assert postgres.RELIED_ON | {"DateStyle": "ISO, DMY"} == found
    assert "2026-11-29T01:02:03+00:00" == moment.isoformat()


def test_the_options_of_the_url_hold(postgres_database):
    """Tables are created in the schema that the options name."""
    options = quote("-c search_path=of_radiology")
    engine = connect(f"{postgres_database}?options={options}&application_name=films")

    with engine.connect() as connection:
        assert "of_radiology" == connection.scalar(text("SHOW search_path"))
        assert "films" == connection.scalar(text("SHOW application_name"))
        assert relied_on() == settings_of(connection)
    engine.dispose()


def test_a_database_that_does_not_store_text_as_utf_8_is_refused_in_one_line(postgres_database):
    """The driver would return bytes instead of text."""
    admin = create_engine(postgres_database, isolation_level="AUTOCOMMIT")
    name = f"{make_url(postgres_database).database}_ascii"
    with admin.connect() as connection:
        connection.execute(
            text(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        )
    engine = connect(make_url(postgres_database).set(database=name))
    try:
        with pytest.raises(NotConfigured, match="stores text as SQL_ASCII: create one with the encoding UTF8"):
            engine.connect()
    finally:
        engine.dispose()
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name}"))
        admin.dispose()
