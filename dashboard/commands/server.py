"""`thoraq dashboard`: the web application under gunicorn and waitress."""

import logging
from pathlib import Path

import click
from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from dashboard.app import create_app
from dashboard.serving.process import ServingProcess
from dashboard.settings import DashboardSettings, dashboard_settings
from worker import database
from worker.celery_app import broker_url
from worker.settings import settings as worker_settings
from worker.telemetry import logs

#: When the server stops, requests in progress get this long to finish.
GRACE_SECONDS = 20
#: Where gunicorn writes its heartbeat; on a disk, a slow write would look like a dead process.
MEMORY = Path("/dev/shm")  # noqa: S108 - gunicorn makes a private file in it


class Log(Logger):  # type: ignore[misc]
    """Writes gunicorn's own lines in the format of all others; requests are not logged."""

    def setup(self, cfg: object) -> None:  # noqa: ARG002 - gunicorn's signature
        """Pass the lines on to the log handler of this process."""
        self.error_log.setLevel(logging.INFO)
        self.error_log.propagate = True


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn with our options only: it reads no configuration file and no environment variable."""

    def __init__(self, settings: DashboardSettings, options: dict[str, object]) -> None:
        """Store the arguments for `load` and `load_config`, which the base class calls."""
        self._settings, self._options = settings, options
        super().__init__()

    def load_config(self) -> None:
        """Set our options."""
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        """Build the application, in each serving process."""
        return create_app(self._settings)


@click.command(epilog="Example: thoraq dashboard --host 0.0.0.0 --port 8000")
@click.option("--host", help="Address to listen on (THORAQ_HOST).  [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on (THORAQ_PORT).  [default: 8000]")
@click.option(
    "--threads", type=click.IntRange(1, 256), help="Requests answered at once (THORAQ_THREADS).  [default: 8]"
)
def dashboard(host: str | None, port: int | None, threads: int | None) -> None:
    """Serve the web pages and the API until a signal stops it."""
    settings = dashboard_settings()
    logs.configure(worker_settings())
    broker_url(worker_settings())
    database.check()
    Server(settings, options(settings, host=host, port=port, threads=threads)).run()


def options(
    settings: DashboardSettings, *, host: str | None = None, port: int | None = None, threads: int | None = None
) -> dict[str, object]:
    """Return gunicorn's options; the arguments override the settings."""
    address = host or settings.host
    return {
        "bind": f"[{address}]:{port or settings.port}" if ":" in address else f"{address}:{port or settings.port}",
        "workers": settings.dashboard_processes,
        "worker_class": ServingProcess,
        "threads": threads or settings.threads,
        "graceful_timeout": GRACE_SECONDS,
        # Requests are not logged: query strings may hold a sender's identifiers.
        "accesslog": None,
        "logger_class": Log,
        "control_socket_disable": True,
        "worker_tmp_dir": str(MEMORY) if MEMORY.is_dir() else None,
        "proc_name": "thoraq dashboard",
    }
