"""A sketch says what a set of all values would, exactly while it is small and within its error beyond."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from killick.profiles.sketch import EVERY, Sketch, spread_evenly

# Hashes that collide with one another often, at a capacity that they overflow.
HASHES = st.lists(st.integers(0, 40).map(lambda k: k * 2**58 // 41 * 17), max_size=60)
CAPACITY = 8


def sketch(hashes: list[int], capacity: int = CAPACITY) -> Sketch:
    """Sketch a list of hashes."""
    return Sketch.of(np.array(hashes, np.uint64), capacity)


def hashes_of(values: object) -> np.ndarray:
    """Hash values as a census does."""
    return pl.Series(values).hash(0).to_numpy()


def kept_as(hashes: list[int]) -> list[int]:
    """What a sketch makes of hashes before it compares them."""
    return spread_evenly(np.array(hashes, np.uint64)).tolist()


@given(st.lists(HASHES, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_any_split_in_any_order_is_the_whole(parts: list[list[int]], chance) -> None:
    """The threshold is the smallest hash that did not fit, whoever met it first."""
    whole = sketch([one for part in parts for one in part])
    chance.shuffle(parts)
    summed = Sketch.empty(CAPACITY)
    for part in parts:
        summed += sketch(part)
    assert summed == whole
    backwards = sketch(parts[-1])
    for part in reversed(parts[:-1]):
        backwards = sketch(part) + backwards
    assert backwards == whole


@given(HASHES, HASHES)
def test_what_is_subtracted_is_gone_below_the_threshold(one: list[int], other: list[int]) -> None:
    """Exactly, and the threshold stays: what it forgot does not come back."""
    both = sketch(one) + sketch(other)
    left = both - sketch(other)
    kept = Counter(kept_as(one))
    assert left.theta == both.theta
    assert left.rows == len(one)
    below = {h: n for h, n in kept.items() if h < both.theta}
    assert dict(zip(left.hashes.tolist(), left.counts.tolist(), strict=True)) == below


@given(HASHES)
def test_it_keeps_the_smallest_hashes_and_how_often_they_came(hashes: list[int]) -> None:
    """Against a Counter of everything."""
    every = sorted(Counter(kept_as(hashes)).items())
    made = sketch(hashes)
    assert made.theta == (every[CAPACITY][0] if len(every) > CAPACITY else EVERY)
    assert list(zip(made.hashes.tolist(), made.counts.tolist(), strict=True)) == every[:CAPACITY]


def test_long_lists_are_taken_in_blocks_and_nothing_is_lost() -> None:
    """Several blocks, more distinct values than fit: the same as sorting everything."""
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**63, 50_000, dtype=np.uint64)[rng.integers(0, 50_000, 300_000)] * np.uint64(2)
    distinct, counts = np.unique(spread_evenly(hashes), return_counts=True)
    made = Sketch.of(hashes, 1_000)
    assert made.theta == distinct[1_000]
    assert np.array_equal(made.hashes, distinct[:1_000])
    assert np.array_equal(made.counts, counts[:1_000])
    assert made.rows == 300_000


@pytest.mark.parametrize("values", [range(100_000), [k * 2.0**20 for k in range(100_000)]], ids=["ids", "multiples"])
def test_distinct_is_within_its_error(values: object) -> None:
    """Of values as regular as ids are; four standard errors."""
    estimate = Sketch.of(hashes_of(values), 1_024).distinct()
    assert estimate.error == pytest.approx(100_000 / np.sqrt(1_024), rel=0.1)
    assert abs(estimate.value - 100_000) < 4 * estimate.error


def test_hashes_of_rows_are_spread_evenly() -> None:
    """Polars' own are not: two columns of words leave some ranges emptier than others."""
    rng = np.random.default_rng(0)
    one, other = rng.choice(list("abcdefghij"), (2, 200_000))
    hashes = pl.DataFrame({"real": rng.gamma(2, 1, 200_000), "one": one, "other": other}).hash_rows(0).to_numpy()
    raw, even = (np.bincount((h >> np.uint64(58)).astype(int), minlength=64) for h in (hashes, spread_evenly(hashes)))
    assert stats.chisquare(raw).pvalue < 1e-9
    assert stats.chisquare(even).pvalue > 1e-4


def test_rarefaction_is_what_drawing_fewer_rows_gives() -> None:
    """Mean over many draws without replacement, of distinct values, of repeats, and of values that come k times."""
    rng = np.random.default_rng(2)
    values = np.minimum(rng.zipf(1.6, 2_000), 500)
    made = Sketch.of(hashes_of(values), 4_096)
    draws = [np.unique(rng.choice(values, 300, replace=False), return_counts=True)[1] for _ in range(300)]
    assert made.distinct_among(300).value == pytest.approx(np.mean([len(d) for d in draws]), rel=0.01)
    assert made.repeats_among(300).value == pytest.approx(np.mean([300 - len(d) for d in draws]), rel=0.01)
    for times in (1, 2, 3):
        drawn = np.mean([(counts == times).sum() for counts in draws])
        assert made.came_among(times, 300).value == pytest.approx(drawn, rel=0.06)
    assert made.distinct_among(300).error == 0.0


def test_a_sampled_rarefaction_is_within_its_error() -> None:
    """A sketch that keeps a twentieth of the distinct values, against one that keeps all."""
    values = np.arange(40_000) // np.random.default_rng(3).integers(1, 5, 40_000)
    every, few = (Sketch.of(hashes_of(values), capacity) for capacity in (1 << 20, 1_024))
    for ask in (Sketch.distinct_among, Sketch.repeats_among):
        estimate, truth = ask(few, 9_000), ask(every, 9_000)
        assert truth.error == 0.0
        assert 0 < abs(estimate.value - truth.value) < 4 * estimate.error


def test_without_repeats_there_are_none_however_few_are_kept() -> None:
    """Rows minus distinct would have the sketch's error of three in a hundred."""
    assert Sketch.of(hashes_of(range(50_000)), 1_024).repeats_among(50_000) == (0.0, 0.0)


def test_nothing_has_nothing_distinct() -> None:
    """No division by no rows."""
    nothing = Sketch.empty(4)
    assert nothing.distinct() == (0.0, 0.0)
    assert nothing.distinct_among(10) == (0.0, 0.0)
    assert nothing.came_among(1, 10) == (0.0, 0.0)
