"""Draws how reliable a network's probabilities are, and its error when the least certain films are withheld."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes

from model_training.metrics.intervals import exact_interval
from model_training.report.figures.style import COLOURS, GREY, SMALL, save, sheet
from worker.models.documents.evaluation import Calibration, CoverageStep, ReliabilityBin


def draw_reliability(calibrations: Mapping[str, Calibration], path: Path) -> None:
    """Draw accuracy against stated probability in each bin, with exact 95 % intervals, and the films of each bin.

    Args:
        calibrations: the calibrations, by the title of their panel.
        path: the path of the SVG.
    """
    figure = sheet(4.6 * len(calibrations), 5.8)
    panels = figure.subplots(2, len(calibrations), squeeze=False, height_ratios=[3, 1], sharex="col")
    for (upper, lower), (title, calibration) in zip(panels.T, calibrations.items(), strict=True):
        filled = [entry for entry in calibration.reliability if entry.n]
        _reliability(upper, filled)
        n = sum(entry.n for entry in filled)
        upper.set_title(f"{title}: ECE {calibration.ece:.3f} (n = {n})", fontsize=9)
        _films_per_bin(lower, filled)
    save(figure, path)


def _reliability(axes: Axes, filled: Sequence[ReliabilityBin]) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="perfectly calibrated")
    accuracies = [entry.accuracy or 0 for entry in filled]
    exact = [exact_interval(round(share * entry.n), entry.n) for share, entry in zip(accuracies, filled, strict=True)]
    below = [share - (lower or 0) for share, (lower, _) in zip(accuracies, exact, strict=True)]
    above = [(upper or 0) - share for share, (_, upper) in zip(accuracies, exact, strict=True)]
    axes.errorbar(
        [entry.confidence or 0 for entry in filled],
        accuracies,
        yerr=[[max(0, length) for length in below], [max(0, length) for length in above]],
        fmt="o",
        color=COLOURS[0],
        capsize=2,
        markersize=4,
        label="films of a bin, 95 % interval",
    )
    axes.set(ylim=(-0.01, 1.01), ylabel="accuracy (share right)")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", fontsize=SMALL, frameon=False)


def _films_per_bin(axes: Axes, filled: Sequence[ReliabilityBin]) -> None:
    for entry in filled:
        width = entry.upper - entry.lower
        axes.bar(entry.lower, entry.n, width, align="edge", color=COLOURS[0], edgecolor="white")
        middle = (entry.lower + entry.upper) / 2
        axes.annotate(str(entry.n), (middle, entry.n), ha="center", va="bottom", fontsize=6)
    axes.margins(y=0.25)
    axes.set(xlim=(-0.01, 1.01), xlabel="stated probability (top class)", ylabel="films")


def draw_coverage(coverage: Sequence[CoverageStep], path: Path) -> None:
    """Draw the error among the remaining films when the least certain are withheld, with exact intervals."""
    defined = [step for step in coverage if step.accuracy is not None]
    withheld = [100 * step.withheld_share for step in defined]
    figure = sheet(6.4, 4.2)
    axes = figure.subplots()
    axes.fill_between(
        withheld,
        [100 * (1 - (step.upper or 0)) for step in defined],
        [100 * (1 - (step.lower or 0)) for step in defined],
        color=COLOURS[0],
        alpha=0.2,
        linewidth=0,
        label="95 % interval",
    )
    errors = [100 * (1 - (step.accuracy or 0)) for step in defined]
    axes.plot(withheld, errors, color=COLOURS[0], marker="o", markersize=4, label="error of the rest")
    # Every other step has its label: more would run into each other.
    labels = [f"{share:.0f}\nn = {step.n}" for share, step in zip(withheld, defined, strict=True)]
    axes.set_xticks(withheld[::2], labels[::2], fontsize=7)
    axes.set(xlabel="films withheld, the least certain first (%)", ylabel="films named wrongly (%)")
    axes.set_ylim(0, 100)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=SMALL)
    save(figure, path)
