"""Groups of films; small groups have no figures."""

import json

import numpy as np
import pytest

from model_training.metrics.subgroups import age_band, attributes, subgroups

CLASSES = ("A", "B", "C")


def films(n):
    draws = np.random.default_rng(0)
    truth = draws.integers(0, 3, n)
    scores = np.exp(draws.normal(size=(n, 3)) + np.eye(3)[truth])
    return (scores / scores.sum(axis=1, keepdims=True)).astype(np.float32), truth


def test_groups_come_from_the_manifest_or_are_not_stated():
    """This includes a film without a row."""
    rows = [{"source_repo": "one", "view": "AP", "sex": "F", "age_years": "9"}, {"source_repo": "two", "view": ""}, {}]

    assert {
        "source": ["one", "two", "not stated"],
        "view": ["AP", "not stated", "not stated"],
        "sex": ["F", "not stated", "not stated"],
        "age": ["under 16", "not stated", "not stated"],
    } == attributes(rows)


@pytest.mark.parametrize(
    ("years", "band"),
    [("0", "under 16"), ("15", "under 16"), ("16", "16 to 39"), ("59", "40 to 59"), ("74.5", "60 to 74"),
     ("75", "75 and over"), ("104", "75 and over"), ("", "not stated"), ("old", "not stated"), ("-3", "not stated"),
     ("nan", "not stated")],
)  # fmt: skip
def test_ages_fall_into_bands(years, band):
    """Children and adults are in different bands."""
    assert band == age_band(years)


def test_a_group_has_its_figures_and_the_gap_to_all():
    """All films of one group are right, and a quarter of the other's."""
    truth = np.tile([0, 1], 20)
    predicted = np.where(np.arange(40) < 20, truth, np.where(np.arange(40) < 25, truth, 1 - truth))
    probabilities = np.eye(3, dtype=np.float32)[predicted] * 0.8 + 0.1

    right, wrong = subgroups(probabilities, truth, CLASSES, {"view": ["AP"] * 20 + ["PA"] * 20})

    assert ("view", "AP", 20, False, 1.0, 0.375) == tuple(
        getattr(right, name) for name in ("by", "group", "n", "suppressed", "accuracy", "gap")
    )
    assert (0.25, -0.375, ("A", "B")) == (wrong.accuracy, wrong.gap, wrong.classes_present)
    assert wrong.lower < 0.25 < wrong.upper
    assert 1.0 == right.macro_auroc == right.balanced_accuracy
    assert wrong.macro_auroc_interval[0] < wrong.macro_auroc < wrong.macro_auroc_interval[1]


def test_small_groups_are_counted_and_not_judged():
    """Groups of nineteen films and of one have only their number."""
    rows = subgroups(*films(40), CLASSES, {"sex": ["F"] * 20 + ["M"] * 19 + ["other"]})

    assert [("F", 20, False), ("M", 19, True), ("other", 1, True)] == [
        (row.group, row.n, row.suppressed) for row in rows
    ]
    figures = ("accuracy", "lower", "upper", "gap", "balanced_accuracy", "macro_auroc")
    assert {None} == {getattr(row, name) for row in rows[1:] for name in figures}
    assert (None, None) == rows[2].macro_auroc_interval
    json.dumps([row.stored() for row in rows], allow_nan=False)


def test_groups_are_in_order_and_what_is_not_stated_comes_last():
    """Sources are ordered by size and ages by age; a grouping that no film states is left out."""
    rows = subgroups(
        *films(6),
        CLASSES,
        {
            "source": ["not stated"] * 3 + ["small", "big", "big"],
            "view": ["not stated"] * 6,
            "age": ["75 and over", "75 and over", "under 16", "40 to 59", "not stated", "not stated"],
        },
    )

    assert [
        "big", "small", "not stated", "under 16", "40 to 59", "75 and over", "not stated"
    ] == [row.group for row in rows]  # fmt: skip


def test_a_patients_films_are_one_unit_in_a_group_too():
    """Two copies of each film belong to one patient: the interval is that of half as many films."""
    probabilities, truth = films(40)
    twice = np.tile(probabilities, (2, 1)), np.tile(truth, 2), CLASSES, {"view": ["AP"] * 80}

    [apart] = subgroups(*twice)
    [together] = subgroups(*twice, patients=[f"p{film % 40}" for film in range(80)])

    assert np.ptp(together.macro_auroc_interval) > 1.2 * np.ptp(apart.macro_auroc_interval)
    assert together.macro_auroc == apart.macro_auroc
