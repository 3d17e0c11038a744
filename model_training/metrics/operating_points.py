"""Operating points: thresholds chosen on validation films, and the figures of the alerts that they give.

A film alerts when its probability reaches the threshold. Test films are not used to choose a threshold.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from model_training.data.films import Labels
from model_training.metrics.calibration import Probabilities
from model_training.metrics.intervals import exact_interval, share
from worker.models.documents.document import Interval
from worker.models.documents.report import AlertFigures, OperatingPoint

#: Minimum sensitivity at the threshold for findings that must not be missed.
LEAST_SENSITIVITY = 0.95
#: Alerts are counted per this many films.
ALERTS_PER = 100
Scores = npt.NDArray[np.floating]
Positive = npt.NDArray[np.bool_]
#: Takes scores and positives; returns the threshold, or None if all films or no films are positive.
Rule = Callable[[Scores, Positive], float | None]


def operating_points(
    *,
    validation: tuple[Probabilities, Labels],
    test: tuple[Probabilities, Labels],
    classes: Sequence[str],
) -> list[OperatingPoint]:
    """Return, for each class and rule, the threshold and the alerts' figures on both splits with exact intervals.

    Predictive values and alerts per 100 films depend on the prevalence in these films, which is not a hospital's.

    Args:
        validation: probabilities, shape (n, classes), and truth, shape (n,), by which the thresholds are chosen.
        test: the same for the test films, which are only evaluated.
        classes: names, in the order of the columns.
    """
    rows = []
    for index, name in enumerate(classes):
        for rule, choose in RULES.items():
            threshold = choose(validation[0][:, index], validation[1] == index)
            rows.append(
                OperatingPoint(
                    class_name=name,
                    rule=rule,
                    threshold=threshold,
                    chosen_on="validation",
                    validation=_alerts(validation[0][:, index], validation[1] == index, threshold),
                    test=_alerts(test[0][:, index], test[1] == index, threshold),
                )
            )
    return rows


def sensitive_threshold(scores: Scores, positive: Positive) -> float | None:
    """Return the highest threshold at which at least 95 % of the positives alert; None if all or none are positive."""
    if not 0 < positive.sum() < len(positive):
        return None
    descending = np.sort(scores[positive])[::-1]
    # How many must alert; the small number absorbs rounding: of 20 positives it is 19.
    needed = int(np.ceil(LEAST_SENSITIVITY * len(descending) - 1e-9))
    return float(descending[needed - 1])


def youden_threshold(scores: Scores, positive: Positive) -> float | None:
    """Return the threshold with the greatest sensitivity + specificity - 1 (Youden 1950).

    If several are equal, it is the highest. None if all films or no films are positive.
    """
    if not 0 < positive.sum() < len(positive):
        return None
    thresholds = np.unique(scores)[::-1]
    positives, negatives = np.sort(scores[positive]), np.sort(scores[~positive])
    hits = len(positives) - np.searchsorted(positives, thresholds)
    false_alarms = len(negatives) - np.searchsorted(negatives, thresholds)
    # In whole numbers, so that ties compare equal.
    return float(thresholds[np.argmax(hits * len(negatives) - false_alarms * len(positives))])


#: By the name of the rule in a report.
RULES: dict[str, Rule] = {
    f"sensitivity at least {LEAST_SENSITIVITY}": sensitive_threshold,
    "Youden": youden_threshold,
}


def _alerts(scores: Scores, positive: Positive, threshold: float | None) -> AlertFigures:
    """Return the figures of the films' alerts; without a threshold they are all undefined."""
    alert = scores >= threshold if threshold is not None else np.zeros(len(scores), np.bool_)
    defined = threshold is not None

    def ratio(part: Positive, whole: Positive) -> tuple[float | None, Interval]:
        hits, films = (int(part.sum()), int(whole.sum())) if defined else (0, 0)
        return share(hits, films), exact_interval(hits, films)

    sensitivity, specificity = ratio(alert & positive, positive), ratio(~alert & ~positive, ~positive)
    ppv, npv = ratio(alert & positive, alert), ratio(~alert & ~positive, ~alert)
    return AlertFigures(
        n=len(scores),
        n_positive=int(positive.sum()),
        alerts=int(alert.sum()) if defined else None,
        alerts_per_100=ALERTS_PER * float(alert.mean()) if defined and len(alert) else None,
        sensitivity=sensitivity[0],
        sensitivity_interval=sensitivity[1],
        specificity=specificity[0],
        specificity_interval=specificity[1],
        ppv=ppv[0],
        ppv_interval=ppv[1],
        npv=npv[0],
        npv_interval=npv[1],
    )
