"""Correlations: quiet on every healthy table, and a column that was shuffled is found by name."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats

from killick.checks.correlation import MATERIAL, judge_correlation
from killick.profiles.census import Questions, take_census
from killick.profiles.scale import fit_scale
from tests.checks.rates import failed, sealed, surely_more_than_promised

COLUMNS = ("a", "b", "c", "d")


def asked_of(table: pl.DataFrame) -> Questions:
    """Ask for the correlations of all columns."""
    return Questions(numeric=fit_scale(table, dict.fromkeys(COLUMNS, "numeric")).features)


def drafts(before: pl.DataFrame, now: pl.DataFrame) -> list:
    """Judge two tables."""
    asked = asked_of(before)
    return judge_correlation(take_census(before, asked), take_census(now, asked))


def normal(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Two columns that go together, and two that go their own way."""
    z = rng.normal(size=(rows, 4))
    z[:, 1] = 0.7 * z[:, 0] + 0.7 * z[:, 1]
    return z


def wild(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Heavy tails on the same days: not correlated, and yet far from independent."""
    return rng.standard_t(3, size=(rows, 4)) * np.exp(rng.normal(size=rows))[:, None]


def ties(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Counts of few values, and two rare flags whose every meeting is a leap."""
    flags = rng.uniform(size=(rows, 2)) < (0.02, 0.1)
    return np.column_stack([rng.poisson(0.3, rows), rng.integers(0, 3, rows), flags])


def skewed(rng: np.random.Generator, rows: int) -> np.ndarray:
    """Amounts that go together over three orders of magnitude, with values missing."""
    z = np.exp(normal(rng, rows))
    z[rng.uniform(size=z.shape) < 0.2] = np.nan
    return z


@pytest.mark.statistics
@pytest.mark.parametrize(("before", "now"), [(50, 50), (50, 5_000), (1_000, 200), (5_000, 50), (1_000, 1_000)])
@pytest.mark.parametrize("world", [normal, wild, ties, skewed])
def test_equal_worlds_fail_no_more_often_than_promised(world, before: int, now: int) -> None:
    """At 5 % over all columns."""

    def run(rng: np.random.Generator) -> list:
        return drafts(*(pl.DataFrame(world(rng, rows), schema=list(COLUMNS)) for rows in (before, now)))

    assert not surely_more_than_promised(run, runs=60, seed=2)


def table(rows: int, seed: int) -> pl.DataFrame:
    """A healthy table."""
    return pl.DataFrame(normal(np.random.default_rng(seed), rows), schema=list(COLUMNS))


def test_a_shuffled_column_is_found_and_named_with_its_pair() -> None:
    """Each column alone is as it was."""
    now = table(1_000, 2).with_columns(pl.col("b").shuffle(seed=3))
    found = {verdict.column: verdict for verdict in sealed(drafts(table(2_000, 1), now))}
    assert {name for name, verdict in found.items() if verdict.status == "fail"} == {"a", "b"}
    assert found["a"].direction == "down"
    before, after = (np.corrcoef(rows["a"], rows["b"])[0, 1] for rows in (table(2_000, 1), now))
    assert found["a"].effect == pytest.approx(after - before, abs=0.01)
    assert found["a"].reason == f"correlation with b {before:.2f} -> {after:.2f}; a change of 0.1 would not matter"


def test_a_change_that_does_not_matter_is_none_at_any_number_of_rows() -> None:
    """0.05 at a hundred thousand rows: sure, and no matter."""
    rng = np.random.default_rng(4)
    z = rng.normal(size=(100_000, 4))
    before = pl.DataFrame(z, schema=list(COLUMNS))
    z[:, 1] = 0.05 * z[:, 0] + np.sqrt(1 - 0.05**2) * z[:, 1]
    now = pl.DataFrame(z, schema=list(COLUMNS))
    assert not failed(drafts(before, now))
    assert {draft.p_value for draft in drafts(before, now)} == {1.0}


def test_the_p_value_is_fishers_for_normal_values() -> None:
    """Against SciPy's normal on Fisher's scale; no pair of normal columns is far wider than that."""
    before, now = table(3_000, 5), table(3_000, 6).with_columns(pl.col("b") + 0.4 * pl.col("c"))
    asked = asked_of(before)
    sides = [take_census(side, asked).moments.correlations()[2, 1] for side in (before, now)]
    gap = np.arctanh(sides[1]) - np.arctanh(sides[0] + MATERIAL)
    witness = 2 * stats.norm.sf(gap / np.sqrt(2 / 2_997)) * 3
    p_value = {draft.verdict.column: draft.p_value for draft in drafts(before, now)}["c"]
    assert np.log(p_value) == pytest.approx(np.log(witness), rel=0.1)


def test_what_cannot_be_known_is_inconclusive() -> None:
    """Constant columns, few rows, no rows, nothing but missing values; a lone column has no verdict."""
    rows = table(200, 7)
    for now in (rows[:20], rows[:0], rows.with_columns(pl.lit(None).cast(float).alias(c) for c in COLUMNS)):
        assert {verdict.status for verdict in sealed(drafts(rows, now))} == {"inconclusive"}
    constant = rows.with_columns(a=pl.lit(1.0))
    found = {verdict.column: verdict for verdict in sealed(drafts(rows, constant))}
    assert found["a"].status == "inconclusive"
    assert "varies enough" in found["a"].reason
    assert found["b"].status == "ok"
    lone = Questions(numeric=fit_scale(rows, {"a": "numeric"}).features)
    assert judge_correlation(take_census(rows, lone), take_census(rows, lone)) == []
