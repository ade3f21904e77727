"""Distances of histograms: worked numbers, independent witnesses, laws, and the size and power of the PSI tests."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from killick.stats.distances import Divergence, psi
from killick.stats.moved import share_moved, way_moved

REFERENCE = np.full(10, 100)
CURRENT = np.array([130, 120, 110, 105, 100, 95, 90, 90, 85, 75])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Two histograms on the same bins, each with at least one row."""
    bins = draw(st.integers(2, 25))
    counts = hnp.arrays(np.int64, bins, elements=st.integers(0, 10_000)).filter(lambda c: c.sum() > 0)
    return draw(counts), draw(counts)


def _binned(values: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts and sums over right-closed bins."""
    index = np.searchsorted(edges, values, side="left")
    bins = len(edges) + 1
    return np.bincount(index, minlength=bins), np.bincount(index, weights=values, minlength=bins)


class TestPsi:
    """statistics.md 1.1."""

    def test_the_worked_example_is_reproduced(self) -> None:
        """N = M = 1000 in ten bins, with and without smoothing."""
        plain, smooth = psi(REFERENCE, CURRENT, smoothing=0), psi(REFERENCE, CURRENT)
        assert plain.value == pytest.approx(0.024708, abs=5e-7)
        assert smooth.value == pytest.approx(0.024462, abs=5e-7)
        assert plain.value / plain.noise == pytest.approx(12.3540, abs=5e-5)
        assert plain.p_exceeds() == pytest.approx(0.19408, abs=5e-6)
        assert plain.standard_error == pytest.approx(0.014073, abs=2e-6)
        assert plain.excess == pytest.approx(0.006708, abs=5e-7)

    @pytest.mark.parametrize(
        ("n", "m", "at_5_percent", "at_1_percent"),
        [
            (100, 100, 0.338, 0.433),
            (200, 200, 0.169, 0.217),
            (500, 500, 0.0677, 0.0867),
            (1000, 1000, 0.0338, 0.0433),
            (10_000, 1000, 0.0186, 0.0238),
            (100_000, 100_000, 0.00034, 0.00043),
        ],
    )
    def test_published_critical_values_have_their_level(
        self, n: int, m: int, at_5_percent: float, at_1_percent: float
    ) -> None:
        """Yurdakul and Naranjo: the folklore limit of 0.1 is all false alarms at 100 rows and blind at a million."""
        limits = np.array([at_5_percent, at_1_percent])
        noise = np.full(2, 1 / n + 1 / m)
        nothing = np.zeros(2)
        stability = Divergence(limits, nothing, nothing, nothing, np.full(2, 10), limits, nothing, noise)
        np.testing.assert_allclose(stability.p_exceeds(), [0.05, 0.01], rtol=0.07)  # two digits were printed

    @pytest.mark.parametrize(
        ("shift", "expected"), [(0.1, 0.00983), (0.2, 0.03930), (0.3, 0.08835), (0.5, 0.24467), (1.0, 0.96330)]
    )
    def test_population_value_of_a_shift_in_spreads(self, shift: float, expected: float) -> None:
        """The PSI of N(0, 1) against N(shift, 1) over twenty quantile bins."""
        edges = np.concatenate([[-np.inf], stats.norm.ppf(np.arange(1, 20) / 20), [np.inf]])
        p, q = np.diff(stats.norm.cdf(edges)), np.diff(stats.norm.cdf(edges - shift))
        assert psi(p * 1e12, q * 1e12, smoothing=0).value == pytest.approx(expected, abs=5e-6)

    def test_divided_by_its_noise_it_is_pearsons_statistic_in_all_but_name(self) -> None:
        """An independent statistic of the same family: X2 = 12.2978, G = 12.3258 against PSI/c = 12.3540."""
        table = np.array([REFERENCE, CURRENT])
        pearson = stats.chi2_contingency(table, correction=False)
        likelihood = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
        assert pearson.statistic == pytest.approx(12.2978, abs=5e-5)
        stability = psi(REFERENCE, CURRENT, smoothing=0)
        assert stability.value / stability.noise == pytest.approx(likelihood.statistic, rel=0.005)
        assert float(stability.p_exceeds()) == pytest.approx(pearson.pvalue, abs=0.004)

    @given(pairs())
    def test_it_is_symmetric_and_never_negative(self, pair: tuple[np.ndarray, np.ndarray]) -> None:
        """Swapping the sides swaps nothing but the rounding."""
        forth, back = psi(*pair), psi(*pair[::-1])
        assert forth.value >= 0
        np.testing.assert_allclose(forth.value, back.value, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(forth.standard_error, back.standard_error, rtol=1e-9, atol=1e-12)

    @given(pairs(), st.randoms(use_true_random=False))
    def test_the_order_of_the_bins_means_nothing(self, pair: tuple[np.ndarray, np.ndarray], random: object) -> None:
        """So the same function serves categories."""
        order = np.arange(len(pair[0]))
        random.shuffle(order)  # type: ignore[attr-defined]
        before, after = psi(*pair), psi(pair[0][order], pair[1][order])
        np.testing.assert_allclose(after.value, before.value, rtol=1e-9, atol=1e-12)
        shuffled = share_moved(pair[0][order], pair[1][order])
        np.testing.assert_allclose(shuffled, share_moved(*pair), rtol=1e-9, atol=1e-12)

    @given(pairs(), st.integers(1, 5))
    def test_padding_with_empty_bins_changes_nothing(self, pair: tuple[np.ndarray, np.ndarray], extra: int) -> None:
        """Histograms of different lengths may share one array."""
        padded = [np.pad(counts, (0, extra)) for counts in pair]
        before, after = psi(*pair), psi(*padded)
        assert after.bins == before.bins
        np.testing.assert_allclose(after.value, before.value, rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(after.p_exceeds(0.02), before.p_exceeds(0.02), rtol=1e-9, atol=1e-15)

    @given(pairs())
    def test_many_at_once_are_the_same_as_one_by_one(self, pair: tuple[np.ndarray, np.ndarray]) -> None:
        """Leading dimensions only stack."""
        reference, current = pair
        stacked = psi(np.stack([reference, current]), np.stack([current, current]))
        np.testing.assert_array_equal(stacked.value, [psi(reference, current).value, psi(current, current).value])

    def test_a_side_without_rows_is_unknown_and_says_so(self) -> None:
        """Not zero, not infinite, no warning (pytest turns warnings into errors); the neighbours are untouched."""
        stability = psi([[0, 0, 0], [1, 2, 3]], [[1, 2, 3], [1, 2, 3]])
        assert stability.known.tolist() == [False, True]
        for numbers in (
            stability.value,
            stability.standard_error,
            stability.excess,
            stability.p_exceeds(0.02),
            *stability.interval(0.95),
        ):
            assert np.isnan(numbers).tolist() == [True, False]

    def test_one_bin_cannot_drift(self) -> None:
        """A constant column has PSI 0 and p-value 1."""
        stability = psi([50], [70])
        assert stability.value == 0
        assert stability.p_exceeds() == 1.0

    def test_a_vanished_bin_costs_a_bounded_amount(self) -> None:
        """Peers that fill empty bins with epsilon report 461 (frouros) for a complete change."""
        assert psi([500, 0], [0, 500]).value < 15

    @pytest.mark.statistics
    @pytest.mark.parametrize(("n", "m"), [(500, 500), (10_000, 2000)])
    def test_without_drift_it_alarms_at_its_level(self, n: int, m: int) -> None:
        """Size at 5 % within 4.0-6.2 % over 8,000 pairs (three standard errors: 0.7 points)."""
        rng = np.random.default_rng(11)
        share = np.full(20, 0.05)
        stability = psi(rng.multinomial(n, share, 8000), rng.multinomial(m, share, 8000))
        assert 0.040 <= (stability.p_exceeds() <= 0.05).mean() <= 0.062

    @pytest.mark.statistics
    @pytest.mark.parametrize("rows", [2000, 50_000])
    def test_minimum_effect_holds_its_level_at_the_boundary(self, rows: int) -> None:
        """At a true PSI equal to the margin the test errs in about 5 % (statistics.md: 4.7-6.2 %)."""
        rng = np.random.default_rng(12)
        edges = np.concatenate([[-np.inf], stats.norm.ppf(np.arange(1, 20) / 20), [np.inf]])
        p, q = np.diff(stats.norm.cdf(edges)), np.diff(stats.norm.cdf(edges - 0.2))
        truth = float(psi(p * 1e12, q * 1e12, smoothing=0).value)
        stability = psi(rng.multinomial(rows, p, 6000), rng.multinomial(rows, q, 6000))
        assert 0.04 <= (stability.p_exceeds(truth) <= 0.05).mean() <= 0.066
        low, high = stability.interval(0.95)
        assert 0.94 <= ((low <= truth) & (truth <= high)).mean() <= 0.985

    @pytest.mark.statistics
    def test_drift_that_matters_is_found_and_none_is_not(self) -> None:
        """Power: 0.3 spreads at 5,000 rows exceed PSI 0.02 in 99 % at 1 %; no drift never does."""
        rng = np.random.default_rng(13)
        edges = np.concatenate([[-np.inf], stats.norm.ppf(np.arange(1, 20) / 20), [np.inf]])
        p, q = np.diff(stats.norm.cdf(edges)), np.diff(stats.norm.cdf(edges - 0.3))
        same, shifted = rng.multinomial(5000, p, 500), rng.multinomial(5000, q, 500)
        reference = rng.multinomial(5000, p, 500)
        assert (psi(reference, shifted).p_exceeds(0.02) <= 0.01).mean() > 0.99
        assert (psi(reference, same).p_exceeds(0.02) <= 0.01).mean() == 0.0


class TestTotalVariation:
    """statistics.md 1.2."""

    def test_worked_numbers(self) -> None:
        """The example of 1.1."""
        assert share_moved(REFERENCE, CURRENT) == pytest.approx(0.065)

    @given(pairs())
    def test_it_is_bracketed_by_hellinger(self, pair: tuple[np.ndarray, np.ndarray]) -> None:
        """Le Cam: H^2 <= TV <= H sqrt(2 - H^2), and both lie in [0, 1]."""
        p, q = (counts / counts.sum() for counts in pair)
        h, tv = float(np.sqrt(0.5 * ((np.sqrt(p) - np.sqrt(q)) ** 2).sum())), float(share_moved(*pair))
        assert 0 <= h * h <= tv + 1e-12
        assert tv <= h * np.sqrt(max(2 - h * h, 0)) + 1e-9
        assert max(h, tv) <= 1 + 1e-12

    def test_no_rows_is_unknown(self) -> None:
        """On either side."""
        assert np.isnan(share_moved([0, 0], [1, 1]))
        assert np.isnan(share_moved([1, 1], [0, 0]))


class TestWasserstein:
    """statistics.md 1.4."""

    def test_the_worked_example_is_exact(self) -> None:
        """Rows 1..8 against y = 2..8 and 9.5: 1.0625 from four bins."""
        x, y = np.arange(1.0, 9.0), np.array([2, 3, 4, 5, 6, 7, 8, 9.5])
        edges = np.array([2.5, 4.5, 6.5])
        value = way_moved(edges, *_binned(x, edges), *_binned(y, edges))
        assert value == pytest.approx(1.0625)
        assert stats.wasserstein_distance(x, y) == pytest.approx(1.0625)

    @pytest.mark.parametrize("change", ["shift", "scale", "tail"])
    def test_monotone_changes_are_exact(self, change: str) -> None:
        """A shift, a scale about a value below all others, and a stretched tail equal scipy's distance of the rows."""
        rng = np.random.default_rng(5)
        x = rng.gamma(2.0, 3.0, 4000)
        y = {"shift": x + 0.7, "scale": x * 1.3, "tail": np.where(x > 12, 12 + 4 * (x - 12), x)}[change]
        edges = np.quantile(x, np.arange(1, 20) / 20)
        value = way_moved(edges, *_binned(x, edges), *_binned(y, edges))
        assert value == pytest.approx(stats.wasserstein_distance(x, y), rel=1e-9)

    @given(
        hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-100, 100)),
        hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-100, 100)),
        hnp.arrays(np.float64, st.integers(1, 12), elements=st.floats(-100, 100)),
    )
    def test_it_is_a_lower_bound_of_the_distance_of_the_rows(
        self, x: np.ndarray, y: np.ndarray, cuts: np.ndarray
    ) -> None:
        """Whatever the edges are, repeated ones included."""
        edges = np.sort(cuts)
        value = float(way_moved(edges, *_binned(x, edges), *_binned(y, edges)))
        assert 0 <= value <= stats.wasserstein_distance(x, y) + 1e-9

    def test_shorter_histograms_are_padded_with_their_last_edge(self) -> None:
        """So that all columns go through in one call."""
        x, y = np.arange(1.0, 9.0), np.arange(2.0, 10.0)
        edges = np.array([2.5, 4.5, 6.5])
        padded = np.array([2.5, 4.5, 6.5, 6.5, 6.5])
        expected = way_moved(edges, *_binned(x, edges), *_binned(y, edges))
        pad = [np.pad(a, (0, 2)) for a in (*_binned(x, edges), *_binned(y, edges))]
        assert way_moved(padded, *pad) == pytest.approx(float(expected), rel=1e-12)

    def test_no_rows_is_unknown(self) -> None:
        """On either side."""
        assert np.isnan(way_moved([1.0], [0, 0], [0.0, 0.0], [1, 1], [0.5, 2.0]))


def test_five_thousand_columns_are_judged_in_the_budget() -> None:
    """5,000 verdicts from ready histograms in 50 ms; the bound here is four times that, for a busy machine."""
    rng = np.random.default_rng(3)
    reference, current = rng.multinomial(100_000, np.full(23, 1 / 23), (2, 5000))
    edges = np.tile(np.arange(22.0), (5000, 1))
    sums = reference * np.arange(23.0), current * np.arange(23.0)
    best = np.inf
    for _ in range(3):
        start = time.perf_counter()
        stability = psi(reference, current)
        stability.p_exceeds(0.02)
        stability.interval(0.95)
        way_moved(edges, reference, sums[0], current, sums[1])
        best = min(best, time.perf_counter() - start)
    assert best < 0.2
