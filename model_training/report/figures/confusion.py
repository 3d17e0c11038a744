"""The confusion matrix: rows predicted, columns reference, as in caret."""

from pathlib import Path

import numpy as np

from model_training.report.figures.style import SMALL, save, sheet
from worker.models.documents.evaluation import Evaluation

#: Cells from this share on are dark and carry white figures.
DARK_SHARE = 0.5


def draw_confusion(evaluation: Evaluation, title: str, path: Path) -> None:
    """Draw the counts, shaded by their share of the reference class."""
    classes, table = evaluation.classes, np.asarray(evaluation.table)
    totals = table.sum(axis=0)
    shares = np.divide(table, totals, out=np.zeros(table.shape), where=totals > 0)
    figure = sheet(6.8, 5.6)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(table):
        colour = "white" if shares[row, column] >= DARK_SHARE else "black"
        axes.text(column, row, str(count), ha="center", va="center", color=colour)
    labels = [f"{name}\n(n = {n})" for name, n in zip(classes, totals, strict=True)]
    axes.set_xticks(range(len(classes)), labels, rotation=30, ha="right", fontsize=SMALL)
    axes.set_yticks(range(len(classes)), list(classes), fontsize=SMALL)
    axes.set(xlabel="reference", ylabel="prediction", title=f"{title} (n = {evaluation.n})")
    figure.colorbar(image, ax=axes, label="share of the reference class")
    save(figure, path)
