"""The worst errors of a network: films that it named wrongly with the most confidence, by name."""

from collections.abc import Sequence

import numpy as np

from model_training.data.films import Labels
from model_training.metrics.calibration import Probabilities
from worker.models.documents.report import WorstError

MOST_ERRORS = 24


def worst(
    names: Sequence[str], probabilities: Probabilities, truth: Labels, classes: Sequence[str], most: int = MOST_ERRORS
) -> list[WorstError]:
    """Return the errors, the most confident first; equally confident ones are sorted by name.

    Args:
        names: the names of the films, as paths below the data folder.
        probabilities: shape (n, classes).
        truth: index of each film's class, shape (n,).
        classes: names, in the order of the columns.
        most: the maximum number of errors.
    """
    predicted = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(predicted != truth).tolist()
    ranked = sorted(wrong, key=lambda film: (-probabilities[film, predicted[film]], names[film]))
    return [
        WorstError(
            film=names[film],
            truth=classes[truth[film]],
            predicted=classes[predicted[film]],
            probability=float(probabilities[film, predicted[film]]),
            truth_probability=float(probabilities[film, truth[film]]),
        )
        for film in ranked[:most]
    ]
