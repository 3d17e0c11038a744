"""A database that a later version of Thoraq has upgraded: each command refuses it in one line."""

import os
import subprocess
import sys

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import URL

COMMANDS = (
    "db upgrade", "db check", "status", "results", "submit film.png", "models list", "rejections list", "cancel 1",
    "rescore 1", "alive worker", "intake", "worker", "trainer", "dashboard", "user role ann admin", "retrain",
    "score film.png", "compare film.png",
)  # fmt: skip


def thoraq(directory, *arguments):
    """Run a command with a data directory of its own, to its end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("THORAQ_")} | {
        "THORAQ_DATA_DIR": str(directory / "data"),
        "THORAQ_BROKER_URL": "redis://127.0.0.1:1",
        "THORAQ_SECRET_KEY": "for this test only, and long enough",
    }
    command = [sys.executable, "-m", "worker", *arguments]
    return subprocess.run(command, env=environment, cwd=directory, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """A folder with a film, and a data directory whose database has the schema of a later version."""
    directory = tmp_path_factory.mktemp("later")
    (directory / "film.png").write_bytes(b"no film")
    thoraq(directory, "db", "upgrade")
    engine = create_engine(URL.create("sqlite", database=str(directory / "data" / "thoraq.db")))
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    return directory


@pytest.mark.parametrize("command", COMMANDS)
def test_a_database_of_a_later_version_is_refused(directory, command):
    """The command reads and writes nothing else."""
    done = thoraq(directory, *command.split())

    lines = done.stderr.splitlines()
    assert 1 == len(lines), done.stderr
    assert lines[0].startswith("thoraq: the database has the schema 9999; this version of Thoraq knows none after 0")
    assert (1, "") == (done.returncode, done.stdout)
