"""The gate rejects a candidate that is worse, or that has too few films to show that it is not, and gives reasons."""

from dataclasses import replace

import numpy as np
import pytest

from model_training.retraining.gate import Contestant, Films, judge

CLASSES = ("Effusions", "No-Findings", "Pneumothorax")
N = 300
PRINTS = {"validation": "1" * 64, "test": "2" * 64, "gate": "3" * 64}


def films(n=N, patients=None):
    return Films(np.arange(n) % 3, CLASSES, patients or [None] * n, PRINTS)


def answering(strength, seed=0, *, n=N, spoil=None, version="v-1"):
    """Return predictions that improve with the strength; those for the class `spoil` are random."""
    random, truth = np.random.default_rng(seed), np.arange(n) % 3
    scores = random.normal(size=(n, 3)) + strength * np.eye(3)[truth]
    if spoil is not None:
        scores[truth == spoil] = random.normal(size=(int((truth == spoil).sum()), 3)) - 2 * np.eye(3)[spoil]
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    return Contestant(version, CLASSES, shares.astype(np.float32), dict.fromkeys(CLASSES, 0.4), "films")


def test_a_better_candidate_passes_with_no_reason_against_it():
    """The verdict has the figures."""
    verdict = judge(films(), answering(4, version="new"), answering(2, 1, version="old"))

    assert (True, ()) == (verdict.passed, verdict.reasons)
    assert ("new", "old", N) == (verdict.candidate, verdict.active, verdict.n)
    assert verdict.macro_auroc.difference > 0
    assert PRINTS == verdict.fingerprints


def test_the_same_predictions_pass():
    """A candidate need not be better."""
    assert judge(films(), answering(3), answering(3)).passed


def test_a_candidate_that_learned_nothing_is_refused_as_worse():
    """Such predictions come from shuffled labels."""
    verdict = judge(films(), answering(0), answering(3, 1))

    assert not verdict.passed
    assert any(reason.startswith("macro AUROC") and reason.endswith("worse") for reason in verdict.reasons)


def test_one_class_that_is_worse_is_enough_to_refuse_and_is_named():
    """The mean of the classes would hide it."""
    verdict = judge(films(), answering(3, spoil=2), answering(3, 1))

    assert any(reason.startswith("sensitivity for Pneumothorax") for reason in verdict.reasons)
    assert not any(reason.startswith("sensitivity for Effusions") for reason in verdict.reasons)


def test_too_few_films_of_a_class_are_a_reason_to_refuse():
    """A class needs at least ten patients, whatever its figures are."""
    verdict = judge(films(27), answering(4, n=27), answering(4, 1, n=27))

    assert 3 == sum("too few to judge" in reason for reason in verdict.reasons)


def test_films_of_one_patient_count_as_one():
    """Three hundred films of six patients are too few."""
    verdict = judge(films(patients=[str(index % 6) for index in range(N)]), answering(4), answering(4, 1))

    assert any("too few" in reason for reason in verdict.reasons)


def test_a_difference_that_the_films_cannot_rule_out_is_refused():
    """The figures are alike, but the interval reaches beyond the margin."""
    verdict = judge(films(45), answering(1.5, n=45), answering(1.5, 1, n=45))

    assert any("too few films to say" in reason for reason in verdict.reasons)


def test_a_badly_calibrated_candidate_is_refused():
    """It gives every prediction a probability of 1."""
    candidate = answering(1.5)
    certain = (candidate.probabilities == candidate.probabilities.max(axis=1, keepdims=True)).astype(np.float32)

    verdict = judge(films(), replace(candidate, probabilities=certain), answering(1.5))

    assert any(reason.startswith("calibration error") for reason in verdict.reasons)


def test_a_class_that_the_candidate_does_not_know_refuses_it():
    """It must have every class of the films and of the active version."""
    old = answering(3)
    less = replace(old, classes=CLASSES[:2], probabilities=old.probabilities[:, :2])

    verdict = judge(films(), less, old)

    assert ("the candidate does not know Pneumothorax",) == verdict.reasons


def test_a_class_that_only_the_candidate_knows_speaks_for_it():
    """The active version's probability of it is 0."""
    new = answering(3)
    old = replace(new, classes=CLASSES[:2], probabilities=new.probabilities[:, :2])

    verdict = judge(films(), new, old)

    assert verdict.passed, verdict.reasons
    assert 0 == verdict.sensitivity["Pneumothorax"].active


def test_a_class_that_the_candidate_never_predicts_refuses_it():
    """Its probability is never the highest."""
    candidate = answering(3)
    never = candidate.probabilities * np.array([1, 1, 1e-3], np.float32)

    verdict = judge(films(), replace(candidate, probabilities=never), answering(3, spoil=2))

    assert "the candidate never predicts Pneumothorax" in verdict.reasons


@pytest.mark.parametrize("split", ["test", "gate"])
def test_a_locked_split_that_changed_is_a_reason_to_refuse(split):
    """The reason has both fingerprints."""
    before = {**PRINTS, split: "9" * 64}

    verdict = judge(films(), answering(4), answering(2, 1), known_fingerprints=before)

    assert (f"the films of {split} are not those of the last verdict (999999999999, now {PRINTS[split][:12]})",) == (
        verdict.reasons
    )


def test_drawn_phantoms_do_not_replace_films():
    """A model trained on phantoms does not replace one trained on films."""
    verdict = judge(films(), replace(answering(4), trained_on="phantoms"), answering(2, 1))

    assert "the candidate learned from phantoms, the active version films" in verdict.reasons


def test_without_an_active_version_there_is_nothing_to_be_no_worse_than():
    """A person chooses the first version."""
    assert ("there is no active version to compare with",) == judge(films(), answering(4), None).reasons
