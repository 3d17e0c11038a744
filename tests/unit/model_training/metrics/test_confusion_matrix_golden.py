"""Every figure and every line compared with caret: tests/golden/caret.R wrote the tables and the output of R."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from model_training.commands.report import report
from model_training.metrics import confusion_matrix
from model_training.report.caret_text import _rounded, text

GOLDEN = json.loads((Path(__file__).parents[3] / "golden" / "caret.json").read_text(encoding="utf-8"))["cases"]
#: Tables with more films are not spelt out film by film.
MOST_FILMS = 20_000
#: R rounds the halves of the fourth digit by the nearer double: `round(k / 160, 4)` of R 4.2.
HALVES = {91: 0.5688, 107: 0.6688, 111: 0.6938, 1: 0.0063, 3: 0.0187, 5: 0.0312, 159: 0.9938, -91: -0.5688}

golden = pytest.mark.parametrize("case", GOLDEN, ids=[case["name"] for case in GOLDEN])


def labels(case):
    """Return truths and predictions, one per film."""
    table = np.asarray(case["table"])
    predicted, truth = (indices.ravel() for indices in np.indices(table.shape))
    return truth.repeat(table.ravel()), predicted.repeat(table.ravel())


def matrix_of(case):
    if np.sum(case["table"]) > MOST_FILMS:
        return confusion_matrix.from_table(case["table"], case["classes"])
    return confusion_matrix.from_labels(*labels(case), case["classes"])


def differences(ours, theirs):
    """Return the figures that differ from caret's by more than 1e-9 of it, or that are null in one of the two only."""
    return {
        name: (ours.get(name), value)
        for name, value in theirs.items()
        if (value is None) != (ours.get(name) is None)
        or (value is not None and ours[name] != pytest.approx(value, rel=1e-9, abs=1e-15))
    }


def test_there_are_tables_of_every_kind():
    """Two to eight classes, up to hundreds of millions of films, and each figure undefined somewhere."""
    assert len(GOLDEN) >= 60
    assert set(range(2, 9)) == {len(case["classes"]) for case in GOLDEN}
    undefined = {name for case in GOLDEN for name, value in case["overall"].items() if value is None}
    undefined |= {name for case in GOLDEN for row in case["byClass"].values() for name in row if row[name] is None}
    assert {
        "Kappa", "McnemarPValue", "Sensitivity", "Specificity", "Pos Pred Value", "Neg Pred Value", "Precision",
        "Recall", "F1", "Balanced Accuracy",
    } == undefined  # fmt: skip


@golden
def test_every_figure_is_carets(case):
    """A figure is undefined exactly if R says NA or NaN."""
    ours = matrix_of(case).stored()

    assert case["table"] == ours["table"]
    assert {} == differences(ours["overall"], case["overall"])
    for name, figures in case["byClass"].items():
        assert list(figures) == list(ours["byClass"][name])
        assert {} == differences(ours["byClass"][name], figures), name


@golden
def test_the_printout_is_carets_byte_for_byte(case):
    """This includes blanks at the ends of lines, in caret's default mode and in the mode `everything`."""
    matrix = matrix_of(case)

    assert case["text"] == text(matrix)
    if "everything" in case:
        assert case["everything"] == text(matrix, everything=True)


@pytest.mark.parametrize(("part", "rounded"), HALVES.items())
def test_halves_are_rounded_as_r_rounds_them(part, rounded):
    """Python would round 91 / 160 to 0.5687, because its double lies below the half."""
    assert rounded == _rounded(part / 160)


@pytest.mark.parametrize("classes", [("2nd", "Pneumonie (übrige)", "Ödem"), ('"quoted"', "a, b", "it's")])
def test_the_command_reads_names_with_commas_quotes_and_umlauts(tmp_path, classes):
    """Classes come in the order of their code points, as R sorts in the C locale."""
    case = next(case for case in GOLDEN if case["name"] == "caret's snapshot of three classes")
    with (tmp_path / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["truth", "prediction"])
        writer.writerows((classes[truth], classes[predicted]) for truth, predicted in zip(*labels(case), strict=True))

    done = CliRunner().invoke(report, ["--predictions", str(tmp_path / "predictions.csv"), "--json"])

    assert 0 == done.exit_code, done.output
    said = json.loads(done.stdout)
    assert list(classes) == said["classes"]
    assert {} == differences(said["overall"], case["overall"])
    for name, theirs in zip(classes, case["byClass"].values(), strict=True):
        assert {} == differences(said["byClass"][name], theirs)
