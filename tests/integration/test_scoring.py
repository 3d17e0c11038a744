"""Scoring through real Redis, PostgreSQL and processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from worker.films.phantoms import write_films


def send(deployment, tmp_path, paths, **fields):
    """Send one message as an upstream system does."""
    envelope = {
        "schema": "cxr.score.request",
        "schema_version": "1.0",
        "source": "pacs-north",
        "request_id": "night-1",
        "items": [{"image": {"path": path}, "reference": path} for path in paths],
    } | fields
    (tmp_path / "envelope.json").write_text(json.dumps(envelope))
    script = Path(__file__).parent / "send_batch.py"
    broker = deployment.environment["THORAQ_BROKER_URL"]
    subprocess.run([sys.executable, script, broker, tmp_path / "envelope.json"], check=True)


def below(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


@pytest.fixture
def phantoms(deployment, tmp_path):
    """Drawn films under the configured root; the network trained on phantoms is active."""
    write_films(tmp_path / "images", per_finding=10, seed=7)
    for row in deployment.json("models", "list"):
        if row["trained_on"] == "phantoms":
            deployment.thoraq("models", "promote", row["version"])
    return below(tmp_path / "images")


def test_films_of_a_message_are_scored_and_a_broken_file_affects_no_other(deployment, tmp_path, phantoms):
    """Good films are scored and broken ones rejected with reasons, each once; a repeated message changes nothing."""
    (tmp_path / "images" / "empty.png").touch()
    (tmp_path / "images" / "page.png").write_text("<html>not here</html>")
    good = tmp_path / "images" / phantoms[0]
    (tmp_path / "images" / "cut.png").write_bytes(good.read_bytes()[:5000])
    paths = [*phantoms, "empty.png", "page.png", "cut.png", "gone.png", "../../etc/passwd"]
    deployment.start("intake")
    deployment.start("worker")

    for _ in range(2):
        send(deployment, tmp_path, paths)
    deployment.wait_until_finished()

    results = {row["reference"]: row for row in deployment.json("results")}
    assert len(paths) - 1 == len(results)
    assert {"scored"} == {results[path]["outcome"] for path in phantoms}
    reasons = {path: results[path]["reason"] for path in ("empty.png", "page.png", "cut.png", "gone.png")}
    expected = {"empty.png": "empty", "page.png": "unsupported_format", "cut.png": "corrupt", "gone.png": "not_found"}
    assert expected == reasons
    assert 1 == deployment.standing()["refused"]
    right = sum(results[path]["label"] == Path(path).parts[0] for path in phantoms)
    assert right > len(phantoms) / 2


def test_a_refused_message_is_stored_with_its_reason(deployment, tmp_path):
    """It is a row, not only a log line, and the intake goes on."""
    deployment.start("intake")

    send(deployment, tmp_path, ["a.png"], schema_version="9.0")

    deployment.wait_for(lambda: deployment.standing()["refused"] == 1, "the refusal to be stored", 30)


def test_films_submitted_without_a_worker_and_a_broker_are_scored_later(deployment, tmp_path, phantoms):
    """A lost wake-up loses no film: the sweeper sends another."""
    lost = dict(deployment.environment)
    deployment.environment["THORAQ_BROKER_URL"] = "redis://127.0.0.1:1/0"
    accepted = deployment.json("submit", str(tmp_path / "images"))
    deployment.environment = lost

    deployment.start("intake")
    deployment.start("beat")
    deployment.start("worker")

    standing = deployment.wait_until_finished(accepted["submission_id"])
    assert (len(phantoms), 0) == (standing["scored"], standing["rejected"])


def test_the_worker_loads_a_promoted_version_without_a_restart(deployment, tmp_path, phantoms):
    """Each prediction names its version, and the worker's process stays the same."""
    deployment.start("worker")
    first = deployment.json("submit", str(tmp_path / "images"), "--wait")
    child = deployment.children("worker")

    films = next(row["version"] for row in deployment.json("models", "list") if row["trained_on"] == "films")
    deployment.thoraq("models", "promote", films)
    second = deployment.json("submit", str(tmp_path / "images"), "--wait")
    deployment.thoraq("models", "rollback")
    third = deployment.json("submit", str(tmp_path / "images"), "--wait")

    def versions(acceptance):
        return {row["model_version"] for row in deployment.json("results", acceptance["submission_id"])}

    assert {films} == versions(second)
    assert versions(first) == versions(third)
    assert films not in versions(first)
    assert child == deployment.children("worker")


def test_real_films_are_each_scored_once_with_the_accuracy_of_evaluate(deployment, tmp_path, real_films):
    """810 films through Redis and PostgreSQL, compared with `thoraq evaluate` on the same films."""
    (tmp_path / "images").symlink_to(real_films / "test")
    paths = below(real_films / "test")
    deployment.start("intake")
    deployment.start("worker")

    send(deployment, tmp_path, paths)
    standing = deployment.wait_until_finished()

    scored, rejected = standing["scored"], standing["rejected"]
    assert len(paths) == scored + rejected
    assert rejected < len(paths) / 50
    results = deployment.json("results")
    assert sorted(paths) == sorted(row["reference"] for row in results)
    assert {"not_a_chest_film", None} >= {row["reason"] for row in results}
    with deployment.database() as connection:
        assert scored == connection.scalar(text("SELECT count(*) FROM predictions"))
        predictions = connection.scalars(text("SELECT probabilities FROM predictions"))
        assert {6} == {len(probabilities) for probabilities in predictions}
    right = sum(row["label"] == Path(row["reference"]).parts[0] for row in results)
    report = tmp_path / "report.json"
    deployment.thoraq("evaluate", "--data", str(real_films), "--model", "active", "--json", str(report))
    evaluated = json.loads(report.read_text())
    assert (scored, rejected) == (evaluated["n"], evaluated["rejected"]["count"])
    assert right == round(evaluated["overall"]["Accuracy"] * evaluated["n"])
