"""Second moments: the correlations that NumPy gives, of the rows that have both values."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from killick.profiles.gram import REACH, Gram
from killick.profiles.scale import fit_scale

KINDS = {"a": "numeric", "b": "numeric", "c": "numeric"}


def rows(seed: int = 0, number: int = 40_000, missing: float = 0.0) -> pl.DataFrame:
    """Three columns of which two go together, and one is far from zero."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=number)
    table = pl.DataFrame({"a": a, "b": 0.6 * a + 0.8 * rng.normal(size=number), "c": 1e6 + rng.gamma(2, 1, number)})
    gaps = pl.Series(rng.uniform(size=number) < missing)
    return table.with_columns(b=pl.when(gaps).then(None).otherwise(pl.col("b")))


SCALES = fit_scale(rows(), KINDS).features


def clipped(table: pl.DataFrame) -> np.ndarray:
    """What the moments are of."""
    columns = [np.clip((table[s.column].to_numpy() - s.centre) / s.spread, -REACH, REACH) for s in SCALES]
    return np.stack(columns)


def test_correlations_are_numpys() -> None:
    """Of values held within four spreads."""
    assert Gram.of(rows(), SCALES).correlations() == pytest.approx(np.corrcoef(clipped(rows())), abs=1e-5)


def test_with_values_missing_each_pair_has_its_own_rows() -> None:
    """Pairwise complete, exactly; the pairs are counted."""
    table = rows(missing=0.3)
    made, known = Gram.of(table, SCALES), table["b"].is_not_null().to_numpy()
    assert made.pairs[0].tolist() == [table.height, known.sum(), table.height]
    assert made.correlations()[1, 2] == pytest.approx(np.corrcoef(clipped(table)[:, known])[1, 2], abs=1e-5)
    assert made.correlations()[0, 2] == pytest.approx(np.corrcoef(clipped(table))[0, 2], abs=1e-5)


@pytest.mark.parametrize("missing", [0.0, 0.2])
def test_batches_add_up_and_subtract(missing: float) -> None:
    """At cuts that are no block's end."""
    table = rows(missing=missing)
    one, other = Gram.of(table[:12_345], SCALES), Gram.of(table[12_345:], SCALES)
    assert one + other == Gram.of(table, SCALES)
    assert (one + other) - other == one
    assert one != other


def test_one_absurd_value_neither_makes_nor_hides_a_correlation() -> None:
    """1e12, infinity, and what overflows a float32."""
    table = rows()
    for value in (1e12, float("inf"), -1e300):
        spoiled = table.with_columns(a=pl.Series([value, *table["a"][1:]]))
        assert Gram.of(spoiled, SCALES).correlations() == pytest.approx(Gram.of(table, SCALES).correlations(), abs=0.01)


def test_what_does_not_vary_has_no_correlation() -> None:
    """A constant, a column that the table lacks, one row, no rows: unknown, and no warning."""
    constant = rows(number=100).with_columns(c=pl.lit(1e6))
    assert np.isnan(Gram.of(constant, SCALES).correlations()[2]).all()
    assert np.isnan(Gram.of(constant.drop("b"), SCALES).correlations()[1]).all()
    assert np.isnan(Gram.of(rows(number=1), SCALES).correlations()).all()
    assert Gram.of(rows(number=0), SCALES) == Gram.empty(3)
