"""The curves of a training run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from model_training.report.figures.style import COLOURS, save, sheet

TRAIN_COLOUR, VALIDATION_COLOUR = COLOURS[:2]


def draw_curves(report: Mapping[str, Any], path: Path) -> None:
    """Draw loss and accuracy per epoch on training and validation films, and mark the epoch whose weights were kept.

    Where the history has the learning rate, it is drawn below.
    """
    history = report["history"]
    rates = [entry.get("learning_rate") for entry in history]
    figure = sheet(9, 5.2 if all(rates) else 3.6)
    panels = figure.subplot_mosaic(
        [["loss", "accuracy"], ["rate", "rate"]] if all(rates) else [["loss", "accuracy"]],
        height_ratios=[2.4, 1] if all(rates) else None,
    )
    loss, accuracy = panels["loss"], panels["accuracy"]
    _calibrated_curve(loss, history)
    for axes, name, label in ((loss, "loss", "cross-entropy"), (accuracy, "accuracy", "accuracy (share right)")):
        _curve(axes, report, name)
        axes.set(xlabel="epoch", ylabel=label)
    if all(rates):
        panels["rate"].step([entry["epoch"] for entry in history], rates, where="mid", color=TRAIN_COLOUR)
        panels["rate"].set(xlabel="epoch", ylabel="learning rate", yscale="log")
    for axes in panels.values():
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    loss.set_ylim(0, 1.05 * max(max(entry["loss"], entry["val_loss"]) for entry in history))
    accuracy.set_ylim(0, 1)
    figure.legend(*loss.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    loss.set_title("Loss (classes weighted; training: augmented films)", fontsize=9)
    accuracy.set_title("Accuracy", fontsize=9)
    save(figure, path)


def _curve(axes: Axes, report: Mapping[str, Any], name: str) -> None:
    epochs = [entry["epoch"] for entry in report["history"]]
    for key, split, colour in ((name, "train", TRAIN_COLOUR), (f"val_{name}", "validation", VALIDATION_COLOUR)):
        n = sum(report["data"]["counts"][split].values())
        values = [entry[key] for entry in report["history"]]
        axes.plot(epochs, values, color=colour, marker=".", markersize=3, label=f"{split} (n = {n})")
    axes.axvline(report["kept_epoch"], color="0.4", linestyle=":", label=f"kept: epoch {report['kept_epoch']}")


def _calibrated_curve(axes: Axes, history: Sequence[Mapping[str, float]]) -> None:
    """Draw the loss by which the kept epoch was chosen; older runs chose by the bare one."""
    if "val_calibrated_loss" in history[0]:
        epochs, values = zip(*((entry["epoch"], entry["val_calibrated_loss"]) for entry in history), strict=True)
        axes.plot(epochs, values, color=VALIDATION_COLOUR, linestyle="--", linewidth=1, label="validation, calibrated")
