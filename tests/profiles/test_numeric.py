"""Numeric columns: bins against numpy and by hand, atoms, outliers, ranges, and what is no number."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.profiles.numeric import LARGEST, ODD, NumericScale, fit_numeric, outside
from killick.profiles.profile import Profile, profile_rows
from killick.profiles.scale import Scale

RNG = np.random.default_rng(5)
NORMAL = RNG.normal(10.0, 2.0, 20_000)
HAND = NumericScale("x", (0.0, 1.0, 2.0), 1.0, 0.5, 0.0, 2.0)


def profile(scale: NumericScale, values: object) -> Profile:
    """Profile one column."""
    series = values if isinstance(values, pl.Series) else pl.Series("x", values, dtype=pl.Float64)
    table = pl.DataFrame({"x": series})
    return profile_rows(Scale((scale,)), table, np.zeros(table.height, np.int64), 1)[0]


def test_bins_are_right_closed_and_the_outer_ones_open() -> None:
    """By hand: an edge belongs to the bin below it."""
    made = profile(HAND, [-5.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.0000001, 99.0])
    assert made.counts_of("x").tolist() == [2, 2, 2, 2, 0, 0, 0, 0]
    assert made.sums_of("x")[:4] == pytest.approx([-5.0, 1.5, 3.5, 101.0000001])
    assert made.sums_of("x")[4] == pytest.approx(
        ((np.array([-5, 0, 0.5, 1, 1.5, 2, 2.0000001, 99]) - 1) / 0.5)
        @ ((np.array([-5, 0, 0.5, 1, 1.5, 2, 2.0000001, 99]) - 1) / 0.5)
    )


def test_counts_and_sums_agree_with_numpys_histogram() -> None:
    """Shifting every edge by one ulp turns numpy's left-closed bins into ours."""
    scale = fit_numeric(pl.Series("x", NORMAL))
    made = profile(scale, NORMAL)
    edges = np.concatenate([[-np.inf], np.nextafter(scale.edges, np.inf), [np.inf]])
    counts, _ = np.histogram(NORMAL, edges)
    sums, _ = np.histogram(NORMAL, edges, weights=NORMAL)
    assert made.counts_of("x")[: scale.bins].tolist() == counts.tolist()
    assert made.sums_of("x")[: scale.bins] == pytest.approx(sums)
    assert scale.label(0).startswith("<= ")
    assert scale.label(scale.bins - 1).startswith("> ")
    assert [scale.label(scale.bins + at) for at in range(4)] == [word.replace("_", " ") for word in ODD]


@given(st.lists(st.floats(width=64), min_size=1, max_size=5), st.integers(1, 40))
def test_many_rows_are_binned_as_few_are(awkward: list[float], distinct: int) -> None:
    """The scan over edges, which large blocks take, finds the bins that a binary search finds."""
    values = np.concatenate([np.resize(awkward, 9000), np.arange(40_000) % distinct, NORMAL])
    scale = fit_numeric(pl.Series("x", np.arange(100) % distinct))
    whole = profile(scale, values)
    parts = [profile(scale, part) for part in np.array_split(values, 20)]
    assert np.array_equal(whole.counts, Profile.merge(whole.scale, parts).counts)
    usable = values[np.abs(values) <= LARGEST]
    index = np.searchsorted(scale.edges, usable)
    assert whole.counts_of("x")[: scale.bins].tolist() == np.bincount(index, minlength=scale.bins).tolist()


def test_inner_bins_hold_even_shares_of_the_reference() -> None:
    """Twenty quantiles of a smooth column hold a twentieth each, but for what outer edges cut off."""
    scale = fit_numeric(pl.Series("x", NORMAL))
    shares = profile(scale, NORMAL).counts_of("x")[: scale.bins] / len(NORMAL)
    assert np.isclose(shares, 0.05, atol=0.001).sum() >= 18


def test_an_atom_has_a_bin_of_its_own() -> None:
    """Rain that is 0 on most days is one bin, with nothing beside it in it."""
    rain = np.concatenate([np.zeros(700), RNG.exponential(1.0, 300)])
    scale = fit_numeric(pl.Series("x", rain))
    counts = profile(scale, rain).counts_of("x")
    assert counts.max() == 700
    only_zero = profile(scale, [0.0] * 7).counts_of("x")
    near = profile(scale, [np.nextafter(0, 1), 1e-9, -1e-9]).counts_of("x")
    assert (only_zero > 0).sum() == 1
    assert not (only_zero * near).any()


def test_an_outlier_in_the_reference_moves_no_inner_bin() -> None:
    """One value of 1e12 among 20,000: the inner edges and the spread stay what they were."""
    clean = fit_numeric(pl.Series("x", NORMAL))
    dirty = fit_numeric(pl.Series("x", np.append(NORMAL, 1e12)))
    inner = [edge for edge in clean.edges if 5 < edge < 15]
    assert sum(np.isclose(dirty.edges, edge, atol=0.01).any() for edge in inner) == len(inner)
    assert dirty.spread == pytest.approx(clean.spread, rel=0.01)
    assert dirty.centre == pytest.approx(clean.centre, rel=0.01)


