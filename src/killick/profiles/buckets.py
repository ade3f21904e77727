"""Counts of numbers by size, on buckets that no reference has to be there for: sixteen to a doubling, of each sign.

A bucket is the sign, the exponent and the first four bits of a float64, so it is at most 6.25 % wide anywhere between
2e-308 and 2e308. Zero, underflow (nearer to zero than 2.2e-308), each infinity, NaN and *missing* have buckets of their
own. Counts add and subtract exactly. Cost: 2 ms a million values; two numbers for each bucket that is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from killick.profiles.cells import Floats, Ints

_SHIFT = np.uint64(48)
_BUCKETS = 1 << 16
_NEGATIVE = 1 << 15
# Zero and what underflows share their first bits; two of the sixteen places that these have tell them apart.
ZERO, UNDERFLOW = 0, 1
_NORMAL = 16
INFINITY, NAN, MISSING = 0x7FF0, 0x7FF8, 0x7FFF


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """How many values each bucket holds: `ids`, ascending, and `counts`, both int64."""

    ids: Ints
    counts: Ints

    @classmethod
    def empty(cls) -> Buckets:
        """Return the counts of nothing."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64))

    @classmethod
    def of(cls, series: pl.Series) -> Buckets:
        """Count a numeric column's values.

        >>> Buckets.of(pl.Series([0.0, 1.0, 1.01, None])).counts.tolist()
        [1, 2, 1]
        """
        values = series.cast(pl.Float64, strict=False)
        missing = values.null_count()
        numbers = np.ascontiguousarray(values.to_numpy())
        dense = np.bincount((numbers.view(np.uint64) >> _SHIFT).view(np.int64), minlength=_BUCKETS)
        small = int(dense[:_NORMAL].sum() + dense[_NEGATIVE : _NEGATIVE + _NORMAL].sum())
        zeros = len(numbers) - int(np.count_nonzero(numbers)) if small else 0
        unknown = int(dense[INFINITY + 1 : _NEGATIVE].sum() + dense[_NEGATIVE + INFINITY + 1 :].sum())
        for start in (0, INFINITY + 1, _NEGATIVE, _NEGATIVE + INFINITY + 1):
            dense[start : start + _NORMAL] = 0
        dense[[ZERO, UNDERFLOW, NAN, MISSING]] = zeros, small - zeros, unknown - missing, missing
        ids = np.flatnonzero(dense)
        return cls(ids, dense[ids])

    def __add__(self, other: Buckets) -> Buckets:
        return self._joined(other, other.counts)

    def __sub__(self, other: Buckets) -> Buckets:
        return self._joined(other, -other.counts)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Buckets)
            and np.array_equal(self.ids, other.ids)
            and np.array_equal(self.counts, other.counts)
        )

    __hash__ = None  # type: ignore[assignment]  # it holds arrays

    def count(self, bucket: int) -> int:
        """Return how many values a bucket holds, for example `MISSING`."""
        at = int(np.searchsorted(self.ids, bucket))
        return int(self.counts[at]) if at < len(self.ids) and self.ids[at] == bucket else 0

    def quantile(self, q: float) -> float | None:
        """Return a quantile of the finite values, within the width of its bucket; None when there are none.

        >>> Buckets.of(pl.Series([1.0, 10.0, 100.0])).quantile(0.5)
        10.25
        """
        magnitude = self.ids & (_NEGATIVE - 1)
        finite = magnitude < INFINITY
        middles = _middles(self.ids[finite])
        order = np.argsort(middles, kind="stable")
        reached = np.cumsum(self.counts[finite][order])
        if not len(reached) or reached[-1] <= 0:
            return None
        return float(middles[order][np.searchsorted(reached, q * reached[-1])])

    def _joined(self, other: Buckets, counts: Ints) -> Buckets:
        ids, places = np.unique(np.concatenate([self.ids, other.ids]), return_inverse=True)
        summed = np.zeros(len(ids), np.int64)
        np.add.at(summed, places, np.concatenate([self.counts, counts]))
        return Buckets(ids[summed != 0], summed[summed != 0])


def _middles(ids: Ints) -> Floats:
    """The middle of each bucket of finite values; what underflows counts as zero."""
    low = (ids.astype(np.uint64) << _SHIFT).view(np.float64)
    middles = (ids.astype(np.uint64) << _SHIFT | np.uint64(1 << 47)).view(np.float64)
    return np.where((ids & (_NEGATIVE - 1)) < _NORMAL, 0.0 * low, middles)
