"""The figures of an evaluation that caret does not give."""

import json
import time

import numpy as np
import pytest

from model_training.metrics.evaluation import by_group, evaluate, evaluate_without, headline
from worker.models.documents.evaluation import Evaluation

CLASSES = ("A", "B", "C")


def certain(*labels):
    """Return probabilities of 1 for these classes."""
    return np.eye(len(CLASSES), dtype=np.float32)[list(labels)]


def leaning(truth):
    """Return probabilities that lean towards the truth."""
    scores = np.exp(np.random.default_rng(0).normal(size=(len(truth), 3)) + np.eye(3)[truth])
    return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)


def test_an_evaluation_is_json_with_nulls_for_what_is_undefined():
    """A class that is never predicted and never true does not enter a mean, and its figures are null."""
    result = json.loads(json.dumps(evaluate(certain(0, 1, 1), np.array([0, 1, 0]), CLASSES).stored(), allow_nan=False))

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

    assert 2 == result.n
    assert {"count": 3, "reasons": {"corrupt": 2, "empty": 1}} == result.rejected.stored()


def test_an_evaluation_has_every_agreed_part():
    """Each part has its n and interval."""
    truth = np.arange(60) % 3
    probabilities = leaning(truth)

    result = evaluate(probabilities, truth, CLASSES)

    assert set(CLASSES) == set(result.roc) == set(result.by_class)
    assert result.macro.auroc == result.macro_auroc
    assert {name: row.auroc for name, row in result.roc.items()} | {"macro": result.macro.auroc} == result.auroc
    assert result.ece == result.calibration.ece
    assert result.coverage[0].n == result.n == 60
    assert result.coverage[0].accuracy == result.overall.accuracy
    assert {"resamples": 2000, "seed": 0, "unit": "film", "units": 60, "complete": 2000} == result.bootstrap.stored()
    lower, upper = result.balanced_accuracy_interval
    assert lower < result.balanced_accuracy < upper


def test_equal_predictions_give_equal_evaluations():
    """The bootstrap is seeded."""
    truth = np.arange(60) % 3

    assert evaluate(leaning(truth), truth, CLASSES) == evaluate(leaning(truth), truth, CLASSES)


def test_films_of_the_same_patient_are_one_piece_of_evidence():
    """Three copies of each film belong to one patient, so that the intervals are those of a third of the films."""
    truth = np.tile(np.arange(60) % 3, 3)
    probabilities = np.tile(leaning(np.arange(60) % 3), (3, 1))

    apart = evaluate(probabilities, truth, CLASSES)
    together = evaluate(probabilities, truth, CLASSES, patients=[f"p{film % 60}" for film in range(180)])

    assert ("patient", 60) == (together.bootstrap.unit, together.bootstrap.units)
    assert np.ptp(together.balanced_accuracy_interval) > 1.4 * np.ptp(apart.balanced_accuracy_interval)
    assert together.balanced_accuracy == apart.balanced_accuracy


@pytest.mark.parametrize("truth", [[0], [2, 2, 2, 2], [0, 1]])
def test_the_smallest_sets_of_films_give_no_nan(truth):
    """The sets have one film, four films of one class, and one film of each of two classes."""
    for probabilities in (certain(*truth), np.full((len(truth), 3), 1 / 3, np.float32), certain(*[1] * len(truth))):
        stored = evaluate(probabilities, np.array(truth), CLASSES).stored()
        result = Evaluation.model_validate_json(json.dumps(stored, allow_nan=False))

        assert (None, None) == result.balanced_accuracy_interval == result.macro.auroc_interval
        assert len(truth) == result.n


def test_one_patient_alone_gives_no_interval():
    """The number of films does not matter."""
    truth = np.arange(60) % 3

    result = evaluate(leaning(truth), truth, CLASSES, patients=["one"] * 60)

    assert (None, None) == result.balanced_accuracy_interval == result.macro.auroc_interval
    assert (None, None) == result.roc["A"].auroc_interval


def test_without_a_class_the_others_share_its_probability():
    """Its films are gone, and the remaining probabilities of each film sum to 1."""
    probabilities = np.array([[0.5, 0.3, 0.2], [0.6, 0.1, 0.3], [0.8, 0.15, 0.05]], np.float32)

    result = evaluate_without("A", probabilities, np.array([1, 2, 0]), CLASSES)

    assert (2, ("B", "C"), ((1, 0), (0, 1))) == (result.n, result.classes, result.table)
    assert -(np.log(0.6) + np.log(0.75)) / 2 == pytest.approx(result.calibration.log_loss, abs=1e-6)


def test_a_prediction_certain_of_the_class_left_out_prefers_no_other():
    """The remaining classes then have equal probabilities."""
    result = evaluate_without("A", certain(0, 0), np.array([1, 2]), CLASSES)

    assert np.log(2) == pytest.approx(result.calibration.log_loss)


@pytest.mark.parametrize(
    ("left_out", "truth", "classes"), [("D", [0, 1], CLASSES), ("A", [0, 0], CLASSES), ("A", [0, 1], ("A", "B"))]
)
def test_without_a_class_there_may_be_nothing_to_evaluate(left_out, truth, classes):
    """There is no such class, no other film, or only one class left."""
    probabilities = np.full((2, len(classes)), 1 / len(classes), np.float32)

    assert evaluate_without(left_out, probabilities, np.array(truth), classes) is None


def test_without_a_class_the_patients_of_the_other_films_stay():
    """They are matched film by film."""
    result = evaluate_without("A", certain(0, 1, 2, 2), np.array([0, 1, 2, 2]), CLASSES, patients=["p", "q", "q", "r"])

    assert 2 == result.bootstrap.units


def test_two_thousand_resamples_of_a_test_split_take_seconds_at_most():
    """A bootstrap that loops over films would take minutes."""
    truth = np.arange(810) % 6
    scores = np.exp(np.random.default_rng(0).normal(size=(810, 6)) + np.eye(6)[truth])
    probabilities = (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)

    start = time.process_time()
    evaluate(probabilities, truth, "ABCDEF")

    assert time.process_time() - start < 10


def test_groups_carry_their_n_and_interval():
    """The largest group comes first."""
    rows = by_group(certain(0, 0, 1), np.array([0, 1, 1]), ["one", "two", "two"])

    assert [("two", 2, 0.5), ("one", 1, 1.0)] == [(row.group, row.n, row.accuracy) for row in rows]
    assert rows[1].accuracy_lower == pytest.approx(0.025)


def test_the_headline_gives_every_accuracy_its_n_and_interval():
    """A card has these figures."""
    figures = headline(evaluate(certain(0, 1, 2, 0), np.array([0, 1, 2, 1]), CLASSES))

    assert (4, 0.75) == (figures.n, figures.accuracy)
    assert figures.accuracy_lower < 0.75 < figures.accuracy_upper
