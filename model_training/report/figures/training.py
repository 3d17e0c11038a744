"""The curves of a training run."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from model_training.report.figures.style import COLOURS, save, sheet
from worker.models.documents.report import Epoch, Report

TRAIN_COLOUR, VALIDATION_COLOUR = COLOURS[:2]


def draw_curves(report: Report, path: Path) -> None:
    """Draw loss and accuracy per epoch on training and validation films, and mark the epoch whose weights were kept.

    If the history has the learning rate, it is drawn below.
    """
    history = report.history
    rates = [epoch.learning_rate for epoch in history if epoch.learning_rate]
    has_rates = len(rates) == len(history)
    figure = sheet(9, 5.2 if has_rates else 3.6)
    panels = figure.subplot_mosaic(
        [["loss", "accuracy"], ["rate", "rate"]] if has_rates else [["loss", "accuracy"]],
        height_ratios=[2.4, 1] if has_rates else None,
    )
    loss, accuracy = panels["loss"], panels["accuracy"]
    _calibrated_curve(loss, history)
    for axes, name, label in ((loss, "loss", "cross-entropy"), (accuracy, "accuracy", "accuracy (share right)")):
        _curve(axes, report, name)
        axes.set(xlabel="epoch", ylabel=label)
    if has_rates:
        panels["rate"].step([epoch.epoch for epoch in history], rates, where="mid", color=TRAIN_COLOUR)
        panels["rate"].set(xlabel="epoch", ylabel="learning rate", yscale="log")
    for axes in panels.values():
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    loss.set_ylim(0, 1.05 * max(max(epoch.loss, epoch.val_loss) for epoch in history))
    accuracy.set_ylim(0, 1)
    figure.legend(*loss.get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    loss.set_title("Loss (classes weighted; training: augmented films)", fontsize=9)
    accuracy.set_title("Accuracy", fontsize=9)
    save(figure, path)


def _curve(axes: Axes, report: Report, name: str) -> None:
    epochs = [epoch.epoch for epoch in report.history]
    counts = report.data.counts if report.data else {}
    for key, split, colour in ((name, "train", TRAIN_COLOUR), (f"val_{name}", "validation", VALIDATION_COLOUR)):
        n = sum(counts.get(split, {}).values())
        values = [getattr(epoch, key) for epoch in report.history]
        axes.plot(epochs, values, color=colour, marker=".", markersize=3, label=f"{split} (n = {n})")
    axes.axvline(report.kept_epoch or 0, color="0.4", linestyle=":", label=f"kept: epoch {report.kept_epoch}")


def _calibrated_curve(axes: Axes, history: Sequence[Epoch]) -> None:
    """Draw the loss by which the kept epoch was chosen; older runs chose by the plain loss."""
    points = [(epoch.epoch, epoch.val_calibrated_loss) for epoch in history if epoch.val_calibrated_loss is not None]
    if points:
        epochs, values = zip(*points, strict=True)
        axes.plot(epochs, values, color=VALIDATION_COLOUR, linestyle="--", linewidth=1, label="validation, calibrated")
