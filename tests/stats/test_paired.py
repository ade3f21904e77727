"""Paired differences with dependent rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from killick.stats.paired import paired_improvement


def test_one_row_per_cluster_is_the_paired_t_test() -> None:
    """Witness: scipy's one-sample t-test."""
    d = np.random.default_rng(1).normal(0.2, 1.0, 40)
    gain = paired_improvement(d, np.arange(40))
    witness = stats.ttest_1samp(d, 0.0, alternative="greater")
    assert gain is not None
    assert gain.p_value() == pytest.approx(witness.pvalue, rel=1e-9)
    assert gain.lower(0.05) == pytest.approx(witness.confidence_interval(0.95).low, rel=1e-9)


def test_equal_clusters_are_the_t_test_of_their_means() -> None:
    """With equal sizes CR1 is exactly the t-test over cluster means."""
    d = np.random.default_rng(2).normal(0.1, 1.0, (12, 30)) + np.random.default_rng(3).normal(0, 0.5, (12, 1))
    gain = paired_improvement(d.ravel(), np.repeat(np.arange(12), 30))
    witness = stats.ttest_1samp(d.mean(1), 0.0, alternative="greater")
    assert gain is not None
    assert gain.p_value() == pytest.approx(witness.pvalue, rel=1e-9)


def test_the_bound_and_the_p_value_agree() -> None:
    """The lower bound at alpha is the minimum whose p-value is alpha."""
    gain = paired_improvement([0.2, 0.0, 0.3, 0.1, 0.4, 0.2], ["a", "a", "b", "b", "c", "c"])
    assert gain is not None
    assert gain.p_value(gain.lower(0.05)) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("differences", "clusters"),
    [([], []), ([0.3], [1]), ([0.3, 0.4, 0.1], [7, 7, 7]), ([0.1, 0.1, 0.1], [1, 2, 3]), ([0.0, 0.0], [1, 2])],
)
def test_what_shows_no_spread_between_clusters_is_unknown(differences: list[float], clusters: list[int]) -> None:
    """No rows, one row, one cluster, and clusters that agree to the last digit."""
    assert paired_improvement(differences, clusters) is None


def _rejections(sizes: np.ndarray, *, effect: float, clustered: bool, seed: int) -> float:
    rng = np.random.default_rng(seed)
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    rejected = 0
    for _ in range(1500):
        day = rng.normal(0, 0.3, len(sizes))
        d = effect + day[clusters] + rng.standard_normal(len(clusters))
        gain = paired_improvement(d, clusters if clustered else np.arange(len(d)))
        rejected += gain is not None and gain.p_value() <= 0.05
    return rejected / 1500


@pytest.mark.statistics
def test_dependence_inside_days_does_not_inflate_false_alarms() -> None:
    """14 even days: 5 % (3.3-6.7 % observed); rows taken as independent would alarm in over 25 %."""
    days = np.full(14, 100)
    assert 0.033 <= _rejections(days, effect=0.0, clustered=True, seed=5) <= 0.067
    assert _rejections(days, effect=0.0, clustered=False, seed=5) > 0.25


@pytest.mark.statistics
def test_uneven_days_are_a_little_bold_as_the_docstring_says() -> None:
    """Six days from 20 to 640 rows: over 7 %, below 17 % at 5 %."""
    assert 0.07 < _rejections(20 * 2 ** np.arange(6), effect=0.0, clustered=True, seed=6) < 0.17


@pytest.mark.statistics
def test_a_real_improvement_is_found() -> None:
    """0.3 against a day-to-day spread of 0.3 over 14 days: power over 90 %."""
    assert _rejections(np.full(14, 100), effect=0.3, clustered=True, seed=7) > 0.9
