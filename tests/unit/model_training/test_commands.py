"""The subcommands, from their arguments to what they print."""

import fcntl
import importlib
import json
import os
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


def draw_twelve(draw, folder):
    """Draw six films of each of two classes in class folders, and return their names."""
    names = [f"{'Left' if index % 2 else 'Right'}/{index:02}.png" for index in range(12)]
    for index, name in enumerate(names):
        draw(folder / name, index, bright_left=name.startswith("Left"))
    return names


def class_folders(draw, folder):
    """Class folders alone."""
    draw_twelve(draw, folder)
    return folder


def manifest_of(columns, *, beside):
    """Films with a manifest of these columns, given as its folder or as the file."""

    def drawn(draw, folder):
        names = draw_twelve(draw, folder)
        values = {
            "class": lambda name: name.partition("/")[0],
            "split": lambda name: ("train", "validation", "test")[int(name[-6:-4]) // 2 % 3],
            "patient_id": lambda name: f"p{int(name[-6:-4])}",
            "source_repo": lambda name: f"hospital-{int(name[-6:-4]) % 3}",
            "original_labels": lambda name: name.partition("/")[0],
            "view": lambda name: "PA",
            "sex": lambda name: "F",
            "age_years": lambda name: "50",
        }
        rows = [",".join((name, *(values[column](name) for column in columns))) for name in names]
        path = folder / ("manifest.csv" if beside else "films.csv")
        path.write_text("\n".join((",".join(("file", *columns)), *rows)) + "\n")
        return folder if beside else path

    return drawn


EVERY_COLUMN = ("class", "patient_id", "source_repo", "original_labels", "view", "sex", "age_years")

#: The layouts of docs/training.md; those that bring their splits say so.
LAYOUTS = {
    "class folders": class_folders,
    "a manifest of classes": manifest_of(("class",), beside=False),
    "a manifest of everything": manifest_of(EVERY_COLUMN, beside=False),
    "a folder with its manifest": manifest_of(EVERY_COLUMN, beside=True),
    "a manifest with splits": manifest_of(("split", *EVERY_COLUMN), beside=False),
    "a folder with a manifest with splits": manifest_of(("split", "class"), beside=True),
}


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
        ("truth,prediction\nA,\n", "fewer than two classes"),
        ("truth,prediction\n0,0.91\n1,0.22\n1,0.87\n0,0.13\n", "0.13, a number and not a class"),
        ("truth,prediction\n0,1.0\n1,0.0\n", "no class of the column prediction occurs"),
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


@pytest.mark.parametrize("missing", ["NA", "NaN", ""])
def test_rows_with_a_missing_value_are_left_out_as_in_r(tmp_path, missing):
    """Their number is printed; blanks around a value do not make another class."""
    rows = ["A,A", f"B,{missing}", f" {missing} ,B", "A, B", "B ,B"]
    (tmp_path / "na.csv").write_text("\n".join(["truth, prediction", *rows]) + "\n")

    result = run("report", "--predictions", tmp_path / "na.csv", "--json")

    report = json.loads(result.stdout)
    assert (["A", "B"], [[1, 0], [1, 1]], 2) == (report["classes"], report["table"], report["missing"])
    assert "2 of 5 rows have a missing value" in result.stderr


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


def test_the_same_training_twice_keeps_the_later_report(database, shared_data):
    """The version is named for its network, so both trainings have one directory."""
    first, second = (
        run("train", "--data", shared_data, "--network", "phantom", "--epochs", 1, "--json") for _ in range(2)
    )

    assert (0, 0) == (first.exit_code, second.exit_code), second.output
    (directory,) = (database / "candidates").iterdir()
    assert json.loads(second.stdout)["seconds"] == json.loads((directory / "report.json").read_text())["seconds"]


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_every_layout_of_training_data_is_trained_to_its_end(database, draw, tmp_path, layout):
    """A training set that docs/training.md describes gives a candidate, and the report says how it was split."""
    data = LAYOUTS[layout](draw, tmp_path / "films")

    result = run("train", "--data", data, "--network", "phantom", "--epochs", 1, "--out", tmp_path / "out", "--json")

    assert 0 == result.exit_code, result.output
    report = json.loads(result.stdout)
    made = report["data"].get("splitting")
    assert ("splits" in layout) == (made is None)
    if made:
        assert {"train": 0.7, "validation": 0.15, "test": 0.15} == made["fractions"]
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_second_training_to_a_folder_is_refused_before_it_learns(database, shared_data, tmp_path):
    """The first one holds the folder until it ends."""
    out = tmp_path / "out"
    out.mkdir()
    descriptor = os.open(out, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)

    refused = run("train", "--data", shared_data, "--network", "phantom", "--epochs", 1, "--out", out)
    os.close(descriptor)
    trained = run("train", "--data", shared_data, "--network", "phantom", "--epochs", 1, "--out", out)

    assert 2 == refused.exit_code
    assert "another training writes to" in refused.stderr
    assert "training" not in refused.stdout
    assert 0 == trained.exit_code, trained.output


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
