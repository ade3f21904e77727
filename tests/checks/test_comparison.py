"""Two tables' profiles: as few false alarms as promised, power, and verdicts that say what they mean."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from scipy import stats

from killick.checks.comparison import BUDGET, Comparison, compare
from killick.checks.constancy import CONSTANT
from killick.checks.drift import CHECK
from killick.checks.quality import MISSING, OUTLIERS, UNSEEN
from killick.checks.reference import EVERYTHING, HealthyWindow, Reference
from killick.checks.sharing import Draft
from killick.checks.verdict import Verdict
from killick.checks.watched import Watched
from killick.clock import DAY, Window
from killick.profiles.numeric import fit_numeric
from killick.profiles.profile import Profile, profile_rows
from killick.profiles.scale import Scale
from tests.checks.worlds import Learned, a_table, found, judged

if TYPE_CHECKING:
    from collections.abc import Sequence


def alarmed(learned: Learned, watched: Sequence[Watched], now: Profile) -> bool:
    """Whether anything fails or warns."""
    verdicts, _ = compare(learned.reference, {EVERYTHING: now}, Comparison(tuple(watched)))
    return bool(found(verdicts, "fail", "warn"))


# ------------------------------------------------------------------------------------------------ false alarms, power


@pytest.mark.statistics
@pytest.mark.slow
@pytest.mark.parametrize("before", [(500, 1001), (1000, 5000)])
def test_healthy_tables_keep_the_budget(before: tuple[int, int]) -> None:
    """No failure and no warning in 95 runs of 100, of any check, for few rows and many, one column and a hundred.

    Counted in each cell, and over all sizes together; a cell is condemned when its rate is over the budget with 99.9 %
    confidence.
    """
    rng = np.random.default_rng([7, *before])
    alarms: dict[tuple[int, int, int], list[bool]] = {}
    for rows_before in before * 9:
        learned = Learned(a_table(rng, rows_before, copies=10))
        for rows in (50, 100, 200, 1000):
            now = learned.profile(a_table(rng, rows, copies=10))
            each = learned.watched[::10]
            alarms.setdefault((rows_before, rows, 1), []).extend(alarmed(learned, [one], now) for one in each)
            alarms.setdefault((rows_before, rows, 10), []).append(alarmed(learned, each, now))
            alarms.setdefault((rows_before, rows, 100), []).append(alarmed(learned, learned.watched, now))
    for width in (1, 10, 100):
        alarms[0, 0, width] = [one for cell, found in alarms.items() if cell[2] == width for one in found]

    for cell, alarm in alarms.items():
        surely = stats.beta.ppf(0.001, sum(alarm), len(alarm) - sum(alarm) + 1) if any(alarm) else 0.0
        assert surely <= BUDGET, (cell, sum(alarm), len(alarm))


@pytest.mark.statistics
@pytest.mark.parametrize(
    ("kind", "check"),
    [
        ("shift", CHECK),
        ("scale", CHECK),
        ("rare", CHECK),
        ("empty", MISSING),
        ("outlier", OUTLIERS),
        ("stuck", CONSTANT),
    ],
)
def test_what_matters_is_found(kind: str, check: str) -> None:
    """Among ten columns, 4,000 rows against 2,000: found in nine runs of ten, and hardly anything else is blamed."""
    changes = {
        "shift": ("normal 0", lambda x, _: x + 0.3),
        "scale": ("normal 0", lambda x, _: x * 1.4),
        "rare": ("rare 0", lambda x, fresh: pl.Series(np.where(fresh < 0.08, "v001", x.to_numpy()))),
        "empty": ("count 0", lambda x, fresh: x.set(pl.Series(fresh < 0.04), None)),
        "outlier": ("normal 0", lambda x, fresh: x.set(pl.Series(fresh < 0.03), 40.0)),
        "stuck": ("skewed 0", lambda x, _: x * 0 + 1.5),
    }
    column, change = changes[kind]
    rng = np.random.default_rng([11, len(kind)])
    hits, others = 0, 0
    for _ in range(10):
        learned, current = Learned(a_table(rng, 4000)), a_table(rng, 2000)
        moved = current.with_columns(change(current[column], rng.uniform(size=2000)).alias(column))
        failed = found(judged(learned, moved))
        hits += (check, column) in failed
        others += any(name != column for _, name in failed)

    assert hits >= 9
    assert others <= 2


@pytest.mark.statistics
def test_windows_that_differ_are_no_drift() -> None:
    """Days that wander more than rows can are excused by days that always did; rows alone would call them drift."""
    rng = np.random.default_rng(3)
    scale = Scale((fit_numeric(pl.Series("x", rng.normal(0, 1.05, 50_000))),))
    watched = (Watched("x", "numeric", scale.columns, scale.columns[0]),)

    def days(number: int) -> list[Profile]:
        values = rng.normal(np.repeat(rng.normal(0, 0.3, number), 2000), 1)
        return profile_rows(scale, pl.DataFrame({"x": values}), np.repeat(np.arange(number), 2000), number)

    past = days(40)
    windows = tuple(HealthyWindow(Window(k * DAY, (k + 1) * DAY), {EVERYTHING: day}) for k, day in enumerate(past))
    reference = Reference(scale, {EVERYTHING: Profile.merge(scale, past)}, windows)

    def failures(known: Reference, window: Window | None) -> int:
        how = Comparison(watched, window=window)
        return sum(bool(found(compare(known, {EVERYTHING: day}, how)[0])) for day in days(30))

    assert failures(reference, Window(40 * DAY, 41 * DAY)) <= 5
    assert failures(replace(reference, windows=()), Window(40 * DAY, 41 * DAY)) >= 10
    assert failures(reference, None) == 0, "rows without times cannot be held to windows, and warn"


@pytest.mark.parametrize("rows", [0, 1, 20, 60])
@pytest.mark.parametrize("before", [1, 49, 500])
def test_unknown_is_a_value(before: int, rows: int) -> None:
    """Every number of every verdict is finite or absent, whatever is empty, and too few rows are inconclusive."""
    rng = np.random.default_rng(13)
    learned, table = Learned(a_table(rng, before)), a_table(rng, rows)
    nothing = table.with_columns(pl.lit(None, dtype=pl.Float64).alias("normal 0"))
    absurd = table.with_columns(pl.lit(math.inf).alias("heavy 0"), pl.lit(math.nan).alias("skewed 0"))
    for one in (table, nothing, absurd):
        for v in judged(learned, one):
            numbers = [v.value, v.threshold, v.effect, v.p_value, v.p_adjusted, *(v.interval or ())]
            assert all(number is None or math.isfinite(number) for number in numbers), v
            assert v.reason
            assert not re.search(r"(is|above|by|to|most|->) nan", v.reason)
            assert v.check != CHECK or (v.status == "inconclusive") == (min(before, rows) < 50 or _alone(v))


def _alone(verdict: Verdict) -> bool:
    return "a value of its own" in verdict.reason


def test_every_verdict_comes_once_and_in_order() -> None:
    """Drift first, a column after the other, then shares, constants, and what others brought; the same each time."""
    rng = np.random.default_rng(1)
    learned, table = Learned(a_table(rng, 500)), a_table(rng, 500)
    now = {EVERYTHING: learned.profile(table), (("s", "new"),): learned.profile(table)}
    draft = Draft(Verdict(check="performance.realised", metric="log_loss", status="ok", reason="fine"), 1e-9)
    verdicts, tests = compare(learned.reference, now, Comparison(learned.watched), [draft])
    names = [w.column for w in learned.watched]

    assert [v.column for v in verdicts[: len(names)]] == names
    assert tests == len(verdicts) - 1
    assert len({(v.check, v.column, v.segment) for v in verdicts}) == len(verdicts)
    assert (verdicts[-2].status, verdicts[-1].status) == ("fail", "inconclusive")
    assert verdicts == compare(learned.reference, now, Comparison(learned.watched), [draft])[0]


def test_only_what_is_wanted_is_judged_and_costs_budget() -> None:
    """A check that nobody asked for makes no test."""
    rng = np.random.default_rng(1)
    learned = Learned(a_table(rng, 500))
    now = {EVERYTHING: learned.profile(a_table(rng, 500))}
    verdicts, tests = compare(learned.reference, now, Comparison(learned.watched, wanted=lambda name: name == MISSING))

    assert {v.check for v in verdicts} == {MISSING}
    assert tests == len(learned.watched)


def test_a_new_value_of_a_long_list_is_unseen() -> None:
    """A twentieth of rows in one unknown value, among four categories or among hundreds; nothing else is new."""
    rng = np.random.default_rng(9)
    learned, current = Learned(a_table(rng, 4000)), a_table(rng, 4000)
    new = pl.int_range(4000) % 20 == 0
    moved = current.with_columns(
        pl.when(new).then(pl.lit("new")).otherwise(pl.col(c)).alias(c) for c in ("few 0", "zipf 0")
    )

    failed = found(judged(learned, moved))

    assert {column for check, column in failed if check == UNSEEN} == {"few 0", "zipf 0"}
    assert any("changed category, most: " in v.reason for v in judged(learned, moved) if v.column == "zipf 0")


def test_segments_are_judged_apart() -> None:
    """A shift in one segment fails there and is called by its name; the others hold."""
    rng = np.random.default_rng(12)
    learned = Learned(a_table(rng, 3000))
    parts = {(("s", name),): learned.profile(a_table(rng, 1500)) for name in "abc"}
    moved = a_table(rng, 1500).with_columns(pl.col("normal 0") + 1)
    reference = Reference(learned.scale, dict(parts))
    now = {key: learned.profile(moved if key == (("s", "b"),) else a_table(rng, 1500)) for key in parts}

    verdicts, _ = compare(reference, now, Comparison(learned.watched))

    assert {(v.column, v.segment) for v in verdicts if v.status == "fail" and v.check == CHECK} == {
        ("normal 0", (("s", "b"),))
    }
