"""Connections: which ones are closed, and what is received before that."""

import errno
import os
import socket
from types import SimpleNamespace

import pytest
from waitress.adjustments import Adjustments

from dashboard.serving import connections
from dashboard.serving.connections import (
    IDLE_SECONDS,
    MIN_BYTES,
    PATIENCE_SECONDS,
    Connection,
    Phase,
    look_after,
)
from dashboard.serving.incoming import Bounds

POST = b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"


class Rig:
    """A server without a loop, and the client's end of one connection."""

    def __init__(self, limit: int = 10**9, total: int = 10**9) -> None:
        self.adjustments = Adjustments(max_request_body_size=2**60, inbuf_overflow=1000)
        self.tasks = []
        self.server = SimpleNamespace(
            bounds=Bounds(lambda _path, _headers: limit, total), is_stopping=False, active_channels={},
            add_task=self.tasks.append, pull_trigger=lambda: None,
        )  # fmt: skip
        self.clients = []
        self.map = {}

    def connect(self) -> Connection:
        ours, theirs = socket.socketpair()
        self.clients.append(theirs)
        return Connection(self.server, ours, ("10.0.0.1", 1), self.adjustments, map=self.map)

    def close(self) -> None:
        for connection in list(self.map.values()):
            connection.handle_close()
        for client in self.clients:
            client.close()


@pytest.fixture
def rig():
    rig = Rig()
    yield rig
    rig.close()


def now(connection: Connection) -> float:
    return connection._progress.at


@pytest.mark.parametrize(
    ("first", "then", "patience"),
    [
        (b"", b"", IDLE_SECONDS),
        (b"GET / HTTP/1.1\r\n", b"x", PATIENCE_SECONDS),
        (POST % 10**6, b"x" * (MIN_BYTES - 1), PATIENCE_SECONDS),
    ],
    ids=["idle", "headers", "body"],
)
def test_a_client_that_takes_too_long_is_closed(rig, first, then, patience):
    """A byte now and then does not help it."""
    connection = rig.connect()
    connection.received(first)
    assert not connection.is_stuck(begin := now(connection) + 1)

    connection.received(then)

    assert not connection.is_stuck(begin + patience - 1)
    assert connection.is_stuck(begin + patience + 1)


def test_a_body_that_comes_fast_enough_may_take_hours(rig):
    """A slow line is no attack."""
    connection = rig.connect()
    connection.received(POST % 10**9)
    moment = now(connection)
    for _ in range(200):
        connection.received(b"x" * MIN_BYTES)
        moment += PATIENCE_SECONDS + 1
        assert not connection.is_stuck(moment)


def test_an_answer_that_is_not_taken_is_dropped(rig):
    """One that is taken bit by bit is not."""
    connection = rig.connect()
    connection.total_outbufs_len = 10 * MIN_BYTES
    connection.is_stuck(begin := now(connection))
    connection.total_outbufs_len -= MIN_BYTES
    assert not connection.is_stuck(begin + PATIENCE_SECONDS + 1)

    assert connection.is_stuck(begin + 2 * PATIENCE_SECONDS + 2)


def test_a_request_that_is_being_answered_is_never_stuck(rig):
    """A large export takes us long, not the client."""
    connection = rig.connect()
    connection.received(b"GET / HTTP/1.1\r\n\r\n")

    assert Phase.WORK is connection.phase
    assert not connection.is_stuck(now(connection) + 10**6)
    assert [connection] == rig.tasks


def test_the_longest_waiting_idle_connections_make_room(rig, monkeypatch):
    """A request under way is kept."""
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 2)
    working, receiving, older, newer = (rig.connect() for _ in range(4))
    working.received(b"GET / HTTP/1.1\r\n\r\n")
    receiving.received(POST % 1000)

    look_after(set(rig.map.values()), now(newer))

    assert {working, receiving} == set(rig.map.values())
    assert not older.connected


def received(connection: Connection, *parts: bytes):
    """Return the request after these parts."""
    for part in parts:
        connection.received(part)
    return connection.requests[0]


def test_a_body_over_its_limit_completes_the_request_without_it():
    """It is neither stored nor read as another request."""
    rig = Rig(limit=1000)
    request = received(rig.connect(), POST % 1001, b"GET /studies HTTP/1.1\r\n\r\n" * 50)

    assert (413, "close", 0) == (request.unread, request.headers["CONNECTION"], len(request.get_body_stream().read()))
    assert 1 == len(rig.tasks)
    rig.close()


def test_a_chunked_body_is_counted_while_it_comes():
    """Its length is not announced."""
    rig = Rig(limit=1000)
    head = b"POST /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"

    assert 413 == received(rig.connect(), head, b"3e8\r\n" + b"x" * 1000 + b"\r\n").unread
    rig.close()


def test_all_bodies_together_have_a_limit_and_give_back_what_they_took():
    """Whoever begins many uploads cannot fill the disk with them."""
    rig = Rig(total=5000)
    first = rig.connect()
    first.received(POST % 4000 + b"x" * 3000)
    second = received(rig.connect(), POST % 4000 + b"x" * 3000)
    assert 503 == second.unread
    assert 3000 == rig.server.bounds.taken_bytes

    first.handle_close()

    assert 0 == rig.server.bounds.taken_bytes
    rig.close()


@pytest.mark.parametrize(("number", "status"), [(errno.ENOSPC, 507), (errno.EROFS, 503)])
def test_a_disk_that_takes_no_body_is_the_answer(rig, monkeypatch, caplog, number, status):
    """It is one line in the log."""

    def fail(*_arguments, **_options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("tempfile.TemporaryFile", fail)

    assert status == received(rig.connect(), POST % 50_000, b"x" * 20_000).unread
    assert 1 == len(caplog.records)
