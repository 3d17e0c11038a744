"""Redis and PostgreSQL stop and start again; the running processes go on working."""

import os
import signal
import time

import pytest
from judging import attempts, copies, leased, one_outcome_each, score_with_phantoms, scored

FILMS = 300


@pytest.fixture
def postgres_database(private_postgres) -> str:
    """The deployment's database is the one that the test may stop."""
    return private_postgres.url


@pytest.fixture
def working(deployment, tmp_path):
    """A whole deployment in the middle of its work."""
    (tmp_path / "films").mkdir()
    copies(tmp_path / "films", FILMS)
    score_with_phantoms(deployment)
    deployment.environment |= {"THORAQ_BATCH_SIZE": "4", "THORAQ_STALLED_SECONDS": "4"}
    for kind in ("intake", "beat", "worker"):
        deployment.start(kind)
    deployment.json("submit", str(tmp_path / "films"))
    deployment.wait_for(lambda: scored(deployment) >= 20, "the first films", 60)
    return deployment


def test_redis_killed_and_started_again_costs_seconds(working, redis_server, tmp_path):
    """The worker goes on with the films that it holds, and receives the next wake-up without a restart."""
    child = working.children("worker")
    redis_server.kill()
    time.sleep(5)
    redis_server.start()
    working.wait_until_finished(seconds=60)
    copies(tmp_path / "films", 1)

    since = time.monotonic()
    again = working.json("submit", str(tmp_path / "films" / "0.png"))["submission_id"]
    working.wait_until_finished(again, seconds=20)

    assert time.monotonic() - since < 15
    assert child == working.children("worker")


def test_an_outage_of_the_database_charges_no_attempt(working, private_postgres):
    """`pg_ctl stop -m immediate`, as in a power cut: batches wait in the worker and are recorded once."""
    private_postgres.stop()
    time.sleep(5)
    private_postgres.start()

    working.wait_until_finished(seconds=60)

    one_outcome_each(working, FILMS)
    assert {1: FILMS} == attempts(working)


def test_a_stalled_worker_is_not_alive_and_an_idle_one_is(working, tmp_path):
    """The child is frozen: its parent stays connected and sends heartbeats, but no film is finished."""
    (child,) = working.children("worker")
    os.kill(child, signal.SIGSTOP)
    working.json("submit", str(tmp_path / "films"))  # Films wait even if the first ones are scored by now.
    working.wait_for(lambda: not working._alive("worker"), "the probe to fail", 30)
    os.kill(child, signal.SIGCONT)

    working.wait_until_finished(seconds=60)
    working.wait_for(lambda: leased(working) == 0, "the end", 10)
    time.sleep(5)

    assert working._alive("worker")
