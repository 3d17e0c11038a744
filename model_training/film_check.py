"""The detector that a model's card carries: fitted on training films, its threshold on validation films.

Knows no network.
"""

from collections.abc import Mapping

import numpy as np

from model_training.data.films import Films
from worker.films.film_check import FilmCheck, Vectors, describe

#: Fewer films than this say nothing about what is unlike them; the model then has no detector.
MIN_TRAINING_FILMS, MIN_VALIDATION_FILMS = 100, 40
MAX_AXES = 80
#: Films that an axis needs to rest on.
FILMS_PER_AXIS = 4
#: Of the validation films lie within the threshold, before the margin that makes up for their number.
QUANTILE, MARGIN = 0.998, 1.05
#: Keeps a direction in which no training film differs from making the smallest speck infinitely far.
LEAST_VARIANCE = 1e-4


def fit(splits: Mapping[str, Films]) -> FilmCheck | None:
    """Return the detector for films like those of `train`; None where there are too few films to tell.

    Args:
        splits: `train` and `validation`, at the network's size.
    """
    if len(splits["train"]) < MIN_TRAINING_FILMS or len(splits["validation"]) < MIN_VALIDATION_FILMS:
        return None
    described = _described(splits["train"])
    mean = described.mean(axis=0)
    _, lengths, axes = np.linalg.svd(described - mean, full_matrices=False)
    variances = np.square(lengths) / len(described)
    count = min(MAX_AXES, len(described) // FILMS_PER_AXIS)
    residual = max(float(variances[count:].mean()), LEAST_VARIANCE)
    fitted = FilmCheck(mean, axes[:count], np.maximum(variances[:count], residual), residual, threshold=np.inf)
    threshold = float(np.quantile(distances(fitted, splits["validation"]), QUANTILE)) * MARGIN
    return FilmCheck(fitted.mean, fitted.axes, fitted.variances, residual, threshold)


def distances(check: FilmCheck, films: Films) -> Vectors:
    """Return the distance of each film, shape (n,)."""
    return np.array([check.distance(film) for film in films.pixels])


def rejections(check: FilmCheck, splits: Mapping[str, Films]) -> dict[str, dict[str, int]]:
    """Return for each split how many films there are, and how many of them would be rejected."""
    return {
        split: {"n": len(films), "rejected": int((distances(check, films) > check.threshold).sum())}
        for split, films in splits.items()
    }


def _described(films: Films) -> Vectors:
    return np.stack([describe(film) for film in films.pixels])
