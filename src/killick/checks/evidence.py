"""Evidence between two tables: sparse cells merged before a distance is measured, and how far the values moved.

Arrays are over the pairs of a block of columns: `[..., cells]`. Bins are merged until each can be expected to hold five
rows of the smaller side, by the counts of both sides together: who cannot tell the two apart cannot tilt the test, and
a distance then follows its law at 50 rows as it does at a million. Of categories that are too rare for that, those that
a sample of the reference's size is sure to see are put together by lot until they are enough; the others form one cell
with those that the reference never saw: a category that was seen once there was lucky, and a second sample has others
in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from killick.checks.distances import means_of
from killick.stats.moved import share_moved, way_moved

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from killick.checks.watched import Block, Pile
    from killick.profiles.cells import Floats, Ints

# Expected in each bin on the smaller side: the oldest rule for a chi-square (Cochran 1954), and half a row of smoothing
# then stays small beside it.
_EXPECTED_MIN = 5.0
# Any number would do, so long as it stays.
_SEED = 20_130_401


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
    return _gathered(reference, places), _gathered(current, places)


def merge_rare(reference: Ints, current: Ints, other: int) -> tuple[Ints, Ints]:
    """Return the counts with sparse cells merged: those the reference must have seen together, else into `other`.

    Who is merged with whom is drawn once and for all: neither side's counts choose the company that a category is in.

    >>> merge_rare(np.array([[90, 9, 1, 0]]), np.array([[90, 8, 0, 2]]), other=3)[1].tolist()
    [[90, 8, 0, 2]]
    >>> merged = merge_rare(np.array([[300, 300, 300, 0]]), np.array([[2, 3, 4, 0]]), other=3)
    >>> [np.sort(side).tolist() for side in merged]
    [[[0, 0, 0, 900]], [[0, 0, 0, 9]]]
    """
    cells = reference.shape[-1]
    both = (reference + current).reshape(-1, cells)
    needed = _needed(reference, current).reshape(-1, 1)
    rare = both < needed
    rare[:, other] = False
    # A category is on the list because the reference has it: where that was luck, a second sample has another instead.
    sure = both * (reference.sum(axis=-1) / np.maximum(reference.sum(axis=-1) + current.sum(axis=-1), 1)).reshape(-1, 1)
    pooled = rare & (sure >= _EXPECTED_MIN)
    places = np.where(rare & ~pooled, other, np.arange(cells))
    some = np.flatnonzero(pooled.any(axis=1))
    places[some] = _in_groups(places[some], pooled[some], both[some], needed[some, 0], other)
    flat = (places + np.arange(len(both))[:, None] * cells).ravel()
    return _gathered(reference, flat), _gathered(current, flat)


def _in_groups(places: Ints, pooled: NDArray[np.bool_], both: Ints, needed: Floats, other: int) -> Ints:
    """Send each cell that is pooled to the first of its group; what is left over joins the last group that is full."""
    first, held = np.full(len(both), -1), np.zeros(len(both), np.int64)
    last = np.full(len(both), other)
    for cell in np.random.default_rng(_SEED).permutation(both.shape[1]).tolist():
        mine = pooled[:, cell]
        first[mine & (first < 0)] = cell
        places[mine, cell] = first[mine]
        held += np.where(mine, both[:, cell], 0)
        full = held >= needed
        last = np.where(full, first, last)
        first[full], held[full] = -1, 0
    left = (first >= 0)[:, None] & (places == first[:, None])
    return np.where(left, last[:, None], places)


def _gathered(counts: Ints, places: Ints) -> Ints:
    """Return the counts, each added up at its place in the whole array."""
    found = np.bincount(places, weights=counts.ravel(), minlength=counts.size)
    return found.reshape(counts.shape).astype(np.int64)


def _needed(reference: Ints, current: Ints) -> Floats:
    """How many rows of both sides a cell needs, for five of the smaller side to be expected in it."""
    n, m = reference.sum(axis=-1), current.sum(axis=-1)
    return np.asarray(_EXPECTED_MIN * (n + m) / np.maximum(np.minimum(n, m), 1), dtype=np.float64)


def movement(block: Block, reference: Pile, current: Pile) -> Floats:
    """Return how far the values of a block's columns moved, and the means on either side; `[3, pairs, columns]`.

    How far is in spreads of the scale, or the share of rows that changed category. NaN where there is no such number.
    """
    if not block.ordered:
        distance = share_moved(block.counts_in(reference), block.counts_in(current))
        unknown = np.full(distance.shape, np.nan)
        return np.stack([distance, unknown, unknown])
    before, now = block.values_in(reference), block.values_in(current)
    distance = way_moved(block.edges, *before, *now) / block.spread
    return np.stack([distance, means_of(*before), means_of(*now)])
