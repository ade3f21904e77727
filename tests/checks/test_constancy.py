"""Columns that stand still: found where they varied, left in peace where they hardly did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from killick.checks.constancy import CONSTANT
from tests.checks.worlds import Learned, judged

if TYPE_CHECKING:
    from killick.checks.verdict import Verdict


def constants(before: list[object], now: list[object], kind: str = "normal") -> Verdict:
    """Judge whether a single column is constant."""
    learned = Learned(pl.DataFrame({f"{kind} 0": before}))
    (verdict,) = (
        v
        for v in judged(
            learned,
            pl.DataFrame({f"{kind} 0": now}, schema={f"{kind} 0": pl.Float64 if kind == "normal" else pl.String}),
        )
        if v.check == CONSTANT
    )
    return verdict


def test_a_column_that_stands_still_is_found() -> None:
    """All the same number or category where there were many; a bin that is full of different numbers is no constant."""
    rng = np.random.default_rng(3)
    varied = rng.normal(size=500).tolist()
    assert constants(varied, [0.31] * 100).status == "fail"
    assert constants(varied, [1e9] * 100).status == "fail"
    assert constants(varied, [*[0.31] * 99, None]).status == "fail"
    assert constants(["a", "b"] * 250, ["a"] * 100, "few").status == "fail"
    inside = constants(varied, (100 + rng.normal(size=100)).tolist())
    assert (inside.status, inside.value) == ("ok", 0.99)
    assert constants(["a", "b"] * 250, ["new"] * 50 + ["newer"] * 50, "few").status == "ok"


def test_numbers_that_floats_cannot_tell_apart_are_not_called_the_same() -> None:
    """A hundred ids near 1e18, of which float64 knows eight; of smaller ones no more is told than is known."""
    rng = np.random.default_rng(3)
    before = rng.integers(0, 2**62, 500).tolist()
    ids = constants(before, [10**18 + at % 100 for at in range(2_000)])
    assert (ids.status, ids.reason) == ("ok", "at most 99.95 % of 2,000 values are the same")
    near = constants(rng.normal(size=500).tolist(), (0.31 + 1e-6 * rng.normal(size=100)).tolist())
    assert "all 100 values are the same but for a ten-thousandth of the reference's spread at most" in near.reason


def test_a_column_that_hardly_ever_differed_may_stand_still() -> None:
    """One row in five hundred, or none; and too few rows are not known."""
    assert constants(["a"] * 498 + ["b", "b"], ["a"] * 100, "few").status == "ok"
    same = constants([2.0] * 500, [2.0] * 100)
    assert (same.status, same.threshold) == ("ok", None)
    assert "as they were in the reference" in same.reason
    rng = np.random.default_rng(3)
    assert constants(rng.normal(size=500).tolist(), [0.31] * 20).status == "inconclusive"
    assert constants(rng.normal(size=500).tolist(), rng.normal(size=20).tolist()).status == "inconclusive"
