"""Intervals for proportions and means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from killick.stats.intervals import mean_interval, proportion_interval, proportion_lower, share_interval


def test_wilsons_interval_is_reproduced() -> None:
    """8 of 20 -> [.21881, .61342] (statistics.md 9)."""
    low, high = proportion_interval(8, 20, 0.95)
    assert (float(low), float(high)) == pytest.approx((0.21881, 0.61342), abs=5e-6)


@given(st.integers(1, 5000), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilsons_interval_agrees_with_scipy(rows: int, data: st.DataObject, confidence: float) -> None:
    """At none and all successes too."""
    successes = data.draw(st.integers(0, rows))
    witness = stats.binomtest(successes, rows).proportion_ci(confidence, method="wilson")
    low, high = proportion_interval(successes, rows, confidence)
    assert (float(low), float(high)) == pytest.approx((witness.low, witness.high), abs=1e-9)


def test_no_rows_give_no_interval() -> None:
    """And only there."""
    low, high = proportion_interval([0, 0], [0, 1], 0.95)
    assert np.isnan(low).tolist() == np.isnan(high).tolist() == [True, False]


@pytest.mark.parametrize("rows", [2, 3, 50])
def test_mean_interval_agrees_with_scipy(rows: int) -> None:
    """From sums alone."""
    x = np.random.default_rng(rows).normal(3.0, 2.0, rows)
    witness = stats.ttest_1samp(x, 0.0).confidence_interval(0.9)
    low, high = mean_interval(rows, x.sum(), (x * x).sum(), 0.9)
    assert (float(low), float(high)) == pytest.approx((witness.low, witness.high), rel=1e-9)


def test_one_row_has_no_spread() -> None:
    """Neither has none; equal rows have a spread of zero, not the root of a negative rounding error."""
    low, _ = mean_interval([0, 1, 3], [0.0, 0.1, 0.3], [0.0, 0.01, 0.03], 0.95)
    assert np.isnan(low).tolist() == [True, True, False]
    assert low[2] == pytest.approx(0.1)


@pytest.mark.parametrize(("successes", "rows"), [(0, 5), (1, 2), (1, 50), (5, 50), (50, 50), (3, 3000)])
@pytest.mark.parametrize("alpha", [0.05, 1e-4, 1e-9])
def test_the_exact_lower_bound_is_where_the_binomial_tail_is_alpha(successes: int, rows: int, alpha: float) -> None:
    """The witness is scipy's binomial distribution; nothing at all is above 0."""
    lower = float(proportion_lower(successes, rows, alpha))
    if successes == 0:
        assert lower == 0.0
    else:
        assert stats.binom.sf(successes - 1, rows, lower) == pytest.approx(alpha, rel=1e-6)
    assert np.isnan(proportion_lower(0, 0, alpha))


def test_a_share_is_an_average_of_one() -> None:
    """With a binomial standard error it is Wilson's interval; without spread that of its trials; unknown stays so."""
    share, rows = np.array([0.1, 0.4, 0.9]), 30
    low, high = share_interval(share, np.sqrt(share * (1 - share) / rows), 7, 0.95)
    expected = proportion_interval(share * rows, rows, 0.95)
    assert low == pytest.approx(expected[0])
    assert high == pytest.approx(expected[1])
    sure, wilson = share_interval(1.0, 0.0, 20, 0.95), proportion_interval(20, 20, 0.95)
    assert [float(end) for end in sure] == pytest.approx([float(end) for end in wilson])
    assert np.isnan(share_interval(np.nan, 0.1, 20, 0.95)).all()
    assert np.isnan(share_interval(1.0, 0.0, 0, 0.95)).all()
