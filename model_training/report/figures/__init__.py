"""Draws the figures of a report as SVG, from its numbers; the same numbers give the same bytes.

If a report lacks a part, the figure of that part is not drawn.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from model_training.report.figures.certainty import draw_coverage, draw_reliability
from model_training.report.figures.confusion import draw_confusion
from model_training.report.figures.groups import draw_groups
from model_training.report.figures.roc import draw_precision_recall, draw_roc
from model_training.report.figures.training import draw_curves
from model_training.training.predictions import Predictions, load
from worker.models.documents.evaluation import Calibration
from worker.models.documents.report import Report

__all__ = ["draw_all", "draw_confusion", "draw_curves"]

CURVES_FILE = "curves.svg"
CONFUSION_FILE = "confusion.svg"
ROC_FILE = "roc.svg"
PRECISION_RECALL_FILE = "precision_recall.svg"
RELIABILITY_FILE = "reliability.svg"
COVERAGE_FILE = "coverage.svg"
GROUPS_FILE = "groups.svg"


def draw_all(report: Report, directory: Path, predictions: Mapping[str, Predictions] | None = None) -> tuple[str, ...]:
    """Draw every figure that a report has the numbers for, and return the names of their files.

    Args:
        report: the report of a run, or one that has an evaluation as its `test`; older reports lack parts.
        directory: where the figures are written.
        predictions: the network's predictions; None: those that the run stored in the directory.
    """
    test, drawn = report.tested, {}
    of_test = (load(directory) if predictions is None else predictions).get("test")

    def draw(name: str, drawer: Callable[..., None], *parts: object) -> None:
        drawer(*parts, directory / name)
        drawn[name] = True

    if report.history:
        draw(CURVES_FILE, draw_curves, report)
    draw(CONFUSION_FILE, draw_confusion, test, f"{report.version} on the {report.on or 'test split'}")
    if of_test is not None and test.roc is not None:
        draw(ROC_FILE, draw_roc, test, of_test)
        draw(PRECISION_RECALL_FILE, draw_precision_recall, test, of_test)
    if calibrations := _calibrations(report):
        draw(RELIABILITY_FILE, draw_reliability, calibrations)
    if test.coverage:
        draw(COVERAGE_FILE, draw_coverage, test.coverage)
    if any(row.accuracy is not None for row in report.subgroups):
        draw(GROUPS_FILE, draw_groups, report.subgroups, test)
    return tuple(drawn)


def _calibrations(report: Report) -> dict[str, Calibration]:
    """Return the calibrations to draw, by title: before and after temperature scaling if both are known."""
    scaling, published = report.calibration, report.tested.calibration
    if scaling:
        return {"Before": scaling.before["test"], "After": scaling.after["test"]}
    return {"As published": published} if published else {}
