"""What a column is watched through, and the profiles of two tables as arrays that hold many columns at once.

Most columns have cells of their own. One that has not (text, a time, an embedding, a list of more than a hundred
categories) is watched through *facets*: columns derived from it, such as a text's length or the hash buckets of a long
list. A column has one drift verdict, however many facets it has.

Cost: numbers of a hundred columns in fifty segments are made by one call each, not by five thousand. Columns of one
family stand side by side in a `Block`, padded to the widest with cells that are empty on both sides, which no distance
counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from killick.profiles.categorical import CategoricalScale
from killick.profiles.numeric import ODD, NumericScale

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from killick.profiles.cells import Floats, Ints
    from killick.profiles.profile import Profile
    from killick.profiles.scale import Scale
    from killick.spec.document import Kind

Comparable: TypeAlias = NumericScale | CategoricalScale

# No value is taken to be further out, in spreads from the centre: one absurd number in a thousand rows of either table
# then moves a mean by 0.016 spreads, while a change of unit, which moves all rows, still shows.
REACH = 16.0
# What is worked on at once: beyond a few megabytes an array leaves the core's cache, and every step waits for memory.
_BLOCK_CELLS = 1 << 18


@dataclass(frozen=True, slots=True)
class Watched:
    """How a column is judged.

    Attributes:
        column: what verdicts call it.
        kind: what it holds.
        facets: the scales that are tested for drift; of an ordinary column, its own alone.
        shown: the scale whose cells and distance are told: an ordinary column's own, a long list's commonest
            categories. None: those of the facet that moved most.
        method: the name of the drift method.
        seen: of a long list, the scale with a single category, of the values that the reference has anywhere, whose
            *other* are new.
        new_share: the share of rows that may be new in a second sample (`stats.shares.expected_new`).
        whole: the scale that counts missing values, where the first facet does not.
        declared: whether the operator said what its range is; a learned one is left by every new season.
    """

    column: str
    kind: Kind
    facets: tuple[Comparable, ...]
    shown: Comparable | None
    method: str = "psi"
    seen: CategoricalScale | None = None
    new_share: float = 0.0
    whole: Comparable | None = None
    declared: bool = False

    @property
    def counted(self) -> Comparable:
        """The scale that counts the column's rows and missing values."""
        return self.whole or self.facets[0]

    @property
    def plain(self) -> Comparable | None:
        """The column's own scale, when it is watched through no other."""
        return self.facets[0] if self.facets == (self.shown,) else None


def gappy_columns(columns: Sequence[Watched], label: str | None) -> frozenset[str]:
    """Return the columns of the scale whose missing values say nothing.

    Labels may not have come yet; and of a column's facets only the first is asked of every row.
    """
    asked_of_some = {facet.column for watched in columns for facet in watched.facets[1:]}
    return frozenset(asked_of_some | ({label} if label else set()))


@dataclass(frozen=True, slots=True)
class Pile:
    """Profiles one below the other: counts and sums, `[profiles, numbers]`, and a last column of zeros."""

    scale: Scale
    counts: Ints
    sums: Floats

    @property
    def rows(self) -> Ints:
        """How many rows each profile has, `[profiles]`."""
        return self.counts[:, 0]

    def counts_of(self, column: str) -> Ints:
        """Return a column's counts, `[profiles, cells]`."""
        return self.counts[:, self.scale.counts[column]]

    def sums_of(self, column: str) -> Floats:
        """Return a column's sums, `[profiles, cells]`."""
        return self.sums[:, self.scale.sums[column]]


def pile(scale: Scale, profiles: Sequence[Profile]) -> Pile:
    """Return profiles as one array of counts and one of sums."""
    counts = np.zeros((len(profiles), scale.counts_width + 1), np.int64)
    sums = np.zeros((len(profiles), scale.sums_width + 1))
    for at, profile in enumerate(profiles):
        counts[at, :-1], sums[at, :-1] = profile.counts, profile.sums
    return Pile(scale, counts, sums)


