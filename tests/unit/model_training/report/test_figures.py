"""The drawn figures."""

from xml.etree import ElementTree as ET

import pytest

from model_training.report import figures
from model_training.training.predictions import save
from worker.models.documents.evaluation import Evaluation
from worker.models.documents.report import Report

REPORT = {
    "history": [
        {"epoch": 1, "loss": 1.5, "val_loss": 1.6, "accuracy": 0.3, "val_accuracy": 0.2},
        {"epoch": 2, "loss": 1.2, "val_loss": 1.4, "accuracy": 0.5, "val_accuracy": 0.4},
    ],
    "kept_epoch": 2,
    "data": {"counts": {"train": {"A": 70, "B": 30}, "validation": {"A": 7, "B": 4}}},
}
EVALUATION = {"n": 12, "classes": ["A", "B"], "table": [[7, 1], [0, 4]]}


@pytest.fixture(scope="module")
def drawn_figures(full_report, drawn_run, tmp_path_factory):
    """Every figure of the invented run, drawn twice: from given predictions and from saved ones."""
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    report = full_report.model_copy(update={"version": "v3-0"})
    save(folders[1], drawn_run.predictions)
    names = [figures.draw_all(report, folders[0], drawn_run.predictions), figures.draw_all(report, folders[1])]
    assert names[0] == names[1]
    return folders, names[0]


def test_every_part_of_a_report_has_its_figure_and_the_same_numbers_draw_the_same_bytes(drawn_figures):
    """A figure changes only when its numbers do."""
    (one, two), names = drawn_figures

    assert {
        "curves.svg", "confusion.svg", "roc.svg", "precision_recall.svg", "reliability.svg", "coverage.svg",
        "groups.svg",
    } == set(names)  # fmt: skip
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
        assert "svg" in ET.fromstring((one / name).read_text()).tag


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("curves.svg", ("epoch", "cross-entropy", "train (n = 60)", "validation (n = 48)", "kept: epoch 2")),
        ("confusion.svg", ("reference", "prediction", "v3-0 on the test split (n = 90)", "(n = 30)")),
        ("roc.svg", ("sensitivity", "ROC, each class against the rest (n = 90)")),
        ("precision_recall.svg", ("recall (sensitivity)", "precision (positive predictive value)")),
        ("reliability.svg", ("stated probability (top class)", "accuracy (share right)", "films")),
        ("coverage.svg", ("films withheld, the least certain first (%)", "films named wrongly (%)", "n = 90")),
        ("groups.svg", ("accuracy (share right), 95 % interval",)),
    ],
)
def test_the_figures_state_axes_and_n(drawn_figures, name, words):
    """Matplotlib leaves each text as a comment above its outlines."""
    text = (drawn_figures[0][0] / name).read_text()

    for word in words:
        assert f"<!-- {word} -->" in text, word


def test_curves_name_their_area_with_n_and_interval(drawn_figures, full_report):
    """The legend has the figures of the table."""
    text = (drawn_figures[0][0] / "roc.svg").read_text()

    found = full_report.test.roc["Effusions"]
    lower, upper = found.auroc_interval
    assert f"<!-- Effusions (n = 30): {found.auroc:.3f} ({lower:.3f} to {upper:.3f}) -->" in text


def test_a_figure_has_no_script_and_nothing_from_elsewhere(drawn_figures):
    """The content policy of its page forbids both."""
    for name in drawn_figures[1]:
        text = (drawn_figures[0][0] / name).read_text()
        assert "<script" not in text
        assert 'href="http' not in text


def test_a_report_of_an_older_release_has_fewer_figures(tmp_path):
    """No curve without predictions, no reliability without bins."""
    report = Report.model_validate({**REPORT, "version": "v3-0", "test": EVALUATION})

    assert ("curves.svg", "confusion.svg") == figures.draw_all(report, tmp_path)


def test_the_learning_rate_is_drawn_where_the_history_has_it(tmp_path):
    """The curves show the schedule of the learning rate."""
    history = [{**entry, "learning_rate": 0.001} for entry in REPORT["history"]]

    figures.draw_curves(Report.model_validate({**REPORT, "history": history}), tmp_path / "curves.svg")

    assert "<!-- learning rate -->" in (tmp_path / "curves.svg").read_text()


def test_a_class_without_a_film_is_drawn_without_a_share(tmp_path):
    """0/0 raises no error and gives no colour."""
    evaluation = Evaluation.model_validate({**EVALUATION, "table": [[7, 0], [5, 0]]})

    figures.draw_confusion(evaluation, "a model", tmp_path / "confusion.svg")

    assert "<!-- (n = 0) -->" in (tmp_path / "confusion.svg").read_text()