def test_bins_go_on_beyond_the_reference() -> None:
    """1, 2, 4 and 8 spreads below and above: a change of unit falls into bins that tell how far it went."""
    scale = fit_numeric(pl.Series("x", NORMAL))
    least, most = NORMAL.min(), NORMAL.max()
    for spreads in (1, 2, 4, 8):
        assert np.isclose(scale.edges, most + spreads * scale.spread).any()
        assert np.isclose(scale.edges, least - spreads * scale.spread).any()
    shifts = [profile(scale, NORMAL + far * scale.spread).counts_of("x").argmax() for far in (0, 10, 13, 20)]
    assert len(set(shifts[1:])) > 1
    assert min(shifts[1:]) > shifts[0]


@pytest.mark.parametrize("declared", [None, (5.0, 15.0), (0.0, 100.0), (9.999, 10.001), (-np.inf, 12.0)])
def test_what_lies_outside_the_range_is_counted_exactly(declared: tuple[float, float] | None) -> None:
    """The ends are inclusive; without a declared range it is that of the reference."""
    scale = fit_numeric(pl.Series("x", NORMAL), declared)
    low, high = declared or (NORMAL.min(), NORMAL.max())
    ends = [end for edge in (low, high) if np.isfinite(edge) for end in (edge, np.nextafter(edge, -np.inf))]
    values = np.concatenate([NORMAL * 1.2 - 2, ends, [np.nextafter(high, np.inf), -1e9, 1e9]])
    counts = profile(scale, values).counts_of("x")
    assert outside(scale, counts) == ((values < low) | (values > high)).sum()


def test_a_declared_range_holds_where_the_reference_is_empty() -> None:
    """An operator's range is known even of a column that had no value yet."""
    scale = fit_numeric(pl.Series("x", [None, None], dtype=pl.Float64), (0.0, 1.0))
    counts = profile(scale, [-0.1, 0.0, 0.5, 1.0, 1.1, None]).counts_of("x")
    assert outside(scale, counts) == 2


def test_what_is_no_number_is_counted_apart() -> None:
    """Missing, NaN and the infinities are four things, none of them in a bin, nor in a sum."""
    made = profile(HAND, [None, None, None, float("nan"), float("nan"), float("-inf"), float("inf"), 1.5])
    assert made.rows == 8
    assert made.counts_of("x").tolist() == [0, 0, 1, 0, 3, 2, 1, 1]
    assert made.sums_of("x").tolist() == [0.0, 0.0, 1.5, 0.0, 1.0]


def test_what_could_not_be_squared_counts_as_infinite() -> None:
    """1e308 twice would be infinity, and infinity cannot be taken away again: sums stay numbers."""
    made = profile(HAND, [1e308, 1e308, -1e308, 1.5])
    assert made.counts_of("x").tolist() == [0, 0, 1, 0, 0, 0, 1, 2]
    assert np.isfinite(made.sums).all()
    assert made - made == Profile.empty(made.scale)


@pytest.mark.parametrize(
    ("series", "kinds"),
    [
        (pl.Series("x", ["1.5", "x", None]), [0, 0, 1, 0, 1, 1, 0, 0]),
        (pl.Series("x", [[1.5], [2.0], None]), [0, 0, 0, 0, 1, 2, 0, 0]),
        (pl.Series("x", [True, False, None]), [1, 1, 0, 0, 1, 0, 0, 0]),
        (pl.Series("x", [1, 2, None], dtype=pl.UInt8), [0, 1, 1, 0, 1, 0, 0, 0]),
        (pl.Series("x", [None, None, None]), [0, 0, 0, 0, 3, 0, 0, 0]),
    ],
    ids=["text", "lists", "booleans", "small integers", "nothing"],
)
def test_a_column_that_changed_its_type_is_still_counted(series: pl.Series, kinds: list[int]) -> None:
    """Upstream may send text or lists one day: what is no number is counted as such, and nothing raises."""
    assert profile(HAND, series).counts_of("x").tolist() == kinds


def test_a_column_that_is_absent_counts_as_missing_in_every_row() -> None:
    """A feed that drops a column is a burst of missing values, not a crash."""
    table = pl.DataFrame({"other": [1, 2, 3]})
    (made,) = profile_rows(Scale((HAND,)), table, np.zeros(3, np.int64), 1)
    assert made.counts_of("x").tolist() == [0, 0, 0, 0, 3, 0, 0, 0]


@pytest.mark.parametrize(
    "values",
    [
        [0.1] * 1000,
        [5.0, 5.0],
        [0.0, 10.0],
        [1e308, -1e308] * 10,
        [5e-324, 0.0],
        [1e99, -1e99],
        [-0.0, 0.0],
        [float("nan"), float("inf")],
        [],
        [7.0],
    ],
    ids=str,
)
def test_every_scale_is_made_of_numbers(values: list[float]) -> None:
    """Constants, two rows, huge, tiny and no values: edges ascend, the spread is positive, all are finite."""
    scale = fit_numeric(pl.Series("x", values[:20] if len(set(values)) > 1 else values, dtype=pl.Float64))
    numbers = [*scale.edges, scale.centre, scale.spread, scale.low, scale.high]
    assert np.isfinite(numbers).all()
    assert scale.spread > 0
    assert list(scale.edges) == sorted(set(scale.edges))


def test_a_constants_rounding_is_no_spread() -> None:
    """0.1 a thousand times has a standard deviation of 1e-17 in float64; effects must not be divided by it."""
    assert fit_numeric(pl.Series("x", [0.1] * 1000)).spread == 1.0
