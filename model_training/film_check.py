"""Fits a model's film check, which rejects images that do not look like its training films.

The distances are fitted on training films, the threshold on validation films. No network takes part.
"""

from collections.abc import Mapping

import numpy as np

from model_training.data.films import Films
from worker.films.film_check import FilmCheck, Vectors, describe

#: With fewer films the model has no film check, because they do not show how much films differ.
MIN_TRAINING_FILMS, MIN_VALIDATION_FILMS = 100, 40
MAX_AXES = 80
#: Number of films for each axis.
FILMS_PER_AXIS = 4
#: Share of the validation films within the threshold, and the factor that allows for their small number.
QUANTILE, MARGIN = 0.998, 1.05
#: Without it, a speck in a direction in which the training films do not differ would be infinitely far away.
LEAST_VARIANCE = 1e-4


def fit(splits: Mapping[str, Films]) -> FilmCheck | None:
    """Return the film check for films like those of `train`, or None if there are too few films.

    Args:
        splits: `train` and `validation`, of the network's input size.
    """
    if len(splits["train"]) < MIN_TRAINING_FILMS or len(splits["validation"]) < MIN_VALIDATION_FILMS:
        return None
    vectors = _describe(splits["train"])
    mean = vectors.mean(axis=0)
    _, lengths, axes = np.linalg.svd(vectors - mean, full_matrices=False)
    variances = np.square(lengths) / len(vectors)
    count = min(MAX_AXES, len(vectors) // FILMS_PER_AXIS)
    residual = max(float(variances[count:].mean()), LEAST_VARIANCE)
    fitted = FilmCheck(mean, axes[:count], np.maximum(variances[:count], residual), residual, threshold=np.inf)
    threshold = float(np.quantile(distances(fitted, splits["validation"]), QUANTILE)) * MARGIN
    return FilmCheck(fitted.mean, fitted.axes, fitted.variances, residual, threshold)


def distances(check: FilmCheck, films: Films) -> Vectors:
    """Return the distance of each film, shape (n,)."""
    return np.array([check.distance(film) for film in films.pixels])


def rejections(check: FilmCheck, splits: Mapping[str, Films]) -> dict[str, dict[str, int]]:
    """Return the number of films in each split, and how many of them would be rejected."""
    return {
        split: {"n": len(films), "rejected": int((distances(check, films) > check.threshold).sum())}
        for split, films in splits.items()
    }


def _describe(films: Films) -> Vectors:
    return np.stack([describe(film) for film in films.pixels])
