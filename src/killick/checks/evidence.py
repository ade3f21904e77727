"""Evidence between two tables: how unlikely what is seen would be if nothing had changed, from counts alone.

Arrays are over the pairs of one column, the whole and each segment: `[pairs, cells]`. Bins are merged until each can be
expected to hold five rows of the smaller side, by the counts of both sides together: who cannot tell the two apart
cannot tilt the test, and PSI then follows its chi-square at 50 rows as it does at a million. Categories that are too
rare for that form one cell with those that the reference never saw, for the same reason: a category that was seen once
there was lucky, and a second sample has others in its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from killick.checks.distances import means_of, way
from killick.profiles.categorical import CategoricalScale
from killick.profiles.numeric import OUTER, NumericScale
from killick.stats.distances import psi, total_variation, wasserstein
from killick.stats.noncentral import noncentral_chi2_sf

if TYPE_CHECKING:
    from killick.checks.verdict import Direction
    from killick.profiles.cells import Floats, Ints
    from killick.stats.distances import PopulationStability

# Expected in each bin on the smaller side: the oldest rule for a chi-square (Cochran 1954), and half a row of smoothing
# then stays small beside it.
_EXPECTED_MIN = 5.0
_STEPS = 12


@dataclass(frozen=True, slots=True)
class Movement:
    """How far a column's values moved, for people; arrays `[pairs]`, NaN where there is no such number.

    `distance` is in spreads of the scale, or the share of rows that changed category.
    """

    distance: Floats
    mean_before: Floats
    mean_now: Floats

    def way(self, at: int) -> Direction | None:
        """Return which way the mean of a pair went; None where there is none, or it stayed."""
        return way(self.mean_before[at], self.mean_now[at])


def merge_neighbours(reference: Ints, current: Ints) -> tuple[Ints, Ints]:
    """Return the counts with sparse cells merged into their neighbours; cells that were merged away hold 0.

    Args:
        reference: counts `[pairs, cells]`, in order.
        current: counts on the same cells.

    >>> merge_neighbours(np.array([[50, 1, 49]]), np.array([[50, 0, 50]]))[0].tolist()
    [[50, 50, 0]]
    """
    both, needed = reference + current, _needed(reference, current)
    group, groups, held = np.zeros(len(both), np.int64), np.zeros(both.shape, np.int64), np.zeros(len(both))
    for cell in range(both.shape[1]):
        groups[:, cell] = group
        held += both[:, cell]
        full = held >= needed
        group, held = group + full, np.where(full, 0.0, held)
    # What is left over at the end is too little for a cell, and joins the last one.
    left = (held > 0) & (group > 0)
    groups -= (groups == group[:, None]) & left[:, None]
    return _gather(reference, groups), _gather(current, groups)


def merge_rare(reference: Ints, current: Ints, other: int) -> tuple[Ints, Ints]:
    """Return the counts with all sparse cells merged into the cell `other`.

    >>> merge_rare(np.array([[90, 9, 1, 0]]), np.array([[90, 8, 0, 2]]), other=3)[1].tolist()
    [[90, 8, 0, 2]]
    """
    rare = reference + current < _needed(reference, current)[:, None]
    rare[:, other] = False
    merged = []
    for counts in (reference, current):
        kept = np.where(rare, 0, counts)
        kept[:, other] += np.where(rare, counts, 0).sum(axis=1)
        merged.append(kept)
    return merged[0], merged[1]


def _needed(reference: Ints, current: Ints) -> Floats:
    """How many rows of both sides a cell needs, for five of the smaller side to be expected in it."""
    n, m = reference.sum(axis=1), current.sum(axis=1)
    return np.asarray(_EXPECTED_MIN * (n + m) / np.maximum(np.minimum(n, m), 1), dtype=np.float64)


def _gather(counts: Ints, groups: Ints) -> Ints:
    pairs, cells = counts.shape
    places = (groups + np.arange(pairs)[:, None] * cells).ravel()
    gathered = np.bincount(places, weights=counts.ravel(), minlength=pairs * cells)
    return gathered.reshape(pairs, cells).astype(np.int64)


def stability_of(scale: NumericScale | CategoricalScale, reference: Ints, current: Ints) -> PopulationStability:
    """Return PSI over the cells that hold enough rows, shape `[pairs]`."""
    if isinstance(scale, CategoricalScale):
        return psi(*merge_rare(reference, current, scale.bins - 1))
    return psi(*merge_neighbours(reference, current))


def smallest_material(drift: PopulationStability, minimum_effect: float, levels: Floats) -> Floats:
    """Return the debiased PSI at which each pair's minimum-effect test would reach its level; NaN where there is none.

    False position (Illinois) on the logarithm of the tail, which is nearly straight: ten steps give six digits.
    """
    known = drift.known & np.isfinite(levels)
    df, noise = np.maximum(drift.bins[known] - 1, 1).astype(float), drift.noise[known]
    shift, wanted = minimum_effect / noise, np.log(levels[known])
    low, high = df + shift, df + shift + 8.0 * np.sqrt(2.0 * df + 4.0 * shift) - 4.0 * wanted
    at_low, at_high = (_log_tail(x, df, shift) - wanted for x in (low, high))
    for _ in range(_STEPS):
        x = (low * at_high - high * at_low) / (at_high - at_low)
        at = _log_tail(x, df, shift) - wanted
        above = at > 0
        # The end that stays is weighed down by half, or it would stay for ever.
        at_high, at_low = np.where(above, at_high / 2.0, at), np.where(above, at, at_low / 2.0)
        low, high = np.where(above, x, low), np.where(above, high, x)
    needed = np.full(drift.value.shape, np.nan)
    needed[known] = np.maximum(high * noise - noise * (drift.bins[known] - 1), 0.0)
    return needed


def _log_tail(x: Floats, df: Floats, shift: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(noncentral_chi2_sf(x, df, shift), 1e-300)))


def movement(scale: NumericScale | CategoricalScale, before: tuple[Ints, Floats], now: tuple[Ints, Floats]) -> Movement:
    """Return how far the values of a column moved, from counts `[pairs, cells]` and sums of each side.

    A value far outside counts as one that lies eight spreads beyond the last edge: one absurd number in a thousand rows
    moves nothing, while a change of unit, which moves all rows, still shows.
    """
    (n0, s0), (n1, s1) = before, now
    unknown = np.full(len(n0), np.nan)
    if isinstance(scale, CategoricalScale):
        return Movement(total_variation(n0, n1), unknown, unknown)
    if not scale.edges:
        return Movement(unknown, unknown, unknown)
    n0, n1 = n0[:, : scale.bins], n1[:, : scale.bins]
    s0, s1 = _bounded(scale, n0, s0[:, : scale.bins]), _bounded(scale, n1, s1[:, : scale.bins])
    distance = wasserstein(np.asarray(scale.edges), n0, s0, n1, s1) / scale.spread
    return Movement(distance, means_of(n0, s0), means_of(n1, s1))


def _bounded(scale: NumericScale, counts: Ints, sums: Floats) -> Floats:
    """Sums by bin, those of the two open bins no further out than eight spreads beyond their edge."""
    reach = OUTER[-1] * scale.spread
    first, last = scale.edges[0], scale.edges[-1]
    bounded = np.array(sums, dtype=np.float64)
    bounded[:, 0] = np.clip(bounded[:, 0], counts[:, 0] * (first - reach), counts[:, 0] * first)
    bounded[:, -1] = np.clip(bounded[:, -1], counts[:, -1] * last, counts[:, -1] * (last + reach))
    return bounded
