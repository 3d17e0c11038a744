"""The database keeps its connections open without answering; once it answers again, every process goes on."""

import time
import urllib.error
import urllib.request

import pytest
from judging import attempts, copies, one_outcome_each, score_with_phantoms, scored
from sqlalchemy import text
from sqlalchemy.engine import make_url
from tcp_proxy import proxy_to

from worker.demo.embedded_redis import free_port

FILMS = 300
#: Long enough for a heartbeat, a sweep and a claim to meet the silence.
SILENCE_SECONDS = 15
#: docs/operations.md: once the database answers again, every process goes on within this time.
GOES_ON_SECONDS = 45


@pytest.fixture
def proxy(postgres_database):
    """A proxy before PostgreSQL."""
    with proxy_to(make_url(postgres_database).port) as proxy:
        yield proxy


@pytest.fixture
def working(deployment, proxy, postgres_database, tmp_path):
    """A deployment whose processes reach the database through the proxy, in the middle of its work."""
    (tmp_path / "films").mkdir()
    copies(tmp_path / "films", FILMS)
    score_with_phantoms(deployment)
    proxied = make_url(postgres_database).set(port=proxy.port).render_as_string(hide_password=False)
    deployment.environment |= {"THORAQ_BATCH_SIZE": "4", "THORAQ_DATABASE_URL": proxied}
    deployment.web_port = free_port()
    for command in (["intake"], ["beat"], ["worker"], ["dashboard", "--port", str(deployment.web_port)]):
        deployment.start(*command)
    deployment.environment["THORAQ_DATABASE_URL"] = postgres_database
    deployment.json("submit", str(tmp_path / "films"))
    deployment.wait_for(lambda: scored(deployment) >= 20, "the first films", 60)
    deployment.wait_for(lambda: ready(deployment)[0] == 200, "the dashboard", 60)
    return deployment


def ready(deployment) -> tuple[int, float]:
    """Return the status of the dashboard's readiness check, and how many seconds it took."""
    since = time.monotonic()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{deployment.web_port}/health/ready", timeout=60) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
    except OSError:
        status = 0
    return status, time.monotonic() - since


def ages(deployment) -> dict[str, float]:
    """Return the age of the newest heartbeat of each kind of process, in seconds."""
    with deployment.database() as connection:
        query = "SELECT kind, extract(epoch FROM clock_timestamp() - max(seen_at)) FROM processes GROUP BY kind"
        return {kind: float(age) for kind, age in connection.execute(text(query))}


def sweeps(deployment):
    with deployment.database() as connection:
        return connection.scalar(text("SELECT max(finished_at) FROM processes WHERE kind = 'intake'"))


def test_every_process_goes_on_after_a_silence(working, proxy):
    """No process is restarted, and no film is charged."""
    children = {kind: working.children(kind) for kind in ("worker", "intake")}
    swept = sweeps(working)

    proxy.silent = True
    since = time.monotonic()
    status, seconds = ready(working)
    assert (503, True) == (status, seconds < 20), (status, seconds)
    time.sleep(max(0.0, SILENCE_SECONDS - (time.monotonic() - since)))
    proxy.silent = False

    working.wait_for(lambda: max(ages(working).values()) < 5, "the heartbeats", GOES_ON_SECONDS)
    assert {"intake", "worker"} <= set(ages(working))
    working.wait_for(lambda: sweeps(working) > swept, "a sweep", GOES_ON_SECONDS)
    working.wait_for(lambda: ready(working)[0] == 200, "the dashboard", GOES_ON_SECONDS)
    working.wait_until_finished(seconds=90)
    one_outcome_each(working, FILMS)
    assert {1: FILMS} == attempts(working)
    assert children == {kind: working.children(kind) for kind in children}
