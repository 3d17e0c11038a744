"""The subcommands, from their arguments to what they print."""

import importlib
import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from model_training.commands import COMMANDS, retrain
from worker.celery_app import app
from worker.database import reading
from worker.models import retraining_runs
from worker.models.records import RetrainingRun, RunState


def run(name, *arguments):
    """Run a subcommand of `thoraq`."""
    module, attribute = COMMANDS[name].target.split(":")
    return CliRunner().invoke(getattr(importlib.import_module(module), attribute), [str(value) for value in arguments])


@pytest.fixture
def predictions(tmp_path):
    """The golden table of three classes as a CSV, with other columns."""
    table = [[5, 1, 0], [1, 4, 1], [1, 1, 6]]
    rows = [
        f"film,{'ABC'[truth]},{'ABC'[predicted]}"
        for predicted, row in enumerate(table)
        for truth, count in enumerate(row)
        for _ in range(count)
    ]
    path = tmp_path / "predictions.csv"
    path.write_text("\n".join(["name,truth,prediction", *rows]) + "\n")
    return path


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_with_an_example(name):
    """The help is enough to start."""
    result = run(name, "--help")

    assert 0 == result.exit_code
    assert f"Example: thoraq {name}" in result.stdout


def test_importing_the_commands_imports_no_heavy_library():
    """The help must not wait for TensorFlow."""
    modules = ",".join(sorted({entry.target.split(":")[0] for entry in COMMANDS.values()}))
    code = f"import sys, {modules}; print({{'keras', 'tensorflow', 'matplotlib', 'sklearn'}} & sys.modules.keys())"

    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "set()" == answer.stdout.strip()


def test_networks_are_listed_with_their_parameters():
    """They are counted for six classes, as in the paper."""
    rows = json.loads(run("networks", "--json").stdout)

    assert 167_750 == {row["name"]: row["trainable_parameters"] for row in rows}["v3"]
    assert all({"name", "trainable_parameters", "input_size", "description"} == row.keys() for row in rows)


def test_a_report_is_printed_as_json(predictions):
    """It uses caret's names."""
    report = json.loads(run("report", "--predictions", predictions, "--json").stdout)

    assert ["A", "B", "C"] == report["classes"]
    assert [[5, 1, 0], [1, 4, 1], [1, 1, 6]] == report["table"]
    assert 0.75 == report["overall"]["Accuracy"]


def test_a_report_is_printed_as_text(predictions):
    """It is the text that R prints."""
    result = run("report", "--predictions", predictions, "--text")

    assert result.stdout.startswith("Confusion Matrix and Statistics\n\n          Reference\nPrediction A B C\n")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("truth,guess\nA,B\n", "no column prediction"),
        ("truth,prediction\nA,\n", "row 1"),
        ("truth,prediction\n", "fewer than two classes"),
        ("truth,prediction\nA,A\n", "fewer than two classes"),
    ],
)
def test_a_csv_without_predictions_is_bad_input(tmp_path, content, complaint):
    """The command exits with 2 and one sentence."""
    (tmp_path / "bad.csv").write_text(content)

    result = run("report", "--predictions", tmp_path / "bad.csv", "--json")

    assert 2 == result.exit_code
    assert complaint in result.stderr


def test_evaluating_a_candidate_gives_the_figures_of_its_training(database, shared_data, tmp_path):
    """The two commands give equal results on the test split."""
    trained = run(
        "train", "--data", shared_data, "--network", "phantom", "--epochs", 2, "--out", tmp_path / "made", "--json"
    )  # fmt: skip
    evaluated = run("evaluate", "--data", shared_data, "--model", tmp_path / "made", "--json", "-")

    report, evaluation = json.loads(trained.stdout), json.loads(evaluated.stdout)
    assert str(tmp_path / "made") == report["directory"]
    assert report["version"] == evaluation.pop("model")
    assert report["test"]["table"] == evaluation["table"]
    assert {
        "n",
        "classes",
        "table",
        "overall",
        "byClass",
        "auroc",
        "balanced_accuracy",
        "ece",
        "rejected",
    } <= evaluation.keys()


def test_a_candidate_without_a_place_goes_to_the_data_directory(database, shared_data):
    """Its folder is named after the version, and the figures are printed with n and interval."""
    result = run("train", "--data", shared_data, "--network", "phantom", "--epochs", 1)

    (directory,) = (database / "candidates").iterdir()
    assert directory.name.startswith("phantom-")
    assert "on 8 films" in result.stdout
    assert "95 % CI" in result.stdout
    assert str(directory) in result.stdout


def test_training_rejects_a_folder_with_files(shared_data, built):
    """A model directory never has files of two runs."""
    result = run("train", "--data", shared_data, "--network", "phantom", "--out", built[0])

    assert 2 == result.exit_code
    assert "is not empty" in result.stderr


def test_training_on_a_folder_without_splits_is_bad_input(database, tmp_path):
    """The command exits with 2 and leaves no files."""
    (tmp_path / "nothing").mkdir()

    result = run("train", "--data", tmp_path / "nothing", "--network", "phantom", "--out", tmp_path / "out")

    assert 2 == result.exit_code
    assert "has no folder train" in result.stderr
    assert ["data", "nothing"] == sorted(path.name for path in tmp_path.iterdir())


def test_evaluating_on_unknown_classes_is_bad_input(database, built, drawn):
    """Films of an unknown class are not silently left out."""
    (drawn / "test" / "Left").rename(drawn / "test" / "Middle")

    result = run("evaluate", "--data", drawn, "--model", built[0])

    assert 2 == result.exit_code
    assert "Middle" in result.stderr


def test_requesting_a_retraining_makes_a_run(eager_nothing):
    """The output names it."""
    result = run("retrain", "--json")

    run_found = json.loads(result.stdout)
    assert (1, "asked", None) == (run_found["id"], run_found["state"], run_found["message"])


def test_waiting_for_a_run_that_failed_fails(eager_nothing, monkeypatch):
    """The command exits with 1 and prints the reason."""

    def fail_meanwhile(_seconds):
        retraining_runs.start(1, "t")
        retraining_runs.fail(1, "t", "no training data are configured")

    monkeypatch.setattr(retrain.time, "sleep", fail_meanwhile)

    result = run("retrain", "--wait")

    assert 1 == result.exit_code
    assert "run 1: failed, no training data are configured" in result.stdout
    with reading() as session:
        assert RunState.FAILED == session.get_one(RetrainingRun, 1).state


@pytest.fixture
def eager_nothing(database, monkeypatch):
    """A database, and a broker that accepts every message and does nothing."""
    monkeypatch.setattr(app, "send_task", lambda *_arguments, **_options: None)
    return database
