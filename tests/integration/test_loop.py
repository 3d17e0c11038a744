"""Retraining from corrections with real Redis, PostgreSQL and processes: review, retrain, promote, roll back."""

import subprocess
import sys

import pytest
import simple_phantoms
from celery import Celery
from deployment import CHECKOUT
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from worker.studies import reviews
from worker.studies.records import Image, Verdict

EPOCHS = "25"
CORRECTED = 10
PEOPLE = 10


@pytest.fixture
def base(tmp_path):
    """A training set with one film labelled Pneumothorax that shows none; the gate measures what that costs."""
    each = dict.fromkeys(simple_phantoms.BRIGHT, 10)
    folder = simple_phantoms.write_set(
        tmp_path / "set",
        {
            "train": {"Effusions": 30, "No-Findings": 30, "Pneumothorax": 1},
            "validation": each | {"Pneumothorax": 2},
            "test": each,
            "gate": dict.fromkeys(simple_phantoms.BRIGHT, 20),
        },
    )
    simple_phantoms.write(folder / "train" / "Pneumothorax" / "000.png", "No-Findings", 777)
    return folder


@pytest.fixture
def untrained_version(deployment, base, tmp_path):
    """The active version, which learned from that set; the trainer of the deployment uses the same set."""
    deployment.environment |= {
        "THORAQ_TRAINING_DATA": str(base),
        "THORAQ_TRAINING_NETWORK": "phantom",
        "THORAQ_TRAINING_EPOCHS": EPOCHS,
        "THORAQ_TRAINING_SEED": "1",
    }
    first = tmp_path / "first"
    deployment.thoraq(
        "train", "--data", str(base), "--network", "phantom", "--epochs", EPOCHS, "--seed", "1", "--out", str(first)
    )
    version = deployment.thoraq("models", "import", str(first)).strip()
    deployment.thoraq("models", "promote", version)
    for process in ("intake", "worker", "trainer"):
        deployment.start(process)
    return version


def submit(deployment, folder, seeds):
    for seed in seeds:
        simple_phantoms.write(folder / f"{seed}.png", "Pneumothorax", seed)
    return labels(deployment, folder)


def labels(deployment, folder):
    """Submit a folder and return each film's label and version, by file name."""
    accepted = deployment.json("submit", str(folder), "--wait")
    rows = deployment.json("results", accepted["submission_id"])
    return {row["reference"].rpartition("/")[2]: (row["label"], row["model_version"]) for row in rows}


def correct_everything(deployment):
    """Let two clinicians review every film as Pneumothorax, as the review form does."""
    engine = create_engine(deployment.environment["THORAQ_DATABASE_URL"])
    with Session(engine) as session, session.begin():
        for study_id in session.scalars(select(Image.study_id).where(Image.prediction_id.is_not(None))):
            for name in ("ann", "bob"):
                reviews.add(session, study_id, by=name, verdict=Verdict.CORRECT, findings=["Pneumothorax"])
    engine.dispose()


def request_many_runs(deployment):
    """Request a run ten times from the command line and twice as beat does, all at once."""
    asking = [
        subprocess.Popen(
            [sys.executable, "-m", "worker", "retrain"], env=deployment.environment, cwd=CHECKOUT,
            stdout=subprocess.DEVNULL,
        )
        for _ in range(PEOPLE)
    ]  # fmt: skip
    with Celery(broker=deployment.environment["THORAQ_BROKER_URL"]) as beat:
        for _ in range(2):
            beat.send_task("thoraq.retrain_nightly", queue="intake")
    assert PEOPLE * [0] == [process.wait(120) for process in asking]


def test_ten_corrected_films_teach_a_finding_and_the_candidate_passes_the_gate(
    untrained_version, deployment, base, tmp_path
):
    """There is one run; its candidate is promoted without a restart, and a rollback restores the first version."""
    child = deployment.children("worker")
    locked = base / "test" / "Pneumothorax" / "000.png"
    (tmp_path / "corrected").mkdir()
    (tmp_path / "corrected" / "locked.png").write_bytes(locked.read_bytes())
    before = submit(deployment, tmp_path / "corrected", range(5000, 5000 + CORRECTED))
    assert not any(label == "Pneumothorax" for label, _ in before.values())
    correct_everything(deployment)

    request_many_runs(deployment)
    run = deployment.json("retrain", "--wait")

    assert (1, "done") == (run["id"], run["state"]), run
    corrections = run["learned_from"]["corrections"]
    assert ({"Pneumothorax": CORRECTED}, {"locked_film": 1}) == (
        corrections["by_finding"],
        corrections["left_out_reasons"],
    )
    verdict = deployment.json("models", "show", run["candidate"])["gate"]
    assert verdict["passed"], verdict["reasons"]
    assert untrained_version == verdict["active"]
    assert verdict["sensitivity"]["Pneumothorax"]["candidate"] > verdict["sensitivity"]["Pneumothorax"]["active"]

    deployment.thoraq("models", "promote", run["candidate"])
    after = submit(deployment, tmp_path / "new", range(6000, 6005))
    assert {("Pneumothorax", run["candidate"])} == set(after.values())
    assert CORRECTED + 1 == deployment.json("rescore", "--since", "2000-01-01")["films"]
    deployment.wait_until_finished()
    assert {run["candidate"]} == {row["model_version"] for row in deployment.json("results")}

    deployment.thoraq("models", "rollback")
    restored = labels(deployment, tmp_path / "new")
    assert {untrained_version} == {version for _, version in restored.values()}
    assert child == deployment.children("worker")
