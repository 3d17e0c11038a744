"""A request while it is received: its bounds, and what the application learns of a body that was not taken."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from waitress.parser import HTTPRequestParser
from waitress.task import WSGITask

from dashboard.errors import UNREAD_BODY
from worker.storage import disk

logger = logging.getLogger(__name__)

#: The line with the size of a chunk, or a line after the last chunk.
MAX_CHUNK_LINE_BYTES = 8 * 1024


@dataclass
class Bounds:
    """What clients may send to one process."""

    #: The most bytes of a body, by path and headers (in capitals, with `_` for `-`).
    body_bytes: Callable[[str, Mapping[str, str]], int]
    #: The most bytes of all bodies together that are being received or wait for their answer.
    total_bytes: int
    #: How many there are.
    taken_bytes: int = field(default=0, init=False)


class IncomingRequest(HTTPRequestParser):  # type: ignore[misc]
    """Parses one request. A body that is not taken completes it: the application answers by its headers alone."""

    def __init__(self, adjustments: Any, bounds: Bounds) -> None:  # noqa: ANN401 - waitress has no types
        """Begin with nothing received."""
        super().__init__(adjustments)
        self.began = time.monotonic()
        self.unread: HTTPStatus | None = None
        self._bounds = bounds
        self._taken = 0

    def received(self, data: bytes) -> int:
        """Take bytes from the client; return how many belong to this request."""
        try:
            consumed: int = super().received(data)
        except OSError as error:
            logger.error("a request cannot be stored: %s", disk.explain(error))  # noqa: TRY400 - the line says it all
            is_full = error.errno in disk.FULL
            self._leave(HTTPStatus.INSUFFICIENT_STORAGE if is_full else HTTPStatus.SERVICE_UNAVAILABLE)
            return len(data)
        if self.body_rcv is not None and (status := self._objection()):
            self._leave(status)
            return len(data)
        return consumed

    def close(self) -> None:
        """Remove what was stored of the body."""
        super().close()
        self._bounds.taken_bytes -= self._taken
        self._taken = 0

    def _objection(self) -> HTTPStatus | None:
        """Return why the body is not taken; None if there is no reason yet."""
        body: Any = self.body_rcv
        if self.error is not None:
            return HTTPStatus.BAD_REQUEST
        if max(self.content_length, self.body_bytes_received) > self._bounds.body_bytes(self.path, self.headers):
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        if self.chunked and not self.completed and len(body.control_line) + len(body.trailer) > MAX_CHUNK_LINE_BYTES:
            return HTTPStatus.BAD_REQUEST
        stored = len(body)
        self._bounds.taken_bytes += stored - self._taken
        self._taken = stored
        return HTTPStatus.SERVICE_UNAVAILABLE if self._bounds.taken_bytes > self._bounds.total_bytes else None

    def _leave(self, status: HTTPStatus) -> None:
        """Complete the request without its body; the rest of it must not be read as another request."""
        self.close()
        self.unread, self.body_rcv, self.error = status, None, None
        self.completed, self.expect_continue = True, False
        self.headers["CONNECTION"] = "close"
        self.headers.pop("CONTENT_LENGTH", None)


class RequestTask(WSGITask):  # type: ignore[misc]
    """Has the application answer one request, in a thread."""

    def start(self) -> None:
        """Tell the client to send no more requests here if this process is about to stop."""
        super().start()
        if self.channel.server.is_stopping:
            self.set_close_on_finish()

    def get_environment(self) -> dict[str, Any]:
        """Return the WSGI environment."""
        environ: dict[str, Any] = super().get_environment()
        if self.request.unread is not None:
            environ[UNREAD_BODY] = self.request.unread
        return environ
