"""The curves of each class against the rest: sensitivity against false alarms, precision against recall."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from model_training.report.figures.style import GREY, SMALL, colour, dash, save, sheet, unit_square
from model_training.training.predictions import Predictions

Curve = Callable[[Any, Any], tuple[Any, Any]]


def draw_roc(evaluation: Mapping[str, Any], predictions: Predictions, path: Path) -> None:
    """Draw the receiver operating characteristic of every class that has one; the diagonal is guessing."""

    def curve(positive: Any, scores: Any) -> tuple[Any, Any]:  # noqa: ANN401 - arrays
        from sklearn.metrics import roc_curve  # noqa: PLC0415 - a second of import

        false_alarms, sensitivity, _ = roc_curve(positive, scores)
        return false_alarms, sensitivity

    figure = sheet(6, 6.9)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1)
    _plot(axes, evaluation, predictions, "auroc", curve)
    unit_square(axes, "false alarms (1 - specificity)", "sensitivity")
    axes.set_title(f"ROC, each class against the rest (n = {evaluation['n']})", fontsize=10)
    figure.legend(loc="outside lower center", ncols=1, frameon=False, fontsize=SMALL, title="AUROC, 95 % interval")
    save(figure, path)


def draw_precision_recall(evaluation: Mapping[str, Any], predictions: Predictions, path: Path) -> None:
    """Draw precision against recall of every class; a tick at the right is its prevalence, which guessing gives."""

    def curve(positive: Any, scores: Any) -> tuple[Any, Any]:  # noqa: ANN401 - arrays
        from sklearn.metrics import precision_recall_curve  # noqa: PLC0415 - a second of import

        precision, recall, _ = precision_recall_curve(positive, scores)
        return recall, precision

    figure = sheet(6, 6.9)
    axes = figure.subplots()
    for index, name in enumerate(evaluation["classes"]):
        prevalence = evaluation["discrimination"][name]["prevalence"]
        axes.plot([0.97, 1.01], [prevalence] * 2, color=colour(index), linewidth=2)
    _plot(axes, evaluation, predictions, "auprc", curve)
    unit_square(axes, "recall (sensitivity)", "precision (positive predictive value)")
    axes.set_title(f"Precision and recall, each class against the rest (n = {evaluation['n']})", fontsize=10)
    figure.legend(loc="outside lower center", ncols=1, frameon=False, fontsize=SMALL, title="AUPRC, 95 % interval")
    save(figure, path)


def _plot(axes: Axes, evaluation: Mapping[str, Any], predictions: Predictions, area: str, curve: Curve) -> None:
    """Draw a curve for every class whose area is defined, and name its area, interval and films."""
    for index, name in enumerate(evaluation["classes"]):
        found = evaluation["discrimination"][name]
        if found[area] is None:
            continue
        x, y = curve(predictions.labels == index, np.asarray(predictions.probabilities[:, index], np.float64))
        lower, upper = found[f"{area}_interval"]
        interval = "undefined" if lower is None else f"{lower:.3f} to {upper:.3f}"
        label = f"{name} (n = {found['n_positive']}): {found[area]:.3f} ({interval})"
        axes.plot(x, y, color=colour(index), linestyle=dash(index), linewidth=1.6, label=label)
