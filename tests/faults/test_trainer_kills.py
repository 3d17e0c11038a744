"""A trainer that is killed at any moment leaves no incomplete file, the same active version, and a run that ends."""

import os
import random
import signal
import time

import pytest
import simple_phantoms
from sqlalchemy import text

from worker.models import directory as model_directory

#: Twenty before a release: THORAQ_TEST_TRAINER_KILLS=20.
KILLS = int(os.environ.get("THORAQ_TEST_TRAINER_KILLS", "3"))
SEED = int(os.environ.get("THORAQ_TEST_SEED", "0"))
#: How long a run takes from its request to a trained network on two cores; the kill comes at a random time in it.
LONGEST_WAIT_SECONDS = 12


@pytest.fixture
def training(deployment, tmp_path):
    """A deployment that retrains on phantoms and notices a dead trainer within seconds."""
    films = {split: dict.fromkeys(simple_phantoms.BRIGHT, 12) for split in ("train", "validation", "test", "gate")}
    deployment.environment |= {
        "THORAQ_TRAINING_DATA": str(simple_phantoms.write_set(tmp_path / "set", films)),
        "THORAQ_TRAINING_NETWORK": "phantom",
        "THORAQ_TRAINING_EPOCHS": "12",
        "THORAQ_TRAINER_SILENCE_SECONDS": "5",
    }
    for process in ("intake", "beat", "trainer"):
        deployment.start(process)
    return deployment


def newest(deployment):
    with deployment.database() as connection:
        return connection.execute(
            text("SELECT id, state, message, epochs_done, attempts FROM retraining_runs ORDER BY id DESC LIMIT 1")
        ).one_or_none()


def unfinished(deployment):
    """Return whether a trainer works on a run; request a run if none is unfinished."""
    run = newest(deployment)
    if run is None or run.state in {"done", "failed"}:
        assert run is None or run.message
        deployment.thoraq("retrain")
        return False
    return run.state == "running"


def undisturbed_run_is_done(deployment):
    """Return whether a run is done; if the kills made it fail, request another."""
    if newest(deployment).state == "done":
        return True
    unfinished(deployment)
    return False


def nothing_is_incomplete(deployment, active):
    """Check every model version that a reader could find, and the active one."""
    for directory in (deployment.directory / "models").iterdir():
        if not directory.name.startswith("."):
            model_directory.verified(directory)
    with deployment.database() as connection:
        assert active == connection.scalar(text("SELECT max(model_version_id) FROM activations"))


def kill(deployment, *, whole: bool):
    """SIGKILL the child that trains, or the whole trainer, which is then started again as a supervisor would."""
    if not whole:
        deployment.kill_child("trainer")
        return
    trainer = deployment.processes.pop("trainer")
    for pid in [trainer.pid, *deployment.children_of(trainer)]:
        os.kill(pid, signal.SIGKILL)
    trainer.wait()
    deployment.start("trainer")


def test_killing_the_trainer_at_random_harms_nothing(training):
    """A run goes on from its checkpoint, or fails and says why; an undisturbed run then ends."""
    draws = random.Random(SEED)
    with training.database() as connection:
        active = connection.scalar(text("SELECT max(model_version_id) FROM activations"))

    for number in range(KILLS):
        training.wait_for(lambda: unfinished(training), "a run under way", 60)
        time.sleep(draws.uniform(0, LONGEST_WAIT_SECONDS))
        kill(training, whole=number % 2 == 1)
        nothing_is_incomplete(training, active)

    training.wait_for(lambda: undisturbed_run_is_done(training), "a run that nobody disturbs to end", 240)
    nothing_is_incomplete(training, active)
    run = newest(training)
    assert "done" == run.state, f"{run.message} (seed {SEED})"
    with training.database() as connection:
        log = connection.scalars(text("SELECT text FROM retraining_events ORDER BY id")).all()
    assert any("went silent" in line for line in log), log
    assert [] == [path.name for path in (training.directory / "candidates").glob("*run-*")]
