"""Patients are drawn with all their films, and the same seed draws the same ones."""

import numpy as np
import pytest

from model_training.metrics.bootstrap import RESAMPLES, percentile_interval, resampling


def drawn_weights(drawn):
    """Return how often each film was drawn, in all resamples."""
    return drawn.distribution(lambda weights: weights)


def test_films_of_one_patient_are_drawn_together_and_others_by_themselves():
    """Two films of unknown patients count as two patients."""
    drawn = resampling(5, ["p", None, "p", "", "q"])

    weights = drawn_weights(drawn)
    assert (4, "patient") == (drawn.units, drawn.unit)
    assert (RESAMPLES, 5) == weights.shape
    assert np.array_equal(weights[:, 0], weights[:, 2])
    assert not np.array_equal(weights[:, 1], weights[:, 3])


def test_as_many_patients_are_drawn_as_there_are():
    """Each counts once on average."""
    weights = drawn_weights(resampling(40))

    assert {40.0} == set(weights.sum(axis=1))
    assert np.ones(40) == pytest.approx(weights.mean(axis=0), abs=0.1)


def test_the_same_seed_draws_the_same_whatever_was_drawn_before():
    """A report can be repeated."""
    drawn = resampling(30)

    assert np.array_equal(drawn_weights(drawn), drawn_weights(drawn))
    assert np.array_equal(drawn_weights(drawn), drawn_weights(resampling(30)))


def test_films_whose_patients_are_all_unknown_are_drawn_as_films():
    """The report says what was drawn."""
    assert "film" == resampling(3).unit == resampling(3, [None, "", None]).unit
    assert {"resamples": RESAMPLES, "seed": 0, "unit": "film", "units": 3} == resampling(3).described().stored()


def test_the_interval_of_a_mean_agrees_with_theory():
    """It is the mean plus and minus 1.96 standard errors."""
    values = np.random.default_rng(1).normal(size=400)

    lower, upper = percentile_interval(
        resampling(400).distribution(lambda weights: (weights @ values / weights.sum(axis=1))[:, None])[:, 0]
    )

    half = 1.96 * values.std() / 20
    assert (values.mean() - half, values.mean() + half) == pytest.approx((lower, upper), abs=0.1 * half)


@pytest.mark.parametrize("values", [np.full(9, 0.5), np.full(9, np.nan), np.array([0.1, 0.2, 0.3, 0.4] + [np.nan] * 5)])
def test_a_statistic_without_spread_or_mostly_undefined_has_no_interval(values):
    """Its spread is unknown; a single patient gives the same value in every resample."""
    assert (None, None) == percentile_interval(values)


def test_some_undefined_resamples_are_left_out():
    """The interval is that of the others."""
    lower, upper = percentile_interval(np.array([0.0, 1.0, np.nan]))

    assert (0.025, 0.975) == pytest.approx((lower, upper))


def test_there_must_be_a_patient_for_each_film():
    """Otherwise, films would get the patients of others."""
    with pytest.raises(ValueError, match="2 patients for 3 films"):
        resampling(3, ["p", "q"])
