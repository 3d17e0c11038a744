"""The whole product on one machine: a private Redis, SQLite, and every process of a deployment as a child.

It configures, starts and stops the processes, which then work as in any other deployment.
"""

import contextlib
import fcntl
import os
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from worker.database import transaction
from worker.demo.embedded_redis import EmbeddedRedis
from worker.demo.supervisor import Child, Deployment
from worker.errors import NotConfigured, ScoringError
from worker.models import registry
from worker.models.directory import SHIPPED, SHIPPED_FILMS, SHIPPED_PHANTOMS
from worker.settings import Settings, data_dir, settings

PROCESSES = ("intake", "worker", "trainer", "beat")
POLL_SECONDS = 0.5
#: The account of the demo, shown on its log-in page; it exists in no other mode.
ACCOUNT = PASSWORD = "demo"  # noqa: S105


class DemoRunning(ScoringError):
    """Another demo uses this data directory."""


@contextlib.contextmanager
def deployed(*, phantoms: bool, port: int) -> Iterator[Deployment]:
    """Run the deployment while the `with` block lasts.

    Args:
        phantoms: whether to score with the network trained on phantoms, or with that trained on films.
        port: the port of the dashboard.

    Raises:
        DemoRunning: another demo uses the data directory.
    """
    directory = data_dir()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _sole_user(directory), _broker(directory) as broker_url:
        write_environment(directory, broker_url)
        settings.cache_clear()
        prepare(settings(), phantoms=phantoms)
        deployment = Deployment()
        try:
            for arguments in (*((name,) for name in PROCESSES), ("dashboard", "--port", str(port))):
                child = Child(arguments, directory / "logs" / f"{arguments[0]}.log")
                deployment.children.append(child)
                child.start()
            wait_for_dashboard(port)
            yield deployment
        finally:
            deployment.stop()
            # The demo is over: a process that is started later must not run in its mode.
            (directory / "thoraq.env").unlink()


@contextlib.contextmanager
def _sole_user(directory: Path) -> Iterator[IO[str]]:
    """Hold a lock on the data directory; the kernel releases it when the process ends."""
    with (directory / "demo.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DemoRunning(f"a demo is already running with {directory}") from error
        yield lock


@contextlib.contextmanager
def _broker(directory: Path) -> Iterator[str]:
    """Yield the broker's URL: `THORAQ_BROKER_URL` if it is set, else that of an embedded server."""
    if url := os.environ.get("THORAQ_BROKER_URL"):
        yield url
    else:
        with EmbeddedRedis(directory / "redis") as server:
            yield server.url


def write_environment(directory: Path, broker_url: str) -> None:
    """Write `thoraq.env`, from which the children and every other `thoraq` command read the settings of the demo."""
    values = {
        "THORAQ_MODE": "demo",
        "THORAQ_BROKER_URL": broker_url,
        "THORAQ_SECRET_KEY": secrets.token_urlsafe(32),
        "THORAQ_SWEEP_SECONDS": "10",
        "THORAQ_TRAINING_DATA": str(directory / "phantom-dataset"),
        "THORAQ_TRAINING_NETWORK": "phantom",
    }
    path = directory / "thoraq.env"
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))


def prepare(settings: Settings, *, phantoms: bool) -> None:
    """Upgrade the schema, register the shipped models, activate one of them, and add the account."""
    if settings.mode != "demo":
        raise NotConfigured("THORAQ_MODE is set to a value other than demo")
    _thoraq("db", "upgrade")
    chosen = SHIPPED_PHANTOMS if phantoms else SHIPPED_FILMS
    with transaction() as session:
        rows = {path: registry.import_model(session, path, settings.models_dir) for path in SHIPPED}
        registry.activate(session, rows[chosen].version, by="demo")
    _thoraq("user", "add", ACCOUNT, "--role", "admin", "--password-stdin", "--or-update", stdin=PASSWORD)


def draw_training_set(directory: Path) -> Child:
    """Start drawing the data set on which the demo retrains, in a process of its own."""
    child = Child(
        ("phantoms", str(directory), "--dataset", "--per-finding", "60"), directory.with_suffix(".log"), ends=True
    )
    child.start()
    return child


def _thoraq(*arguments: str, stdin: str = "") -> None:
    """Run a `thoraq` command to its end.

    Raises:
        ScoringError: the command failed; the message holds its output.
    """
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "worker", *arguments], input=stdin, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ScoringError(f"`thoraq {' '.join(arguments[:2])}` failed: {done.stderr.strip()}")


@retry(
    retry=retry_if_exception_type(urllib.error.URLError), wait=wait_fixed(0.2), stop=stop_after_delay(30), reraise=True
)
def wait_for_dashboard(port: int) -> None:
    """Wait until the dashboard answers."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/live", timeout=5):
        pass
