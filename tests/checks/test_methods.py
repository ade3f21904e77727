"""The drift methods: one materiality in eight units, names as people type them, and missing values in each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from scipy import stats

from killick.checks.apart import apart_in
from killick.checks.methods import METHODS, default_method
from killick.checks.watched import Pile, blocks
from killick.errors import CallError
from killick.profiles.categorical import CategoricalScale, fit_categorical
from killick.profiles.numeric import NumericScale, fit_numeric
from killick.profiles.scale import Scale
from killick.spec.document import DRIFT_METHODS, KINDS

if TYPE_CHECKING:
    from killick.stats.distance import Distance

ORDERED = ["kolmogorov_smirnov", "wasserstein"]
LEVEL = np.array([[0.001]])


def side(scale: NumericScale | CategoricalScale, values: list[object] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Counts and sums of one table, as a profile has them."""
    parts = [cells.tally(np.zeros(len(values), np.int64), 1) for cells in scale.cells(pl.Series("x", values))]
    sums = [np.zeros((1, 0))] if isinstance(scale, CategoricalScale) else parts[1:]
    return parts[0], np.concatenate(sums, axis=1)


def distance(name: str, column: NumericScale | CategoricalScale, *tables: tuple[np.ndarray, np.ndarray]) -> Distance:
    """The distance of two tables of one column, `[1]`."""
    scale = Scale((column,))
    piles = [
        Pile(
            scale, np.insert(counts, [0, counts.shape[1]], [counts.sum(), 0], axis=1), np.append(sums, [[0.0]], axis=1)
        )
        for counts, sums in tables
    ]
    return apart_in(next(blocks(scale, [column], 1)), METHODS[name], *piles).distance


def normal(shift: float = 0.0, rows: int = 4000, seed: int = 1) -> np.ndarray:
    """A normal column."""
    return np.random.default_rng(seed).normal(50.0 + 10.0 * shift, 10.0, rows)


SCALE = fit_numeric(pl.Series("x", normal()))
HEALTHY = side(SCALE, normal())


@pytest.mark.parametrize("name", METHODS)
def test_material_is_a_normal_that_moves_by_its_seventh_part(name: str) -> None:
    """A shift of sqrt(0.02) standard deviations, in exact shares, is `material` in every unit, to the digits given."""
    edges = stats.norm.ppf(np.arange(1, 400) / 400)
    scale = NumericScale("x", tuple(edges.tolist()), 0.0, 1.0)
    tables = []
    for shift in (0.0, np.sqrt(0.02)):
        tops = np.concatenate([[-np.inf], edges, [np.inf]]) - shift
        shares, sums = (
            np.diff(stats.norm.cdf(tops)),
            -np.diff(stats.norm.pdf(tops)) + shift * np.diff(stats.norm.cdf(tops)),
        )
        counts = np.append(np.round(shares * 1e12), np.zeros(4)).astype(np.int64)
        tables.append((counts[None], np.append(sums * 1e12, 0.0)[None]))
    assert distance(name, scale, *tables).excess[0, 0] == pytest.approx(METHODS[name].material, rel=0.015)


@pytest.mark.parametrize("name", METHODS)
def test_a_shift_is_found_and_another_sample_is_not(name: str) -> None:
    """0.5 spreads at 4,000 rows; the threshold says what the p-value says."""
    method = METHODS[name]
    for shift, found in ((0.0, False), (0.5, True)):
        drift = distance(name, SCALE, HEALTHY, side(SCALE, normal(shift, seed=2)))
        assert (drift.p_exceeds(method.material)[0, 0] < LEVEL[0, 0]) == found
        assert (drift.excess[0, 0] > drift.reach(method.material, LEVEL)[0, 0]) == found


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("empty", [0.6, 1.0])
def test_a_surge_of_missing_values_is_drift(name: str, empty: float) -> None:
    """60 % of the values turned to null, and all of them."""
    values = normal(seed=3)
    values[: int(empty * len(values))] = np.nan
    drift = distance(name, SCALE, HEALTHY, side(SCALE, values))
    assert drift.p_exceeds(METHODS[name].material)[0, 0] < 1e-6