@dataclass(frozen=True, slots=True)
class Block:
    """Columns of one family side by side.

    Attributes:
        at: which of the columns that were asked for these are.
        ordered: whether cells are in the order of values; else the first cell is *other*.
        cells: where each cell stands in a profile's counts, `[columns, cells]`.
        bins: where each bin of values stands, `[columns, bins]`.
        sums: where its sum stands.
        odd: where each kind of what is no value stands, `[columns, kinds]`; none for categories.
        edges: the upper end of each bin but the last, `[columns, bins - 1]`, none beyond `REACH`.
        centre: of each column, `[columns]`.
        spread: its unit, NaN for what has no edges, `[columns]`.
        listed: whether a column is a list of more than one category, `[columns]`.
    """

    at: tuple[int, ...]
    ordered: bool
    cells: Ints
    bins: Ints
    sums: Ints
    odd: Ints
    edges: Floats
    centre: Floats
    spread: Floats
    listed: NDArray[np.bool_]

    def counts_in(self, held: Pile) -> Ints:
        """Return the counts of every cell, missing values among them, `[profiles, columns, cells]`."""
        return held.counts[:, self.cells]

    def ranked_in(self, held: Pile) -> Ints:
        """Return the counts from least to largest: minus infinity, the bins, infinity, then what has no place."""
        missing, nan, least, most = (held.counts[:, self.odd[:, [at]]] for at in range(len(ODD)))
        return np.concatenate([least, held.counts[:, self.bins], most, nan, missing], axis=-1)

    def kinds_in(self, held: Pile) -> Ints:
        """Return the counts of values together, then of each kind of what is none."""
        values = held.counts[:, self.bins].sum(axis=-1, keepdims=True)
        return np.concatenate([values, held.counts[:, self.odd]], axis=-1)

    def values_in(self, held: Pile) -> tuple[Ints, Floats]:
        """Return counts and sums of the bins of values, `[profiles, columns, bins]`; no value counts beyond `REACH`."""
        counts, reach = held.counts[:, self.bins], REACH * self.spread
        low, high = (self.centre - reach)[:, None], (self.centre + reach)[:, None]
        return counts, np.clip(held.sums[:, self.sums], counts * low, counts * high)


def blocks(
    scale: Scale, columns: Sequence[Comparable], pairs: int, gappy: frozenset[str] = frozenset()
) -> Iterator[Block]:
    """Put columns into blocks, by family and by how many cells they have.

    Args:
        scale: whose columns they are.
        columns: what to measure.
        pairs: how many profiles will be measured at once: it bounds how many columns go together.
        gappy: the columns whose missing values do not count (`gappy_columns`).
    """
    families: dict[tuple[bool, int], list[int]] = {}
    for at, column in enumerate(columns):
        # Within a doubling, so that a list of a hundred does not make every flag a hundred cells wide.
        family = isinstance(column, NumericScale), column.counts_width.bit_length()
        families.setdefault(family, []).append(at)
    for (ordered, _), members in families.items():
        widest = max(columns[at].counts_width for at in members)
        each = max(_BLOCK_CELLS // max(widest * pairs, 1), 1)
        for start in range(0, len(members), each):
            chosen = tuple(members[start : start + each])
            yield _block(scale, chosen, [columns[at] for at in chosen], gappy, ordered=ordered)


def _block(
    scale: Scale, at: tuple[int, ...], columns: Sequence[Comparable], gappy: frozenset[str], *, ordered: bool
) -> Block:
    # The last count and the last sum of a pile are zero: there points what a column has not, or what does not count.
    no_count, no_sum = scale.counts_width, scale.sums_width
    number, bins = len(columns), max(2, *(column.bins for column in columns))
    cells = np.full((number, max(column.counts_width for column in columns)), no_count)
    held, sums = np.full((number, bins), no_count), np.full((number, bins), no_sum)
    odd = np.full((number, len(ODD) if ordered else 0), no_count)
    edges, centre, spread = np.zeros((number, bins - 1)), np.zeros(number), np.full(number, np.nan)
    for row, column in enumerate(columns):
        start = scale.counts[column.column].start
        own = np.arange(start, start + column.counts_width)
        if column.column in gappy:
            own[column.bins :] = no_count
        held[row, : column.bins] = own[: column.bins]
        if isinstance(column, CategoricalScale):
            # *Other* first, where every list has it at the same place.
            own[: column.bins] = np.roll(own[: column.bins], 1)
        else:
            odd[row] = own[column.bins :]
            if column.edges:
                sums[row, : column.bins] = scale.sums[column.column].start + np.arange(column.bins)
                centre[row], spread[row] = column.centre, column.spread
                edges[row], edges[row, : column.bins - 1] = column.edges[-1], column.edges
        cells[row, : len(own)] = own
    listed = np.array([isinstance(column, CategoricalScale) and len(column.categories) > 1 for column in columns])
    reach = np.nan_to_num(REACH * spread)[:, None]
    edges = np.clip(edges, centre[:, None] - reach, centre[:, None] + reach)
    return Block(at, ordered, cells, held, sums, odd, edges, centre, spread, listed)
