"""How far values moved, the number alone: total variation and Wasserstein-1, for who keeps a history of it.

Promises: both work over any leading dimensions; a bin that is empty on both sides does not count. NaN where one side
has no rows, exactly there and nowhere else, and without a warning. Costs O(bins); nothing is sorted. Their sampling
distributions are in `stats/gaps.py`.

Source: the Wasserstein distance from counts and sums is derived in statistics.md 1.4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from killick.stats.distance import pair_of, shares_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["gaps_of", "share_moved", "way_moved"]


def share_moved(reference: ArrayLike, current: ArrayLike) -> Floats:
    """Return the share of rows that would have to move, in [0, 1]: the total variation.

    Args:
        reference: counts, [..., bins].
        current: counts on the same bins, [..., bins].

    >>> float(share_moved([50, 50], [30, 70]).round(6))
    0.2
    """
    n, m = pair_of(reference, current)
    return _where_known(n, m, 0.5 * np.abs(shares_of(n) - shares_of(m)).sum(axis=-1))


def way_moved(
    edges: ArrayLike,
    reference_counts: ArrayLike,
    reference_sums: ArrayLike,
    current_counts: ArrayLike,
    current_sums: ArrayLike,
) -> Floats:
    """Return how far rows moved on average, in the unit of the column: Wasserstein-1, from counts and sums per bin.

    A lower bound of the distance of the rows themselves, and equal to it wherever the two distribution functions do not
    cross inside a bin: a shift, a change of scale and a longer tail are all exact.

    Args:
        edges: the inner cut points, ascending, [..., bins - 1]; bin j holds `edges[j-1] < x <= edges[j]`. To pad,
            repeat the last edge.
        reference_counts: rows per bin, [..., bins].
        reference_sums: sums of the rows' values per bin, [..., bins].
        current_counts: as for the reference.
        current_sums: as for the reference.

    >>> float(way_moved([2.5, 4.5, 6.5], [2, 2, 2, 2], [3, 7, 11, 15], [1, 2, 2, 3], [2, 7, 11, 24.5]))
    1.0625
    """
    cuts = np.asarray(edges, dtype=np.float64)
    n, m = pair_of(reference_counts, current_counts)
    gap = gaps_of(n, m)
    at_edges = cuts * gap[..., :-1]
    moments = _means(reference_sums, n) - _means(current_sums, m)
    signed = -moments
    signed[..., :-1] += at_edges
    signed[..., 1:] -= at_edges
    return _where_known(n, m, np.abs(signed).sum(axis=-1))


def gaps_of(n: Floats, m: Floats) -> Floats:
    """Return the gap of the two distribution functions above each bin; whole counts make the last one 0."""
    below_n, below_m = np.cumsum(n, axis=-1), np.cumsum(m, axis=-1)
    total_n, total_m = below_n[..., -1:], below_m[..., -1:]
    gaps = below_n / np.where(total_n > 0, total_n, 1.0) - below_m / np.where(total_m > 0, total_m, 1.0)
    return np.asarray(gaps, dtype=np.float64)


def _means(sums: ArrayLike, counts: Floats) -> Floats:
    total = counts.sum(axis=-1, keepdims=True)
    return np.asarray(np.asarray(sums, dtype=np.float64) / np.where(total > 0, total, 1.0), dtype=np.float64)


def _where_known(n: Floats, m: Floats, value: Floats) -> Floats:
    known = (n.sum(axis=-1) > 0) & (m.sum(axis=-1) > 0)
    return np.asarray(np.where(known, value, np.nan), dtype=np.float64)
