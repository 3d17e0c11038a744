"""What a network is worth on labelled films: caret's figures, discrimination, calibration; undefined is None, never 0.

Takes probabilities and returns plain values; knows neither network nor files.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model_training import caret
from model_training.films import Labels

Probabilities = npt.NDArray[np.float32]

#: Bins of the expected calibration error, equally wide (Guo et al. 2017, arXiv 1706.04599).
CALIBRATION_BINS = 15


def evaluate(
    probabilities: Probabilities, truth: Labels, classes: Sequence[str], rejected: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Return every figure of an evaluation in its JSON form.

    Args:
        probabilities: float, shape (n, classes), n at least 1.
        truth: index of each film's class, shape (n,).
        classes: names, in the order of the columns.
        rejected: how many files were no readable film, by reason; they are not among the n.
    """
    matrix = caret.from_labels(truth, probabilities.argmax(axis=1), classes)
    recalls = [recall for figures in matrix.by_class.values() if (recall := figures["Recall"]) is not None]
    reasons = dict(rejected or {})
    return {
        "n": len(truth),
        **matrix.as_dict(),
        "auroc": auroc(probabilities, truth, classes),
        "balanced_accuracy": sum(recalls) / len(recalls),
        "ece": calibration_error(probabilities, truth),
        "rejected": {"count": sum(reasons.values()), "reasons": reasons},
    }


def auroc(probabilities: Probabilities, truth: Labels, classes: Sequence[str]) -> dict[str, float | None]:
    """Return the area under each class's curve against the rest, and their mean as `macro`.

    A class that has no film, or every film, has no curve and does not count in the mean.
    """
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415 - a second of import

    areas: dict[str, float | None] = {}
    for index, name in enumerate(classes):
        positive = truth == index
        defined = 0 < positive.sum() < len(truth)
        areas[name] = float(roc_auc_score(positive, probabilities[:, index])) if defined else None
    known = [area for area in areas.values() if area is not None]
    return {**areas, "macro": sum(known) / len(known) if known else None}


def calibration_error(probabilities: Probabilities, truth: Labels) -> float:
    """Return the expected calibration error of the top probability: mean gap to the accuracy, over equal bins.

    A probability on the edge of two bins belongs to the lower one, as in Guo et al. 2017.
    """
    top = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == truth
    bins = np.clip(np.ceil(top * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=right - top, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(truth))


def by_group(probabilities: Probabilities, truth: Labels, groups: Sequence[str]) -> list[dict[str, Any]]:
    """Return n and accuracy, with its interval, within each group of films, the largest group first."""
    right = probabilities.argmax(axis=1) == truth
    names, inverse = np.unique(np.asarray(groups), return_inverse=True)
    rows = []
    for index, name in enumerate(names):
        member = inverse == index
        n = int(member.sum())
        rows.append({"group": str(name), "n": n, **caret.accuracy_with_interval(int(right[member].sum()), n)})
    return sorted(rows, key=lambda row: (-row["n"], row["group"]))


def headline(evaluation: Mapping[str, Any]) -> dict[str, float | int | None]:
    """Return the few figures of an evaluation that a model's card carries."""
    overall = evaluation["overall"]
    return {
        "n": evaluation["n"],
        "accuracy": overall["Accuracy"],
        "accuracy_lower": overall["AccuracyLower"],
        "accuracy_upper": overall["AccuracyUpper"],
        "balanced_accuracy": evaluation["balanced_accuracy"],
        "macro_auroc": evaluation["auroc"]["macro"],
        "ece": evaluation["ece"],
    }
