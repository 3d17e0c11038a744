"""Evaluates a network on labelled films: caret's figures, areas under the curves, calibration.

An undefined figure is None, never 0.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from model_training.data.films import Labels
from model_training.metrics import confusion_matrix
from model_training.metrics.bootstrap import Resampling, Values, percentile_interval, resampling
from model_training.metrics.calibration import Probabilities, calibration
from model_training.metrics.coverage import coverage
from model_training.metrics.intervals import UNDEFINED, exact_interval, share
from model_training.metrics.roc import LEAST_UNITS, roc_areas
from worker.models.documents.document import Interval
from worker.models.documents.evaluation import Evaluation, Headline, Rejected
from worker.models.documents.report import SourceAccuracy


def evaluate(
    probabilities: Probabilities,
    truth: Labels,
    classes: Sequence[str],
    rejected: Mapping[str, int] | None = None,
    patients: Sequence[str | None] | None = None,
) -> Evaluation:
    """Return every figure of an evaluation.

    Args:
        probabilities: float, shape (n, classes), n at least 1.
        truth: index of each film's class, shape (n,).
        classes: names, in the order of the columns.
        rejected: number of files that were not readable films, by reason; n does not include them.
        patients: the patient of each film, None or empty if unknown; intervals treat a patient's films as one unit.
    """
    reasons = dict(rejected or {})
    drawn = resampling(len(truth), patients)
    areas = roc_areas(probabilities, truth, classes, drawn)
    calibrated = calibration(probabilities, truth)
    predicted = probabilities.argmax(axis=1)
    matrix = confusion_matrix.from_labels(truth, predicted, classes)
    return Evaluation(
        n=len(truth),
        classes=matrix.classes,
        table=matrix.table,
        overall=matrix.overall,
        by_class=matrix.by_class,
        auroc={name: row.auroc for name, row in areas.by_class.items()} | {"macro": areas.macro.auroc},
        balanced_accuracy=balanced_accuracy(predicted, truth),
        balanced_accuracy_interval=balanced_accuracy_interval(predicted, truth, drawn),
        roc=areas.by_class,
        macro=areas.macro,
        bootstrap=areas.bootstrap,
        ece=calibrated.ece,
        calibration=calibrated,
        coverage=coverage(probabilities, truth),
        rejected=Rejected(count=sum(reasons.values()), reasons=reasons),
    )


def evaluate_without(
    left_out: str,
    probabilities: Probabilities,
    truth: Labels,
    classes: Sequence[str],
    patients: Sequence[str | None] | None = None,
) -> Evaluation | None:
    """Evaluate the films of the other classes, with the probabilities of those classes renormalised.

    Returns:
        None if the class is not among the classes, or if fewer than two classes or no film remain.
    """
    films = truth != classes.index(left_out) if left_out in classes else np.zeros(len(truth), np.bool_)
    names = [name for name in classes if name != left_out]
    if not films.any() or len(names) < 2:  # noqa: PLR2004
        return None
    columns = [classes.index(name) for name in names]
    remaining = probabilities[films][:, columns].astype(np.float64)
    totals = remaining.sum(axis=1, keepdims=True)
    # If the class that is left out had all the probability, the others get equal shares.
    shares = np.divide(remaining, totals, out=np.full_like(remaining, 1 / len(names)), where=totals > 0)
    labels = np.searchsorted(columns, truth[films])
    known = None if patients is None else [patients[film] for film in np.flatnonzero(films).tolist()]
    return evaluate(shares.astype(np.float32), labels, names, patients=known)


def balanced_accuracy(predicted: Labels, truth: Labels) -> float:
    """Return the mean sensitivity over the classes that have films; predicted and true indices, shape (n,) each."""
    right = predicted == truth
    return float(np.mean([right[truth == label].mean() for label in np.unique(truth)]))


def balanced_accuracy_interval(predicted: Labels, truth: Labels, drawn: Resampling) -> Interval:
    """Return the bootstrap interval of the balanced accuracy.

    Resamples without films of a class are left out; with only one patient in a class the interval is undefined.
    """
    present = np.unique(truth)
    if any(drawn.units_with(truth == label) < LEAST_UNITS for label in present):
        return UNDEFINED
    return percentile_interval(drawn.distribution(lambda weights: mean_recalls(predicted, truth, weights)))


def mean_recalls(predicted: Labels, truth: Labels, weights: Values) -> Values:
    """Return the balanced accuracy in every resample, shape (resamples,); NaN if it has no film of a class."""
    means: Values = recalls(predicted, truth, np.unique(truth), weights).mean(axis=1)
    return means


def recalls(predicted: Labels, truth: Labels, labels: Labels, weights: Values) -> Values:
    """Return the sensitivity for each of the labels in every resample, NaN if it has no film.

    Args:
        predicted: index of the class, shape (n,).
        truth: likewise.
        labels: indices of the classes, shape (k,).
        weights: how often each film was drawn, shape (resamples, n).

    Returns:
        Shape (resamples, k).
    """
    member = (truth[:, None] == labels).astype(np.float64)
    films = weights @ member
    right = weights @ (member * (predicted == truth)[:, None])
    sensitivities: Values = np.divide(right, films, out=np.full_like(right, np.nan), where=films > 0)
    return sensitivities


def by_group(probabilities: Probabilities, truth: Labels, groups: Sequence[str]) -> list[SourceAccuracy]:
    """Return n and accuracy, with its interval, within each group of films, the largest group first."""
    right = probabilities.argmax(axis=1) == truth
    names, inverse = np.unique(np.asarray(groups), return_inverse=True)
    rows = []
    for index, name in enumerate(names):
        member = inverse == index
        n, hits = int(member.sum()), int(right[member].sum())
        lower, upper = exact_interval(hits, n)
        rows.append(
            SourceAccuracy(group=str(name), n=n, accuracy=share(hits, n), accuracy_lower=lower, accuracy_upper=upper)
        )
    return sorted(rows, key=lambda row: (-(row.n or 0), row.group))


def headline(evaluation: Evaluation) -> Headline:
    """Return the few figures of an evaluation that a model's card has."""
    overall = evaluation.overall
    return Headline(
        n=evaluation.n,
        accuracy=overall.accuracy,
        accuracy_lower=overall.accuracy_lower,
        accuracy_upper=overall.accuracy_upper,
        balanced_accuracy=evaluation.balanced_accuracy,
        macro_auroc=evaluation.macro_auroc,
        ece=evaluation.ece,
    )
