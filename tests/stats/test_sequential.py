"""The e-process of a canary: worked numbers, an exact witness, the null under every look, and power."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special, stats

from killick.stats.sequential import (
    HARM_RATIOS,
    SAFE_RATIOS,
    EProcess,
    harm_log_e,
    harm_log_e_closed,
    mixture,
    odds_ratio_margin,
    safe_log_e,
)

FIXTURE = (14, 1000, 90, 9000)


@st.composite
def batches(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """Any batch, empty arms and all bad rows included."""
    n_c, n_l = draw(st.integers(0, 60)), draw(st.integers(0, 200))
    return draw(st.integers(0, n_c)), n_c, draw(st.integers(0, n_l)), n_l


def _conditional_mean_of_e(log_e: object, n_c: int, n_l: int, bad: int, odds_ratio: float) -> np.ndarray:
    """The mean e-value over all splits of the bad rows, when the odds ratio is given: Fisher's non-central law."""
    law = stats.nchypergeom_fisher(n_c + n_l, bad, n_c, odds_ratio)
    x = np.arange(max(0, bad - n_l), min(bad, n_c) + 1)
    values = log_e(x, np.full(x.shape, n_c), bad - x, np.full(x.shape, n_l))  # type: ignore[operator]
    return (law.pmf(x)[:, None] * np.exp(values)).sum(axis=0)


class TestOneBatch:
    """The e-values of a single batch."""

    def test_worked_example_of_the_exact_form(self) -> None:
        """Canary 14 of 1,000 against live 90 of 9,000 (statistics.md 2.2)."""
        expected = [0.29998, 0.49488, 0.62922, 0.61324, -0.16852, -3.44782]
        np.testing.assert_allclose(harm_log_e(*FIXTURE)[:6], expected, atol=5e-6)
        assert math.exp(float(mixture(harm_log_e(*FIXTURE)))) == pytest.approx(1.08420, abs=5e-6)

    def test_worked_example_of_the_closed_form(self) -> None:
        """The same batch in O(1)."""
        expected = [0.29951, 0.49303, 0.62372, 0.60233, -0.20820, -3.58087]
        np.testing.assert_allclose(harm_log_e_closed(*FIXTURE)[:6], expected, atol=5e-6)
        assert math.exp(float(mixture(harm_log_e_closed(*FIXTURE)))) == pytest.approx(1.07408, abs=5e-6)

    @pytest.mark.parametrize(("n_c", "n_l", "bad"), [(5, 20, 7), (30, 30, 20), (225, 690, 230), (3, 400, 390)])
    def test_its_mean_is_one_at_the_null_and_less_inside(self, n_c: int, n_l: int, bad: int) -> None:
        """The definition of an e-value, summed over every split with scipy's non-central hypergeometric as witness."""
        for tolerance in (1.0, 1.3):

            def harm(*batch: np.ndarray, tolerance: float = tolerance) -> np.ndarray:
                return harm_log_e(*batch, tolerance=tolerance)

            def closed(*batch: np.ndarray, tolerance: float = tolerance) -> np.ndarray:
                return harm_log_e_closed(*batch, tolerance=tolerance)

            def safe(*batch: np.ndarray, tolerance: float = tolerance) -> np.ndarray:
                return safe_log_e(*batch, margin=tolerance)

            for process, inside in ((harm, 0.7 * tolerance), (safe, 1.5 * tolerance)):
                at_null = _conditional_mean_of_e(process, n_c, n_l, bad, tolerance)
                np.testing.assert_allclose(at_null, 1.0, rtol=1e-7)
                assert (_conditional_mean_of_e(process, n_c, n_l, bad, inside) <= 1 + 1e-9).all()
            assert (_conditional_mean_of_e(closed, n_c, n_l, bad, tolerance) <= 1 + 1e-9).all()

    @given(batches(), st.floats(0.5, 2.0))
    def test_the_closed_form_never_claims_more(self, batch: tuple[int, int, int, int], tolerance: float) -> None:
        """A lower bound of the exact e-value, for every batch and tolerance, and so an e-value too."""
        exact = harm_log_e(*batch, tolerance=tolerance)
        assert (harm_log_e_closed(*batch, tolerance=tolerance) <= exact + 1e-9).all()

    @pytest.mark.parametrize("batch", [(0, 0, 5, 100), (3, 50, 0, 0), (0, 0, 0, 0), (0, 40, 0, 90), (40, 40, 90, 90)])
    def test_a_batch_that_compares_nothing_bets_nothing(self, batch: tuple[int, int, int, int]) -> None:
        """An empty arm, no bad row, or only bad rows: e = 1."""
        np.testing.assert_allclose(harm_log_e(*batch), 0.0, atol=1e-9)
        np.testing.assert_allclose(safe_log_e(*batch, margin=1.5), 0.0, atol=1e-9)

    def test_the_window_loses_nothing_of_a_large_batch(self) -> None:
        """60,000 bad rows: the window holds some thousands of terms; the witness sums all of them."""
        x, n_c, y, n_l = 6500, 100_000, 53_500, 900_000
        bad, support = x + y, np.arange(0, 60_001.0)

        def choose(n: float, k: np.ndarray) -> np.ndarray:
            return special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)

        law = choose(n_c, support) + choose(n_l, bad - support) - choose(n_c + n_l, np.array(float(bad)))
        for ratio, ours in zip(HARM_RATIOS, harm_log_e(x, n_c, y, n_l), strict=True):
            witness = x * math.log(ratio) - special.logsumexp(law + support * math.log(ratio))
            assert float(ours) == pytest.approx(float(witness), abs=1e-6)

    def test_many_batches_of_unlike_size_are_the_same_as_one_by_one(self) -> None:
        """Chunks and shared windows change nothing."""
        rng = np.random.default_rng(1)
        n_c, n_l = rng.integers(0, 500, 5000), rng.integers(0, 3000, 5000)
        x, y = rng.binomial(n_c, 0.1), rng.binomial(n_l, 0.2)
        together = harm_log_e(x, n_c, y, n_l, tolerance=1.1).reshape(5000, -1)
        for i in rng.integers(0, 5000, 40):
            alone = harm_log_e(x[i], n_c[i], y[i], n_l[i], tolerance=1.1)
            np.testing.assert_allclose(together[i], alone, atol=1e-8)


