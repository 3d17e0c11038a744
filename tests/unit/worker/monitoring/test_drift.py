"""A difference is an alarm when it is large enough to matter and too large for chance."""

import numpy as np
import pytest

from worker.monitoring.drift import Alarm, Day, Kind, Moments, alarms, disagreement


def moments(values):
    return Moments(n=len(values), total=float(np.sum(values)), squares=float(np.square(values).sum()))


def day(mean=100.0, n=200, *, rejected=0, seed=0, **labels):
    grey = np.random.default_rng(seed).normal(mean, 20, n)
    return Day(scored=n, rejected=rejected, moments={Kind.GREY_MEAN: moments(grey)}, labels=labels or {"A": n})


def kinds(one, reference):
    return [alarm.kind for alarm in alarms(one, reference)]


def test_days_add_up_to_what_all_films_together_have():
    """Sums, not means, are kept."""
    values = np.random.default_rng(1).normal(50, 10, 100)

    both = moments(values[:30]) + moments(values[30:])

    assert (pytest.approx(values.mean()), pytest.approx(values.std())) == (both.mean, both.spread)
    assert {"A": 3, "B": 1} == (Day(labels={"A": 1}) + Day(labels={"A": 2, "B": 1})).labels


def test_the_same_films_raise_no_alarm_in_a_thousand_days():
    """Chance alone."""
    reference = day(n=300, rejected=10, A=150, B=150)

    found = [kinds(day(n=60, rejected=2, seed=seed, A=31, B=29), reference) for seed in range(1, 1001)]

    assert not any(found)


def test_a_shifted_grey_level_is_told_with_its_figures():
    """Another detector, or another window."""
    (alarm,) = alarms(day(120, n=60, seed=2), day(100))

    assert Kind.GREY_MEAN == alarm.kind
    assert alarm.reason.startswith("mean 12")
    assert "200 films" in alarm.reason


def test_a_few_films_say_nothing():
    """Whatever their mean is."""
    assert [] == kinds(day(200, n=20), day(100))


def test_a_size_that_never_varied_may_vary_a_little():
    """The spread of the reference is 0."""

    def of(height):
        return Day(scored=50, moments={Kind.HEIGHT: moments(np.full(50, height))})

    assert [] == kinds(of(2001), of(2000))
    assert [Kind.HEIGHT] == kinds(of(1000), of(2000))


def test_many_rejected_films_are_told_and_fewer_are_not():
    """A sender that changed its format."""
    assert [Alarm(Kind.REJECTIONS, "50 of 250 films rejected; in the reference 4 of 204")] == list(
        alarms(day(rejected=50), day(rejected=4))
    )
    assert [] == kinds(day(rejected=0), day(rejected=50))


def test_classes_in_other_shares_are_told_with_the_one_that_changed_most():
    """A ward instead of an emergency room, or a network that sees one thing everywhere."""
    (alarm,) = alarms(day(A=20, B=180), day(A=150, B=50))

    assert Kind.CLASSES == alarm.kind
    assert "20 of 200 films" in alarm.reason or "180 of 200 films" in alarm.reason


def test_reviewers_who_correct_more_than_the_test_films_let_expect_are_told():
    """From twenty reviews on, and beyond chance."""
    assert disagreement(3, 5, 0.1) is None
    assert disagreement(4, 20, 0.1) is None
    assert "12 of the 20 newest reviews" in disagreement(12, 20, 0.1)
