"""HTTP calls with one deadline for the whole: name, connection, TLS, request and the head of the answer.

A time-out of a socket begins anew with each byte, so an endpoint that sends one byte every three seconds would hold its
caller for ever.
"""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection


class Overdue(Exception):
    """The deadline has passed. The request may have arrived."""


class _Exchange:
    """The connections of one call, which end at its deadline whoever uses them."""

    def __init__(self) -> None:
        """Begin without a connection."""
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._over = False

    def watch(self, connected: socket.socket) -> None:
        """End a connection with the exchange, also while TLS has taken its socket over.

        Raises:
            Overdue: the exchange has ended; nothing must be sent.
        """
        with self._lock:
            if self._over:
                raise Overdue
            self._sockets.append(connected.dup())

    def end(self) -> None:
        """End every connection, and let no other begin."""
        with self._lock:
            self._over = True
            for connected in self._sockets:
                with connected:
                    try:
                        connected.shutdown(socket.SHUT_RDWR)
                    except OSError:  # The other side has ended it.
                        continue


class _Watched:
    """A connection that belongs to an exchange."""

    exchange: _Exchange

    def _new_conn(self) -> socket.socket:
        connected: socket.socket = super()._new_conn()  # type: ignore[misc]
        try:
            self.exchange.watch(connected)
        except Overdue:
            connected.close()
            raise
        return connected


class _Http(_Watched, HTTPConnection):
    pass


class _Https(_Watched, HTTPSConnection):
    pass


def post(url: str, body: bytes, headers: dict[str, str], seconds: float) -> int:
    """Send a POST request and return the status of its answer; no redirect is followed, and no body is read.

    Raises:
        Overdue: there was no whole head of an answer within `seconds`.
        urllib3.exceptions.HTTPError: the call failed.
    """
    exchange = _Exchange()
    # A thread, because nothing can interrupt the search for a name. If it is left behind, it sends nothing.
    thread = ThreadPoolExecutor(1, thread_name_prefix="call")
    try:
        return thread.submit(_post, exchange, url, body, headers, seconds).result(timeout=seconds)
    except TimeoutError:
        raise Overdue from None
    finally:
        exchange.end()
        thread.shutdown(wait=False)


def _post(exchange: _Exchange, url: str, body: bytes, headers: dict[str, str], seconds: float) -> int:
    timeout = urllib3.Timeout(total=seconds)
    with urllib3.connection_from_url(url, retries=False, timeout=timeout) as pool:
        kind: type[Any] = _Https if pool.scheme == "https" else _Http
        pool.ConnectionCls = type(kind.__name__, (kind,), {"exchange": exchange})
        path = urllib3.util.parse_url(url).request_uri
        answer = pool.urlopen(
            "POST", path, body=body, headers=headers, redirect=False, assert_same_host=False, preload_content=False
        )
        answer.release_conn()
        return answer.status
