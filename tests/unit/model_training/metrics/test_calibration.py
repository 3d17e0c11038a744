"""Calibration compared with figures computed by hand, and the temperature with a grid search."""

import json

import numpy as np
import pytest

from model_training.metrics.calibration import (
    before_and_after,
    calibration,
    calibration_error,
    fit_temperature,
    loss_once_calibrated,
    tempered,
)


def honest(n, sharpness=1.0, seed=0):
    """Return calibrated probabilities, made `sharpness` times as certain, and classes that were drawn from them."""
    draws = np.random.default_rng(seed)
    logits = 2 * draws.normal(size=(n, 4))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    truth = (shares.cumsum(axis=1) < draws.random((n, 1))).sum(axis=1)
    return tempered(shares.astype(np.float32), 1 / sharpness), truth


def test_calibration_error_is_the_mean_gap_between_confidence_and_accuracy():
    """Two films at 0.9, one of them right; two at 0.5, both right: (2 * 0.4 + 2 * 0.5) / 4."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.5, 0.45], [0.5, 0.45]], np.float32)

    assert pytest.approx(0.45, abs=1e-6) == calibration_error(probabilities, np.array([0, 1, 0, 0]))


def test_brier_score_and_log_loss_are_those_of_several_classes():
    """The squared distances are summed over the classes: (0.3² + 0.2² + 0.1²) and (0.5² + 0.5² + 1²)."""
    probabilities = np.array([[0.7, 0.2, 0.1], [0.5, 0.5, 0.0]], np.float32)

    found = calibration(probabilities, np.array([0, 1]))

    assert (0.14 + 0.5) / 2 == pytest.approx(found.brier, abs=1e-6)
    assert -(np.log(0.7) + np.log(0.5)) / 2 == pytest.approx(found.log_loss, abs=1e-6)


def test_a_film_whose_class_was_ruled_out_costs_a_finite_loss():
    """JSON has no infinity."""
    found = calibration(np.array([[1.0, 0.0]], np.float32), np.array([1]))

    assert -np.log(1e-7) == pytest.approx(found.log_loss)
    assert (1.0, 2.0) == (found.ece, found.brier)
    json.dumps(found.stored(), allow_nan=False)


def test_every_bin_has_its_figures_and_an_empty_one_is_undefined():
    """A probability of 1 falls into the last bin, one on an edge into the lower."""
    rows = calibration(np.array([[1.0, 0.0], [0.6, 0.4], [0.6, 0.4]], np.float32), np.array([0, 0, 1])).reliability

    assert (15, 3) == (len(rows), sum(row.n for row in rows))
    assert {"lower": 14 / 15, "upper": 1.0, "n": 1, "confidence": 1.0, "accuracy": 1.0} == rows[14].stored()
    # 0.6 in single precision lies just above the edge 9 / 15.
    assert (2, 0.5) == (rows[9].n, rows[9].accuracy)
    assert {"lower": 0.0, "upper": 1 / 15, "n": 0, "confidence": None, "accuracy": None} == rows[0].stored()


def test_the_temperature_of_films_that_are_twice_as_certain_as_they_should_be_is_two():
    """For calibrated probabilities it is 1."""
    assert pytest.approx(1.0, abs=0.05) == fit_temperature(*honest(4000))
    assert pytest.approx(2.0, abs=0.1) == fit_temperature(*honest(4000, sharpness=2.0))


def test_no_other_temperature_has_a_smaller_loss():
    """The grid has 111 temperatures."""
    probabilities, truth = honest(300, sharpness=1.5)

    found = fit_temperature(probabilities, truth)

    losses = {t: calibration(tempered(probabilities, t), truth).log_loss for t in np.linspace(0.5, 6, 111)}
    best = min(losses, key=losses.get)
    assert best == pytest.approx(found, abs=0.05)


def test_tempering_keeps_the_order_and_can_be_undone():
    """The predicted class stays the same."""
    probabilities, _ = honest(50)

    cooler = tempered(probabilities, 2.5)

    assert np.array_equal(probabilities.argsort(axis=1), cooler.argsort(axis=1))
    assert np.all(cooler.max(axis=1) < probabilities.max(axis=1))
    assert probabilities == pytest.approx(tempered(cooler, 1 / 2.5), abs=1e-6)
    assert np.float32 == cooler.dtype


def test_probabilities_of_nought_and_one_stay_numbers():
    """Their logarithms are limited."""
    extreme = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)

    assert np.all(np.isfinite(tempered(extreme, 0.05)))
    assert np.all(np.isfinite(tempered(extreme, 20.0)))
    assert 0.25 <= fit_temperature(extreme, np.array([0, 1])) < 1
    assert pytest.approx(10.0, abs=0.01) == fit_temperature(extreme, np.array([1, 0]))


def test_a_temperature_needs_a_film():
    """An empty validation split has none."""
    with pytest.raises(ValueError, match="no film"):
        fit_temperature(np.empty((0, 2), np.float32), np.empty(0, np.int64))


def test_before_and_after_undo_the_temperature_and_leave_what_was_published():
    """The published probabilities are the calibrated ones."""
    raw, truth = honest(1500, sharpness=2.0)
    published = tempered(raw, 2.0)

    found = before_and_after({"validation": (published, truth)}, 2.0)

    assert (2.0, "validation") == (found.temperature, found.fitted_on)
    assert calibration(published, truth) == found.after["validation"]
    assert calibration(raw, truth).log_loss == pytest.approx(found.before["validation"].log_loss, abs=1e-5)
    assert found.after["validation"].ece < found.before["validation"].ece


def test_the_calibrated_loss_does_not_depend_on_the_temperature():
    """Sharpened probabilities have the same loss; those of other films have a larger one."""
    probabilities, truth = honest(4000)
    alike = np.ones(len(truth))

    plain = loss_once_calibrated(probabilities, truth, alike)

    assert pytest.approx(plain, abs=1e-4) == loss_once_calibrated(tempered(probabilities, 0.4), truth, alike)
    assert plain + 0.05 < loss_once_calibrated(probabilities[::-1], truth, alike)


def test_a_calibrated_loss_counts_films_by_their_weights():
    """Films of weight 0 do not count."""
    probabilities, truth = honest(1000)
    first = np.arange(1000) < 500

    found = loss_once_calibrated(probabilities, truth, 2.0 * first)

    assert pytest.approx(loss_once_calibrated(probabilities[first], truth[first], np.ones(500))) == found
