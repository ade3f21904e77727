"""A change of unit is told from ordinary drift, and a hint is given only where one factor explains all values."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from killick.checks.factors import unit_factor
from killick.profiles.buckets import Buckets

TABLES = {
    "prices": lambda rng, rows: rng.lognormal(3.0, 0.8, rows),
    "delays": lambda rng, rows: rng.normal(5.0, 40.0, rows),
    "distances": lambda rng, rows: rng.gamma(2.0, 400.0, rows),
    "temperatures": lambda rng, rows: rng.normal(14.0, 9.0, rows),
    "counts": lambda rng, rows: rng.poisson(4.0, rows).astype(float),
}
CHANGES = {
    "a hundredth": lambda x: x / 100,
    "1,000 times": lambda x: x * 1_000,
    "a million times": lambda x: x * 1e6,
    "seconds for minutes": lambda x: x * 60,
    "hours for seconds": lambda x: x / 3_600,
    "seconds for days": lambda x: x * 86_400,
}
WORLD = np.random.default_rng(7)


def told(before: np.ndarray, now: np.ndarray) -> str | None:
    """What is said of two columns."""
    return unit_factor(Buckets.of(pl.Series(before)), Buckets.of(pl.Series(now)))


@pytest.mark.parametrize("table", [table for table in TABLES if table != "counts"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_unit_is_named(table: str, change: str) -> None:
    """Of other rows than the reference's, and few of them; counts of a handful have too few values to be sure by."""
    make = TABLES[table]
    for rows in (800, 20_000):
        said = told(make(WORLD, 20_000), CHANGES[change](make(WORLD, rows)))
        assert said is not None, (table, change, rows)
        assert change in said


@pytest.mark.parametrize("table", TABLES)
def test_what_did_not_change_has_no_factor(table: str) -> None:
    """Nor has what is a few times larger, or shifted by one spread or sixty, or spread out more."""
    make = TABLES[table]
    before = make(WORLD, 20_000)
    spread = before.std()
    for rows in (60, 400, 20_000):
        now = make(WORLD, rows)
        shifted = [now + far * spread for far in (0.5, -1.0, 3.0, 60.0)]
        for moved in (now, now * 1.05, now * 1.8 + 32, now * 8, now / 5, *shifted, 1.3 * (now - now.mean())):
            assert told(before, moved) is None, (table, rows)


def test_a_shift_of_values_that_lie_close_together_is_no_factor() -> None:
    """A mean of 1000 for one of 10 with the same spread is no change to cents."""
    for spread in (0.1, 1.0, 3.0):
        now = WORLD.normal(1_000.0, spread, 5_000)
        assert told(WORLD.normal(10.0, spread, 5_000), now) is None


@pytest.mark.parametrize(
    "values",
    [
        np.empty(0),
        np.array([1.0]),
        np.full(500, np.nan),
        np.full(500, np.inf),
        np.zeros(500),
        np.full(500, 7.0),
        np.concatenate([np.full(500, np.nan), [1.0]]),
        np.concatenate([np.arange(500.0), [1e12, np.inf, np.nan]]),
    ],
)
def test_what_says_nothing_says_nothing(values: np.ndarray) -> None:
    """No rows, one, none that is a number, one value only: there is no factor, in either direction."""
    prices = TABLES["prices"](WORLD, 500)
    assert told(values, values) is None
    assert told(prices, values) is None
    assert told(values, prices) is None
