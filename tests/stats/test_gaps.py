"""Distances that add up gaps: SciPy as the witness, the bracket as a law, and the size and power of their tests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from killick.stats.gaps import Gap, kolmogorov_smirnov, scaled, sum_of, total_variation, wasserstein

REFERENCE = np.full(10, 100)
CURRENT = np.array([130, 120, 110, 105, 100, 95, 90, 90, 85, 75])
rows = hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-100, 100))
cut_points = hnp.arrays(np.float64, st.integers(1, 12), elements=st.floats(-100, 100))


def binned(values: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts and sums over right-closed bins, of each row of values."""
    values = np.atleast_2d(values)
    samples, bins = len(values), len(edges) + 1
    index = (np.searchsorted(edges, values, side="left") + np.arange(samples)[:, None] * bins).ravel()
    counts = np.bincount(index, minlength=samples * bins).reshape(samples, bins)
    return counts, np.bincount(index, weights=values.ravel(), minlength=samples * bins).reshape(samples, bins)


def normal_edges(bins: int) -> np.ndarray:
    """The standard normal's quantiles."""
    return np.asarray(stats.norm.ppf(np.arange(1, bins) / bins))


def every(n: np.ndarray, sums_n: np.ndarray, m: np.ndarray, sums_m: np.ndarray, edges: np.ndarray) -> dict[str, object]:
    """All three distances of the same two tables."""
    return {
        "ks": kolmogorov_smirnov(n, m),
        "tv": total_variation(n, m),
        "w1": wasserstein(edges, n, sums_n, m, sums_m, 1.0),
    }


class TestTheNumbers:
    """Against SciPy, NannyML's fixtures and statistics.md 1.1, 1.3 and 1.5."""

    def test_the_worked_example_is_reproduced(self) -> None:
        """Total variation and the gap of the binned distribution functions are both 0.065."""
        assert total_variation(REFERENCE, CURRENT).value == pytest.approx(0.065)
        assert kolmogorov_smirnov(REFERENCE, CURRENT).value == pytest.approx(0.065)

    def test_categories_that_appear_and_vanish_have_nannymls_infinity_norms(self) -> None:
        """a, a, b, b, c, c against the same and a d is 0.14; for a single category that gains, TV is that."""
        assert total_variation([2, 2, 2, 0], [2, 2, 2, 1]).value == pytest.approx(1 / 7)
        assert total_variation([2, 2, 2], [0, 6, 0]).value == pytest.approx(2 / 3)

    @pytest.mark.filterwarnings("ignore::RuntimeWarning")  # SciPy's own, of a p-value that is not asked for
    @given(rows, rows, cut_points)
    def test_the_distance_of_the_rows_is_inside_the_bracket(
        self, x: np.ndarray, y: np.ndarray, cuts: np.ndarray
    ) -> None:
        """For any rows and any edges, SciPy's two-sample statistic lies between low and high."""
        edges = np.sort(cuts)
        drift = kolmogorov_smirnov(binned(x, edges)[0], binned(y, edges)[0])
        exact = stats.ks_2samp(x, y, method="exact").statistic
        assert drift.low[0] - 1e-12 <= exact <= drift.high[0] + 1e-12

    def test_the_p_value_is_scipys_where_every_row_has_a_bin_of_its_own(self) -> None:
        """With Stephens's correction it is a few percent from the exact one at 60 and 80 rows."""
        rng = np.random.default_rng(2)
        x, y = rng.normal(size=60), rng.normal(0.4, size=80)
        edges = np.sort(np.concatenate([x, y]))
        drift = kolmogorov_smirnov(binned(x, edges)[0], binned(y, edges)[0])
        exact = stats.ks_2samp(x, y, method="exact")
        assert drift.value[0] == pytest.approx(exact.statistic)
        assert drift.p_exceeds()[0] == pytest.approx(exact.pvalue, rel=0.15)

    @pytest.mark.parametrize("unit", [1.0, 2.5])
    def test_wasserstein_of_a_shift_is_scipys_in_spreads(self, unit: float) -> None:
        """Exact for a shift, whatever the bins."""
        x = np.random.default_rng(5).gamma(2.0, 3.0, 4000)
        edges = np.quantile(x, np.arange(1, 20) / 20)
        drift = wasserstein(edges, *binned(x, edges), *binned(x + 0.7, edges), unit)
        assert drift.value[0] == pytest.approx(stats.wasserstein_distance(x, x + 0.7) / unit, rel=1e-9)

    def test_the_deviation_of_wasserstein_is_the_error_of_a_mean(self) -> None:
        """No function of slope one varies more than the values: sqrt(var / N + var / M), and a little for the bins."""
        rng = np.random.default_rng(6)
        x, y = rng.normal(size=4000), rng.normal(size=1000)
        edges = normal_edges(20)
        drift = wasserstein(edges, *binned(x, edges), *binned(y, edges), 1.0)
        exact = np.sqrt(x.var() / 4000 + y.var() / 1000)
        assert exact <= drift.deviation[0] <= 1.1 * exact