class TestEProcess:
    """Accumulation."""

    @given(st.lists(batches(), min_size=1, max_size=8), st.integers(0, 8))
    def test_evidence_does_not_depend_on_how_batches_were_grouped(
        self, many: list[tuple[int, int, int, int]], cut: int
    ) -> None:
        """One by one, all at once, or in two parts."""
        log_e = harm_log_e(*np.array(many).T)
        start = EProcess.start(len(HARM_RATIOS))
        one_by_one = start
        for row in log_e:
            one_by_one = one_by_one.add(row)
        halfway = start.add(log_e[:cut])
        np.testing.assert_allclose(one_by_one.log_sums, start.add(log_e).log_sums, atol=1e-9)
        np.testing.assert_allclose(halfway.add(log_e[cut:]).log_sums, one_by_one.log_sums, atol=1e-9)

    def test_adding_returns_a_new_process(self) -> None:
        """The old one is what was stored."""
        start = EProcess.start(5)
        start.add(safe_log_e(*FIXTURE, margin=1.5))
        assert start.evidence == pytest.approx(1.0)

    def test_strata_may_come_as_more_dimensions(self) -> None:
        """[minutes, segments, alternatives]."""
        log_e = harm_log_e(np.ones((3, 4)), 50, 2, 400)
        assert EProcess.start(7).add(log_e).log_evidence == pytest.approx(float(mixture(log_e.sum(axis=(0, 1)))))

    def test_overwhelming_evidence_is_a_finite_number(self) -> None:
        """And overwhelming evidence for the null is 0, not an error."""
        assert math.isfinite(EProcess((5000.0, 0.0)).evidence)
        assert EProcess((-5000.0, -4000.0)).evidence == 0.0


class TestMargin:
    """From points of a rate to an odds ratio."""

    def test_two_points_at_five_percent(self) -> None:
        """5 % to 7 % is an odds ratio of 1.43."""
        assert odds_ratio_margin(0.05, 0.02) == pytest.approx((7 / 93) / (5 / 95))

    @pytest.mark.parametrize(("base", "worse"), [(0.0, 0.01), (1.0, 0.01), (0.99, 0.01), (0.5, 0.6), (0.1, -0.1)])
    def test_what_leaves_the_unit_interval_has_no_odds(self, base: float, worse: float) -> None:
        """None, not infinity."""
        assert odds_ratio_margin(base, worse) is None


def _traffic(
    seed: int, runs: int, minutes: int, odds_ratio: float, *, base: float = 0.01, n_c: int = 500, n_l: int = 4500
) -> tuple[np.ndarray, np.ndarray]:
    """Bad rows of both arms under a common base rate that wanders by half."""
    rng = np.random.default_rng(seed)
    wave = 1 + 0.5 * np.sin(2 * np.pi * (np.arange(minutes) / 144 + rng.random((runs, 1))))
    rate = np.clip(base * wave * np.exp(0.15 * rng.standard_normal((runs, minutes))), 0, 0.9)
    odds = odds_ratio * rate / (1 - rate)
    return rng.binomial(n_c, odds / (1 + odds)), rng.binomial(n_l, rate)


def _ever(log_evidence: np.ndarray, alpha: float) -> float:
    return float((log_evidence >= -math.log(alpha)).any(axis=1).mean())


