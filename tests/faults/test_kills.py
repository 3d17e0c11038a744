"""What is killed in the middle of its work loses nothing and doubles nothing."""

import os
import random
import signal
import time

from judging import copies, one_outcome_each, scored
from sqlalchemy import text

#: 10,000 before a release: THORAQ_TEST_KILLED_FILMS=10000.
FILMS = int(os.environ.get("THORAQ_TEST_KILLED_FILMS", "4000"))
SEED = int(os.environ.get("THORAQ_TEST_SEED", "0"))
SECONDS_BETWEEN_KILLS = (10, 25) if FILMS >= 10_000 else (5, 12)


def test_killing_the_child_in_the_middle_of_real_films_loses_and_doubles_nothing(deployment, real_films):
    """The same with 810 real films and two kills."""
    deployment.environment["THORAQ_BATCH_SIZE"] = "4"
    deployment.start("worker")
    accepted = deployment.json("submit", str(real_films / "test"))

    for share in (100, 400):
        deployment.wait_for(lambda share=share: scored(deployment) >= share, f"{share} films", 120)
        deployment.kill_child("worker")
    deployment.wait_until_finished(accepted["submission_id"])

    one_outcome_each(deployment, 810)
    assert "Worker exited prematurely: signal 9" in deployment.log("worker")


def test_killing_the_child_loses_and_doubles_nothing(deployment, tmp_path):
    """SIGKILL of the pool child, three times, while 600 films are scored in small batches."""
    (tmp_path / "films").mkdir()
    copies(tmp_path / "films", 600)
    deployment.environment["THORAQ_BATCH_SIZE"] = "8"
    deployment.start("worker")
    accepted = deployment.json("submit", str(tmp_path / "films"))["submission_id"]

    for share in (50, 200, 350):
        deployment.wait_for(lambda share=share: scored(deployment) >= share, f"{share} films", 120)
        deployment.kill_child("worker")
    deployment.wait_until_finished(accepted)

    one_outcome_each(deployment, 600)
    assert "Worker exited prematurely: signal 9" in deployment.log("worker")


def test_killing_the_child_every_few_seconds_loses_and_doubles_nothing(deployment, tmp_path):
    """As batches come, whatever the child does at that moment, be it loading the network."""
    (tmp_path / "films").mkdir()
    copies(tmp_path / "films", FILMS)
    deployment.start("worker")
    accepted = deployment.json("submit", str(tmp_path / "films"))["submission_id"]
    draws, kills = random.Random(SEED), 0

    while scored(deployment) < FILMS:
        time.sleep(draws.uniform(*SECONDS_BETWEEN_KILLS))
        if scored(deployment) < FILMS:
            deployment.kill_child("worker")
            kills += 1

    deployment.wait_until_finished(accepted)
    one_outcome_each(deployment, FILMS)
    assert kills


def frozen_with_films_leased(deployment, pids) -> bool:
    """Freeze the processes; between two batches nothing is leased, and they go on."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    with deployment.database() as connection:
        if connection.scalar(text("SELECT count(*) FROM images WHERE state = 'scoring'")):
            return True
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    return False


def test_killing_the_whole_worker_loses_and_doubles_nothing(deployment, tmp_path):
    """SIGKILL of parent and child; what they had leased is found again when the lease ends."""
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
