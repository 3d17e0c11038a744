"""A whole deployment behind PgBouncer in transaction mode: each transaction may have another session."""

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import psycopg
import pytest
from judging import attempts, copies, one_outcome_each, score_with_phantoms
from sqlalchemy import text
from sqlalchemy.engine import make_url

from worker.database import connect
from worker.demo.embedded_redis import free_port
from worker.errors import NotConfigured

FILMS = 60
SESSIONS = 2


@pytest.fixture
def postgres_database(postgres_database, monkeypatch):
    """The test's database, through a PgBouncer with two sessions of the server for all its clients."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if not program:
        if os.environ.get("CI"):
            pytest.fail("CI must have pgbouncer")
        pytest.skip("there is no pgbouncer here")
    server, port = make_url(postgres_database), free_port()
    with tempfile.TemporaryDirectory(prefix="thoraq-pgbouncer-") as directory:
        configuration = Path(directory) / "pgbouncer.ini"
        configuration.write_text(
            f"[databases]\n* = host={server.host} port={server.port} user={server.username}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = transaction\ndefault_pool_size = {SESSIONS}\nignore_startup_parameters = options\n"
        )
        Path(directory).chmod(0o755)
        as_user = ["-u", "postgres"] if os.getuid() == 0 else []  # It does not run as root.
        process = subprocess.Popen([program, *as_user, configuration], stderr=subprocess.DEVNULL)
        wait_for_port(port)
        url = server.set(port=port).render_as_string(hide_password=False)
        monkeypatch.setenv("THORAQ_DATABASE_URL", url)
        yield url
        process.terminate()
        process.wait()


def wait_for_port(port: int) -> None:
    """Wait until a server listens."""
    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def test_each_transaction_has_what_it_relies_on(postgres_database):
    """Several clients take turns with the sessions; each statement is executed often enough to be prepared."""
    engine = connect(postgres_database)
    wanted = {"statement_timeout": "30s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "30s"}
    found, sessions = [], set()

    def ask() -> None:
        for _ in range(20):
            with engine.connect() as connection:
                sessions.add(connection.scalar(text("SELECT pg_backend_pid()")))
                found.append({name: connection.scalar(text(f"SHOW {name}")) for name in wanted})

    clients = [threading.Thread(target=ask) for _ in range(4)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()

    engine.dispose()
    assert 80 * [wanted] == found
    assert len(sessions) > 1


def test_nothing_stays_set_for_other_clients(postgres_database):
    """Other clients use the same sessions."""
    engine = connect(postgres_database)
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    engine.dispose()

    with psycopg.connect(postgres_database.replace("+psycopg", ""), prepare_threshold=None) as other:
        assert ("0",) == other.execute("SHOW statement_timeout").fetchone()


def test_options_of_the_url_that_a_pooler_ignores_are_refused(postgres_database):
    """Otherwise, tables would be created in another schema."""
    engine = connect(f"{postgres_database}?options=-csearch_path%3Dof_radiology")

    with pytest.raises(NotConfigured, match="`options` in THORAQ_DATABASE_URL have no effect"):
        engine.connect()
    engine.dispose()


def test_films_are_scored_behind_it(deployment, tmp_path):
    """The schema is made, messages and uploads are accepted, films are claimed and recorded, sweeps are done."""
    (tmp_path / "films").mkdir()
    copies(tmp_path / "films", FILMS)
    score_with_phantoms(deployment)
    deployment.environment |= {"THORAQ_BATCH_SIZE": "4"}
    for kind in ("intake", "beat", "worker"):
        deployment.start(kind)

    deployment.json("submit", str(tmp_path / "films"))
    deployment.wait_until_finished(seconds=120)

    one_outcome_each(deployment, FILMS)
    assert {1: FILMS} == attempts(deployment)
    deployment.thoraq("db", "check")
    deployment.wait_for(lambda: deployment._alive("beat"), "a sweep", 30)
