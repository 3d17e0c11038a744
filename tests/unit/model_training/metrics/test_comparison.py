"""Two versions on the same films."""

import json

import numpy as np
import pytest

from model_training.metrics.comparison import Comparison, compare, mcnemar
from model_training.metrics.evaluation import evaluate

CLASSES = ("A", "B", "C")


def answers(truth, lean, seed):
    scores = np.exp(np.random.default_rng(seed).normal(size=(len(truth), 3)) + lean * np.eye(3)[truth])
    return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32)


def test_the_figures_are_those_of_the_evaluations_and_differences_are_b_minus_a():
    """Both functions use the same definitions."""
    truth = np.arange(150) % 3
    a, b = answers(truth, 0.5, 1), answers(truth, 2.5, 2)

    stored = compare(a, b, truth, CLASSES, names=("old", "new")).stored()
    found = Comparison.model_validate_json(json.dumps(stored, allow_nan=False))

    assert (150, "old", "new") == (found.n, found.a, found.b)
    for letter, evaluation in (("a", evaluate(a, truth, CLASSES)), ("b", evaluate(b, truth, CLASSES))):
        differences = found.differences
        assert evaluation.macro_auroc == pytest.approx(getattr(differences.macro_auroc, letter), abs=1e-12)
        assert evaluation.overall.accuracy == pytest.approx(getattr(differences.accuracy, letter))
        assert evaluation.balanced_accuracy == pytest.approx(getattr(differences.balanced_accuracy, letter))
        for name in CLASSES:
            assert evaluation.by_class[name].sensitivity == getattr(differences.sensitivity[name], letter)
    for row in (differences.macro_auroc, differences.accuracy, differences.sensitivity["B"]):
        assert row.b - row.a == pytest.approx(row.difference)
        assert 0 < row.interval[0] < row.difference < row.interval[1]
    assert found.mcnemar.p < 1e-6


def test_pairs_are_kept_together():
    """If two versions differ in few films, the interval of the difference is narrower than that of a version."""
    truth = np.arange(150) % 3
    a = answers(truth, 1.0, 1)
    b = a.copy()
    b[:15] = np.eye(3, dtype=np.float32)[truth[:15]]

    found = compare(a, b, truth, CLASSES)

    own = evaluate(a, truth, CLASSES).balanced_accuracy_interval
    assert np.ptp(found.differences.balanced_accuracy.interval) < 0.5 * np.ptp(own)


def test_mcnemars_test_is_the_binomial_one_of_the_films_on_which_they_differ():
    """R gives binom.test(8, 26)$p.value; films on which both are right or both wrong do not count."""
    a = np.array([True] * 18 + [False] * 8 + [True] * 50 + [False] * 9)
    b = np.array([False] * 18 + [True] * 8 + [True] * 50 + [False] * 9)

    assert {
        "b_right_a_wrong": 8, "a_right_b_wrong": 18, "p": pytest.approx(0.075518697500229, abs=1e-12),
        "method": "McNemar, exact",
    } == mcnemar(a, b).stored()  # fmt: skip


def test_a_version_does_not_differ_from_itself():
    """The difference is 0 without an interval, and McNemar's p is 1."""
    truth = np.arange(30) % 3
    same = answers(truth, 1.0, 1)

    found = compare(same, same, truth, CLASSES)

    assert 1.0 == found.mcnemar.p
    assert (0.0, (None, None)) == (
        found.differences.accuracy.difference, found.differences.accuracy.interval,
    )  # fmt: skip


@pytest.mark.parametrize("truth", [[0], [0, 0, 0], [0, 0, 1]])
def test_few_films_leave_what_is_undefined_undefined(truth):
    """A class without films has no sensitivity, and films of a single class have no area under the curve."""
    found = compare(answers(truth, 0.0, 1), answers(truth, 0.0, 2), np.array(truth), CLASSES)

    json.dumps(found.stored(), allow_nan=False)
    assert {"a": None, "b": None, "difference": None, "interval": [None, None]} == (
        found.differences.sensitivity["C"].stored()
    )
    assert (found.differences.macro_auroc.a is None) == (len(set(truth)) == 1)


def test_answers_to_other_films_do_not_compare():
    """The number of classes must agree, too."""
    truth = np.arange(6) % 3
    with pytest.raises(ValueError, match="do not compare on 6 films"):
        compare(answers(truth, 1.0, 1), answers(truth[:5], 1.0, 1), truth, CLASSES)
