"""Shares of two tables: surely more than in the reference, by more than matters, and more than its windows have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

from killick.checks.comparison import Comparison, compare
from killick.checks.quality import MISSING, OUTLIERS, RANGE, UNSEEN
from killick.checks.reference import EVERYTHING, HealthyWindow, Reference
from killick.clock import DAY, Window
from killick.profiles.profile import Profile
from tests.checks.worlds import Learned, judged

if TYPE_CHECKING:
    from killick.checks.verdict import Verdict

ROWS = 2000


def numbers(rng: np.random.Generator, rows: int, *, missing: float = 0.0, far: float = 0.0) -> pl.DataFrame:
    """Draw a column of which these shares are missing, and far away."""
    values = pl.Series(np.where(rng.random(rows) < far, 1e6, rng.normal(size=rows)))
    return pl.DataFrame({"normal 0": values.set(pl.Series(rng.random(rows) < missing, dtype=pl.Boolean), None)})


def share(learned: Learned, check: str, table: pl.DataFrame) -> Verdict:
    """Return what one check says."""
    (verdict,) = (verdict for verdict in judged(learned, table) if verdict.check == check)
    return verdict


def test_a_share_that_grew_fails_with_its_numbers() -> None:
    """The share now, that of the reference, and what would not matter; its surplus is the effect."""
    rng = np.random.default_rng(1)
    learned = Learned(numbers(rng, ROWS, missing=0.1))
    found = share(learned, MISSING, numbers(rng, ROWS, missing=0.2))

    assert (found.status, found.direction) == ("fail", "up")
    assert found.effect == pytest.approx(0.1, abs=0.04)
    assert found.interval is not None
    assert found.interval[0] < 0.2 < found.interval[1]
    assert "in the reference; up to" in found.reason
    assert found.reason.endswith("would not matter")


@pytest.mark.parametrize("check", [RANGE, OUTLIERS])
def test_values_that_are_far_out_are_both_outliers_and_outside(check: str) -> None:
    """Three in a hundred; a reference that had as many is used to them."""
    rng = np.random.default_rng(2)
    clean, dirty = Learned(numbers(rng, ROWS)), Learned(numbers(rng, ROWS, far=0.03))

    assert share(clean, check, numbers(rng, ROWS, far=0.03)).status == "fail"
    assert share(clean, check, numbers(rng, ROWS, far=0.005)).status == "ok"
    assert share(dirty, check, numbers(rng, ROWS, far=0.03)).status == "ok"


def test_few_rows_find_a_surge_and_leave_the_rest_open() -> None:
    """Ten missing values of twenty are no chance; one may be, and none of them does not say that all is well."""
    rng = np.random.default_rng(3)
    learned = Learned(numbers(rng, 300))

    def missing(number: int) -> Verdict:
        values = numbers(rng, 20)["normal 0"].set(pl.Series(np.arange(20) < number), None)
        return share(learned, MISSING, pl.DataFrame({"normal 0": values}))

    assert missing(10).status == "fail"
    assert (missing(1).status, missing(0).status) == ("inconclusive", "inconclusive")
    assert missing(1).reason.endswith("so few rows leave it to chance")
    assert missing(0).reason.endswith("20 rows cannot tell more")
    assert missing(0).p_value is None


def test_what_the_references_own_windows_have_is_usual() -> None:
    """A column that empties every Sunday is left in peace on Sundays, and is not where no window ever emptied."""
    rng = np.random.default_rng(4)
    learned = Learned(numbers(rng, ROWS))

    def missing(*, sundays: float) -> Verdict:
        days = [learned.profile(numbers(rng, 300, missing=sundays if day % 7 == 6 else 0.0)) for day in range(70)]
        windows = tuple(HealthyWindow(Window(k * DAY, (k + 1) * DAY), {EVERYTHING: day}) for k, day in enumerate(days))
        reference = Reference(learned.scale, {EVERYTHING: Profile.merge(learned.scale, days)}, windows)
        now = {EVERYTHING: learned.profile(numbers(rng, 300, missing=0.6))}
        how = Comparison(learned.watched, window=Window(76 * DAY, 77 * DAY), wanted=lambda check: check == MISSING)
        return compare(reference, now, how)[0][0]

    assert missing(sundays=0.6).status == "ok"
    assert "is usual in its own windows" in missing(sundays=0.6).reason
    assert missing(sundays=0.0).status == "fail"


def test_a_second_sample_has_new_values_and_that_is_no_news() -> None:
    """Of ids that are drawn from very many, each table has its own; a list that was complete has none."""
    rng = np.random.default_rng(5)

    def ids(rows: int, kinds: int) -> pl.DataFrame:
        return pl.DataFrame({"few 0": [f"u{at}" for at in rng.integers(0, kinds, rows)]})

    many = Learned(ids(ROWS, 100_000))
    assert share(many, UNSEEN, ids(ROWS, 100_000)).status == "ok"
    complete = Learned(ids(ROWS, 200))
    assert share(complete, UNSEEN, ids(ROWS, 220)).status == "fail"
