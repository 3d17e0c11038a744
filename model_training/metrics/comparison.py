"""Compares two versions on the same films: McNemar's test, and the paired bootstrap of their differences.

Takes the probabilities of both.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from model_training.data.films import Labels
from model_training.metrics.bootstrap import Resampling, Values, percentile_interval, resampling
from model_training.metrics.calibration import Probabilities
from model_training.metrics.evaluation import mean_recalls, recalls
from model_training.metrics.intervals import UNDEFINED
from model_training.metrics.roc import LEAST_UNITS, areas
from worker.models.documents.document import Document
from worker.models.documents.evaluation import Bootstrap
from worker.models.documents.verdict import Difference

#: The two-sided binomial test on the films on which only one is right; it needs no continuity correction.
METHOD = "McNemar, exact"
Right = npt.NDArray[np.bool_]


class McNemar(Document):
    """McNemar's exact test on which of two versions is right."""

    b_right_a_wrong: int
    a_right_b_wrong: int
    p: float
    method: str = METHOD


class Differences(Document):
    """Figures of both versions and their differences, b minus a."""

    macro_auroc: Difference
    accuracy: Difference
    balanced_accuracy: Difference
    #: By class.
    sensitivity: dict[str, Difference]


class Comparison(Document):
    """How two versions a and b differ on the same films."""

    n: int
    a: str
    b: str
    bootstrap: Bootstrap
    mcnemar: McNemar
    differences: Differences
    #: Films that only one of the two accepts.
    left_out: int | None = None


def compare(  # noqa: PLR0913 - two versions, their films, and what is known of them
    a: Probabilities,
    b: Probabilities,
    truth: Labels,
    classes: Sequence[str],
    *,
    names: tuple[str, str] = ("a", "b"),
    patients: Sequence[str | None] | None = None,
) -> Comparison:
    """Return how two versions differ on the same films; every difference is b minus a.

    Intervals come from the bootstrap by patients; each resample evaluates both versions on the same films. A
    resample without films of a class is left out for macro AUROC and balanced accuracy.

    Args:
        a: probabilities of version a, shape (n, classes), n at least 1.
        b: probabilities of version b, likewise.
        truth: index of each film's class, shape (n,).
        classes: names, in the order of the columns.
        names: the names of the two versions.
        patients: the patient of each film, None or empty if unknown.

    Raises:
        ValueError: the two arrays have different shapes.
    """
    if a.shape != b.shape or a.shape != (len(truth), len(classes)):
        raise ValueError(f"probabilities of {a.shape} and {b.shape} do not compare on {len(truth)} films")
    drawn = resampling(len(truth), patients)

    def difference(weights: Values) -> Values:
        return _figures(b, truth, len(classes), weights) - _figures(a, truth, len(classes), weights)

    once = np.ones((1, len(truth)))
    of_a, of_b = (_figures(probabilities, truth, len(classes), once)[0] for probabilities in (a, b))
    spread, firm = drawn.distribution(difference), _firm(truth, len(classes), drawn)
    rows = [_row(*column) for column in zip(of_a, of_b, spread.T, firm, strict=True)]
    macro_auroc, accuracy, balanced_accuracy, *sensitivity = rows
    return Comparison(
        n=len(truth),
        a=names[0],
        b=names[1],
        bootstrap=drawn.described(),
        mcnemar=mcnemar(a.argmax(axis=1) == truth, b.argmax(axis=1) == truth),
        differences=Differences(
            macro_auroc=macro_auroc,
            accuracy=accuracy,
            balanced_accuracy=balanced_accuracy,
            sensitivity=dict(zip(classes, sensitivity, strict=True)),
        ),
    )


def mcnemar(a_right: Right, b_right: Right) -> McNemar:
    """Return McNemar's exact test.

    Args:
        a_right: whether version a is right, shape (n,).
        b_right: whether version b is right, likewise.
    """
    from scipy.stats import binomtest  # noqa: PLC0415 - half a second of import

    gained, lost = int((b_right & ~a_right).sum()), int((a_right & ~b_right).sum())
    # Without a film on which they differ there is no evidence of a difference.
    p = float(binomtest(gained, gained + lost).pvalue) if gained + lost else 1.0
    return McNemar(b_right_a_wrong=gained, a_right_b_wrong=lost, p=p, method=METHOD)


def _figures(probabilities: Probabilities, truth: Labels, classes: int, weights: Values) -> Values:
    """Return the overall figures and each class's sensitivity in every resample, shape (resamples, 3 + classes)."""
    predicted, present = probabilities.argmax(axis=1), np.unique(truth)
    # If all films are of one class, no class has a curve.
    curves = [areas(probabilities[:, label], truth == label, weights)[0] for label in present]
    accuracy = weights @ (predicted == truth) / weights.sum(axis=1)
    overall = [np.mean(curves, axis=0), accuracy, mean_recalls(predicted, truth, weights)]
    return np.column_stack([*overall, recalls(predicted, truth, np.arange(classes), weights)])


def _firm(truth: Labels, classes: int, drawn: Resampling) -> list[bool]:
    """Return for each figure whether there are enough patients for an interval."""
    units = [drawn.units_with(truth == label) for label in range(classes)]
    every_class = all(count >= LEAST_UNITS for count in units if count)
    return [every_class, drawn.units >= LEAST_UNITS, every_class, *(count >= LEAST_UNITS for count in units)]


def _row(a: float, b: float, spread: Values, firm: bool) -> Difference:  # noqa: FBT001 - of a column of figures
    defined = not (np.isnan(a) or np.isnan(b))
    return Difference(
        a=float(a) if defined else None,
        b=float(b) if defined else None,
        difference=float(b - a) if defined else None,
        interval=percentile_interval(spread) if firm else UNDEFINED,
    )
