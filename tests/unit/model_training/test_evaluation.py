"""The figures beside caret's."""

import json

import numpy as np
import pytest

from model_training.evaluation import auroc, by_group, calibration_error, evaluate, headline

CLASSES = ("A", "B", "C")


def certain(*labels):
    """Return probabilities that name these classes beyond doubt."""
    return np.eye(len(CLASSES), dtype=np.float32)[list(labels)]


def test_an_evaluation_is_json_with_nulls_for_what_is_undefined():
    """A class that is never predicted and never true spoils no mean and shows no 0."""
    result = json.loads(json.dumps(evaluate(certain(0, 1, 1), np.array([0, 1, 0]), CLASSES), allow_nan=False))

    assert 3 == result["n"]
    assert [[1, 0, 0], [1, 1, 0], [0, 0, 0]] == result["table"]
    assert result["auroc"]["C"] is None
    assert result["byClass"]["C"]["Sensitivity"] is None
    assert result["byClass"]["C"]["Precision"] is None
    assert pytest.approx((0.5 + 1) / 2) == result["balanced_accuracy"]
    assert pytest.approx(0.75) == result["auroc"]["macro"]
    assert {"count": 0, "reasons": {}} == result["rejected"]


def test_rejected_files_are_counted_beside_the_films():
    """They are not among the n."""
    result = evaluate(certain(0, 1), np.array([0, 1]), CLASSES, {"corrupt": 2, "empty": 1})

    assert 2 == result["n"]
    assert {"count": 3, "reasons": {"corrupt": 2, "empty": 1}} == result["rejected"]


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order():
    """Three of the four pairs of a positive and a negative are in order; a tie counts half."""
    probabilities = np.array([[0.9, 0.1, 0], [0.4, 0.6, 0], [0.6, 0.4, 0], [0.1, 0.9, 0]], np.float32)

    areas = auroc(probabilities, np.array([0, 0, 1, 1]), CLASSES)

    assert 0.75 == areas["A"] == areas["B"] == areas["macro"]


def test_films_of_one_class_only_have_no_area():
    """Nor a mean of areas."""
    assert {"A": None, "B": None, "C": None, "macro": None} == auroc(certain(0, 1), np.array([0, 0]), CLASSES)


def test_calibration_error_is_the_mean_gap_between_confidence_and_accuracy():
    """Two films at 0.9, one of them right; two at 0.5, both right: (2 * 0.4 + 2 * 0.5) / 4."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.5, 0.45], [0.5, 0.45]], np.float32)

    assert pytest.approx(0.45, abs=1e-6) == calibration_error(probabilities, np.array([0, 1, 0, 0]))


def test_who_is_certain_and_right_is_calibrated():
    """A probability of 1 falls into the last bin."""
    assert 0.0 == calibration_error(certain(0, 1, 2), np.array([0, 1, 2]))


def test_groups_carry_their_n_and_interval():
    """The largest first."""
    rows = by_group(certain(0, 0, 1), np.array([0, 1, 1]), ["one", "two", "two"])

    assert [("two", 2, 0.5), ("one", 1, 1.0)] == [(row["group"], row["n"], row["Accuracy"]) for row in rows]
    assert rows[1]["AccuracyLower"] == pytest.approx(0.025)


def test_the_headline_gives_every_accuracy_its_n_and_interval():
    """What a card carries."""
    figures = headline(evaluate(certain(0, 1, 2, 0), np.array([0, 1, 2, 1]), CLASSES))

    assert (4, 0.75) == (figures["n"], figures["accuracy"])
    assert figures["accuracy_lower"] < 0.75 < figures["accuracy_upper"]
