"""A proxy before a TCP server. A test can make it silent or slow, cut its connections, or lose answers."""

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

#: Makes `close` send a reset instead of an orderly end.
RESET = struct.pack("ii", 1, 0)
CHUNK_BYTES = 65536


class Proxy:
    """Forwards connections to a port of this machine."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._pairs: list[Pair] = []
        self._lock = threading.Lock()
        #: While set, connections are accepted and acknowledged, and nothing is forwarded. A connection that sent or
        #: received something then stays silent for ever, as one whose other end is gone.
        self.silent = False
        #: By how many seconds each answer of the server is late.
        self.delay = 0.0
        #: How many more answers to a COMMIT are lost: the server commits, and the client is disconnected.
        self.answers_to_lose = 0
        #: Only one in so many COMMITs loses its answer.
        self.lose_one_in = 1
        self.lost_answers = self._commits = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return self._listener.getsockname()[1]

    def cut(self, *, reset: bool = False) -> None:
        """End every connection, orderly or with a reset; new ones are accepted."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            pair.end(reset=reset)

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def loses(self) -> bool:
        """Return whether this answer to a COMMIT is to be lost, and count it."""
        with self._lock:
            self._commits += 1
            if not self.answers_to_lose or self._commits % self.lose_one_in:
                return False
            self.answers_to_lose -= 1
            self.lost_answers += 1
            return True

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                pair = Pair(self, client, self._target)
                with self._lock:
                    self._pairs.append(pair)
                threading.Thread(target=pair.run, daemon=True).start()


class Pair:
    """The connection of a client, and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, client: socket.socket, target: tuple[str, int]) -> None:
        self._proxy, self._client, self._target = proxy, client, target
        self._server: socket.socket | None = None
        self._dead = self._commits = False

    def run(self) -> None:
        with suppress(OSError):
            while self._proxy.silent:  # The client is connected, but gets no answer.
                time.sleep(0.05)
                self._client.getpeername()
            self._server = socket.create_connection(self._target, timeout=10)
            self._server.settimeout(None)
            threading.Thread(target=self._from_client, daemon=True).start()
            self._from_server()
        self.end()

    def end(self, *, reset: bool = False) -> None:
        for end in filter(None, (self._client, self._server)):
            with suppress(OSError):
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                else:
                    end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _from_client(self) -> None:
        with suppress(OSError):
            while said := self._client.recv(CHUNK_BYTES):
                self._dead |= self._proxy.silent
                if not self._dead:
                    self._commits = b"COMMIT" in said
                    self._server.sendall(said)
        self.end()

    def _from_server(self) -> None:
        while said := self._server.recv(CHUNK_BYTES):
            self._dead |= self._proxy.silent
            if self._commits and self._proxy.loses():
                return
            if not self._dead:
                time.sleep(self._proxy.delay)
                self._client.sendall(said)


@contextmanager
def proxy_to(port: int) -> Iterator[Proxy]:
    """Forward to a port while the `with` block lasts."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
