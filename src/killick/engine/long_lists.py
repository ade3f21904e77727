"""Columns with more categories than a scale knows: cities, agents, products.

Two columns are put beside such a one before it is profiled: each value's hash bucket, and whether the reference has the
value anywhere. Which bucket a value falls into has nothing to do with how common it was, so buckets can be compared
where "the hundred commonest of the reference" cannot (`checks.comparison.LongList`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from killick.checks.comparison import LongList
from killick.profiles.categorical import CATEGORIES_MAX, CategoricalScale, as_text
from killick.stats.shares import expected_new

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from killick.profiles.scale import Scale

# As many as a numeric column has bins: enough to see one category come or go, few enough to be filled by a few hundred.
_BUCKETS = 32
_SEEN, _NEW = "seen", "new"


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a column in the reference, and the names of the two columns that are put beside it."""

    values: pl.Series
    new_share: float
    buckets: CategoricalScale
    seen: CategoricalScale

    def judged(self, scale: Scale) -> LongList:
        """Return how the checks see it."""
        return LongList(scale[self.buckets.column], scale[self.seen.column], self.new_share)  # type: ignore[arg-type]


def values_of(reference: pl.DataFrame, columns: Sequence[str]) -> dict[str, Values]:
    """Return the long lists among some categorical columns."""
    found = {}
    for column in columns:
        if column not in reference.columns:
            continue
        counts = as_text(reference[column]).drop_nulls().value_counts(name="(rows)")
        if counts.height <= CATEGORIES_MAX:
            continue
        rows = counts["(rows)"]
        buckets, seen = (_unused(f"{column} ({what})", reference.columns) for what in ("buckets", "seen"))
        found[column] = Values(
            counts[column],
            new_share=expected_new(int((rows == 1).sum()), int((rows == 2).sum())) / reference.height,  # noqa: PLR2004
            buckets=CategoricalScale(buckets, tuple(str(bucket) for bucket in range(_BUCKETS))),
            seen=CategoricalScale(seen, (_SEEN,)),
        )
    return found


def with_buckets(arranged: pl.DataFrame, long_lists: Mapping[str, Values]) -> pl.DataFrame:
    """Return a table with the two columns beside each long list; a missing value is missing there too."""
    beside = []
    for column, held in long_lists.items():
        if column not in arranged.columns:
            continue
        text = as_text(arranged[column])
        missing = text.is_null()
        bucket = (text.hash(seed=0) % _BUCKETS).cast(pl.String)
        known = text.is_in(held.values.implode())
        words = pl.select(pl.when(known).then(pl.lit(_SEEN)).otherwise(pl.lit(_NEW)).alias("word"))["word"]
        nothing = pl.Series([None], dtype=pl.String)
        beside += [
            bucket.zip_with(~missing, nothing.new_from_index(0, len(text))).alias(held.buckets.column),
            words.zip_with(~missing, nothing.new_from_index(0, len(text))).alias(held.seen.column),
        ]
    return arranged.with_columns(beside)


def _unused(name: str, taken: Sequence[str]) -> str:
    return _unused(f"{name}'", taken) if name in taken else name
