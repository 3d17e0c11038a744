"""The figures against caret's own snapshots and against the paper."""

import numpy as np
import pytest
from scipy.stats import beta

from model_training.metrics import confusion_matrix
from model_training.metrics.intervals import exact_interval, share

THREE = [[5, 1, 0], [1, 4, 1], [1, 1, 6]]
#: The paper's test: true positives and totals are those in print; the errors are placed so that they fit.
PAPER = [
    [61, 0, 0, 0, 3, 0],
    [6, 126, 25, 0, 0, 0],
    [13, 14, 111, 0, 0, 3],
    [0, 0, 0, 94, 4, 0],
    [0, 0, 0, 78, 129, 0],
    [0, 0, 0, 10, 0, 142],
]
SIX = ("Covid-19", "Effusions", "Infiltration", "No-Findings", "Pneumonia", "Pneumothorax")


def rounded(figures, digits=4):
    """Return figures rounded as caret prints them."""
    return {name: None if value is None else round(value, digits) for name, value in figures.stored().items()}


def test_overall_figures_of_three_classes_are_carets():
    """Caret's snapshot of its own test."""
    overall = confusion_matrix.from_table(THREE, "ABC").overall

    assert {
        "Accuracy": 0.75,
        "Kappa": 0.6241,
        "AccuracyLower": 0.509,
        "AccuracyUpper": 0.9134,
        "AccuracyNull": 0.35,
        "AccuracyPValue": 0.0003,
        "McnemarPValue": 0.8013,
    } == rounded(overall)
    assert 0.0003106 == round(overall.accuracy_p_value, 7)
    assert 0.8012520 == round(overall.mcnemar_p_value, 7)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("A", (0.7143, 0.9231, 0.8333, 0.8571, 0.8333, 0.7143, 0.7692, 0.35, 0.25, 0.3, 0.8187)),
        ("B", (0.6667, 0.8571, 0.6667, 0.8571, 0.6667, 0.6667, 0.6667, 0.3, 0.2, 0.3, 0.7619)),
        ("C", (0.8571, 0.8462, 0.75, 0.9167, 0.75, 0.8571, 0.8, 0.35, 0.3, 0.4, 0.8516)),
    ],
)
def test_figures_by_class_are_carets(name, expected):
    """Eleven figures, in caret's order and under its names."""
    figures = rounded(confusion_matrix.from_table(THREE, "ABC").by_class[name])

    names = (
        "Sensitivity", "Specificity", "Pos Pred Value", "Neg Pred Value", "Precision", "Recall", "F1",
        "Prevalence", "Detection Rate", "Detection Prevalence", "Balanced Accuracy",
    )  # fmt: skip
    assert names == tuple(figures)
    assert expected == tuple(figures.values())


def test_overall_figures_of_two_classes_are_carets():
    """Caret's second snapshot; McNemar is corrected for continuity."""
    overall = rounded(confusion_matrix.from_table([[8, 1], [2, 9]], ("yes", "no")).overall, 6)

    assert (0.85, 0.7, 0.5, 0.001288, 1.0) == tuple(
        overall[name] for name in ("Accuracy", "Kappa", "AccuracyNull", "AccuracyPValue", "McnemarPValue")
    )
    assert (0.6211, 0.9679) == (round(overall["AccuracyLower"], 4), round(overall["AccuracyUpper"], 4))


def test_a_sparse_table_has_no_mcnemar():
    """A pair of classes that are never confused is 0/0 to the test; caret says NA."""
    assert confusion_matrix.from_table([[3, 1, 0], [1, 3, 1], [0, 2, 3]], "ABC").overall.mcnemar_p_value is None


def test_the_papers_accuracy_and_totals_give_its_figures():
    """663 of 819 films are right; the other figures follow from the true positives and the totals."""
    matrix = confusion_matrix.from_table(PAPER, SIX)

    right, n = 663, 819
    assert round(right / n, 4) == 0.8095 == round(matrix.overall.accuracy, 4)
    assert 182 / 819 == matrix.overall.accuracy_null
    assert beta.ppf(0.025, right, n - right + 1) == pytest.approx(matrix.overall.accuracy_lower)
    assert beta.ppf(0.975, right + 1, n - right) == pytest.approx(matrix.overall.accuracy_upper)
    for name, hits, predicted, true in zip(
        SIX, (61, 126, 111, 94, 129, 142), (64, 157, 141, 98, 207, 152), (80, 140, 136, 182, 136, 145), strict=True
    ):
        figures = matrix.by_class[name]
        assert hits / true == figures.sensitivity
        assert hits / predicted == pytest.approx(figures.pos_pred_value)
        assert (n - true - predicted + hits) / (n - true) == pytest.approx(figures.specificity)
        assert true / n == figures.prevalence


def test_a_class_that_is_never_predicted_has_no_precision():
    """An undefined figure is None and not 0."""
    figures = confusion_matrix.from_table([[4, 2], [0, 0]], ("common", "rare")).by_class["rare"]

    assert (0.0, 1.0, None, None, None) == tuple(
        figures.by_name()[name] for name in ("Sensitivity", "Specificity", "Precision", "Pos Pred Value", "F1")
    )


def test_a_class_that_has_no_film_has_no_sensitivity():
    """It has no balanced accuracy either."""
    figures = confusion_matrix.from_table([[4, 0, 1], [1, 0, 1], [0, 0, 3]], "ABC").by_class["B"]

    assert [None] * 5 == [
        figures.by_name()[name]
        for name in ("Sensitivity", "Recall", "Pos Pred Value", "Neg Pred Value", "Balanced Accuracy")
    ]
    assert 0.0 == figures.precision


def test_rows_are_predictions_and_columns_the_reference():
    """The transpose of scikit-learn's table."""
    matrix = confusion_matrix.from_labels(truth=[0, 0, 1], predicted=[1, 0, 1], classes=("A", "B"))

    assert [[1, 0], [1, 1]] == matrix.stored()["table"]


def test_an_interval_of_nothing_is_undefined():
    """Without a film there is no share and no interval."""
    assert (None, None, None) == (share(0, 0), *exact_interval(0, 0))


@pytest.mark.parametrize("table", [np.zeros((2, 2)), [[1, 2, 3], [4, 5, 6]], [[1]]])
def test_a_table_that_cannot_be_counted_is_refused(table):
    """The tables are empty, not square, or of one class."""
    with pytest.raises(ValueError, match=r"count|fit"):
        confusion_matrix.from_table(table, [str(index) for index in range(len(table))])
