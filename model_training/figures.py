"""The figures of a report as SVG: training curves and confusion matrix; the same numbers draw the same bytes.

Draws by Matplotlib's objects alone: no window system, no state shared between figures.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

CURVES_FILE = "curves.svg"
CONFUSION_FILE = "confusion.svg"
#: Blue and orange of Okabe and Ito's palette, apart for every kind of colour vision.
TRAIN_COLOUR, VALIDATION_COLOUR = "#0072B2", "#D55E00"
#: Cells from this share on are dark and carry white figures.
DARK_SHARE = 0.5


def draw_curves(report: Mapping[str, Any], path: Path) -> None:
    """Draw loss and accuracy per epoch on training and validation films, and mark the epoch whose weights were kept."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    for axes, name, label in ((loss, "loss", "cross-entropy"), (accuracy, "accuracy", "accuracy (share right)")):
        _curve(axes, report, name)
        axes.set(xlabel="epoch", ylabel=label)
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    loss.set_ylim(0, 1.05 * max(max(entry["loss"], entry["val_loss"]) for entry in report["history"]))
    accuracy.set_ylim(0, 1)
    figure.legend(*accuracy.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    loss.set_title("Loss (classes weighted; training: augmented films)", fontsize=9)
    accuracy.set_title("Accuracy", fontsize=9)
    _save(figure, path)


def _curve(axes: Axes, report: Mapping[str, Any], name: str) -> None:
    epochs = [entry["epoch"] for entry in report["history"]]
    for key, split, colour in ((name, "train", TRAIN_COLOUR), (f"val_{name}", "validation", VALIDATION_COLOUR)):
        n = sum(report["data"]["counts"][split].values())
        values = [entry[key] for entry in report["history"]]
        axes.plot(epochs, values, color=colour, marker=".", markersize=3, label=f"{split} (n = {n})")
    axes.axvline(report["kept_epoch"], color="0.4", linestyle=":", label=f"kept: epoch {report['kept_epoch']}")


def draw_confusion(evaluation: Mapping[str, Any], title: str, path: Path) -> None:
    """Draw the counts, shaded by their share of the reference class; rows predicted, columns reference, as in caret."""
    classes: Sequence[str] = evaluation["classes"]
    table = np.asarray(evaluation["table"])
    totals = table.sum(axis=0)
    shares = np.divide(table, totals, out=np.zeros(table.shape), where=totals > 0)
    figure = Figure(figsize=(6.8, 5.6), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(table):
        colour = "white" if shares[row, column] >= DARK_SHARE else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=colour)
    labels = [f"{name}\n(n = {n})" for name, n in zip(classes, totals, strict=True)]
    axes.set_xticks(range(len(classes)), labels, rotation=30, ha="right", fontsize=8)
    axes.set_yticks(range(len(classes)), list(classes), fontsize=8)
    axes.set(xlabel="reference", ylabel="prediction", title=f"{title} (n = {evaluation['n']})")
    figure.colorbar(image, ax=axes, label="share of the reference class")
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    # A fixed salt names the elements, no date is written: the bytes depend on the numbers only.
    with mpl.rc_context({"svg.hashsalt": "thoraq", "svg.fonttype": "path"}):
        FigureCanvasSVG(figure)
        figure.savefig(path, format="svg", metadata={"Date": None})
