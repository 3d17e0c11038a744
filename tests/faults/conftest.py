"""Redis and PostgreSQL servers that a test may kill."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from worker.demo.embedded_redis import EmbeddedRedis, free_port


class MortalRedis(EmbeddedRedis):
    """A Redis server that can be killed and started again; it then has the data of its file."""

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def start(self) -> None:
        self.__enter__()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[MortalRedis]:
    """A Redis server that the test may stop and start."""
    with MortalRedis(tmp_path / "redis") as server:
        yield server


@pytest.fixture
def broker_url(redis_server: MortalRedis) -> str:
    """Make the server that the test may stop the deployment's broker."""
    return redis_server.url


class PrivatePostgres:
    """A PostgreSQL cluster on a port of its own; root lets the user `postgres` run it."""

    def __init__(self, programs: Path, directory: Path) -> None:
        self._programs, self._directory, self._port = programs, directory, free_port()
        self._as = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if self._as:
            user = pwd.getpwnam("postgres")
            os.chown(directory, user.pw_uid, user.pw_gid)
        self._run("initdb", "-A", "trust", "-U", "postgres", "--no-sync")

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        options = f"-p {self._port} -k {self._directory} -h 127.0.0.1"
        self._run("pg_ctl", "-o", options, "-l", str(self._directory / "log"), "-w", "start")

    def stop(self) -> None:
        """Stop as in a power cut."""
        self._run("pg_ctl", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, self._programs / program, "-D", self._directory / "data", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/", timeout=60)


@pytest.fixture
def private_postgres() -> Iterator[PrivatePostgres]:
    """A running PostgreSQL server that the test may stop and start."""
    initdb = shutil.which("initdb") or next(map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    if not initdb:
        if os.environ.get("CI"):
            pytest.fail("CI must have PostgreSQL's initdb")
        pytest.skip("there is no PostgreSQL to start here")
    with tempfile.TemporaryDirectory(prefix="thoraq-postgres-") as directory:
        server = PrivatePostgres(Path(initdb).parent, Path(directory))
        server.start()
        yield server
        server.stop()
