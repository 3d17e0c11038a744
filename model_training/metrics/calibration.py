"""How well calibrated probabilities are, and the temperature that improves them.

Takes probabilities, not logits: a softmax of logits divided by a temperature T is p ** (1 / T), renormalised.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from model_training.data.films import Labels
from worker.models.documents.evaluation import Calibration, ReliabilityBin
from worker.models.documents.report import TemperatureScaling

Probabilities = npt.NDArray[np.float32]
Weights = npt.NDArray[np.floating]

#: Equally wide bins of the top probability (Guo et al. 2017, arXiv 1706.04599).
BINS = 15
#: Lower probabilities count as this one, Keras's epsilon, so that the loss of a film whose class got 0 is finite.
LEAST_PROBABILITY = 1e-7
#: The temperature is searched between these. If every validation film is right, the loss falls towards 0 with the
#: temperature, and the probabilities of other films would be sharpened without limit.
TEMPERATURES = (0.25, 10.0)


def calibration(probabilities: Probabilities, truth: Labels) -> Calibration:
    """Return the calibration of the probabilities; its reliability has every bin, the empty ones too.

    Args:
        probabilities: shape (n, classes), n at least 1.
        truth: index of each film's class, shape (n,).
    """
    exact = probabilities.astype(np.float64)
    target = np.eye(exact.shape[1])[truth]
    return Calibration(
        ece=calibration_error(probabilities, truth),
        bins=BINS,
        brier=float(((exact - target) ** 2).sum(axis=1).mean()),
        log_loss=log_loss(exact, truth, np.ones(len(truth))),
        reliability=_reliability(probabilities, truth),
    )


def calibration_error(probabilities: Probabilities, truth: Labels) -> float:
    """Return the expected calibration error: the mean gap between top probability and accuracy, over equal bins.

    A probability on the edge of two bins belongs to the lower one, as in Guo et al. 2017.
    """
    top, right, bins = _binned(probabilities, truth)
    gaps = np.bincount(bins, weights=right - top, minlength=BINS)
    return float(np.abs(gaps).sum() / len(truth))


def tempered(probabilities: Probabilities, temperature: float) -> Probabilities:
    """Return the softmax of logits divided by the temperature: p ** (1 / T), renormalised.

    Above 1 it is less certain; the order of the classes stays. `tempered(p, 1 / T)` undoes `tempered(p, T)`.
    """
    logits = np.log(np.maximum(probabilities.astype(np.float64), np.finfo(np.float32).tiny)) / temperature
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    tempered_shares: Probabilities = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    return tempered_shares


def fit_temperature(probabilities: Probabilities, truth: Labels) -> float:
    """Return the temperature with the lowest log loss on these films (Guo et al. 2017); fit it on validation films.

    The loss is convex in 1 / T, so it has one minimum. It is searched between 0.25 and 10; the result is near an end of
    that range if the loss falls beyond it, or is nearly 0.

    Args:
        probabilities: shape (n, classes), n at least 1.
        truth: index of each film's class, shape (n,).

    Raises:
        ValueError: there is no film.
    """
    return _fitted(probabilities, truth, np.ones(len(truth)))[0]


def loss_once_calibrated(probabilities: Probabilities, truth: Labels, weights: Weights) -> float:
    """Return the mean log loss once a temperature is fitted: a measure of how well the classes are separated.

    Args:
        probabilities: shape (n, classes), n at least 1.
        truth: index of each film's class, shape (n,).
        weights: the weight of each film, shape (n,).

    Raises:
        ValueError: there is no film.
    """
    return _fitted(probabilities, truth, weights)[1]


def _fitted(probabilities: Probabilities, truth: Labels, weights: Weights) -> tuple[float, float]:
    """Return the temperature and the loss at it."""
    from scipy.optimize import minimize_scalar  # noqa: PLC0415 - half a second of import
    from scipy.special import log_softmax  # noqa: PLC0415 - likewise

    if not len(truth):
        raise ValueError("there is no film to fit a temperature on")
    logits = np.log(np.maximum(probabilities.astype(np.float64), LEAST_PROBABILITY))
    films = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        of_truth = log_softmax(logits / np.exp(log_temperature), axis=1)[films, truth]
        return -float((weights * of_truth).mean())

    minimum = minimize_scalar(loss, bounds=np.log(TEMPERATURES), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(minimum.x)), float(minimum.fun)


def before_and_after(
    published: Mapping[str, tuple[Probabilities, Labels]], temperature: float, fitted_on: str = "validation"
) -> TemperatureScaling:
    """Return the calibration of every split before and after the temperature is applied.

    Args:
        published: probabilities and truth by split, with the temperature applied; for `before` it is undone.
        temperature: the number by which the published network's logits are divided.
        fitted_on: the split on which the temperature was fitted.
    """
    return TemperatureScaling(
        temperature=temperature,
        fitted_on=fitted_on,
        before={
            split: calibration(tempered(probabilities, 1 / temperature), truth)
            for split, (probabilities, truth) in published.items()
        },
        after={split: calibration(probabilities, truth) for split, (probabilities, truth) in published.items()},
    )


def log_loss(probabilities: npt.NDArray[np.floating], truth: Labels, weights: Weights) -> float:
    """Return the mean over the films of weight times cross-entropy, in nats; shapes as for `loss_once_calibrated`."""
    of_truth = probabilities[np.arange(len(truth)), truth]
    return -float((weights * np.log(np.maximum(of_truth, LEAST_PROBABILITY))).mean())


def _binned(
    probabilities: Probabilities, truth: Labels
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Return each film's top probability, whether its class is right, and the bin that it falls into."""
    top = probabilities.max(axis=1).astype(np.float64)
    bins = np.clip(np.ceil(top * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return top, probabilities.argmax(axis=1) == truth, bins


def _reliability(probabilities: Probabilities, truth: Labels) -> tuple[ReliabilityBin, ...]:
    top, right, bins = _binned(probabilities, truth)
    counts = np.bincount(bins, minlength=BINS)
    confidence, accuracy = (np.bincount(bins, weights=values, minlength=BINS) for values in (top, right))
    return tuple(
        ReliabilityBin(
            lower=index / BINS,
            upper=(index + 1) / BINS,
            n=int(n),
            confidence=float(confidence[index] / n) if n else None,
            accuracy=float(accuracy[index] / n) if n else None,
        )
        for index, n in enumerate(counts)
    )
