"""Sparse cells are merged, and no row is lost."""

from __future__ import annotations

import numpy as np

from killick.checks.evidence import merge_neighbours, merge_rare


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
