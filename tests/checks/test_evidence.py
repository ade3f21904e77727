"""Sparse cells are merged, and no row is lost."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from killick.checks.evidence import merge_neighbours, merge_rare
from killick.stats.distances import psi


def test_merged_cells_hold_the_same_rows_on_both_sides() -> None:
    """Rows are never lost, each cell that is left is expected to hold five, and cells that were full stay."""
    rng = np.random.default_rng(5)
    before, now = rng.poisson(3, (200, 2, 30)), rng.poisson(1, (200, 2, 30))
    needed = 5 * (before.sum(-1) + now.sum(-1)) / np.minimum(before.sum(-1), now.sum(-1))
    for n, m in (merge_neighbours(before, now), merge_rare(before, now, 3)):
        assert (n.sum(-1) == before.sum(-1)).all()
        assert (m.sum(-1) == now.sum(-1)).all()
    n, m = merge_neighbours(before, now)
    assert (((n + m) >= needed[..., None]) | (n + m == 0)).all()


def test_rare_categories_are_put_together_and_stay_testable() -> None:
    """A hundred even categories of which two are left: seen from fifty rows on, though none could be judged alone."""
    before = np.concatenate([[0], np.random.default_rng(1).multinomial(10_000, np.full(100, 0.01))])[None]
    now = np.zeros_like(before)
    now[0, [4, 51]] = 25
    merged = merge_rare(before, now, 0)
    assert (merged[0] + merged[1] > 0).sum() > 5
    assert psi(*merged).p_exceeds(0.02)[0] < 1e-9


def test_what_hardly_any_sample_would_see_twice_stays_with_the_unknown() -> None:
    """Categories of the reference that were lucky to be seen: a larger second sample has others in their place."""
    before, now = np.array([[0, 480, 10, 1, 1, 1]]), np.array([[60, 4_800, 100, 10, 10, 10]])
    assert merge_rare(before, now, 0)[0].tolist() == [[3, 480, 10, 0, 0, 0]]


@pytest.mark.statistics
@pytest.mark.parametrize(("rows", "current"), [(10_000, 60), (10_000, 200), (2_000, 200), (500, 500), (500, 5_000)])
@pytest.mark.parametrize("power", [0.0, 1.0, 1.5])
def test_lists_of_rare_categories_keep_the_level(rows: int, current: int, power: float) -> None:
    """Even and uneven lists of a hundred, the reference's commonest first, as a scale has them."""
    shares = np.arange(1.0, 101.0) ** -power
    rng = np.random.default_rng([8, rows, current])
    before, now = (rng.multinomial(n, shares / shares.sum(), 1_000) for n in (rows, current))
    order = np.argsort(-before, axis=1, kind="stable")
    before, now = np.take_along_axis(before, order, axis=1), np.take_along_axis(now, order, axis=1)
    other = np.where(before == 0, now, 0).sum(axis=1, keepdims=True)
    listed = np.hstack([0 * other, before]), np.hstack([other, np.where(before == 0, 0, now)])
    alarms = (psi(*merge_rare(*listed, 0)).p_exceeds() < 0.05).sum()
    assert alarms <= binom.ppf(0.9999, 1_000, 0.06)
