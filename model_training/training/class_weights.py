"""How much the films of rare classes weigh in a training."""

import numpy as np
import numpy.typing as npt

from model_training.data.films import Labels

Weights = npt.NDArray[np.float32]


def sample_weights(labels: Labels, power: float) -> Weights:
    """Return a weight for each film, float32, shape (n,); their mean is 1 for power 0 and 1. Every class must occur."""
    films = np.bincount(labels)
    per_class = (len(labels) / (len(films) * films)) ** power
    weights: Weights = per_class[labels].astype(np.float32)
    return weights