@pytest.mark.statistics
class TestUnderEveryLook:
    """600 canaries of 100 minutes, looked at every minute, at 1 %; the larger runs are benchmarks/canary_judge.py."""

    def test_a_healthy_canary_is_left_alone_where_a_peeking_z_test_is_not(self) -> None:
        """At most 1 % false rollbacks by guarantee; the z-test at the same level errs in over 6 %."""
        canary, live = _traffic(21, 600, 100, 1.0)
        evidence = mixture(np.cumsum(harm_log_e(canary, 500, live, 4500), axis=1))
        assert _ever(evidence, 0.01) <= 0.01
        x, y, minute = np.cumsum(canary, axis=1), np.cumsum(live, axis=1), np.arange(1, 101)
        pooled = (x + y) / (5000 * minute)
        z = (x / 500 - y / 4500) / minute / np.sqrt(pooled * (1 - pooled) * (1 / 500 + 1 / 4500) / minute)
        assert (z >= stats.norm.isf(0.01)).any(axis=1).mean() > 0.06

    def test_a_tolerated_worsening_is_tolerated(self) -> None:
        """At the boundary of the null, with a tolerance of 1.3, at 5 %: at most 5 % ever alarm, and 1.8 is found."""
        at_null, live = _traffic(22, 600, 60, 1.3)
        evidence = mixture(np.cumsum(harm_log_e(at_null, 500, live, 4500, tolerance=1.3), axis=1))
        assert _ever(evidence, 0.05) <= 0.05
        worse, live = _traffic(23, 200, 60, 1.8)
        evidence = mixture(np.cumsum(harm_log_e(worse, 500, live, 4500, tolerance=1.3), axis=1))
        assert _ever(evidence, 0.05) > 0.9

    def test_a_canary_at_the_margin_is_not_called_safe(self) -> None:
        """At most 5 % ever, at an odds ratio equal to the margin."""
        canary, live = _traffic(24, 600, 60, 1.5)
        evidence = mixture(np.cumsum(safe_log_e(canary, 500, live, 4500, margin=1.5), axis=1))
        assert _ever(evidence, 0.05) <= 0.05

    def test_realistic_days_are_called_safe_within_the_week(self) -> None:
        """About 170 of 690 live and 56 of 225 canary rows a day, margin 1.5: the median is at most 3 days."""
        rng = np.random.default_rng(25)
        live, canary = rng.binomial(690, 0.246, (300, 7)), rng.binomial(225, 0.246, (300, 7))
        evidence = mixture(np.cumsum(safe_log_e(canary, 225, live, 690, margin=1.5), axis=1))
        assert np.median(np.argmax(evidence >= math.log(20), axis=1) + 1) <= 3
        assert _ever(evidence, 0.05) > 0.9

    @pytest.mark.parametrize(("odds_ratio", "minutes_max"), [(1.35, 26), (1.5, 14), (2.0, 5), (3.0, 3)])
    def test_harm_is_found_as_fast_as_published(self, odds_ratio: float, minutes_max: int) -> None:
        """Medians of statistics.md 2.2 (20, 12, 4, 2 minutes) with a margin for 200 runs."""
        canary, live = _traffic(26, 200, 100, odds_ratio)
        crossed = mixture(np.cumsum(harm_log_e(canary, 500, live, 4500), axis=1)) >= math.log(100)
        assert crossed.any(axis=1).mean() > 0.97
        assert np.median(np.argmax(crossed, axis=1) + 1) <= minutes_max

    def test_seven_percent_instead_of_five_is_found_in_three_thousand_labels(self) -> None:
        """Median labels per arm at alpha 1 %, batches of 50; 2,900 measured over 2,000 runs."""
        rng = np.random.default_rng(27)
        live, canary = rng.binomial(50, 0.05, (600, 200)), rng.binomial(50, 0.07, (600, 200))
        crossed = mixture(np.cumsum(harm_log_e(canary, 50, live, 50), axis=1)) >= math.log(100)
        assert crossed.any(axis=1).mean() > 0.97
        assert np.median(np.argmax(crossed, axis=1) + 1) * 50 <= 3000

    def test_a_ramp_does_not_look_like_harm(self) -> None:
        """Traffic goes 1 %, 10 %, 50 % to the canary while the base rate triples: Simpson's trap for pooled counts."""
        rng = np.random.default_rng(28)
        share, rate = np.repeat([0.01, 0.1, 0.5], 30), np.repeat([0.01, 0.02, 0.03], 30)
        n_c = np.round(5000 * share).astype(np.int64)
        canary, live = rng.binomial(n_c, rate, (400, 90)), rng.binomial(5000 - n_c, rate, (400, 90))
        evidence = mixture(np.cumsum(harm_log_e(canary, n_c, live, 5000 - n_c), axis=1))
        assert _ever(evidence, 0.01) <= 0.01
        pooled = harm_log_e(canary.sum(1), n_c.sum(), live.sum(1), (5000 - n_c).sum())
        assert (mixture(pooled) >= math.log(100)).mean() > 0.9


def test_the_grids_are_what_the_state_is_made_of() -> None:
    """A stored process is as long as its grid: changing a grid changes stored state, so it must be on purpose."""
    assert HARM_RATIOS == (1.1, 1.2, 1.35, 1.5, 2.0, 3.0, 5.0)
    assert SAFE_RATIOS == (1.1, 1.2, 1.35, 1.5, 2.0)
