"""Exact intervals, compared with R."""

import pytest
from scipy.stats import binomtest

from model_training.metrics.intervals import exact_interval, share


def test_the_interval_is_that_of_rs_binomial_test():
    """The values are those of R: `binom.test(7, 19)$conf.int`."""
    assert [0.1628858721551, 0.616422076685595] == pytest.approx(exact_interval(7, 19), abs=1e-12)


@pytest.mark.parametrize(("part", "whole"), [(0, 1), (1, 1), (0, 40), (40, 40), (3, 40), (16_999, 17_000)])
def test_the_interval_is_scipys_too(part, whole):
    """With no film, or with all films, one end is 0 or 1."""
    expected = binomtest(part, whole).proportion_ci(0.95, method="exact")

    assert [expected.low, expected.high] == pytest.approx(exact_interval(part, whole), abs=1e-9)


def test_a_share_of_nothing_is_undefined():
    """So is its interval."""
    assert (None, (None, None)) == (share(0, 0), exact_interval(0, 0))
