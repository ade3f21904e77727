"""Shares of two samples: the tail against SciPy, its size, and what a second sample holds that the first did not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from killick.stats.shares import expected_new, share_p_value


@pytest.mark.parametrize(("before", "rows_before"), [(0, 50), (3, 500), (200, 1000), (40, 60)])
@pytest.mark.parametrize(("now", "rows_now"), [(1, 50), (20, 400), (300, 5000), (60, 60)])
def test_the_tail_is_the_beta_binomials(before: int, rows_before: int, now: int, rows_now: int) -> None:
    """Where it is summed it is SciPy's own."""
    expected = stats.betabinom(rows_now, before + 1, max(rows_before - before, 1)).sf(now - 1)

    assert share_p_value(before, rows_before, now, rows_now) == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_the_tail_goes_on_smoothly_beyond_what_is_summed() -> None:
    """At the change to the normal the two agree where decisions are made."""
    for found in (2_050, 2_150, 2_250):
        exact = stats.betabinom(20_000, 2_001, 18_000).sf(found - 1)

        assert share_p_value(2_000, 20_000, found, 20_000) == pytest.approx(exact, rel=0.1)


def test_nothing_found_is_no_evidence() -> None:
    """No rows, or none of them: a p-value of 1."""
    assert share_p_value(0, 100, 0, 100) == 1.0
    assert share_p_value(0, 100, 0, 0) == 1.0


@pytest.mark.statistics
@pytest.mark.parametrize(("reference", "current"), [(200, 200), (500, 50), (500, 5000)])
def test_values_outside_a_samples_own_range_are_as_rare_as_said(reference: int, current: int) -> None:
    """The chance of so many values beyond the least and largest of another sample is at most the p-value."""
    rng = np.random.default_rng(1)
    p_values = []
    for _ in range(2_000):
        first, second = rng.normal(size=reference), rng.normal(size=current)
        outside = int(((second < first.min()) | (second > first.max())).sum())
        p_values.append(share_p_value(1, reference, outside, current))

    for level in (0.05, 0.01):
        assert np.mean(np.array(p_values) <= level) <= level + 3 * np.sqrt(level / 2_000)


@pytest.mark.statistics
def test_a_second_sample_has_no_more_that_is_new_than_expected() -> None:
    """Good and Robbins: in nine of ten second samples no more rows are new than `expected_new` of the first says."""
    rng = np.random.default_rng(2)
    rank = 1 / np.arange(1, 2_001)
    kept = 0
    for _ in range(300):
        first, second = (rng.choice(2_000, 1_000, p=rank / rank.sum()) for _ in range(2))
        counts = np.bincount(first, minlength=2_000)
        kept += int((counts[second] == 0).sum()) <= expected_new(int((counts == 1).sum()), int((counts == 2).sum()))

    assert kept >= 0.9 * 300
