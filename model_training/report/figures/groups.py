"""Draws the accuracy in each group of films beside that of all films."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

from model_training.report.figures.style import COLOURS, GREY, SMALL, save, sheet
from worker.models.documents.evaluation import Evaluation
from worker.models.documents.report import Subgroup

#: A longer group name is broken into lines.
NAME_CHARACTERS = 44
INCHES_PER_GROUP = 0.34


def draw_groups(rows: Sequence[Subgroup], evaluation: Evaluation, path: Path) -> None:
    """Draw each group's accuracy with its exact 95 % interval and its n; groups that are suppressed are left out."""
    shown = [row for row in rows if row.accuracy is not None]
    overall = evaluation.overall.accuracy or 0
    figure = sheet(8, 1.4 + INCHES_PER_GROUP * len(shown))
    axes = figure.subplots()
    axes.axvline(overall, color=GREY, linestyle="dashed", label=f"all films: {overall:.3f} (n = {evaluation.n})")
    kinds = list(dict.fromkeys(row.by for row in shown))
    for height, row in enumerate(shown):
        index = kinds.index(row.by)
        axes.plot(
            [row.lower or 0, row.upper or 0], [height, height], color=COLOURS[index % len(COLOURS)], linewidth=1.5
        )
        axes.plot(
            row.accuracy or 0, height, marker="osD^v"[index % 5], color=COLOURS[index % len(COLOURS)], markersize=5
        )
    labels = [_label(row) for row in shown]
    axes.set_yticks(range(len(shown)), labels, fontsize=7)
    axes.invert_yaxis()
    axes.set(xlim=(-0.02, 1.02), xlabel="accuracy (share right), 95 % interval")
    axes.grid(alpha=0.3, axis="x")
    figure.legend(loc="outside lower center", frameon=False, fontsize=SMALL)
    save(figure, path)


def _label(row: Subgroup) -> str:
    # The fill breaks lines at plain blanks only: n stays with its number.
    n = f"(n = {row.n})".replace(" ", "\N{NO-BREAK SPACE}")
    return textwrap.fill(f"{row.by}: {row.group} {n}", NAME_CHARACTERS)
