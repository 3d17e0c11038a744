"""Computes every number of R caret's `confusionMatrix`, the report that the paper printed.

The formulas are those of caret's R/confusionMatrix.R and of R's binom.test and mcnemar.test. A, B, C and D are the true
positives, false positives, false negatives and true negatives of one class against the rest. An undefined figure is
None, never 0.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, chi2

from model_training.metrics.intervals import exact_interval
from worker.models.documents.evaluation import ClassFigures, ConfusionMatrix, OverallFigures

Counts = npt.NDArray[np.int64]


def from_labels(
    truth: Sequence[int] | Counts, predicted: Sequence[int] | Counts, classes: Sequence[str]
) -> ConfusionMatrix:
    """Return the matrix of two sequences of class indices of one length."""
    table = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(table, (np.asarray(predicted), np.asarray(truth)), 1)
    return from_table(table, classes)


def from_table(table: Counts | Sequence[Sequence[int]], classes: Sequence[str]) -> ConfusionMatrix:
    """Return the matrix of a square table, rows predicted.

    Raises:
        ValueError: the table is empty, does not fit the number of classes, or there are fewer than two classes.
    """
    counts = np.asarray(table, np.int64)
    if counts.shape != (len(classes), len(classes)) or len(classes) < 2:  # noqa: PLR2004
        raise ValueError(f"a table of {counts.shape} does not fit {len(classes)} classes")
    if not counts.sum():
        raise ValueError("there is nothing to count")
    by_class = {name: _one_against_the_rest(counts, index) for index, name in enumerate(classes)}
    return ConfusionMatrix(
        classes=tuple(classes),
        table=tuple(tuple(row) for row in counts.tolist()),
        overall=_overall(counts),
        by_class=by_class,
    )


def _overall(table: Counts) -> OverallFigures:
    n, right = int(table.sum()), int(np.trace(table))
    predicted, reference = table.sum(axis=1), table.sum(axis=0)
    lower, upper = exact_interval(right, n)
    null = int(reference.max()) / n
    # R sums in extended precision.
    by_chance = math.fsum((predicted / n) * (reference / n))
    return OverallFigures(
        accuracy=right / n,
        kappa=_ratio(right / n - by_chance, 1 - by_chance),
        accuracy_lower=lower,
        accuracy_upper=upper,
        accuracy_null=null,
        accuracy_p_value=float(binomtest(right, n, null, alternative="greater").pvalue),
        mcnemar_p_value=_mcnemar(table),
    )


def _mcnemar(table: Counts) -> float | None:
    """Return P of Bowker's test; for two classes McNemar's, continuity-corrected unless the table is symmetric."""
    above = np.triu_indices(len(table), 1)
    there, back = table[above], table.T[above]
    if np.any(there + back == 0):
        return None
    difference = np.abs(there - back).astype(float)
    if len(table) == 2 and difference.any():  # noqa: PLR2004
        difference -= 1
    return float(chi2.sf((difference**2 / (there + back)).sum(), len(there)))


def _one_against_the_rest(table: Counts, index: int) -> ClassFigures:
    n = int(table.sum())
    a = int(table[index, index])
    b, c = int(table[index].sum()) - a, int(table[:, index].sum()) - a
    d = n - a - b - c
    sensitivity, specificity = _ratio(a, a + c), _ratio(d, b + d)
    positive_value, negative_value = _predictive_values(sensitivity, specificity, (a + c) / n)
    return ClassFigures(
        sensitivity=sensitivity,
        specificity=specificity,
        pos_pred_value=positive_value,
        neg_pred_value=negative_value,
        precision=_ratio(a, a + b),
        recall=sensitivity,
        f1=_ratio(2 * a, 2 * a + b + c) if a else None,
        prevalence=(a + c) / n,
        detection_rate=a / n,
        detection_prevalence=(a + b) / n,
        balanced_accuracy=(sensitivity + specificity) / 2
        if sensitivity is not None and specificity is not None
        else None,
    )


def _predictive_values(
    sensitivity: float | None, specificity: float | None, prevalence: float
) -> tuple[float | None, float | None]:
    """Return the predictive values by Bayes' formula.

    At the data's own prevalence they are A/(A+B) and D/(C+D), except for rounding. With hundreds of millions of
    films the rounding shows in the ninth digit, so caret's formula is used.
    """
    if sensitivity is None or specificity is None:
        return None, None
    hit, false_alarm = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    miss, clear = (1 - sensitivity) * prevalence, specificity * (1 - prevalence)
    return _ratio(hit, hit + false_alarm), _ratio(clear, miss + clear)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None
