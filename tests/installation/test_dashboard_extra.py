"""`pip install thoraq[dashboard]` in an empty environment: it is small, and the dashboard and its commands work."""

import os
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from worker.demo.embedded_redis import free_port

CHECKOUT = Path(__file__).parent.parent.parent
#: The Dockerfile copies the same files.
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "worker", "dashboard", "model_training", "migrations")
MAX_BYTES = 200 * 1000**2


class Installation:
    """A virtual environment with Thoraq in it, and a directory for its database."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.environment = {
            "PATH": f"{directory / 'venv' / 'bin'}:{os.environ['PATH']}",
            "HOME": str(directory),
            "THORAQ_DATA_DIR": str(directory / "data"),
            "THORAQ_DATABASE_URL": f"sqlite:///{directory / 'thoraq.db'}",
            "THORAQ_SECRET_KEY": "s" * 32,
            # Nothing listens there, so that submitted films wait in the database.
            "THORAQ_BROKER_URL": "redis://127.0.0.1:1/0",
        }

    def thoraq(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess:
        return subprocess.run(
            ["thoraq", *arguments],
            env=self.environment,
            cwd=self.directory,
            input=stdin,
            capture_output=True,
            text=True,
        )

    def uv(self, *arguments: str) -> None:
        uv = Path(sys.executable).parent / "uv"
        subprocess.run([uv, *arguments, "--quiet"], cwd=self.directory, check=True)


@pytest.fixture(scope="module")
def installation(tmp_path_factory) -> Installation:
    """An environment with the lock of the dashboard and then Thoraq, installed as in the Dockerfile."""
    installation = Installation(tmp_path_factory.mktemp("installation"))
    source = installation.directory / "source"
    source.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copy
        copy(CHECKOUT / name, source / name)
    installation.uv("venv", "--seed", "--python", sys.executable, "venv")
    python = ("--python", "venv/bin/python")
    lock = str(CHECKOUT / "requirements-dashboard.lock")
    installation.uv("pip", "install", *python, "--require-hashes", "-r", lock)
    installation.uv("pip", "install", *python, "--no-deps", "--no-build-isolation", "./source")
    upgrade = installation.thoraq("db", "upgrade")
    assert 0 == upgrade.returncode, upgrade.stderr
    return installation


def test_it_is_under_200_megabytes(installation):
    """It has no libraries for networks, decoders or figures."""
    files = (installation.directory / "venv" / "lib").rglob("*")

    assert sum(path.stat().st_size for path in files if path.is_file() and not path.is_symlink()) < MAX_BYTES


def test_everything_that_it_needs_is_there(installation):
    """The lock and the extra in pyproject.toml agree."""
    installation.uv("pip", "check", "--python", "venv/bin/python")


def test_the_dashboard_starts_and_answers(installation):
    """It runs in production mode, with a secret and a database."""
    port = free_port()
    server = subprocess.Popen(
        ["thoraq", "dashboard", "--port", str(port)], env=installation.environment, cwd=installation.directory
    )
    try:
        assert '{"status":"alive"}' == answer(f"http://127.0.0.1:{port}/health/live").strip()
        assert "Log in" in answer(f"http://127.0.0.1:{port}/login")
    finally:
        server.terminate()
        server.wait(30)


def answer(url: str) -> str:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                return response.read().decode()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def test_its_commands_work(installation):
    """Accounts, submissions and results need the database only."""
    films = installation.directory / "films"
    films.mkdir()
    (films / "film.png").write_bytes(b"x")

    runs = [
        installation.thoraq("user", "add", "alice", "--password-stdin", stdin="correct horse battery"),
        installation.thoraq("submit", str(films)),
        installation.thoraq("status", "--json"),
        installation.thoraq("results"),
        installation.thoraq("models", "list"),
        installation.thoraq("rejections", "list"),
        installation.thoraq("schema"),
        installation.thoraq("db", "check"),
    ]

    assert [0] * len(runs) == [run.returncode for run in runs], [run.stderr for run in runs]
    assert '"waiting": 1' in runs[2].stdout


def test_its_intake_accepts_messages(installation):
    """A host without a network or a decoder can run `thoraq intake`, callbacks included."""
    python = installation.directory / "venv" / "bin" / "python"

    done = subprocess.run([python, "-c", "import worker.tasks.intake"], cwd=installation.directory, capture_output=True)

    assert 0 == done.returncode, done.stderr


def test_a_command_of_another_extra_says_which_one(installation):
    """It is one line and no traceback."""
    done = installation.thoraq("score", str(CHECKOUT / "README.md"))

    assert (1, "thoraq: score needs pip install thoraq[worker]\n") == (done.returncode, done.stderr)


@pytest.mark.parametrize(("command", "extra"), [("worker", "worker"), ("trainer", "trainer"), ("train", "trainer")])
def test_a_command_that_needs_more_says_which_extra(installation, command, extra):
    """This includes processes that import their libraries late."""
    run = installation.thoraq(command)

    assert 1 == run.returncode
    assert f"thoraq[{extra}]" in run.stderr
    assert "Traceback" not in run.stderr
