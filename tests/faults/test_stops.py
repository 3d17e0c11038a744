"""Every way to stop a worker in the middle of its work: warm, cold and interrupted."""

import os
import signal
import time

import pytest
from judging import attempts, copies, leased, one_outcome_each, score_with_phantoms, scored

#: More films than a worker scores before it has stopped.
FILMS = 1000


@pytest.fixture
def working(deployment, tmp_path):
    """A deployment whose worker is in the middle of a batch."""
    (tmp_path / "films").mkdir()
    copies(tmp_path / "films", FILMS)
    score_with_phantoms(deployment)
    deployment.environment |= {
        "THORAQ_BATCH_SIZE": "4",
        "THORAQ_TASK_BUDGET_SECONDS": "2",
        "THORAQ_TASK_TIME_LIMIT_SECONDS": "25",
        "THORAQ_LEASE_SECONDS": "26",
        "THORAQ_VISIBILITY_TIMEOUT_SECONDS": "27",
    }
    deployment.start("worker")
    deployment.json("submit", str(tmp_path / "films"))
    deployment.wait_for(lambda: scored(deployment) >= 20 and leased(deployment), "a batch in work", 60)
    return deployment


def end(deployment, *signals: signal.Signals, seconds: float = 60) -> int:
    """Send signals to the worker and return its exit code."""
    worker = deployment.processes.pop("worker")
    for number in signals:
        worker.send_signal(number)
        time.sleep(0.3)
    return worker.wait(seconds)


def test_a_warm_stop_finishes_the_batch_and_nothing_is_scored_again(working):
    """SIGTERM: exit code 0, every film claimed once."""
    assert 0 == end(working, signal.SIGTERM)
    assert 0 == leased(working)
    assert scored(working) < FILMS

    working.start("worker")
    working.wait_until_finished()

    one_outcome_each(working, FILMS)
    assert {1: FILMS} == attempts(working)


def test_a_cold_stop_gives_the_task_its_time_and_loses_nothing(working):
    """SIGQUIT: Celery's soft shutdown lets the task end before it stops the process."""
    end(working, signal.SIGQUIT)
    assert 0 == leased(working)

    working.start("worker")
    working.wait_until_finished()

    one_outcome_each(working, FILMS)


def test_a_stop_that_is_interrupted_loses_nothing(working):
    """SIGTERM, then SIGKILL of parent and child in a batch: the films wait again when their leases expire."""
    worker = working.processes["worker"]
    everyone = [worker.pid, *working.children("worker")]
    worker.send_signal(signal.SIGTERM)
    for pid in everyone:
        os.kill(pid, signal.SIGKILL)
    working.processes.pop("worker").wait()
    for kind in ("intake", "beat", "worker"):
        working.start(kind)

    working.wait_until_finished()

    one_outcome_each(working, FILMS)


def test_beat_stops_though_its_broker_died_at_the_same_moment(deployment, redis_server):
    """SIGTERM must take effect even while Celery tries to reach the broker again."""
    deployment.environment["THORAQ_SWEEP_SECONDS"] = "0.1"
    for delay_seconds in (0, 0.2, 1):
        deployment.start("beat")
        deployment.wait_for(lambda: "Sending due task" in deployment.log("beat"), "the first task of beat", 30)

        redis_server.kill()
        time.sleep(delay_seconds)
        beat = deployment.processes.pop("beat")
        beat.terminate()
        beat.wait(15)

        (deployment.directory / "beat.log").unlink()
        redis_server.start()
