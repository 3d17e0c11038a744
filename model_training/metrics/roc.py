"""How well the probabilities separate each class from the rest: areas under both curves, with intervals.

AUROC is the share of pairs in order; a tie counts half. AUPRC is average precision: the step-wise sum of precision
over the gains in recall, without interpolation between the steps, as in scikit-learn. One function computes both from
weighted ranks, for all films and for every resample of the bootstrap.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from model_training.data.films import Labels
from model_training.metrics.bootstrap import Resampling, Values, percentile_interval
from model_training.metrics.calibration import Probabilities
from model_training.metrics.intervals import LEVEL, UNDEFINED
from worker.models.documents.document import Interval
from worker.models.documents.evaluation import Bootstrap, ClassAreas, MacroAreas

#: An interval needs at least this many patients with the class and without it, because one alone has no spread.
LEAST_UNITS = 2
DELONG = "DeLong"
CLUSTERED = "DeLong, clustered by patient (Obuchowski 1997)"
Positive = npt.NDArray[np.bool_]


def areas(scores: npt.NDArray[np.floating], positive: Positive, weights: Values) -> tuple[Values, Values]:
    """Return AUROC and AUPRC of one class against the rest in every resample; NaN without positives or negatives.

    Args:
        scores: probability of the class, shape (n,).
        positive: whether the film is of the class, shape (n,).
        weights: how often each film counts, whole numbers, shape (resamples, n).
    """
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))  # of each group of films with the same score
    # Floating-point sums of whole numbers are exact, and so are their differences.
    ordered = weights[:, order]
    drawn = np.add.reduceat(ordered, starts, axis=1)
    hits = np.add.reduceat(ordered * positive[order], starts, axis=1)
    true_positives = np.cumsum(hits, axis=1)
    alerts = np.cumsum(drawn, axis=1)
    positives, all_films = true_positives[:, -1], alerts[:, -1]
    negatives = all_films - positives
    # The number of negatives below, plus half of those with the same score.
    below = negatives[:, None] - (alerts - true_positives) + (drawn - hits) / 2
    both, any_positive = (positives > 0) & (negatives > 0), positives > 0
    auroc = np.full(len(weights), np.nan)
    np.divide(np.einsum("rg,rg->r", hits, below), positives * negatives, out=auroc, where=both)
    auprc = np.full(len(weights), np.nan)
    precision = true_positives / np.maximum(alerts, 1)
    np.divide(np.einsum("rg,rg->r", hits, precision), positives, out=auprc, where=any_positive & both)
    return auroc, auprc


def auroc(probabilities: Probabilities, truth: Labels, classes: Sequence[str]) -> dict[str, float | None]:
    """Return the area under each class's curve against the rest, and their mean as `macro`.

    A class with no film, or with every film, has no curve and does not count in the mean.
    """
    points = _points(probabilities, truth)[0]
    return {**dict(zip(classes, map(_known, points), strict=True)), "macro": _mean(points)}


@dataclass(frozen=True)
class RocAreas:
    """The areas under the curves of every class, their means, and how the films were resampled for the intervals."""

    by_class: dict[str, ClassAreas]
    #: Over the classes that have a curve.
    macro: MacroAreas
    bootstrap: Bootstrap


def roc_areas(probabilities: Probabilities, truth: Labels, classes: Sequence[str], drawn: Resampling) -> RocAreas:
    """Return the areas under the curves of every class and their means, with 95 % intervals.

    Intervals of AUROC are DeLong's, clustered by patient if patients have several films; the others come from the
    bootstrap. A resample without films of a class is left out of the macro values' intervals, because its mean
    would be over fewer classes; `complete` counts the resamples that remain.

    Args:
        probabilities: shape (n, classes), n at least 1.
        truth: index of each film's class, shape (n,).
        classes: names, in the order of the columns.
        drawn: how the films are resampled.
    """
    points = _points(probabilities, truth)
    # Shape (resamples, 2, classes): AUROC and AUPRC of every class.
    resampled = drawn.distribution(lambda weights: _all_areas(probabilities, truth, weights))
    resampled = resampled.reshape(len(resampled), 2, len(classes))
    curved = ~np.isnan(points[0])
    firm = np.array([_is_firm(truth == index, drawn) for index in range(len(classes))])
    by_class = {
        name: _of_class(
            probabilities[:, index],
            truth == index,
            points[:, index],
            drawn,
            auprc_interval=percentile_interval(resampled[:, 1, index]) if firm[index] else UNDEFINED,
        )
        for index, name in enumerate(classes)
    }
    intervals = [
        percentile_interval(resampled[:, kind, curved].mean(axis=1))
        if curved.any() and firm[curved].all()
        else UNDEFINED
        for kind in (0, 1)
    ]
    macro = MacroAreas(
        auroc=_mean(points[0]), auroc_interval=intervals[0], auprc=_mean(points[1]), auprc_interval=intervals[1]
    )
    complete = int((~np.isnan(resampled[:, 0, curved])).all(axis=1).sum()) if curved.any() else 0
    return RocAreas(by_class, macro, drawn.described().model_copy(update={"complete": complete}))


def macro_auroc(probabilities: Probabilities, truth: Labels, drawn: Resampling) -> tuple[float | None, Interval]:
    """Return the mean AUROC over the classes that have a curve, and its interval, as in `roc_areas`."""
    points = _points(probabilities, truth)[0]
    curved = np.flatnonzero(~np.isnan(points))
    if not len(curved) or not all(_is_firm(truth == index, drawn) for index in curved):
        return _mean(points), UNDEFINED

    def means(weights: Values) -> Values:
        curves = np.stack([areas(probabilities[:, index], truth == index, weights)[0] for index in curved])
        each: Values = curves.mean(axis=0)
        return each

    return _mean(points), percentile_interval(drawn.distribution(means))


def delong_interval(scores: npt.NDArray[np.floating], positive: Positive, unit_of: npt.NDArray[np.int64]) -> Interval:
    """Return the 95 % interval of the AUROC by the variance of DeLong et al. 1988, within [0, 1].

    Films of one patient are one cluster (Obuchowski 1997, Biometrics 53:567); with one film per patient this is
    DeLong's own variance. The interval is undefined with fewer than two patients with or without the class. It is also
    undefined if the variance is 0, as with perfect separation, which says nothing about other films.

    Args:
        scores: probability of the class, shape (n,).
        positive: whether the film is of the class, shape (n,).
        unit_of: index of each film's patient, shape (n,).
    """
    from scipy.stats import norm  # noqa: PLC0415 - half a second of import

    with_class, without = len(np.unique(unit_of[positive])), len(np.unique(unit_of[~positive]))
    if min(with_class, without) < LEAST_UNITS:
        return UNDEFINED
    above = _share_below(scores[positive], scores[~positive])
    below = 1 - _share_below(scores[~positive], scores[positive])
    area = float(above.mean())
    units, clusters = int(unit_of.max()) + 1, len(np.unique(unit_of))
    of_positives = np.bincount(unit_of[positive], weights=above - area, minlength=units)
    of_negatives = np.bincount(unit_of[~positive], weights=below - area, minlength=units)
    m, n = len(above), len(below)
    variance = (
        with_class / (with_class - 1) * float(of_positives @ of_positives) / m**2
        + without / (without - 1) * float(of_negatives @ of_negatives) / n**2
        + 2 * clusters / (clusters - 1) * float(of_positives @ of_negatives) / (m * n)
    )
    if variance < np.finfo(float).eps ** 2:
        return UNDEFINED
    half = float(norm.ppf((1 + LEVEL) / 2)) * variance**0.5
    return max(0.0, area - half), min(1.0, area + half)


def _share_below(scores: npt.NDArray[np.floating], others: npt.NDArray[np.floating]) -> Values:
    """Return for each score the share of the others that lie below, equal scores counting half."""
    ordered = np.sort(others)
    below, up_to = (np.searchsorted(ordered, scores, side) for side in ("left", "right"))
    return (below + up_to) / 2 / len(others)


def _of_class(
    scores: npt.NDArray[np.floating], positive: Positive, points: Values, drawn: Resampling, *, auprc_interval: Interval
) -> ClassAreas:
    return ClassAreas(
        n_positive=int(positive.sum()),
        n=len(positive),
        auroc=_known(points[0]),
        auroc_interval=delong_interval(scores, positive, drawn.unit_of),
        auroc_method=DELONG if drawn.units == len(positive) else CLUSTERED,
        auprc=_known(points[1]),
        auprc_interval=auprc_interval,
        prevalence=float(positive.mean()),
    )


def _is_firm(positive: Positive, drawn: Resampling) -> bool:
    return min(drawn.units_with(positive), drawn.units_with(~positive)) >= LEAST_UNITS


def _points(probabilities: Probabilities, truth: Labels) -> Values:
    """Return the areas of all classes, shape (2, classes)."""
    return _all_areas(probabilities, truth, np.ones((1, len(truth)))).reshape(2, -1)


def _all_areas(probabilities: Probabilities, truth: Labels, weights: Values) -> Values:
    """Return the AUROC of every class, then every AUPRC: shape (resamples, 2 * classes)."""
    by_class = [areas(probabilities[:, index], truth == index, weights) for index in range(probabilities.shape[1])]
    return np.concatenate([np.stack(kind, axis=1) for kind in zip(*by_class, strict=True)], axis=1)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _mean(values: Values) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
