"""Distances between profiles are those of `stats`, on the columns' own counts and sums."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from killick.checks.distances import ROWS_MIN, means, moved, movement_metric, movers, stability
from killick.profiles.categorical import CategoricalScale
from killick.profiles.profile import Profile, profile_rows
from killick.profiles.scale import fit_scale
from killick.stats.distances import psi
from killick.stats.moved import share_moved
from tests.checks.worlds import SCALE, a_profile

RNG = np.random.default_rng(8)
BEFORE, AFTER = RNG.normal(50, 10, 4000), RNG.normal(57, 12, 3000)
OLD = a_profile(BEFORE, ["UA"] * 3000 + ["B6"] * 1000)
NEW = a_profile(AFTER, ["UA"] * 1000 + ["B6"] * 1000 + ["XX"] * 500 + [None] * 500)
SCORED = fit_scale(pl.DataFrame({"x": [1.0]}), {"x": "numeric"}, score="score")


def scored(scores: object) -> Profile:
    """Profile scores."""
    table = pl.DataFrame({"score": pl.Series(scores, dtype=pl.Float64)})
    return profile_rows(SCORED, table, np.zeros(table.height, np.int64), 1)[0]


def test_wasserstein_agrees_with_scipy_on_the_rows() -> None:
    """A shift is exact; where the distribution functions cross inside a bin too, it is a close lower bound."""
    from scipy.stats import wasserstein_distance

    spread = SCALE["temp"].spread
    shifted = a_profile(BEFORE + 7.0, ["UA"] * 4000)
    assert moved(SCALE["temp"], [OLD], [shifted])[0] == pytest.approx(7.0 / spread, rel=1e-9)
    exact = wasserstein_distance(BEFORE, AFTER) / spread
    found = moved(SCALE["temp"], [OLD], [NEW])[0]
    assert 0.995 * exact < found <= exact


def test_wasserstein_of_scores_agrees_with_scipy() -> None:
    """A hundred even bins; what is no probability does not count."""
    from scipy.stats import wasserstein_distance

    p, q = RNG.beta(2, 5, 2000), RNG.beta(2, 4, 2000)
    found = moved(SCORED.score, [scored([*p, None, 7.0])], [scored([*q, float("nan")])])[0]
    assert found == pytest.approx(wasserstein_distance(p, q), rel=1e-3)


def test_a_category_moves_by_total_variation() -> None:
    """Other and missing are cells like any other."""
    assert moved(SCALE["carrier"], [OLD], [NEW])[0] == pytest.approx(1 - (1 / 3 + 1 / 4))
    witness = share_moved([3000, 1000, 0, 0, 0], [1000, 1000, 0, 500, 500])
    assert moved(SCALE["carrier"], [OLD], [NEW])[0] == pytest.approx(float(witness))
    assert [movement_metric(SCALE[column]) for column in ("temp", "carrier")] == ["wasserstein", "total_variation"]


def test_stability_counts_missing_as_a_bin() -> None:
    """A column that loses half its values has moved, though those that are left have not."""
    half = a_profile([*BEFORE[:2000], *[None] * 2000], ["UA"] * 4000)
    found = stability("temp", [OLD, OLD], [half, OLD])
    assert found.value[1] == 0
    assert found.value[0] > 1
    assert found.value[0] == pytest.approx(float(psi(OLD.counts_of("temp"), half.counts_of("temp")).value))


@pytest.mark.parametrize("rows", [0, 1, ROWS_MIN - 1, ROWS_MIN])
def test_too_few_values_have_no_distance(rows: int) -> None:
    """On either side; rows without a value do not count as values."""
    few = a_profile([50.0] * rows + [None] * 500, ["UA"] * (rows + 500))
    for pair in (([few], [NEW]), ([NEW], [few])):
        assert np.isnan(moved(SCALE["temp"], *pair)[0]) == (rows < ROWS_MIN)


def test_means_are_those_of_the_usable_values() -> None:
    """NaN where there is none, and for categories."""
    odd = a_profile([10.0, 20.0, None, float("inf"), float("nan"), 1e308], ["UA"] * 6)
    found = means(SCALE["temp"], [OLD, odd, Profile.empty(SCALE)])
    assert found[:2] == pytest.approx([BEFORE.mean(), 15.0])
    assert np.isnan(found[2])
    assert np.isnan(means(SCALE["carrier"], [OLD])).all()
    assert means(SCORED.score, [scored([0.2, 0.4, 9.0, None])]) == pytest.approx([0.3])


def test_movers_are_named_with_their_shares() -> None:
    """The most moved first, cells that stand still are not named, and empty sides do not divide by nothing."""
    scale = CategoricalScale("carrier", ("UA", "B6", "DL"))
    before, after = np.array([50, 30, 20, 0, 0]), np.array([55, 5, 20, 20, 0])
    assert movers(scale, before, after) == "B6 30 % -> 5 %, other 0 % -> 20 %, UA 50 % -> 55 %"
    assert movers(scale, before, after, most=1) == "B6 30 % -> 5 %"
    assert movers(scale, before * 0, before * 0) == ""
    percent = CategoricalScale("c", ("50% off",))
    assert movers(percent, np.array([1, 0, 0]), np.array([0, 1, 0]), most=1) == "50% off 100 % -> 0 %"
