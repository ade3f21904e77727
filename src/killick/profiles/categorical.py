"""The summary of a categorical or boolean column: counts of the categories that the reference knew.

Guarantee: counts are exact for the known categories; every other value is counted as *other*, so a million distinct
values cost what a hundred do. What was known never changes; a value that is new in production is *other*, which is how
a surge of unseen categories shows. Cost: one hash look-up a value; at most 102 numbers a column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import polars as pl

from killick.profiles.cells import Cells

if TYPE_CHECKING:
    from collections.abc import Iterator

    from killick.profiles.cells import Floats, Ints

# Beyond a hundred, a category holds too little mass to move PSI; the tail is watched as one.
CATEGORIES_MAX = 100
OTHER, MISSING = "other", "missing"


class CategoricalScale(msgspec.Struct, frozen=True, tag="categorical", tag_field="kind"):
    """The yardstick of a categorical column: its known categories, the commonest first."""

    column: str
    categories: tuple[str, ...]

    @property
    def bins(self) -> int:
        """How many cells hold values: the known categories, and *other*."""
        return len(self.categories) + 1

    @property
    def counts_width(self) -> int:
        """How many counts the column needs: the bins, and *missing*."""
        return self.bins + 1

    @property
    def sums_width(self) -> int:
        """Categories have no sums."""
        return 0

    def cells(self, series: pl.Series) -> Iterator[Cells]:
        """Sort the column's values into cells."""
        codes = as_text(series).cast(pl.Enum(self.categories), strict=False).to_physical().cast(pl.Int64)
        index = codes.fill_null(len(self.categories)).to_numpy()
        if series.null_count():
            index = np.where(series.is_null().to_numpy(), self.bins, index)
        yield Cells(index, self.counts_width)

    def totals(self, series: pl.Series) -> tuple[Ints, Floats]:
        """Return the counts of all rows together (and no sums): each distinct value is looked up once."""
        counts = np.zeros(self.counts_width, np.int64)
        counts[self.bins] = series.null_count()
        distinct = category_counts(series)
        codes = distinct["text"].cast(pl.Enum(self.categories), strict=False).to_physical().cast(pl.Int64)
        np.add.at(counts, codes.fill_null(len(self.categories)).to_numpy(), distinct["rows"].to_numpy())
        # What has no text at all is counted with those that nobody knows.
        counts[self.bins - 1] += len(series) - counts.sum()
        return counts, np.empty(0)

    def label(self, cell: int) -> str:
        """Name a count's cell in words.

        >>> CategoricalScale("carrier", ("UA", "B6")).label(2)
        'other'
        """
        return (*self.categories, OTHER, MISSING)[cell]


def fit_categorical(series: pl.Series, counts: pl.DataFrame | None = None) -> CategoricalScale:
    """Learn a column's categories from the reference: the commonest hundred, ties in order of the text.

    Args:
        series: the column.
        counts: its `category_counts`, where they are known already.
    """
    rows = category_counts(series) if counts is None else counts
    common = rows.sort(["rows", "text"], descending=[True, False])["text"].head(CATEGORIES_MAX)
    return CategoricalScale(series.name, tuple(common.to_list()))


def category_counts(series: pl.Series) -> pl.DataFrame:
    """Return each category as `text`, and how many `rows` have it, missing ones left out.

    >>> category_counts(pl.Series([1.0, 1.0, None])).rows()
    [('1', 2)]
    """
    if series.dtype.is_nested():
        return pl.DataFrame(schema={"text": pl.String, "rows": pl.UInt32})
    # Under names of our own: an operator's column may well be called "count".
    counts = series.alias("text").drop_nulls().value_counts(name="rows")
    return counts.with_columns(as_text(counts["text"]))


def as_text(series: pl.Series) -> pl.Series:
    """Return the values as text: booleans as `false` and `true`, whole numbers without a point.

    pandas turns whole numbers into floats as soon as one is missing, and `1.0` must stay the category that `1` was.
    What has no text (a list, bytes) becomes null here, and so *other* in its cell.

    >>> as_text(pl.Series([1.0, 2.5])).to_list()
    ['1', '2.5']
    """
    if series.dtype == pl.String:
        return series
    if series.dtype.is_nested():
        return pl.Series(series.name, [None] * len(series), dtype=pl.String)
    text = series.cast(pl.String, strict=False)
    if not series.dtype.is_float():
        return text
    whole = series.cast(pl.Int64, strict=False)
    return text.zip_with((whole.cast(series.dtype) != series).fill_null(value=True), whole.cast(pl.String))
