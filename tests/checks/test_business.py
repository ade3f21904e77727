"""Business figures: a change is found either way, and fails only where somebody said which way is bad."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from killick.checks.business import VALUES_MIN, judge_kpis
from killick.checks.reference import EVERYTHING
from killick.checks.sharing import share_budget
from killick.profiles.kpis import KpiScale, fit_kpi
from killick.profiles.outcome_rows import Outcomes
from killick.profiles.profile import Profile, profile_outcomes
from killick.profiles.scale import Scale
from killick.spec.document import Kpi

if TYPE_CHECKING:
    from killick.checks.sharing import Draft
    from killick.checks.verdict import Verdict


def profiled(scale: Scale, values: object) -> Profile:
    """Profile a figure as one group."""
    series = pl.Series("cost", values, dtype=pl.Float64)
    return profile_outcomes(scale, Outcomes(kpis={"cost": series}), np.zeros(len(series), np.int64), 1)[0]


def costs(rows: int, seed: int, factor: float = 1.0) -> np.ndarray:
    """Draw skewed costs."""
    return factor * np.random.default_rng(seed).exponential(10, rows)


SCALE = Scale((), None, kpis=(fit_kpi(pl.Series("cost", costs(3000, 1))),))
BEFORE = profiled(SCALE, costs(3000, 1))


def draft(now: object, kpi: Kpi, before: Profile = BEFORE, scale: Scale = SCALE) -> Draft:
    """Judge one figure."""
    (found,) = judge_kpis({EVERYTHING: before}, {EVERYTHING: profiled(scale, now)}, (kpi,))
    return found


def sealed(found: Draft) -> Verdict:
    """Return the verdict of a run with this test alone."""
    return found.sealed(share_budget(np.array([found.p_value]), 0.05), 0)


def test_mean_and_interval_are_exact() -> None:
    """Of the values that have come; NumPy is the witness, and Student's law."""
    from scipy import stats

    values = costs(400, 2)
    found = draft([*values, None, None], Kpi("cost", "USD")).verdict
    assert found.value == pytest.approx(values.mean())
    expected = stats.t.interval(0.95, 399, values.mean(), stats.sem(values))
    assert found.interval == pytest.approx(expected)
    assert (found.check, found.n_current, found.n_reference) == ("business.cost", 400, 3000)


@pytest.mark.parametrize(
    ("better", "factor", "status"),
    [
        (None, 1.5, "warn"),
        (None, 0.6, "warn"),
        (None, 1.0, "ok"),
        ("lower", 1.5, "fail"),
        ("lower", 0.6, "ok"),
        ("higher", 0.6, "fail"),
        ("higher", 1.5, "ok"),
    ],
)
def test_a_change_fails_the_bad_way_and_warns_where_nobody_said_which_is_bad(
    better: str | None, factor: float, status: str
) -> None:
    """The way that it went is said in any case."""
    found = sealed(draft(costs(3000, 3, factor), Kpi("cost", "USD", better)))
    assert found.status == status
    if factor != 1.0:
        assert f", {'up' if factor > 1 else 'down'} by" in found.reason
        assert ("for the worse" in found.reason) == (status == "fail")


def test_a_change_within_the_margin_is_none() -> None:
    """Four hundred thousand values are sure of three percent more, which would not matter."""
    many = costs(400_000, 4, 1.03)
    assert draft(many, Kpi("cost")).p_value == 1.0


@pytest.mark.parametrize("absurd", [1e12, -1e12, float("inf"), float("nan"), 1e200])
def test_one_absurd_value_neither_hides_nor_makes_a_change(absurd: float) -> None:
    """In either table."""
    for factor, changed in ((1.0, False), (1.5, True)):
        values = costs(3000, 5, factor)
        values[3] = absurd
        assert (draft(values, Kpi("cost")).p_value < 1e-3) == changed
        then = costs(3000, 1)
        then[3] = absurd
        scale = Scale((), None, kpis=(fit_kpi(pl.Series("cost", then)),))
        found = draft(costs(3000, 5, factor), Kpi("cost"), profiled(scale, then), scale)
        assert (found.p_value < 1e-3) == changed


@pytest.mark.statistics
@pytest.mark.parametrize(("before", "now"), [(1000, 60), (60, 1000), (20_000, 100)])
def test_rare_figures_do_not_alarm_by_luck(before: int, now: int) -> None:
    """One sale in fifty, so that sixty predictions often have none: at most 6 % below 5 %, over 400 pairs."""
    rng = np.random.default_rng(6)

    def sample(rows: int) -> list[Profile]:
        sales = pl.Series("cost", (rng.random(rows * 400) < 0.02) * rng.exponential(100, rows * 400))
        return profile_outcomes(scale, Outcomes(kpis={"cost": sales}), np.arange(rows * 400) % 400, 400)

    scale = Scale((), None, kpis=(KpiScale("cost", 2.0, 20.0),))
    then, later = ({(("s", str(at)),): one for at, one in enumerate(sample(rows))} for rows in (before, now))
    p_values = np.array([found.p_value for found in judge_kpis(then, later, (Kpi("cost"),))])
    assert (p_values <= 0.05).mean() <= 0.06


def test_too_few_values_are_said() -> None:
    """Now, in the reference, or on both sides; and a figure that is not on the scale, or never came, is not judged."""
    few = costs(VALUES_MIN - 1, 7)
    assert draft(few, Kpi("cost")).verdict.reason == "49 values are known; 50 are needed"
    found = draft(costs(100, 7), Kpi("cost"), profiled(SCALE, few))
    assert found.verdict.status == "inconclusive"
    assert "the reference has 49 to compare with" in found.verdict.reason
    assert np.isnan(found.p_value)
    empty = {EVERYTHING: Profile.empty(SCALE)}
    assert judge_kpis(empty, empty, (Kpi("cost"), Kpi("income"))) == []
    assert judge_kpis({}, {}, (Kpi("cost"),)) == []


def test_a_constant_figure_that_changes_is_sure() -> None:
    """No spread on either side: what moved has moved."""
    scale = Scale((), None, kpis=(fit_kpi(pl.Series("cost", [5.0] * 100)),))
    then = profiled(scale, [5.0] * 100)
    assert draft([7.0] * 100, Kpi("cost"), then, scale).p_value == 0.0
    assert draft([5.0] * 100, Kpi("cost"), then, scale).p_value == 1.0


def test_what_is_there_and_no_number_is_counted_apart() -> None:
    """Null has not come; NaN, infinite and absurd have, and are summed nowhere."""
    made = profiled(SCALE, [1.0, None, float("nan"), float("inf"), 1e200])
    assert made.counts_of("cost").tolist() == [1, 3]
    assert np.isfinite(made.sums).all()
