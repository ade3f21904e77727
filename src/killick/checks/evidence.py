"""Evidence between two tables: sparse cells merged before a distance is measured, and how far the values moved.

Arrays are over the pairs of a block of columns: `[..., cells]`. Bins are merged until each can be expected to hold five
rows of the smaller side, by the counts of both sides together: who cannot tell the two apart cannot tilt the test, and
a distance then follows its law at 50 rows as it does at a million. Categories that are too rare for that form one cell
with those that the reference never saw, for the same reason: a category that was seen once there was lucky, and a
second sample has others in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from killick.stats.moved import total_variation, wasserstein

if TYPE_CHECKING:
    from killick.checks.watched import Block, Pile
    from killick.profiles.cells import Floats, Ints

# Expected in each bin on the smaller side: the oldest rule for a chi-square (Cochran 1954), and half a row of smoothing
# then stays small beside it.
_EXPECTED_MIN = 5.0


def merge_neighbours(reference: Ints, current: Ints) -> tuple[Ints, Ints]:
    """Return the counts with sparse cells merged into their neighbours; cells that were merged away hold 0.

    Args:
        reference: counts `[..., cells]`, in order.
        current: counts on the same cells.

    >>> merge_neighbours(np.array([[50, 1, 49]]), np.array([[50, 0, 50]]))[0].tolist()
    [[50, 50, 0]]
    """
    cells = reference.shape[-1]
    needed = _needed(reference, current).ravel()
    # A cell after the other, each a row: the walk along the cells then reads memory in order.
    both = np.ascontiguousarray((reference + current).reshape(-1, cells).T)
    groups = np.empty(both.shape, np.int64)
    group, held = np.zeros(len(needed), np.int64), np.zeros(len(needed), np.int64)
    for cell in range(cells):
        groups[cell] = group
        held += both[cell]
        full = held >= needed
        group += full
        held *= ~full
    # What is left over at the end is too little for a cell, and joins the last one.
    left = (held > 0) & (group > 0)
    groups -= (groups == group) & left
    places = (groups.T + np.arange(len(needed))[:, None] * cells).ravel()
    before, now = (
        np.bincount(places, weights=counts.ravel(), minlength=counts.size).reshape(counts.shape).astype(np.int64)
        for counts in (reference, current)
    )
    return before, now


def merge_rare(reference: Ints, current: Ints, other: int) -> tuple[Ints, Ints]:
    """Return the counts with all sparse cells merged into the cell `other`.

    >>> merge_rare(np.array([[90, 9, 1, 0]]), np.array([[90, 8, 0, 2]]), other=3)[1].tolist()
    [[90, 8, 0, 2]]
    """
    rare = reference + current < _needed(reference, current)[..., None]
    rare[..., other] = False
    merged = []
    for counts in (reference, current):
        kept = np.where(rare, 0, counts)
        kept[..., other] += counts.sum(axis=-1) - kept.sum(axis=-1)
        merged.append(kept)
    return merged[0], merged[1]


def _needed(reference: Ints, current: Ints) -> Floats:
    """How many rows of both sides a cell needs, for five of the smaller side to be expected in it."""
    n, m = reference.sum(axis=-1), current.sum(axis=-1)
    return np.asarray(_EXPECTED_MIN * (n + m) / np.maximum(np.minimum(n, m), 1), dtype=np.float64)


def movement(block: Block, reference: Pile, current: Pile) -> Floats:
    """Return how far the values of a block's columns moved, and the means on either side; `[3, pairs, columns]`.

    How far is in spreads of the scale, or the share of rows that changed category. NaN where there is no such number.
    """
    if not block.ordered:
        distance = total_variation(block.counts_in(reference), block.counts_in(current))
        unknown = np.full(distance.shape, np.nan)
        return np.stack([distance, unknown, unknown])
    before, now = block.values_in(reference), block.values_in(current)
    distance = wasserstein(block.edges, *before, *now) / block.spread
    return np.stack([distance, _means(*before), _means(*now)])


def _means(counts: Ints, sums: Floats) -> Floats:
    """The mean of each column, NaN where nothing was counted."""
    rows = counts.sum(axis=-1)
    return np.asarray(np.divide(sums.sum(axis=-1), rows, out=np.full(rows.shape, np.nan), where=rows > 0))
