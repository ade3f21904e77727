"""Counts by size: every kind of number has its place, and sums of counts are counts of sums."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.profiles.buckets import INFINITY, MISSING, NAN, UNDERFLOW, ZERO, Buckets

NUMBERS = st.lists(st.none() | st.floats(allow_subnormal=True), max_size=30)


def counted(values: list[float | None]) -> Buckets:
    """Count a list."""
    return Buckets.of(pl.Series(values, dtype=pl.Float64))


@given(NUMBERS, NUMBERS)
def test_counts_add_up_and_subtract(one: list, other: list) -> None:
    """Whatever the numbers."""
    assert counted(one) + counted(other) == counted(one + other)
    assert (counted(one) + counted(other)) - counted(other) == counted(one)
    assert counted(one) - counted(one) == Buckets.empty() == counted([])


@given(NUMBERS)
def test_every_value_is_counted_once_where_it_belongs(values: list) -> None:
    """Against a look at each."""
    made, known = counted(values), [v for v in values if v is not None]
    tiny = np.finfo(float).tiny
    assert made.counts.sum() == len(values)
    assert made.count(MISSING) == len(values) - len(known)
    assert made.count(NAN) == sum(np.isnan(v) for v in known)
    assert made.count(ZERO) == sum(v == 0 for v in known)
    assert made.count(UNDERFLOW) == sum(0 < abs(v) < tiny for v in known)
    assert made.count(INFINITY) == sum(v == np.inf for v in known)


@pytest.mark.parametrize("q", [0.0, 0.01, 0.3, 0.5, 0.9, 1.0])
def test_a_quantile_is_within_the_width_of_its_bucket(q: float) -> None:
    """Both signs, ten orders of magnitude."""
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(0, 6, 5_001)) * rng.choice([-1, 1], 5_001)
    exact = np.quantile(values, q, method="inverted_cdf")
    assert counted(values.tolist()).quantile(q) == pytest.approx(exact, rel=0.0625)


def test_without_a_finite_value_there_is_no_quantile() -> None:
    """Unknown is None."""
    assert counted([None, float("nan"), float("inf")]).quantile(0.5) is None


def test_whole_numbers_count_as_numbers() -> None:
    """64-bit ids too."""
    made = Buckets.of(pl.Series([0, 1, 2**63 - 1, None]))
    assert (made.count(ZERO), made.count(MISSING), made.counts.sum()) == (1, 1, 4)
