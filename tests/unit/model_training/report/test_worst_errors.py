"""The errors that the network made with the greatest confidence."""

import numpy as np
import pytest

from model_training.report.worst_errors import worst

CLASSES = ("A", "B")


def test_the_most_confident_errors_come_first():
    """Films that are right are not listed; equal confidences are ordered by name."""
    probabilities = np.array([[0.9, 0.1], [0.3, 0.7], [0.2, 0.8], [0.3, 0.7]], np.float32)

    rows = worst(["right", "z", "worst", "a"], probabilities, np.array([0, 0, 0, 0]), CLASSES)

    assert ["worst", "a", "z"] == [row.film for row in rows]
    assert {
        "film": "worst", "truth": "A", "predicted": "B",
        "probability": pytest.approx(0.8), "truth_probability": pytest.approx(0.2),
    } == rows[0].stored()  # fmt: skip


def test_no_more_than_asked_for_are_shown():
    """If every film is right, the list is empty."""
    certain = np.eye(2, dtype=np.float32)[[0] * 30]

    assert 24 == len(worst([str(film) for film in range(30)], certain, np.ones(30, np.int64), CLASSES))
    assert [] == worst([str(film) for film in range(30)], certain, np.zeros(30, np.int64), CLASSES)
