"""Areas and intervals, compared with scikit-learn, R's pROC, and counts by hand."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from model_training.metrics.bootstrap import resampling
from model_training.metrics.roc import (
    CLUSTERED,
    DELONG,
    areas,
    auroc,
    delong_interval,
    macro_auroc,
    roc_areas,
)

CLASSES = ("A", "B", "C")
#: Scores with ties; R's pROC 1.18 gives ci.auc(roc(labels, scores, direction = "<"), method = "delong").
SCORES = np.array([0.9, 0.8, 0.8, 0.7, 0.6, 0.55, 0.5, 0.4, 0.4, 0.3, 0.2, 0.1, 0.35, 0.65, 0.15])
LABELS = np.array([1, 1, 0, 1, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1], bool)
PROC_AREA, PROC_INTERVAL = 0.696428571428571, [0.40829689048469, 0.984560252372452]


def films(n, seed=0, decimals=2):
    """Return probabilities that lean towards the truth, with ties, and the truth."""
    draws = np.random.default_rng(seed)
    truth = draws.integers(0, 3, n)
    scores = np.exp(draws.normal(size=(n, 3)) + np.eye(3)[truth])
    return np.round(scores / scores.sum(axis=1, keepdims=True), decimals).astype(np.float32), truth


def repeated(weights, values):
    """Return each value as often as it was drawn."""
    return np.repeat(values, weights.astype(int), axis=0)


def test_areas_are_scikit_learns_in_every_resample():
    """Scores have ties, and films count several times or not at all."""
    probabilities, truth = films(60)
    weights = np.random.default_rng(2).integers(0, 4, (5, 60)).astype(float)

    found = areas(probabilities[:, 1], truth == 1, weights)

    for row, area, precision in zip(weights, *found, strict=True):
        drawn = repeated(row, truth == 1), repeated(row, probabilities[:, 1])
        assert roc_auc_score(*drawn) == pytest.approx(area, abs=1e-12)
        assert average_precision_score(*drawn) == pytest.approx(precision, abs=1e-12)


def test_areas_of_one_side_alone_are_undefined():
    """They are undefined in the resamples that lack a side, and in no other."""
    found = areas(np.array([0.2, 0.8]), np.array([False, True]), np.array([[1.0, 1], [2, 0], [0, 2]]))

    assert np.array([[1, np.nan, np.nan]] * 2) == pytest.approx(np.array(found), nan_ok=True)


def test_the_area_under_the_curve_is_the_share_of_pairs_in_order():
    """Three of the four pairs of a positive and a negative are in order; a tie counts half."""
    probabilities = np.array([[0.9, 0.1, 0], [0.4, 0.6, 0], [0.6, 0.4, 0], [0.1, 0.9, 0]], np.float32)

    found = auroc(probabilities, np.array([0, 0, 1, 1]), CLASSES)

    assert 0.75 == found["A"] == found["B"] == found["macro"]
    assert found["C"] is None


def test_films_of_one_class_only_have_no_area():
    """They have neither a mean of areas nor an interval."""
    probabilities, truth = np.eye(3, dtype=np.float32)[[0, 1]], np.array([0, 0])

    assert {"A": None, "B": None, "C": None, "macro": None} == auroc(probabilities, truth, CLASSES)
    found = roc_areas(probabilities, truth, CLASSES, resampling(2))
    nothing = {"auroc": None, "auroc_interval": [None, None], "auprc": None, "auprc_interval": [None, None]}
    assert nothing == found.macro.stored()
    assert nothing == {name: found.by_class["A"].stored()[name] for name in nothing}


def test_delongs_interval_is_procs():
    """The scores have ties."""
    assert PROC_AREA == pytest.approx(areas(SCORES, LABELS, np.ones((1, 15)))[0][0], abs=1e-12)
    assert pytest.approx(PROC_INTERVAL, abs=1e-12) == delong_interval(SCORES, LABELS, np.arange(15))


def test_clusters_widen_the_interval_as_obuchowskis_sums_do():
    """The sum is over pairs, as in the paper. Listing every film twice changes nothing."""
    patient = np.arange(15) // 2

    lower, _ = delong_interval(SCORES, LABELS, patient)

    pairs = (SCORES[LABELS][:, None] > SCORES[~LABELS]) + 0.5 * (SCORES[LABELS][:, None] == SCORES[~LABELS])
    m, n = pairs.shape
    x = np.array([(pairs.mean(axis=1) - pairs.mean())[patient[LABELS] == unit].sum() for unit in range(8)])
    y = np.array([(pairs.mean(axis=0) - pairs.mean())[patient[~LABELS] == unit].sum() for unit in range(8)])
    with_class, without = len(set(patient[LABELS])), len(set(patient[~LABELS]))
    variance = with_class / (with_class - 1) * (x @ x) / m**2 + without / (without - 1) * (y @ y) / n**2
    variance += 2 * 8 / 7 * (x @ y) / (m * n)
    assert pairs.mean() - 1.959963984540054 * variance**0.5 == pytest.approx(lower, abs=1e-12)
    twice = delong_interval(np.tile(SCORES, 2), np.tile(LABELS, 2), np.tile(np.arange(15), 2))
    assert pytest.approx(PROC_INTERVAL, abs=1e-12) == twice


@pytest.mark.parametrize(
    ("scores", "labels"),
    [([0.9, 0.1, 0.2], [1, 0, 0]), ([0.9, 0.8, 0.1, 0.2], [1, 1, 0, 0]), ([0.5] * 4, [1, 1, 0, 0]), ([0.5], [1])],
)
def test_one_film_a_perfect_order_and_equal_scores_have_no_delong_interval(scores, labels):
    """A variance of 0 allows no statement about other films."""
    found = delong_interval(np.array(scores), np.array(labels, bool), np.arange(len(scores)))

    assert (None, None) == found


def test_intervals_of_many_films_hold_the_area_and_agree_with_each_other():
    """DeLong's and the bootstrap's intervals are computed independently; that of the mean is the narrowest."""
    probabilities, truth = films(300)

    found = roc_areas(probabilities, truth, CLASSES, resampling(300))

    for name, row in found.by_class.items():
        assert row.auroc_interval[0] < row.auroc < row.auroc_interval[1], name
        assert row.auprc_interval[0] < row.auprc < row.auprc_interval[1]
        assert DELONG == row.auroc_method
        assert row.n_positive / 300 == row.prevalence
    widths = [np.ptp(row.auroc_interval) for row in found.by_class.values()]
    assert np.ptp(found.macro.auroc_interval) < min(widths)
    assert 2000 == found.bootstrap.complete
    area, interval = macro_auroc(probabilities, truth, resampling(300))
    assert (found.macro.auroc, found.macro.auroc_interval) == (area, pytest.approx(interval, abs=1e-12))


def test_patients_with_many_films_widen_every_interval():
    """Four copies of each film belong to one patient and add no information."""
    probabilities, truth = films(60)
    four_times = np.tile(probabilities, (4, 1)), np.tile(truth, 4)

    apart = roc_areas(*four_times, CLASSES, resampling(240))
    together = roc_areas(*four_times, CLASSES, resampling(240, [f"patient {film % 60}" for film in range(240)]))

    assert CLUSTERED == together.by_class["A"].auroc_method
    for name in CLASSES:
        for figure in ("auroc_interval", "auprc_interval"):
            wide, narrow = (np.ptp(getattr(found.by_class[name], figure)) for found in (together, apart))
            assert wide > 1.5 * narrow
    assert np.ptp(together.macro.auroc_interval) > 1.5 * np.ptp(apart.macro.auroc_interval)


def test_resamples_that_lose_a_class_are_left_out_and_counted():
    """Two films of a class are both missed in one resample of eight."""
    probabilities, _ = films(40)
    truth = np.array([0] * 20 + [1] * 18 + [2] * 2)

    found = roc_areas(probabilities, truth, CLASSES, resampling(40))

    assert found.bootstrap.complete / 2000 == pytest.approx(1 - (38 / 40) ** 40, abs=0.03)
    assert None not in found.macro.auroc_interval


def test_a_class_of_one_patient_gives_the_macro_no_interval():
    """The spread between patients is unknown for that class; its area and the mean stay defined."""
    probabilities, _ = films(40)
    truth = np.array([0] * 20 + [1] * 18 + [2] * 2)

    drawn = resampling(40, [f"p{film}" for film in range(38)] + ["one", "one"])
    found = roc_areas(probabilities, truth, CLASSES, drawn)

    assert (None, None) == found.macro.auroc_interval == found.by_class["C"].auprc_interval
    assert found.macro.auroc is not None
    assert (found.macro.auroc, (None, None)) == macro_auroc(probabilities, truth, drawn)
