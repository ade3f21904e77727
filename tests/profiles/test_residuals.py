"""What labels say of predictions, by bin: each kind of model, and what cannot be known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from killick.profiles.residuals import Outcome, residuals_by_bin, residuals_of
from killick.profiles.scale import fit_scale

ROWS = pl.DataFrame(
    {
        "x": [0.0, 1.0, 2.0, 3.0, None],
        "c": ["a", "b", "a", None, "z"],
        "p": [0.25, 0.5, None, float("nan"), 0.75],
        "y": [True, False, True, None, True],
        "amount": [1.0, 2.0, 1e12, 4.0, None],
        "guess": ["1", "2", "3", None, "5"],
        "class": [1, 3, 3, 4, None],
    }
)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (Outcome("y", "binary", score="p"), [0.75, -0.5, np.nan, np.nan, 0.25]),
        (Outcome("y", "binary"), [1, 0, 1, np.nan, 1]),
        (Outcome("amount", "regression", score="x", bound=10.0), [1.0, 1.0, 10.0, 1.0, np.nan]),
        (Outcome("class", "multiclass", decision="guess"), [1, 0, 1, np.nan, np.nan]),
        (Outcome("class", "multiclass"), [np.nan] * 5),
        (Outcome("nowhere", "binary"), [np.nan] * 5),
        (Outcome("class", "binary", score="p"), [0.75, np.nan, np.nan, np.nan, np.nan]),
    ],
    ids=["binary", "no score", "regression", "classes", "no decision", "no label", "labels that are no 0 or 1"],
)
def test_residuals(outcome: Outcome, expected: list[float]) -> None:
    """NaN where either side is not known."""
    assert residuals_of(ROWS, outcome) == pytest.approx(expected, nan_ok=True)


def test_sums_by_bin_are_those_of_a_group_by() -> None:
    """Rows, sum, sum of squares; Polars is the witness."""
    rng = np.random.default_rng(0)
    words, labels = rng.choice(["a", "b"], 500), rng.uniform(size=500) < 0.3
    table = pl.DataFrame({"x": rng.normal(size=500), "c": words, "y": labels})
    scale = fit_scale(table, {"x": "numeric", "c": "categorical"})
    residuals = residuals_of(table, Outcome("y", "binary"))
    made = residuals_by_bin(table, residuals, scale.columns)
    by = table.group_by("c").agg(pl.len(), pl.col("y").sum().alias("sum"))
    for text, rows, summed in by.iter_rows():
        assert made["c"][:, scale["c"].categories.index(text)].tolist() == [rows, summed, summed]
    assert made["x"].sum(axis=1).tolist() == [500, residuals.sum(), residuals.sum()]
    assert made["x"].shape == (3, scale["x"].counts_width)


def test_a_column_that_is_not_there_has_no_sums() -> None:
    """Nor has a table without a label."""
    scale = fit_scale(ROWS, {"x": "numeric", "c": "categorical"})
    known = residuals_of(ROWS, Outcome("y", "binary"))
    assert not residuals_by_bin(ROWS.drop("x"), known, scale.columns)["x"].any()
    assert not residuals_by_bin(ROWS, np.full(5, np.nan), scale.columns)["c"].any()
