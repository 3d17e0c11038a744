"""Accuracy when the least certain films are withheld and left to a person."""

import numpy as np

from model_training.data.films import Labels
from model_training.metrics.calibration import Probabilities
from model_training.metrics.intervals import exact_interval
from worker.models.documents.evaluation import CoverageStep

#: The shares of the films to withhold, from none to nine tenths.
STEPS = tuple(step / 20 for step in range(19))


def coverage(probabilities: Probabilities, truth: Labels) -> tuple[CoverageStep, ...]:
    """Return n, accuracy and its exact interval with growing shares of the films withheld, least certain first.

    A film's certainty is its top probability. Films of equal certainty are withheld together or not at all, so that the
    order of the files does not matter; `withheld_share` is the share actually withheld, at most the requested one.

    Args:
        probabilities: shape (n, classes), n at least 1.
        truth: index of each film's class, shape (n,).
    """
    top = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == truth
    ordered = np.sort(top)
    rows: dict[int, CoverageStep] = {}
    for step in STEPS:
        # The small number absorbs rounding: 5 % of 20 films is one film.
        remaining = top >= ordered[int(step * len(top) + 1e-9)]
        n, hits = int(remaining.sum()), int(right[remaining].sum())
        lower, upper = exact_interval(hits, n)
        rows[n] = CoverageStep(
            withheld_share=(len(top) - n) / len(top), n=n, accuracy=hits / n, lower=lower, upper=upper
        )
    return tuple(rows.values())
