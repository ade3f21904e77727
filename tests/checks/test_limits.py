"""Limits: a rank against healthy history errs exactly as often as it says."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.checks.limits import Limit, conformal_level, learn_limits, share_of_budget, windows_needed
from killick.checks.reference import EVERYTHING, HealthyWindow, Reference
from killick.clock import DAY, HOUR
from killick.spec.document import FalseAlarms
from tests.checks.worlds import AIRPORTS, JFK, SCALE, a_day, a_profile, a_reference


@given(st.integers(2, 5000))
def test_as_many_windows_as_are_needed_are_enough(one_in: int) -> None:
    """At alpha = 1/k a rank needs k - 1 windows: with one fewer there is no level, rounding notwithstanding."""
    alpha = 1 / one_in
    assert windows_needed(alpha) == one_in - 1
    history = np.arange(float(one_in - 1))
    assert conformal_level(history, alpha).level == one_in - 2
    assert conformal_level(history[1:], alpha) == Limit(None, one_in - 2, one_in - 1)


@given(st.integers(0, 200), st.integers(2, 400))
def test_the_level_is_the_rank_that_exact_arithmetic_gives(windows: int, one_in: int) -> None:
    """floor(alpha (n + 1)) healthy windows may lie above it, and no more."""
    limit = conformal_level(np.random.default_rng(windows).permutation(windows).astype(float), 1 / one_in)
    above = math.floor(Fraction(1, one_in) * (windows + 1))
    assert limit.level == (windows - above if above else None)


@pytest.mark.statistics
@pytest.mark.parametrize(("windows", "alpha"), [(76, 1 / 34), (99, 0.05), (20, 0.1), (33, 1 / 34), (50, 0.5)])
def test_a_new_healthy_window_exceeds_it_exactly_as_often_as_it_says(windows: int, alpha: float) -> None:
    """20,000 histories of any law: the rate is floor(alpha (n + 1)) / (n + 1), never above alpha."""
    rng = np.random.default_rng(windows)
    drawn = rng.lognormal(0, 3, (20_000, windows + 1))
    exceeded = [row[-1] > conformal_level(row[:-1], alpha).level for row in drawn]
    exact = math.floor(alpha * (windows + 1) + 1e-9) / (windows + 1)
    assert exact <= alpha + 1e-12
    assert np.mean(exceeded) == pytest.approx(exact, abs=4 * math.sqrt(exact / 20_000))


def test_ties_never_speak() -> None:
    """A history of zeros is exceeded by more than zero only."""
    limit = conformal_level(np.zeros(100), 0.05)
    assert limit.level == 0.0


def test_what_is_not_known_is_not_history() -> None:
    """NaN (too few rows) and infinity are left out and not counted."""
    history = np.concatenate([np.arange(1.0, 100.0), [np.nan, np.inf, -np.inf]])
    assert conformal_level(history, 0.05) == Limit(95.0, 99, 19)
    assert conformal_level(np.full(50, np.nan), 0.05) == Limit(None, 0, 19)


@pytest.mark.parametrize("width", [HOUR, DAY])
def test_the_budget_is_split_over_all_tests_of_its_period(width: int) -> None:
    """Shares of all windows, columns and segments add up to the budget."""
    budget = FalseAlarms(budget=2, per=30 * DAY)
    share = share_of_budget(budget, width, columns=13, segments=4)
    assert share * (30 * DAY / width) * 13 * 4 == pytest.approx(2)
    assert share_of_budget(budget, 30 * DAY, columns=1, segments=0) == 0.5


def test_every_witness_of_every_column_and_segment_has_a_limit() -> None:
    """The whole has no neighbours; what was never seen has no level, and says how many windows it would need."""
    rng = np.random.default_rng(2)
    reference = a_reference([a_day(rng, day) for day in range(60)])
    limits = learn_limits(reference, SCALE.columns, 0.01)
    assert limits.alpha == pytest.approx(0.1)
    assert set(limits.by_key) == {
        *(("trailing", segment, column) for segment in (EVERYTHING, *AIRPORTS) for column in ("temp", "carrier")),
        *(("other_segments", segment, column) for segment in AIRPORTS for column in ("temp", "carrier")),
    }
    assert limits.of("trailing", JFK, "temp").windows == 60 - 14
    assert limits.of("other_segments", JFK, "temp").windows == 60
    assert limits.of("trailing", (("origin", "BOS"),), "temp") == Limit(None, 0, 9)


def test_a_reference_without_windows_knows_no_limit() -> None:
    """A table without event times has no history to be compared with."""
    limits = learn_limits(
        Reference(SCALE, {EVERYTHING: a_day(np.random.default_rng(1), 0).profiles[JFK]}), SCALE.columns, 0.01
    )
    assert limits.of("trailing", EVERYTHING, "temp") == Limit(None, 0, 9)


@pytest.mark.parametrize("thin", [1, 20, 49])
def test_windows_that_are_too_thin_to_be_judged_do_not_make_the_limit(thin: int) -> None:
    """Their debiased PSI is mostly 0: as history they would push the limit below what healthy windows reach."""
    rng = np.random.default_rng(5)
    days = [a_day(rng, day) for day in range(60)]
    few = a_profile(rng.normal(50, 10, thin), ["UA"] * thin)
    mixed = [HealthyWindow(day.window, {**day.profiles, JFK: few}) if at % 2 else day for at, day in enumerate(days)]
    limits = learn_limits(a_reference(mixed), SCALE.columns, 0.01)
    # The even days from the fifteenth on, and the fifteenth follows fourteen: thick ones are among them.
    assert limits.of("trailing", JFK, "temp").windows == limits.of("trailing", JFK, "carrier").windows == 23
    assert limits.of("trailing", EVERYTHING, "temp").windows == 60 - 14


def test_a_segment_of_a_few_rows_a_day_is_not_judged_against_itself() -> None:
    """Three rows a day are 42 in two weeks, and are not yet a reference; no day of them is a window to be judged."""
    rng = np.random.default_rng(6)
    few = a_profile(rng.normal(50, 10, 3), ["UA"] * 3)
    days = [HealthyWindow(d.window, {**d.profiles, JFK: few}) for d in (a_day(rng, day) for day in range(60))]
    assert learn_limits(a_reference(days), SCALE.columns, 0.01).of("trailing", JFK, "temp").windows == 0
    # The last day alone is thick, but 28 days of a single row before it are not.
    one = a_profile([50.0], ["UA"])
    thick = [HealthyWindow(d.window, {**d.profiles, JFK: one}) for d in days[:-1]] + [a_day(rng, 59)]
    assert learn_limits(a_reference(thick), SCALE.columns, 0.01).of("trailing", JFK, "temp").windows == 0
