"""The curves of each class against the rest: sensitivity against false alarms, precision against recall."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from model_training.report.figures.style import GREY, SMALL, colour, dash, save, sheet, unit_square
from model_training.training.predictions import Predictions
from worker.models.documents.evaluation import ClassAreas, Evaluation

Scores = npt.NDArray[np.float64]
#: Takes whether each film is of the class, and its scores; returns the curve's x and y.
Curve = Callable[[npt.NDArray[np.bool_], Scores], tuple[Scores, Scores]]


def draw_roc(evaluation: Evaluation, predictions: Predictions, path: Path) -> None:
    """Draw the receiver operating characteristic of every class that has one; the diagonal is guessing."""

    def curve(positive: npt.NDArray[np.bool_], scores: Scores) -> tuple[Scores, Scores]:
        from sklearn.metrics import roc_curve  # noqa: PLC0415 - a second of import

        false_alarms, sensitivity, _ = roc_curve(positive, scores)
        return false_alarms, sensitivity

    figure = sheet(6, 6.9)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    _plot(axes, evaluation, predictions, "auroc", curve)
    unit_square(axes, "false alarms (1 - specificity)", "sensitivity")
    axes.set_title(f"ROC, each class against the rest (n = {evaluation.n})", fontsize=10)
    figure.legend(loc="outside lower center", ncols=1, frameon=False, fontsize=SMALL, title="AUROC, 95 % interval")
    save(figure, path)


def draw_precision_recall(evaluation: Evaluation, predictions: Predictions, path: Path) -> None:
    """Draw precision against recall of every class; a tick at the right is its prevalence, which guessing gives."""

    def curve(positive: npt.NDArray[np.bool_], scores: Scores) -> tuple[Scores, Scores]:
        from sklearn.metrics import precision_recall_curve  # noqa: PLC0415 - a second of import

        precision, recall, _ = precision_recall_curve(positive, scores)
        return recall, precision

    figure = sheet(6, 6.9)
    axes = figure.subplots()
    for index, name in enumerate(evaluation.classes):
        prevalence = _areas_of(evaluation, name).prevalence or 0
        axes.plot([0.97, 1.01], [prevalence] * 2, color=colour(index), linewidth=2)
    _plot(axes, evaluation, predictions, "auprc", curve)
    unit_square(axes, "recall (sensitivity)", "precision (positive predictive value)")
    axes.set_title(f"Precision and recall, each class against the rest (n = {evaluation.n})", fontsize=10)
    figure.legend(loc="outside lower center", ncols=1, frameon=False, fontsize=SMALL, title="AUPRC, 95 % interval")
    save(figure, path)


def _plot(
    axes: Axes, evaluation: Evaluation, predictions: Predictions, area: Literal["auroc", "auprc"], curve: Curve
) -> None:
    """Draw a curve for every class whose area is defined, and name its area, interval and films."""
    for index, name in enumerate(evaluation.classes):
        areas = _areas_of(evaluation, name)
        value, ends = (areas.auroc, areas.auroc_interval) if area == "auroc" else (areas.auprc, areas.auprc_interval)
        if value is None:
            continue
        x, y = curve(predictions.labels == index, np.asarray(predictions.probabilities[:, index], np.float64))
        lower, upper = ends or (None, None)
        interval = "undefined" if lower is None or upper is None else f"{lower:.3f} to {upper:.3f}"
        label = f"{name} (n = {areas.n_positive}): {value:.3f} ({interval})"
        axes.plot(x, y, color=colour(index), linestyle=dash(index), linewidth=1.6, label=label)


def _areas_of(evaluation: Evaluation, name: str) -> ClassAreas:
    return (evaluation.roc or {}).get(name, ClassAreas())
