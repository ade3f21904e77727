"""How far apart two tables are in a block of columns: the drift methods, on many columns and segments at once.

What each method is fit for, and from where on it matters, is said in `checks/methods.py`; here the cells of a block are
put into the order that it needs, and what it tells is put into the unit that people know it by. Costs O(cells).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from killick.checks.evidence import merge_neighbours, merge_rare
from killick.checks.methods import METHODS
from killick.errors import CallError, Mistake
from killick.stats import gaps
from killick.stats.distances import Divergence

if TYPE_CHECKING:
    from killick.checks.methods import Method
    from killick.checks.watched import Block, Pile
    from killick.profiles.cells import Floats, Ints
    from killick.stats.distance import Distance

# The share of a normal's rows that a small shift moves is the shift over this many spreads.
_SPREADS_PER_SHARE = math.sqrt(2.0 * math.pi)


@dataclass(frozen=True, slots=True)
class Apart:
    """The distances of a block's columns, `[profiles, columns]`, and how many cells the rows were enough for.

    `value` is raw, as people know the metric; tests, intervals and histories are about the excess: what is left of it
    when the luck of the samples is taken off.
    """

    method: Method
    distance: Distance
    cells: Ints

    @property
    def value(self) -> Floats:
        """The metric as people know it; of the chi-square family Cohen's w, which does not grow with the rows."""
        found = self.distance
        if isinstance(found, Divergence) and self.method.name in ("chi_square", "g_test"):
            return np.asarray(np.sqrt(found.statistic))
        return found.value

    def value_at(self, excess: Floats) -> Floats:
        """Return the value that has this excess, at these sizes."""
        found = self.distance
        if isinstance(found, Divergence):
            statistic = (found.unit * excess**2 if found.unit else excess) + found.noise * (found.bins - 1)
            return np.asarray(np.sqrt(statistic / found.unit) if found.unit else statistic)
        return np.hypot(excess, found.noise)  # type: ignore[attr-defined]


def apart_in(block: Block, method: Method, before: Pile, now: Pile) -> Apart:
    """Return how far apart two piles of profiles are.

    Args:
        block: the columns.
        method: one that fits them.
        before: the reference, `[profiles]` or one for all.
        now: the current profiles.

    Raises:
        CallError: the method needs an order, and the columns have none.
    """
    if method.ordered and not block.ordered:
        known = ", ".join(name for name, other in METHODS.items() if not other.ordered)
        raise CallError(Mistake("drift", f"categories have no order for {method.name}", hint=f"use {known}"))
    cells = np.full((len(now.counts), len(block.at)), 2)
    if method.family is None:
        return Apart(method, _wasserstein(block, before, now), cells)
    if method.ordered:
        return Apart(method, method.family(block.ranked_in(before), block.ranked_in(now)), cells)
    # Of the reference one may stand for all.
    n, m = np.broadcast_arrays(block.counts_in(before), block.counts_in(now))
    clean = merge_neighbours(n, m) if block.ordered else merge_rare(n, m, 0)
    return Apart(method, method.family(*clean), ((clean[0] + clean[1]) > 0).sum(axis=-1))


def _wasserstein(block: Block, before: Pile, now: Pile) -> Distance:
    """The distance of the values, and of the shares that are none, in spreads."""
    shares = gaps.total_variation(*(block.kinds_in(side) for side in (before, now)))
    missing = gaps.scaled(shares, _SPREADS_PER_SHARE)
    values = gaps.wasserstein(block.edges, *block.values_in(before), *block.values_in(now), block.spread)
    # A table of which no value is left still says so by its missing ones.
    return gaps.sum_of(missing, values)