@pytest.mark.parametrize("name", METHODS)
def test_one_absurd_value_neither_hides_drift_nor_makes_it(name: str) -> None:
    """1e12 in the reference or in the current table: a shift of 0.5 spreads is found, and none is not."""
    absurd, plain = np.append(normal(), 1e12), normal()
    for before, extra in ((absurd, []), (plain, [1e12])):
        scale = fit_numeric(pl.Series("x", before))
        for shift, found in ((0.0, False), (0.5, True)):
            now = side(scale, np.append(normal(shift, seed=4), extra))
            drift = distance(name, scale, side(scale, before), now)
            assert (drift.p_exceeds(METHODS[name].material)[0, 0] < LEVEL[0, 0]) == found, shift


@pytest.mark.parametrize("name", ORDERED)
def test_infinity_is_at_its_end_and_one_kind_of_missing_for_another_is_drift(name: str) -> None:
    """A tenth of minus infinity is a jump of a tenth below all bins; NaN in place of null moved as well."""
    values = normal(seed=5)
    values[:800] = -np.inf
    drift = distance(name, SCALE, HEALTHY, side(SCALE, values))
    assert drift.value[0, 0] == pytest.approx({"kolmogorov_smirnov": 0.2, "wasserstein": 0.5}[name], abs=0.06)
    nulls: list[object] = [None] * 2000 + normal(rows=2000).tolist()
    nans: list[object] = [float("nan")] * 2000 + normal(rows=2000).tolist()
    swapped = distance(name, SCALE, side(SCALE, nulls), side(SCALE, nans))
    assert swapped.p_exceeds(METHODS[name].material)[0, 0] < 1e-6


@pytest.mark.parametrize("name", METHODS)
def test_a_column_without_a_value_and_a_table_without_rows(name: str) -> None:
    """All null on both sides has not moved; without rows nothing is known."""
    scale = fit_numeric(pl.Series("x", [None] * 100, dtype=pl.Float64))
    nothing = side(scale, np.full(100, np.nan))
    drift = distance(name, scale, nothing, nothing)
    assert drift.value[0, 0] == 0
    assert drift.p_exceeds(METHODS[name].material)[0, 0] >= 0.5
    assert not distance(name, SCALE, HEALTHY, side(SCALE, np.empty(0))).known[0, 0]


@pytest.mark.parametrize("name", [name for name in METHODS if name not in ORDERED])
def test_categories_are_compared_by_shares(name: str) -> None:
    """A category that takes over is drift; another draw of the same is none."""
    rng = np.random.default_rng(6)
    draw = [
        rng.choice(["a", "b", "c"], 2000, p=p).tolist() for p in ([0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.3, 0.3, 0.4])
    ]
    scale = fit_categorical(pl.Series("x", draw[0]))
    same, other = (distance(name, scale, side(scale, draw[0]), side(scale, draw[at])) for at in (1, 2))
    assert same.p_exceeds(METHODS[name].material)[0, 0] > 0.05
    assert other.p_exceeds(METHODS[name].material)[0, 0] < 1e-6


@pytest.mark.parametrize("name", ORDERED)
def test_categories_have_no_order(name: str) -> None:
    """The error names what can be used."""
    scale = fit_categorical(pl.Series("x", ["a", "b"]))
    sides = side(scale, ["a", "b"])
    assert METHODS[name].ordered
    with pytest.raises(CallError, match=r"categories have no order for .*use psi, chi_square"):
        distance(name, scale, sides, sides)


@pytest.mark.parametrize("kind", KINDS)
def test_the_default_of_every_kind_fits_it(kind: str) -> None:
    """Whatever a column is, it can be judged without a word in the spec; and every name of the spec is a method."""
    assert kind == "numeric" or not METHODS[default_method(kind)].ordered
    assert tuple(METHODS) == DRIFT_METHODS
