"""Accuracy when the least certain films are withheld."""

import numpy as np

from model_training.metrics.coverage import coverage


def test_the_least_certain_are_withheld_first():
    """The nine least certain of twenty films are wrong: accuracy grows to 1 and stays."""
    top = np.linspace(0.55, 0.95, 20)
    probabilities = np.stack([top, 1 - top], axis=1).astype(np.float32)

    rows = coverage(probabilities, np.array([1] * 9 + [0] * 11))

    assert [(step / 20, 20 - step) for step in range(19)] == [(row.withheld_share, row.n) for row in rows]
    assert 11 / 20 == rows[0].accuracy
    assert 11 / 12 == rows[8].accuracy
    assert {1.0} == {row.accuracy for row in rows[9:]}
    assert all(row.lower < row.accuracy <= row.upper for row in rows)


def test_films_of_equal_certainty_are_withheld_together():
    """The order of the files does not matter; the result states the share actually withheld."""
    probabilities = np.array([[0.6, 0.4]] * 5 + [[0.9, 0.1]] * 5, np.float32)

    rows = coverage(probabilities, np.zeros(10, np.int64))

    assert [(0.0, 10), (0.5, 5)] == [(row.withheld_share, row.n) for row in rows]


def test_one_film_is_never_withheld():
    """There is one row."""
    assert [1] == [row.n for row in coverage(np.array([[1.0, 0.0]], np.float32), np.array([0]))]
