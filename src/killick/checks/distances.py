"""How far apart two profiles are in one column: the numbers that drift verdicts are made of.

Population stability (PSI) is about shares of bins: it sees new support, a spike, a surge of missing values (missing is
a bin). Wasserstein-1, in spreads of the scale, is about how far values moved; it never saturates. For a category, where
no distance between values exists, total variation stands in its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from killick.profiles.categorical import CategoricalScale
from killick.profiles.numeric import NumericScale
from killick.profiles.outcomes import SCORE_BINS, ScoreScale
from killick.profiles.profile import stack
from killick.stats.distances import Divergence, psi
from killick.stats.moved import share_moved, way_moved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.checks.verdict import Direction
    from killick.profiles.cells import Floats, Ints
    from killick.profiles.profile import Profile
    from killick.profiles.scale import ColumnScale

# Fewer rows than this say little about twenty bins: a healthy day of fifty already shows a Wasserstein of 0.2 spreads.
ROWS_MIN = 50


def stability(column: str, references: Sequence[Profile], currents: Sequence[Profile]) -> Divergence:
    """Return PSI of each pair of profiles, missing values being a bin; arrays of shape `[pairs]`."""
    return psi(stack(references, column)[0], stack(currents, column)[0])


def moved(
    scale: ColumnScale, references: Sequence[Profile], currents: Sequence[Profile], rows_min: int = ROWS_MIN
) -> Floats:
    """Return how far values moved, shape `[pairs]`: Wasserstein-1 in spreads, or total variation for a category.

    NaN where either side has fewer than `rows_min` values.
    """
    (n0, s0), (n1, s1) = stack(references, scale.column), stack(currents, scale.column)
    enough = (n0[:, : scale.bins].sum(axis=1) >= rows_min) & (n1[:, : scale.bins].sum(axis=1) >= rows_min)
    if isinstance(scale, NumericScale):
        edges = np.asarray(scale.edges)
        bins = scale.bins
        distance = way_moved(edges, n0[:, :bins], s0[:, :bins], n1[:, :bins], s1[:, :bins]) / scale.spread
    elif isinstance(scale, ScoreScale):
        edges = np.arange(1, SCORE_BINS) / SCORE_BINS
        distance = way_moved(edges, n0[:, :SCORE_BINS], s0, n1[:, :SCORE_BINS], s1)
    else:
        distance = share_moved(n0, n1)
    return np.where(enough, distance, np.nan)


def movement_metric(scale: ColumnScale) -> str:
    """Return what `moved` computes for a column."""
    return "total_variation" if isinstance(scale, CategoricalScale) else "wasserstein"


def means(scale: ColumnScale, profiles: Sequence[Profile]) -> Floats:
    """Return each profile's mean of a numeric column or score, NaN where there is none; shape `[profiles]`."""
    counts, sums = stack(profiles, scale.column)
    if not sums.shape[1]:
        return np.full(len(profiles), np.nan)
    bins = min(scale.bins, sums.shape[1])
    return means_of(counts[:, :bins], sums[:, :bins])


def means_of(counts: Ints, sums: Floats) -> Floats:
    """Return the mean from counts and sums by bin, `[..., bins]`; NaN where nothing was counted; shape `[...]`."""
    rows = counts.sum(axis=-1)
    found: Floats = np.divide(sums.sum(axis=-1), rows, out=np.full(rows.shape, np.nan), where=rows > 0)
    return found


def way(before: float, now: float) -> Direction | None:
    """Return which way a mean went; None where there is none, or it stayed.

    >>> way(1.0, 2.0), way(2.0, 1.0), way(1.0, 1.0), way(float("nan"), 1.0)
    ('up', 'down', None, None)
    """
    if not (np.isfinite(before) and np.isfinite(now)) or before == now:
        return None
    return "up" if now > before else "down"


def movers(scale: ColumnScale, reference: Ints, current: Ints, most: int = 3) -> str:
    """Name the cells whose shares moved most, in words.

    >>> from killick.profiles.categorical import CategoricalScale
    >>> scale = CategoricalScale("carrier", ("UA", "B6"))
    >>> movers(scale, np.array([50, 50, 0, 0]), np.array([90, 10, 0, 0]), most=1)
    'UA 50 % -> 90 %'
    """
    return movers_of(scale, reference[None], current[None], most)[0]


def movers_of(scale: ColumnScale, references: Ints, currents: Ints, most: int = 3) -> list[str]:
    """Name the cells that moved most in each of several pairs of counts, `[pairs, cells]`."""
    before, now = (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1) for counts in (references, currents))
    order = np.argsort(-np.abs(now - before), axis=1, kind="stable")[:, :most]
    cells = (order, *(np.take_along_axis(shares, order, axis=1) for shares in (before, now)))
    return [
        ", ".join(
            f"{scale.label(cell)} {100 * p:.0f} % -> {100 * q:.0f} %"
            for cell, p, q in zip(*pair, strict=True)
            if p != q
        )
        for pair in zip(*(part.tolist() for part in cells), strict=True)
    ]
