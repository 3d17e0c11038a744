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


def test_days_add_up_to_the_figures_of_all_films():
    """A day stores sums, and no means."""
    values = np.random.default_rng(1).normal(50, 10, 100)

    both = moments(values[:30]) + moments(values[30:])

    assert (pytest.approx(values.mean()), pytest.approx(values.std())) == (both.mean, both.spread)
    assert {"A": 3, "B": 1} == (Day(labels={"A": 1}) + Day(labels={"A": 2, "B": 1})).labels


def test_the_same_films_raise_no_alarm_in_a_thousand_days():
    """Chance alone raises none."""
    reference = day(n=300, rejected=10, A=150, B=150)

    by_day = [kinds(day(n=60, rejected=2, seed=seed, A=31, B=29), reference) for seed in range(1, 1001)]

    assert not any(by_day)


def test_a_shifted_grey_level_raises_an_alarm_with_its_figures():
    """Another detector or another window changes it."""
    (alarm,) = alarms(day(120, n=60, seed=2), day(100))

    assert Kind.GREY_MEAN == alarm.kind
    assert alarm.reason.startswith("mean 12")
    assert "200 films" in alarm.reason


def test_a_few_films_raise_no_alarm():
    """Even when their mean is very different."""
    assert [] == kinds(day(200, n=20), day(100))


def test_a_size_that_never_varied_may_vary_a_little():
    """The spread of the reference is 0."""

    def of(height):
        return Day(scored=50, moments={Kind.HEIGHT: moments(np.full(50, height))})

    assert [] == kinds(of(2001), of(2000))
    assert [Kind.HEIGHT] == kinds(of(1000), of(2000))


def test_more_rejected_films_raise_an_alarm_and_fewer_do_not():
    """The sender may have changed its format."""
    assert [Alarm(Kind.REJECTIONS, "50 of 250 films rejected; in the reference 4 of 204")] == list(
        alarms(day(rejected=50), day(rejected=4))
    )
    assert [] == kinds(day(rejected=0), day(rejected=50))


def test_other_shares_of_classes_raise_an_alarm_with_the_class_that_changed_most():
    """The patients may differ, or the network may predict one class for all films."""
    (alarm,) = alarms(day(A=20, B=180), day(A=150, B=50))

    assert Kind.CLASSES == alarm.kind
    assert "20 of 200 films" in alarm.reason or "180 of 200 films" in alarm.reason


def test_reviewers_who_correct_more_than_expected_raise_an_alarm():
    """It takes twenty reviews, and more corrections than chance explains."""
    assert disagreement(3, 5, 0.1) is None
    assert disagreement(4, 20, 0.1) is None
    assert "12 of the 20 newest reviews" in disagreement(12, 20, 0.1)
