"""One process of the server: gunicorn starts, watches and stops it; waitress's loop serves the connections in it."""

import ctypes
import logging
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gunicorn.workers.base import Worker
from waitress.server import create_server
from waitress.wasyncore import poll2

from dashboard.accounts import access
from dashboard.multipart import MAX_FORM_BYTES
from dashboard.serving.connections import Connection, Phase, look_after, quieten
from dashboard.serving.incoming import Bounds
from dashboard.serving.lanes import Lanes
from dashboard.settings import DashboardSettings
from worker.settings import settings

logger = logging.getLogger(__name__)

#: Requests and answers up to this size stay in memory while their clients are slow; larger ones lie in a file.
MEMORY_BYTES = 64 * 1024
MAX_HEADER_BYTES = 32 * 1024
#: So many uploads of the largest size may be under way in one process.
UPLOADS_AT_ONCE = 8
#: Parameters of glibc's mallopt(3).
M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
#: How often connections are looked after.
TURN_SECONDS = 1.0
#: gunicorn kills a process that takes longer than its own limit.
STOP_MARGIN_SECONDS = 1


class ServingProcess(Worker):  # type: ignore[misc]
    """Serves until gunicorn stops it."""

    _server: Any = None

    def run(self) -> None:
        """Serve, then finish the requests that have come."""
        self._server = self._start()
        while self.alive and self.ppid == os.getppid():
            self._turn()
        self._finish()

    def handle_exit(self, sig: int, frame: object) -> None:
        """Stop at SIGTERM, at once rather than after the turn."""
        super().handle_exit(sig, frame)
        if self._server is not None:
            self._server.pull_trigger()

    def _start(self) -> Any:  # noqa: ANN401 - waitress has no types
        dashboard: DashboardSettings = self.wsgi.extensions["thoraq_settings"]
        _give_memory_back()
        _store_under(settings().data_dir / "incoming")
        quieten()
        server = create_server(
            self.wsgi,
            sockets=[listener.sock for listener in self.sockets],
            threads=0,
            connection_limit=sys.maxsize,
            channel_timeout=sys.maxsize,
            max_request_header_size=MAX_HEADER_BYTES,
            max_request_body_size=sys.maxsize,
            inbuf_overflow=MEMORY_BYTES,
            outbuf_overflow=MEMORY_BYTES,
            # A thread that writes an answer never waits for the client.
            outbuf_high_watermark=sys.maxsize,
            recv_bytes=MEMORY_BYTES,
            log_socket_errors=False,
            # `dashboard.app` decides which proxies are believed.
            clear_untrusted_proxy_headers=False,
            ident=None,
        )
        server.channel_class = Connection
        server.task_dispatcher.shutdown()
        server.task_dispatcher = Lanes(access.upload_paths(self.wsgi), self.cfg.threads)
        server.bounds = Bounds(_body_bytes(self.wsgi, dashboard), UPLOADS_AT_ONCE * dashboard.max_upload_bytes)
        server.is_stopping = False
        return server

    def _turn(self) -> None:
        """Receive and send for at most a second."""
        self.notify()
        poll2(TURN_SECONDS, self._server._map)  # noqa: SLF001 - its own loop has no turns
        look_after(set(self._server.active_channels.values()), time.monotonic())

    def _finish(self) -> None:
        """Take no more connections; answer the requests whose headers have come, while gunicorn allows it."""
        server = self._server
        server.is_stopping, server.accepting = True, False
        deadline = time.monotonic() + self.cfg.graceful_timeout - STOP_MARGIN_SECONDS
        while time.monotonic() < deadline:
            for connection in list(server.active_channels.values()):
                if connection.phase in {Phase.IDLE, Phase.HEADERS}:
                    connection.handle_close()
            if not server.active_channels:
                break
            self._turn()
        server.task_dispatcher.shutdown()


def _give_memory_back() -> None:
    """Have the C library return large blocks at once and keep two heaps instead of one for each few threads."""
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):  # glibc; other C libraries do not keep as much.
        library.mallopt(M_ARENA_MAX, 2)
        library.mallopt(M_MMAP_THRESHOLD, MEMORY_BYTES)


def _store_under(folder: Path) -> None:
    """Store what clients send and take slowly in the data directory, in files without a name.

    `/tmp` may be memory. Where the folder cannot be made, the default is used.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        logger.warning("uploads are received under %s: %s", tempfile.gettempdir(), type(error).__name__)
    else:
        tempfile.tempdir = str(folder)


def _body_bytes(app: Any, dashboard: DashboardSettings) -> Any:  # noqa: ANN401 - Flask as gunicorn loads it
    """Return the function that says how large a body may be; whoever sends no credentials may send a form."""
    paths = access.upload_paths(app)

    def body_bytes(path: str, headers: Mapping[str, str]) -> int:
        has_credentials = "AUTHORIZATION" in headers or "COOKIE" in headers
        return dashboard.max_upload_bytes if path in paths and has_credentials else MAX_FORM_BYTES

    return body_bytes
