"""The chi-square family: SciPy and published tables as witnesses, and the size and power of its tests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from scipy.spatial import distance as scipy_distance

from killick.stats.distances import chi_square, g_test, hellinger, jensen_shannon, psi
from killick.stats.noncentral_quantile import noncentral_chi2_isf

REFERENCE = np.full(10, 100)
CURRENT = np.array([130, 120, 110, 105, 100, 95, 90, 90, 85, 75])


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Two histograms on the same bins, each with at least one row."""
    bins = draw(st.integers(2, 25))
    counts = hnp.arrays(np.int64, bins, elements=st.integers(0, 10_000)).filter(lambda c: c.sum() > 0)
    return draw(counts), draw(counts)


FAMILY = {
    "psi": psi,
    "chi_square": chi_square,
    "g_test": g_test,
    "jensen_shannon": jensen_shannon,
    "hellinger": hellinger,
}
# A PSI of 0.02 in each one's unit.
MINIMUM = {
    "psi": 0.02,
    "chi_square": np.sqrt(0.02),
    "g_test": np.sqrt(0.02),
    "jensen_shannon": np.sqrt(0.02 / (8 * np.log(2))),
    "hellinger": np.sqrt(0.02 / 8),
}


class TestTheFamily:
    """statistics.md 1.2: one statistic in five units."""

    def test_the_worked_example_is_reproduced(self) -> None:
        """X2, G, the Jensen-Shannon distance to base 2 and Hellinger."""
        expected = {"chi_square": 12.2978, "g_test": 12.3258, "jensen_shannon": 0.066675, "hellinger": 0.055542}
        for name, value in expected.items():
            assert FAMILY[name](REFERENCE, CURRENT).value == pytest.approx(value, abs=5e-5 if value > 1 else 5e-7), name

    def test_published_tables_are_reproduced(self) -> None:
        """Evidently's fixtures; the p-value is that of two samples, where Evidently's takes one side for the truth."""
        even, uneven = [16, 16, 16, 16, 16, 8], [16, 18, 16, 14, 12, 12]
        assert hellinger(uneven, even).value == pytest.approx(0.06812, abs=1e-5)  # printed cut off
        assert chi_square(uneven, even).p_exceeds() == pytest.approx(0.8985, abs=5e-5)

    @given(pairs())
    def test_scipy_gives_the_same_values(self, pair: tuple[np.ndarray, np.ndarray]) -> None:
        """Pearson's X2 and its p-value, G, and the Jensen-Shannon distance, at any counts."""
        table = np.array(pair)[:, np.sum(pair, axis=0) > 0]
        assert jensen_shannon(*pair).value == pytest.approx(
            scipy_distance.jensenshannon(*(counts / counts.sum() for counts in pair), base=2), rel=1e-6, abs=1e-7
        )
        if table.shape[1] > 1:
            pearson = stats.chi2_contingency(table, correction=False)
            likelihood = stats.chi2_contingency(table, correction=False, lambda_="log-likelihood")
            assert chi_square(*pair).value == pytest.approx(pearson.statistic, rel=1e-9, abs=1e-9)
            assert chi_square(*pair).p_exceeds() == pytest.approx(pearson.pvalue, rel=1e-6, abs=1e-12)
            assert g_test(*pair).value == pytest.approx(likelihood.statistic, rel=1e-6, abs=1e-6)

    @pytest.mark.parametrize("name", FAMILY)
    def test_in_each_unit_the_same_drift_is_surely_material_or_not(self, name: str) -> None:
        """The p-values of "at most PSI 0.02" are PSI's to a tenth, from 1e-1 to 1e-5."""
        rng = np.random.default_rng(4)
        n, m = rng.multinomial(5000, np.full(10, 0.1), 20), rng.multinomial(5000, np.linspace(0.13, 0.07, 10), 20)
        found, expected = FAMILY[name](n, m).p_exceeds(MINIMUM[name]), psi(n, m).p_exceeds(0.02)
        np.testing.assert_allclose(np.log(found), np.log(expected), rtol=0.1, atol=0.1)

    @pytest.mark.parametrize("name", FAMILY)
    def test_nothing_and_next_to_nothing_are_survived(self, name: str) -> None:
        """No rows are unknown, one bin cannot differ, a complete change is finite; and no warning."""
        drift = FAMILY[name]([[0, 0], [5, 0], [40, 0], [1, 0]], [[1, 2], [7, 0], [0, 40], [0, 1]])
        assert drift.known.tolist() == [False, True, True, True]
        for numbers in (drift.value, drift.excess, drift.standard_error, drift.luck, *drift.interval(0.95)):
            assert np.isnan(numbers).tolist() == [True, False, False, False]
            assert np.isfinite(numbers[1:]).all()
        p = drift.p_exceeds(MINIMUM[name])
        assert p[1] == 1.0
        assert p[2] < 1e-6
        assert p[3] > 0.05

    @given(pairs(), st.sampled_from(sorted(FAMILY)), st.floats(0, 0.3), st.sampled_from([0.05, 0.001, 1e-6]))
    def test_the_threshold_and_the_p_value_say_the_same(
        self, pair: tuple[np.ndarray, np.ndarray], name: str, minimum: float, level: float
    ) -> None:
        """An excess above the reach is one whose p-value is below the level."""
        drift = FAMILY[name](np.array([pair[0]]), np.array([pair[1]]))
        reach, p = drift.reach(minimum, np.array([level]))[0], drift.p_exceeds(minimum)[0]
        if abs(drift.excess[0] - reach) > 0.002 * reach:
            assert (drift.excess[0] > reach) == (p < level)

    def test_a_level_that_is_unknown_has_no_threshold(self) -> None:
        """And the others keep theirs."""
        drift = psi([REFERENCE, REFERENCE], [CURRENT, CURRENT])
        assert np.isnan(drift.reach(0.02, np.array([0.01, np.nan]))).tolist() == [False, True]

    @given(
        st.floats(1, 60),
        st.floats(0, 30_000).filter(lambda shift: shift == 0 or shift > 0.1),
        st.sampled_from([0.05, 0.01, 1e-3, 1e-5]),
    )
    def test_the_quantile_is_scipys(self, df: float, noncentrality: float, level: float) -> None:
        """Of the non-central chi-square, by its tail: within a hundredth of the level."""
        x = noncentral_chi2_isf(level, df, noncentrality)
        exact = stats.ncx2.sf(x, df, noncentrality) if noncentrality else stats.chi2.sf(x, df)
        assert exact == pytest.approx(level, rel=0.01)

    @pytest.mark.statistics
    @pytest.mark.parametrize(
        ("n", "m", "bins"), [(50, 50, 2), (50, 50, 10), (100_000, 50, 5), (200, 200, 25), (1000, 100_000, 20)]
    )
    def test_without_drift_each_alarms_at_no_more_than_its_level(self, n: int, m: int, bins: int) -> None:
        """4,000 pairs; beside 3.5 standard errors a fifth of the level, which the few counts of two bins cost."""
        rng = np.random.default_rng(14)
        share = np.full(bins, 1 / bins)
        reference, current = rng.multinomial(n, share, 4000), rng.multinomial(m, share, 4000)
        for name, measured in FAMILY.items():
            p = measured(reference, current).p_exceeds()
            for level in (0.05, 0.01):
                assert (p <= level).mean() <= 1.2 * level + 3.5 * np.sqrt(level / 4000), (name, level)
            # A test that never alarms keeps every level: its p-values are spread as well.
            assert (p <= 0.5).mean() > 0.3, name

    @pytest.mark.statistics
    @pytest.mark.parametrize("rows", [200, 1000, 100_000])
    def test_at_the_minimum_each_errs_at_its_level(self, rows: int) -> None:
        """A true PSI of 0.02, said in each one's unit: 5 % and 1 %, and at twice that shift it is found."""
        rng = np.random.default_rng(15)
        edges = np.concatenate([[-np.inf], stats.norm.ppf(np.arange(1, 20) / 20), [np.inf]])
        p, q, far = (np.diff(stats.norm.cdf(edges - shift)) for shift in (0.0, np.sqrt(0.02), 0.5))
        n, m, moved = (rng.multinomial(rows, share, 3000) for share in (p, q, far))
        for name, measured in FAMILY.items():
            truth = measured(p * 1e12, q * 1e12)
            tested = measured(n, m).p_exceeds(float(truth.excess))
            for level in (0.05, 0.01):
                assert (tested <= level).mean() <= 1.2 * level + 3.5 * np.sqrt(level / 3000), (name, level)
            if rows >= 1000:
                assert (measured(n, moved).p_exceeds(float(truth.excess)) <= 0.01).mean() > 0.99, name

    @pytest.mark.statistics
    @pytest.mark.parametrize(("shift", "within"), [(0.0, 0.35), (0.5, 0.15)])
    def test_luck_is_the_spread_of_the_excess(self, shift: float, within: float) -> None:
        """What histories are scaled by: measured over 2,000 pairs, with drift and without."""
        rng = np.random.default_rng(16)
        edges = np.concatenate([[-np.inf], stats.norm.ppf(np.arange(1, 20) / 20), [np.inf]])
        p, q = np.diff(stats.norm.cdf(edges)), np.diff(stats.norm.cdf(edges - shift))
        n, m = rng.multinomial(500, p, 2000), rng.multinomial(500, q, 2000)
        for name, measured in FAMILY.items():
            drift = measured(n, m)
            assert np.sqrt(drift.luck.mean()) == pytest.approx(drift.excess.std(), rel=within), name
