"""`thoraq report --run`, `thoraq evaluate --html` and `thoraq compare`."""

import json
import shutil

import pytest
from click.testing import CliRunner
from PIL import Image

from model_training.commands.compare import compare
from model_training.commands.evaluate import evaluate
from model_training.commands.report import report
from model_training.training.predictions import save
from worker.errors import Reason, RejectedImage
from worker.models.directory import SHIPPED_FILMS, SHIPPED_PHANTOMS, read_card


def run(command, *arguments):
    return CliRunner().invoke(command, [str(value) for value in arguments])


@pytest.fixture
def stored(tmp_path, full_report, drawn_run):
    """A run's directory without its network."""
    directory = tmp_path / "stored"
    directory.mkdir()
    shutil.copy(SHIPPED_PHANTOMS / "card.json", directory)
    (directory / "report.json").write_text(json.dumps({"version": "v3-0", "network": "v3", **full_report.stored()}))
    save(directory, drawn_run.predictions)
    return directory


def manifested(folder):
    """Write a manifest in which every second film is of a woman, and each patient has two films."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    rows = [f"{name},{'MF'[index % 2]},p{index // 2}" for index, name in enumerate(names)]
    (folder / "manifest.csv").write_text("\n".join(["file,sex,patient_id", *rows]) + "\n")


def test_the_report_of_a_run_needs_neither_network_nor_films(database, stored, tmp_path):
    """The page, its figures and the curves are written."""
    result = run(report, "--run", stored, "--html", tmp_path / "page.html")

    assert (0, "") == (result.exit_code, result.stdout)
    assert {"roc.svg", "confusion.svg", "report.css"} <= {path.name for path in (tmp_path / "page_files").iterdir()}


def test_a_run_is_printed_as_json_and_as_text(database, stored):
    """The text is the default."""
    as_json = json.loads(run(report, "--run", stored, "--json").stdout)
    as_text = run(report, "--run", stored).stdout

    assert "v3-0" == as_json["version"]
    assert as_text.startswith("v3-0 on the test split, n = 90")
    assert as_text == run(report, "--run", stored, "--text").stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "give either"),
        (("--predictions", __file__, "--run", "active"), "give either"),
        (("--predictions", __file__, "--html", "page.html"), "--html needs --run"),
        (("--run", "active", "--json", "--text"), "use either"),
        (("--run", "v9-000000000000"), "nor a registered version"),
    ],
)
def test_contradictory_options_are_bad_input(database, arguments, complaint):
    """The command exits with 2 and one sentence."""
    result = run(report, *arguments)

    assert 2 == result.exit_code
    assert complaint in result.stderr


def test_damaged_predictions_are_bad_input(database, stored, tmp_path):
    """There is no traceback."""
    (stored / "predictions.npz").write_text("no archive")

    result = run(report, "--run", stored, "--html", tmp_path / "page.html")

    assert 2 == result.exit_code
    assert "no readable predictions" in result.stderr


def test_an_evaluation_has_a_page_with_its_worst_errors(database, built, drawn, tmp_path):
    """The page shows a film with a wrong class."""
    (drawn / "test" / "Left" / "01.png").rename(drawn / "test" / "Right" / "wrong.png")

    result = run(evaluate, "--data", drawn, "--model", built[0], "--html", tmp_path / "page.html", "--json", "-")

    assert 0 == result.exit_code, result.stderr
    page = (tmp_path / "page.html").read_text()
    assert json.loads(result.stdout)["model"] in page
    for name in ("Worst errors", "page_files/thumbnails/error-01.png", "given films"):
        assert name in page
    with Image.open(tmp_path / "page_files" / "thumbnails" / "error-01.png") as picture:
        assert (64, 64) == picture.size


@pytest.mark.parametrize("split", ["", "test"])
def test_a_manifest_adds_groups_and_patients_to_an_evaluation(database, built, drawn, split):
    """It may be in the folder or beside the given split; `--json` alone prints to stdout."""
    manifested(drawn)

    result = run(evaluate, "--json", "--data", drawn / split, "--model", built[0])

    evaluation = json.loads(result.stdout)
    assert {"M": 4, "F": 4} == {row["group"]: row["n"] for row in evaluation["subgroups"] if row["by"] == "sex"}
    assert "patient" == evaluation["bootstrap"]["unit"]


def test_an_unreadable_manifest_is_bad_input(database, built, drawn):
    """The command exits with 2 and one sentence."""
    (drawn / "manifest.csv").write_text("name\nx\n")

    result = run(evaluate, "--data", drawn, "--model", built[0])

    assert 2 == result.exit_code
    assert "no column file" in result.stderr


def test_versions_are_printed_beside_the_papers_rows(database):
    """Without registered versions, the shipped ones are printed."""
    rows = {row["network"]: row for row in json.loads(run(compare, "--json").stdout)}

    assert {"lite0", "v3", "phantom"} == rows.keys()
    assert rows["phantom"]["paper"] is None
    for row in rows.values():
        assert {"train", "validation", "test"} == row["accuracy"].keys() == row["loss"].keys() == row["n"].keys()


def test_the_papers_figures_are_those_of_the_paper(database, tmp_path):
    """They are in its Figure 11 and in the losses of its final model."""
    directory = tmp_path / "candidate"
    directory.mkdir()
    card = read_card(SHIPPED_FILMS).model_copy(update={"network": "v3", "version": "v3-000000000000"})
    (directory / "card.json").write_text(card.model_dump_json())

    (row,) = json.loads(run(compare, directory, "--json").stdout)
    text = run(compare, directory).stdout

    assert {"train": 0.98, "validation": 0.84, "test": 0.81} == row["paper"]["accuracy"]
    assert {"train": 0.0479, "validation": 0.7017, "test": 0.9201} == row["paper"]["loss"]
    assert {"train": None, "validation": None, "test": None} == row["accuracy"]
    for words in ("the paper's v3", "0.0479, 0.7017, 0.9201", "not stated"):
        assert words in text


def test_registered_versions_are_compared_once(phantom_model):
    """A shipped version that is registered is listed once."""
    versions = [row["version"] for row in json.loads(run(compare, "--json").stdout)]

    assert 1 == versions.count(phantom_model)


def test_two_versions_are_compared_on_the_same_films(database, built, drawn):
    """A model does not differ from itself."""
    manifested(drawn)

    found = json.loads(run(compare, built[0], built[0], "--data", drawn, "--json").stdout)
    text = run(compare, built[0], built[0], "--data", drawn).stdout

    assert 8 == found["n"]
    assert (0, 0) == (found["mcnemar"]["b_right_a_wrong"], found["mcnemar"]["a_right_b_wrong"])
    assert 0 == found["differences"]["accuracy"]["difference"]
    assert "On the same 8 films" in text
    assert "sensitivity, Left" in text


def test_films_that_one_film_check_rejects_are_left_out_of_both(database, built, drawn, tmp_path, monkeypatch):
    """Each model has its own film check."""
    strict = tmp_path / "strict"
    shutil.copytree(built[0], strict)
    card = json.loads((strict / "card.json").read_text())
    (strict / "card.json").write_text(json.dumps(card | {"version": "strict-1"}))
    refused = []

    def rejection(classifier, film):
        if classifier.card.version != "strict-1" or refused:
            return None
        refused.append(film)
        return RejectedImage(Reason.NOT_A_CHEST_FILM, "")

    monkeypatch.setattr("worker.models.classifier.Classifier.rejection", rejection)
    found = json.loads(run(compare, built[0], strict, "--data", drawn, "--json").stdout)
    refused.clear()
    text = run(compare, strict, built[0], "--data", drawn).stdout

    assert (7, 1) == (found["n"], found["left_out"])
    assert 0 == found["differences"]["accuracy"]["difference"]
    assert "On the same 7 films" in text
    assert "left out: 1" in text


def test_one_version_is_not_compared_on_films(database, built, drawn):
    """Three versions are not compared, either."""
    result = run(compare, built[0], "--data", drawn)

    assert 2 == result.exit_code
    assert "needs two models" in result.stderr


def test_versions_of_other_classes_are_not_compared(database, built, drawn):
    """Their labels have another meaning."""
    result = run(compare, built[0], SHIPPED_PHANTOMS, "--data", drawn)

    assert 2 == result.exit_code
    assert "--data" in result.stderr or "different classes" in result.stderr