class TestTheEdges:
    """Nothing, one row, one bin, padding."""

    def test_a_side_without_rows_is_unknown_and_nothing_else_is(self) -> None:
        """In every number and without a warning."""
        n, m = np.array([[0, 0, 0], [5, 6, 7]]), np.array([[1, 2, 3], [7, 6, 5]])
        for drift in every(n, n * 1.0, m, m * 1.0, np.array([0.5, 1.5])).values():
            levels = np.array([0.01, 0.01])
            low, high = drift.interval(0.95)
            for numbers in (drift.value, drift.excess, drift.standard_error, drift.luck, low, high):
                assert np.isnan(numbers).tolist() == [True, False]
            assert np.isnan(drift.p_exceeds(0.1)).tolist() == [True, False]
            assert np.isnan(drift.reach(0.1, levels)).tolist() == [True, False]
            assert np.isnan(drift.reach(0.1, np.array([0.01, np.nan]))).all()

    def test_one_bin_cannot_drift_in_shares(self) -> None:
        """A constant column has no gap anywhere, and a p-value of 1."""
        for drift in (kolmogorov_smirnov([50], [70]), total_variation([50], [70])):
            assert drift.value == 0
            assert drift.p_exceeds() == 1.0

    def test_wasserstein_without_an_edge_is_unknown(self) -> None:
        """How far a single open bin reaches, its sum does not say."""
        assert not wasserstein(np.empty(0), [5], [5.0], [6], [9.0], 1.0).known

    @given(rows, rows, cut_points, st.integers(1, 4))
    def test_padding_changes_nothing(self, x: np.ndarray, y: np.ndarray, cuts: np.ndarray, more: int) -> None:
        """Zeros, and for Wasserstein-1 the last edge again."""
        edges = np.sort(cuts)
        sides = [*binned(x, edges), *binned(y, edges)]
        longer = [np.pad(side, ((0, 0), (0, more))) for side in sides]
        before, after = every(*sides, edges), every(*longer, np.append(edges, [edges[-1]] * more))
        for name, drift in before.items():
            for field in ("value", "excess", "standard_error", "luck", "noise"):
                np.testing.assert_allclose(
                    getattr(after[name], field), getattr(drift, field), rtol=1e-9, atol=1e-12, err_msg=name + field
                )
            np.testing.assert_allclose(after[name].p_exceeds(0.05), drift.p_exceeds(0.05), rtol=1e-6, atol=1e-9)

    @given(rows, rows, cut_points)
    def test_the_threshold_and_the_p_value_say_the_same(self, x: np.ndarray, y: np.ndarray, cuts: np.ndarray) -> None:
        """An excess above the reach is one whose p-value is below the level."""
        edges = np.sort(cuts)
        for drift in every(*binned(x, edges), *binned(y, edges), edges).values():
            reach, p = drift.reach(0.05, np.array([0.05]))[0], drift.p_exceeds(0.05)[0]
            if abs(drift.excess[0] - reach) > 1e-6:
                assert (drift.excess[0] > reach) == (p < 0.05)

    def test_two_distances_add_up_and_an_unknown_one_adds_nothing(self) -> None:
        """Their luck being independent, deviations add as squares do."""
        one = total_variation([[500, 500], [500, 500]], [[400, 600], [400, 600]])
        other = scaled(total_variation([[50, 50], [0, 0]], [[30, 70], [1, 1]]), 2.0)
        both = sum_of(one, other)
        assert isinstance(both, Gap)
        assert both.value.tolist() == pytest.approx([0.5, 0.1])
        assert both.deviation[0] == pytest.approx(np.hypot(one.deviation[0], other.deviation[0]))
        assert both.p_exceeds(0.05)[1] == pytest.approx(one.p_exceeds(0.05)[1])


