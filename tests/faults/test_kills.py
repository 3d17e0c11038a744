"""Processes are killed in the middle of their work: no film is lost and none is scored twice."""

import os
import random
import signal
import time

import psutil
import pytest
from judging import copies, one_outcome_each, scored
from sqlalchemy import text

#: 10,000 before a release: THORAQ_TEST_KILLED_FILMS=10000.
FILMS = int(os.environ.get("THORAQ_TEST_KILLED_FILMS", "2000"))
SEED = int(os.environ.get("THORAQ_TEST_SEED", "0"))
#: The time between two kills, as a multiple of the time that a child needs for its first film: below 1, it scores none.
#: With many films it is longer: 10 to 25 s on a fast machine.
STARTS_BETWEEN_KILLS = (2, 5) if FILMS >= 10_000 else (0.9, 5)


def test_killing_the_child_in_the_middle_of_real_films_loses_and_doubles_nothing(deployment, real_films):
    """810 real films, two kills of the pool child."""
    deployment.environment["THORAQ_BATCH_SIZE"] = "4"
    deployment.start("worker")
    accepted = deployment.json("submit", str(real_films / "test"))

    for share in (100, 400):
        deployment.wait_for(lambda share=share: scored(deployment) >= share, f"{share} films", 120)
        deployment.kill_child("worker")
    deployment.wait_until_finished(accepted["submission_id"])

    one_outcome_each(deployment, 810)
    assert "Worker exited prematurely: signal 9" in deployment.log("worker")


@pytest.fixture
def accepted(deployment, tmp_path) -> str:
    """A submission of 600 films, which a worker scores in small batches."""
    (tmp_path / "films").mkdir()
    copies(tmp_path / "films", 600)
    deployment.environment["THORAQ_BATCH_SIZE"] = "8"
    # A wake-up is needed once the pause of a film is over whose decoder was killed.
    deployment.start("intake")
    deployment.start("beat")
    deployment.start("worker")
    return deployment.json("submit", str(tmp_path / "films"))["submission_id"]


def test_killing_the_child_loses_and_doubles_nothing(deployment, accepted):
    """SIGKILL of the pool child, three times."""
    for share in (50, 200, 350):
        deployment.wait_for(lambda share=share: scored(deployment) >= share, f"{share} films", 120)
        deployment.kill_child("worker")
    deployment.wait_until_finished(accepted)

    one_outcome_each(deployment, 600)
    assert "Worker exited prematurely: signal 9" in deployment.log("worker")


def test_killing_decoders_costs_no_film_and_not_the_child(deployment, accepted):
    """SIGKILL of every decoder, five times: films are tried again, and the network stays loaded."""
    kills = 0

    for share in (50, 150, 250, 350, 450):
        deployment.wait_for(lambda share=share: scored(deployment) >= share, f"{share} films", 120)
        (child,) = deployment.children("worker")
        for decoder in psutil.Process(child).children(recursive=True):
            decoder.kill()
            kills += 1
    deployment.wait_until_finished(accepted)

    one_outcome_each(deployment, 600)
    assert [child] == deployment.children("worker")
    assert kills >= 5
    assert "Worker exited prematurely" not in deployment.log("worker")


def test_killing_the_child_every_few_seconds_loses_and_doubles_nothing(deployment, tmp_path):
    """A kill may come at any moment, even while the child still loads the network."""
    (tmp_path / "films").mkdir()
    copies(tmp_path / "films", FILMS)
    accepted = deployment.json("submit", str(tmp_path / "films"))["submission_id"]
    deployment.start("worker")
    started = time.monotonic()
    deployment.wait_for(lambda: scored(deployment) > 0, "the first films", 120)
    start_seconds = time.monotonic() - started
    draws, kills = random.Random(SEED), 0

    while scored(deployment) < FILMS:
        deployment.kill_child("worker")
        kills += 1
        time.sleep(start_seconds * draws.uniform(*STARTS_BETWEEN_KILLS))

    deployment.wait_until_finished(accepted)
    one_outcome_each(deployment, FILMS)
    assert kills >= 1


def frozen_with_films_leased(deployment, pids) -> bool:
    """Freeze the processes and return whether films are leased; between two batches none is, and they go on."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    with deployment.database() as connection:
        if connection.scalar(text("SELECT count(*) FROM images WHERE state = 'scoring'")):
            return True
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    return False


def test_killing_the_whole_worker_loses_and_doubles_nothing(deployment, tmp_path):
    """SIGKILL of parent and child; their films can be claimed again when the leases expire."""
    (tmp_path / "films").mkdir()
    copies(tmp_path / "films", 300)
    deployment.environment |= {
        "THORAQ_BATCH_SIZE": "4",
        "THORAQ_TASK_TIME_LIMIT_SECONDS": "40",
        "THORAQ_TASK_BUDGET_SECONDS": "4",
        "THORAQ_LEASE_SECONDS": "42",
        "THORAQ_VISIBILITY_TIMEOUT_SECONDS": "44",
    }
    deployment.start("intake")
    deployment.start("beat")
    deployment.start("worker")
    accepted = deployment.json("submit", str(tmp_path / "films"))["submission_id"]
    deployment.wait_for(lambda: scored(deployment) >= 50, "50 films", 120)

    worker = deployment.processes.pop("worker")
    everyone = [worker.pid, *deployment.children_of(worker)]
    deployment.wait_for(lambda: frozen_with_films_leased(deployment, everyone), "films that are leased", 60)
    for pid in everyone:
        os.kill(pid, signal.SIGKILL)
    worker.wait()
    deployment.start("worker")

    deployment.wait_until_finished(accepted)
    one_outcome_each(deployment, 300)
