"""Operating points: thresholds come from validation films, and figures from test films."""

import json

import numpy as np
import pytest

from model_training.metrics.operating_points import operating_points, sensitive_threshold, youden_threshold


def two_classes(scores):
    return np.stack([scores, 1 - np.asarray(scores)], axis=1).astype(np.float32)


def rows_of(validation, test):
    points = operating_points(validation=validation, test=test, classes=("A", "B"))
    json.dumps([point.stored() for point in points], allow_nan=False)
    return {(row.class_name, row.rule): row for row in points}


def test_nineteen_of_twenty_positives_alert():
    """The threshold is the highest that misses at most one of twenty; films with equal scores alert together."""
    scores = np.arange(40) / 40
    positive = np.arange(40) >= 20

    assert 21 / 40 == sensitive_threshold(scores, positive)
    assert 0.5 == sensitive_threshold(np.array([0.5, 0.5, 0.9, 0.1]), np.array([True, True, True, False]))


def test_youdens_threshold_has_the_greatest_gain():
    """It has two of three positives above it and no negative; among equally good thresholds it is the highest."""
    scores, positive = np.array([0.9, 0.8, 0.7, 0.6, 0.5]), np.array([True, True, False, True, False])

    assert 0.8 == youden_threshold(scores, positive)
    assert 0.9 == youden_threshold(np.array([0.9, 0.8, 0.7, 0.6]), np.array([True, False, True, False]))


def test_the_test_films_do_not_move_a_threshold():
    """Other test films give the same thresholds."""
    validation = two_classes([0.9, 0.7, 0.6, 0.2]), np.array([0, 0, 1, 1])

    one = rows_of(validation, (two_classes([0.1, 0.95]), np.array([0, 1])))
    other = rows_of(validation, (two_classes([0.99, 0.01]), np.array([0, 1])))

    assert {key: row.threshold for key, row in one.items()} == {key: row.threshold for key, row in other.items()}
    assert 0.0 == one["A", "Youden"].test.sensitivity
    assert 1.0 == other["A", "Youden"].test.sensitivity


def test_alerts_are_counted_with_exact_intervals():
    """Four alerts among eight films: three of the four positives, one false."""
    validation = two_classes([0.9, 0.7, 0.6, 0.2]), np.array([0, 0, 1, 1])
    test = two_classes([0.9, 0.8, 0.7, 0.1, 0.95, 0.3, 0.2, 0.1]), np.array([0, 0, 0, 0, 1, 1, 1, 1])

    row = rows_of(validation, test)["A", "Youden"]
    shown = row.test

    assert ("validation", pytest.approx(0.7)) == (row.chosen_on, row.threshold)
    assert (8, 4, 4, 50.0) == tuple(getattr(shown, name) for name in ("n", "n_positive", "alerts", "alerts_per_100"))
    assert (0.75, 0.75, 0.75, 0.75) == tuple(
        getattr(shown, name) for name in ("sensitivity", "specificity", "ppv", "npv")
    )
    # R gives binom.test(3, 4)$conf.int.
    assert [0.194120449683243, 0.993690536791489] == pytest.approx(shown.ppv_interval, abs=1e-9)


def test_a_class_without_validation_films_has_no_threshold_and_no_figures():
    """Without a threshold, nothing that depends on alerts is defined."""
    rows = rows_of((two_classes([0.9, 0.7]), np.array([0, 0])), (two_classes([0.9, 0.2]), np.array([0, 1])))

    for row in rows.values():
        assert row.threshold is None
        assert row.test.n == 2
        assert {None} == {getattr(row.test, name) for name in ("sensitivity", "ppv", "alerts", "alerts_per_100")}
        assert (None, None) == row.test.sensitivity_interval


def test_where_nothing_alerts_the_predictive_value_is_undefined():
    """0 of 0 is not 0."""
    rows = rows_of((two_classes([0.9, 0.2]), np.array([0, 1])), (two_classes([0.5, 0.4]), np.array([0, 1])))

    shown = rows["A", "Youden"].test
    assert (0, 0.0, None, (None, None)) == (shown.alerts, shown.sensitivity, shown.ppv, shown.ppv_interval)


def test_every_class_has_both_rules():
    """The rows are in the order of the classes."""
    rows = rows_of((two_classes([0.9, 0.2]), np.array([0, 1])), (two_classes([0.5, 0.4]), np.array([0, 1])))

    assert [(name, rule) for name in "AB" for rule in ("sensitivity at least 0.95", "Youden")] == list(rows)