@pytest.mark.statistics
class TestSizeAndPower:
    """Every true distance up to the minimum alarms at no more than its level, and real drift is found."""

    @pytest.mark.parametrize(("n", "m", "bins"), [(50, 50, 2), (50, 50, 10), (200, 1000, 4), (1000, 1000, 20)])
    def test_without_drift_it_alarms_at_no_more_than_its_level(self, n: int, m: int, bins: int) -> None:
        """2,000 pairs of rows from one normal; 3.5 standard errors are allowed, and something must vary."""
        rng, edges = np.random.default_rng(21), normal_edges(bins)
        sides = *binned(rng.normal(size=(2000, n)), edges), *binned(rng.normal(size=(2000, m)), edges)
        for name, drift in every(*sides, edges).items():
            p = drift.p_exceeds()
            assert (p <= 0.05).mean() <= 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / 2000), name
            assert (p <= 0.01).mean() <= 0.01 + 3.5 * np.sqrt(0.01 * 0.99 / 2000), name
            assert (p < 0.7).any(), name

    @pytest.mark.parametrize("rows", [200, 100_000])
    def test_a_distance_equal_to_the_minimum_alarms_at_no_more_than_its_level(self, rows: int) -> None:
        """The hardest case is a single bin that gains what a single one loses, and a shift is the other."""
        rng, edges = np.random.default_rng(22), normal_edges(10)
        p = np.full(10, 0.1)
        q = p + np.array([0.05, 0, 0, 0, 0, 0, 0, 0, 0, -0.05])
        n, m = rng.multinomial(rows, p, 4000), rng.multinomial(rows, q, 4000)
        middle = np.concatenate([[-2.0], (edges[1:] + edges[:-1]) / 2, [2.0]])
        truth = wasserstein(edges, p * 1e9, p * 1e9 * middle, q * 1e9, q * 1e9 * middle, 1.0).value
        minimum = {"ks": 0.05, "tv": 0.05, "w1": float(truth)}
        for name, drift in every(n, n * middle, m, m * middle, edges).items():
            low, high = drift.interval(0.95)
            assert (drift.p_exceeds(minimum[name]) <= 0.05).mean() <= 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / 4000), name
            assert ((low <= minimum[name]) & (minimum[name] <= high)).mean() >= 0.93, name

    def test_a_shift_that_matters_is_found(self) -> None:
        """0.5 spreads at 1,000 rows, against the distance of 0.14 spreads, at 1 %: 9 times in 10."""
        rng, edges = np.random.default_rng(23), normal_edges(20)
        sides = *binned(rng.normal(size=(300, 1000)), edges), *binned(rng.normal(0.5, size=(300, 1000)), edges)
        material = {"ks": 0.056, "tv": 0.056, "w1": 0.14}
        for name, drift in every(*sides, edges).items():
            assert (drift.p_exceeds(material[name]) <= 0.01).mean() > 0.9, name

    @pytest.mark.parametrize(("shift", "within"), [(0.0, 0.35), (0.5, 0.15)])
    def test_luck_is_the_spread_of_the_excess(self, shift: float, within: float) -> None:
        """What histories are scaled by: measured over 1,000 pairs, with drift and without."""
        rng, edges = np.random.default_rng(24), normal_edges(20)
        sides = *binned(rng.normal(size=(1000, 500)), edges), *binned(rng.normal(shift, size=(1000, 500)), edges)
        for name, drift in every(*sides, edges).items():
            assert np.sqrt(drift.luck.mean()) == pytest.approx(drift.excess.std(), rel=within), name
