"""A call ends at its deadline, whatever the endpoint does, and nothing is sent after it."""

import contextlib
import socket
import threading
import time

import pytest
import urllib3
from receiver import listening

from worker.submissions import timed_calls
from worker.submissions.timed_calls import Overdue

SECONDS = 0.5
#: How long a hostile endpoint keeps its callers.
PATIENCE_SECONDS = 30


@contextlib.contextmanager
def endpoint(answer: bytes, first: bytes = b""):
    """Listen on a free port; send `first` at once, then the bytes of `answer`, one every 0.1 s."""
    over = threading.Event()
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            caller, _ = server.accept()
            with caller:
                caller.sendall(first)
                for byte in answer:
                    if over.wait(0.1):
                        return
                    caller.sendall(bytes([byte]))
                over.wait(PATIENCE_SECONDS)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
    finally:
        over.set()
        server.close()
        thread.join()


def calls_under_way() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("call")]


def wait_for(condition, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("scheme", "first", "answer"),
    [
        ("http", b"", b""),
        ("http", b"", b"HTTP/1.1 204 No Content\r\n" * 20),
        ("http", b"HTTP/1.1 204 No Content\r\n", b"X-Header: " + b"x" * 500),
        ("http", b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 20),
        ("https", b"", b""),
        ("https", b"\x16\x03\x03\x40\x00", b"\x02" * 500),
    ],
    ids=["silence", "status", "headers", "continue", "TLS silence", "TLS"],
)
def test_an_endpoint_that_drips_or_is_silent_is_left_at_the_deadline(scheme, first, answer):
    """Its connection ends, and so does the thread that used it."""
    with endpoint(answer, first) as address:
        since = time.monotonic()
        with pytest.raises((Overdue, urllib3.exceptions.HTTPError)):
            timed_calls.post(f"{scheme}://{address}/", b"x" * 10, {}, SECONDS)

        assert time.monotonic() - since < SECONDS + 3
        wait_for(lambda: not calls_under_way())


def test_an_endpoint_that_reads_nothing_is_left_at_the_deadline():
    """The request does not fit into the buffers of the connection."""
    with endpoint(b"") as address:
        with pytest.raises((Overdue, urllib3.exceptions.HTTPError)):
            timed_calls.post(f"http://{address}/", b"x" * 2**26, {}, SECONDS)

        wait_for(lambda: not calls_under_way())


def test_nothing_is_sent_after_the_deadline(monkeypatch):
    """The name was found too late: the call has been recorded as failed, and another will be made."""
    find, found = socket.getaddrinfo, threading.Event()

    def slow(*arguments, **options):
        found.wait(PATIENCE_SECONDS)
        return find(*arguments, **options)

    with listening() as server:
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        with pytest.raises(Overdue):
            timed_calls.post(f"http://127.0.0.1:{server.server_port}/", b"late", {}, 0.2)
        found.set()
        wait_for(lambda: not calls_under_way())

        assert [] == server.bodies


def test_an_answer_in_time_is_its_status_and_its_body_is_not_read():
    """However long the body would be."""
    head = b"HTTP/1.1 202 Accepted\r\nContent-Length: 100000000000\r\n\r\n"
    with endpoint(b"x" * 500, head) as address:
        assert 202 == timed_calls.post(f"http://{address}/a?b=c", b"", {}, 20)


def test_no_redirect_is_followed_and_path_and_headers_arrive():
    """Only configured addresses are called."""
    with listening() as server:
        server.status = 307
        assert 307 == timed_calls.post(f"http://127.0.0.1:{server.server_port}/a?b=c", b"body", {"X-Id": "7"}, 20)

        assert ([b"body"], "7") == (server.bodies, server.headers_seen[0]["X-Id"])


def test_a_closed_port_is_an_error_of_the_call():
    """It is known before the deadline."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(urllib3.exceptions.HTTPError):
        timed_calls.post(f"http://127.0.0.1:{port}/", b"", {}, 20)
