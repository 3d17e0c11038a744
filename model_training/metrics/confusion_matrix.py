"""R caret's `confusionMatrix`, number by number: the report that the paper printed.

Formulas after caret's R/confusionMatrix.R and R's binom.test and mcnemar.test; A, B, C, D are true positives, false
positives, false negatives and true negatives of one class against the rest. What is undefined is None, never 0.
Knows counts only.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, chi2

from model_training.metrics.intervals import exact_interval

Counts = npt.NDArray[np.int64]
Figures = dict[str, float | None]


@dataclass(frozen=True)
class ConfusionMatrix:
    """A table of counts and every figure that caret derives from it."""

    classes: tuple[str, ...]
    #: Rows are predictions, columns are the reference.
    table: Counts
    overall: Figures
    by_class: dict[str, Figures]

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form, with caret's own names."""
        return {
            "classes": list(self.classes),
            "table": self.table.tolist(),
            "overall": self.overall,
            "byClass": self.by_class,
        }


def from_labels(
    truth: Sequence[int] | Counts, predicted: Sequence[int] | Counts, classes: Sequence[str]
) -> "ConfusionMatrix":
    """Return the matrix of two sequences of class indices of one length."""
    table = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(table, (np.asarray(predicted), np.asarray(truth)), 1)
    return from_table(table, classes)


def from_table(table: Counts | Sequence[Sequence[int]], classes: Sequence[str]) -> "ConfusionMatrix":
    """Return the matrix of a square table, rows predicted.

    Raises:
        ValueError: the table is empty, or not as wide and high as there are classes, of which there must be two.
    """
    counts = np.asarray(table, np.int64)
    if counts.shape != (len(classes), len(classes)) or len(classes) < 2:  # noqa: PLR2004
        raise ValueError(f"a table of {counts.shape} does not fit {len(classes)} classes")
    if not counts.sum():
        raise ValueError("there is nothing to count")
    by_class = {name: _one_against_the_rest(counts, index) for index, name in enumerate(classes)}
    return ConfusionMatrix(tuple(classes), counts, _overall(counts), by_class)


def accuracy_with_interval(right: int, n: int) -> Figures:
    """Return a share with its exact (Clopper-Pearson) 95 % interval; None throughout where n is 0."""
    if n == 0:
        return {"Accuracy": None, "AccuracyLower": None, "AccuracyUpper": None}
    lower, upper = exact_interval(right, n)
    return {"Accuracy": right / n, "AccuracyLower": lower, "AccuracyUpper": upper}


def _overall(table: Counts) -> Figures:
    n, right = int(table.sum()), int(np.trace(table))
    predicted, reference = table.sum(axis=1), table.sum(axis=0)
    accuracy = accuracy_with_interval(right, n)
    null = int(reference.max()) / n
    # R sums in extended precision.
    by_chance = math.fsum((predicted / n) * (reference / n))
    return {
        "Accuracy": accuracy["Accuracy"],
        "Kappa": _ratio(right / n - by_chance, 1 - by_chance),
        "AccuracyLower": accuracy["AccuracyLower"],
        "AccuracyUpper": accuracy["AccuracyUpper"],
        "AccuracyNull": null,
        "AccuracyPValue": float(binomtest(right, n, null, alternative="greater").pvalue),
        "McnemarPValue": _mcnemar(table),
    }


def _mcnemar(table: Counts) -> float | None:
    """Bowker's test of symmetry; for two classes McNemar's, corrected for continuity unless the table is symmetric."""
    above = np.triu_indices(len(table), 1)
    there, back = table[above], table.T[above]
    if np.any(there + back == 0):
        return None
    difference = np.abs(there - back).astype(float)
    if len(table) == 2 and difference.any():  # noqa: PLR2004
        difference -= 1
    return float(chi2.sf((difference**2 / (there + back)).sum(), len(there)))


def _one_against_the_rest(table: Counts, index: int) -> Figures:
    n = int(table.sum())
    a = int(table[index, index])
    b, c = int(table[index].sum()) - a, int(table[:, index].sum()) - a
    d = n - a - b - c
    sensitivity, specificity = _ratio(a, a + c), _ratio(d, b + d)
    positive_value, negative_value = _predictive_values(sensitivity, specificity, (a + c) / n)
    return {
        "Sensitivity": sensitivity,
        "Specificity": specificity,
        "Pos Pred Value": positive_value,
        "Neg Pred Value": negative_value,
        "Precision": _ratio(a, a + b),
        "Recall": sensitivity,
        "F1": _ratio(2 * a, 2 * a + b + c) if a else None,
        "Prevalence": (a + c) / n,
        "Detection Rate": a / n,
        "Detection Prevalence": (a + b) / n,
        "Balanced Accuracy": (sensitivity + specificity) / 2
        if sensitivity is not None and specificity is not None
        else None,
    }


def _predictive_values(
    sensitivity: float | None, specificity: float | None, prevalence: float
) -> tuple[float | None, float | None]:
    """Return the values by Bayes' formula; at the data's own prevalence they are A/(A+B) and D/(C+D), but for rounding.

    Among hundreds of millions of films that rounding shows in the ninth digit, so the formula is caret's.
    """
    if sensitivity is None or specificity is None:
        return None, None
    hit, false_alarm = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    miss, clear = (1 - sensitivity) * prevalence, specificity * (1 - prevalence)
    return _ratio(hit, hit + false_alarm), _ratio(clear, miss + clear)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
