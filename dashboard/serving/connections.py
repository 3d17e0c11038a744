"""The connections of one process: each moves on, or is closed; the newest ones always get in."""

import logging
import time
from collections.abc import Set as AbstractSet
from enum import IntEnum
from typing import Any, NamedTuple

from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.utilities import logger as waitress_logger

from dashboard.serving.incoming import IncomingRequest, RequestTask
from worker.storage import disk

logger = logging.getLogger(__name__)

#: With more connections, those that have waited longest for their client are closed. Each has up to three open files.
MAX_CONNECTIONS = 300
#: A connection without a request stays open for as long as proxies keep theirs.
IDLE_SECONDS = 60
#: A request's headers come within this time; in each such time, a body and an answer move by `MIN_BYTES`.
PATIENCE_SECONDS = 30
#: 2 KiB/s, of which a telephone line is capable.
MIN_BYTES = PATIENCE_SECONDS * 2048
#: For how long the rest of a body that was not taken is thrown away, so that its sender reads the answer.
LINGER_SECONDS = 5


class Phase(IntEnum):
    """What a connection waits for; the first ones are the first to be closed."""

    IDLE = 1  #: A request.
    HEADERS = 2  #: The rest of its headers.
    LINGERING = 3  #: The end of a body that was not taken.
    BODY = 4  #: The rest of its body.
    ANSWER = 5  #: The client, to take the answer.
    WORK = 6  #: Us.


class Progress(NamedTuple):
    """How far a connection was at some moment."""

    phase: Phase
    #: Bytes received, or bytes that are still to be sent.
    amount: int
    #: `time.monotonic()`.
    at: float


class Connection(HTTPChannel):  # type: ignore[misc]
    """One client. Its requests are received, and its answers sent, by the thread that looks after all connections."""

    task_class = RequestTask
    request: Any
    close_when_flushed: bool

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - waitress has no types
        """Begin to wait for a request."""
        self._lingers_until: float | None = None
        self._has_unread = False
        super().__init__(*arguments, **options)
        self._progress = Progress(Phase.IDLE, 0, time.monotonic())

    def parser_class(self, adjustments: Any) -> IncomingRequest:  # noqa: ANN401
        """Return a new request; waitress calls this."""
        return IncomingRequest(adjustments, self.server.bounds)

    @property
    def phase(self) -> Phase:
        """What the connection waits for."""
        if self._lingers_until is not None:
            return Phase.LINGERING
        if self.requests:
            return Phase.WORK
        if self.total_outbufs_len:
            return Phase.ANSWER
        if self.request is None:
            return Phase.IDLE
        return Phase.BODY if self.request.headers_finished else Phase.HEADERS

    @property
    def waits_since(self) -> tuple[Phase, float]:
        """The order in which connections are closed when there are too many."""
        return self.phase, self._progress.at

    def is_stuck(self, moment: float) -> bool:
        """Return whether the client has taken too long; called about every second."""
        phase, before = self.phase, self._progress
        if phase is Phase.LINGERING:
            return moment > (self._lingers_until or 0)
        amount = self._amount(phase)
        if phase is not before.phase or phase is Phase.WORK:
            self._progress = Progress(phase, amount, moment)
            return False
        if phase is Phase.IDLE:
            return moment - before.at > IDLE_SECONDS
        if moment - before.at <= PATIENCE_SECONDS:
            return False
        self._progress = Progress(phase, amount, moment)
        return abs(amount - before.amount) < MIN_BYTES

    def _amount(self, phase: Phase) -> int:
        request = self.request
        if phase is Phase.BODY and request is not None:
            return int(request.body_bytes_received)
        return int(self.total_outbufs_len) if phase is Phase.ANSWER else 0

    def write_soon(self, data: Any) -> int:  # noqa: ANN401 - bytes or a file
        """Keep a part of the answer until the client takes it.

        Raises:
            ClientDisconnected: the client is gone, or the disk has no room for the answer.
        """
        try:
            return int(super().write_soon(data))
        except OSError as error:
            logger.error("an answer cannot be stored: %s", disk.explain(error))  # noqa: TRY400 - the line says it all
            raise ClientDisconnected from error

    def received(self, data: bytes) -> bool:
        """Take bytes from the client, unless they are the rest of a body that was not taken."""
        if self._lingers_until is not None:
            return False
        taken = bool(super().received(data))
        self._has_unread = self._has_unread or any(request.unread for request in self.requests)
        return taken

    def readable(self) -> bool:
        """Return whether bytes of the client are wanted."""
        return self._lingers_until is not None or bool(super().readable())

    def writable(self) -> bool:
        """Return whether there is something to send or to close."""
        return self.will_close if self._lingers_until is not None else bool(super().writable())

    def handle_write(self) -> None:
        """Send what the client takes; instead of closing, throw away the rest of a body that was not taken.

        A connection that is closed while its client sends is reset, and the client never reads the answer.
        """
        if not (self._has_unread and self.close_when_flushed) or self.will_close:
            super().handle_write()
            return
        self._flush_exception(self._flush_some)
        if self.connected and not self.will_close and not self.total_outbufs_len:
            self._lingers_until = time.monotonic() + LINGER_SECONDS
            self.close_when_flushed = False
            self.shut_down_writing()

    def shut_down_writing(self) -> None:
        """Tell the client that the answer is complete."""
        try:
            self.socket.shutdown(1)
        except OSError:
            self.will_close = True

    def handle_close(self) -> None:
        """Close the connection and remove what was received of a request."""
        if self.request is not None:
            self.request.close()
            self.request = None
        super().handle_close()

    def handle_error(self) -> None:
        """Log one line and close; waitress would log a traceback of its own shape."""
        logger.error("a connection failed", exc_info=True)  # noqa: LOG014 - waitress calls this for an exception
        self.handle_close()


def look_after(connections: AbstractSet[Connection], moment: float) -> None:
    """Close the connections whose client takes too long, and the longest waiting ones if there are too many."""
    stuck = {connection for connection in connections if connection.is_stuck(moment)}
    surplus = len(connections) - len(stuck) - MAX_CONNECTIONS
    if surplus > 0:
        others = sorted(connections - stuck, key=lambda connection: connection.waits_since)
        stuck.update(connection for connection in others[:surplus] if connection.phase is not Phase.WORK)
    for connection in stuck:
        connection.handle_close()


def quieten() -> None:
    """Leave out waitress's own lines: it warns of every request that waits for a thread."""
    waitress_logger.setLevel(logging.ERROR)
