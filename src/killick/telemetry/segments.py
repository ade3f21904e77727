"""Segments: which rows belong together, such as `origin=JFK` or `haul=<500`.

A segment is a tuple of (band, value) pairs, and `()` is every row. Rows are grouped once for each grouping of the spec;
what is rare beyond a bound is left out of the grouping and counted, never dropped from the whole. Profiles of several
batches add up only if a row is in the same segment in each, so a model's segments are those of its reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from numpy.typing import NDArray

    from killick.spec.document import Band, SegmentBy

Segment: TypeAlias = tuple[tuple[str, str], ...]
EVERYTHING: Segment = ()
MISSING = "(missing)"

# More segments than this in one grouping cannot each be read by a person; the commonest are kept, the rest is one more.
SEGMENTS_MAX = 200
REST = "(rest)"
# A segment is part of a key of the store: one of PostgreSQL's has 2,704 bytes for all of its parts.
_VALUES_BYTES_MAX = 200


@dataclass(frozen=True, slots=True)
class Grouping:
    """Rows by segment: `codes[i]` says which of `segments` row `i` is in."""

    codes: NDArray[np.int64]
    segments: tuple[Segment, ...]


def describe(segment: Segment) -> str:
    """Write a segment as people do.

    >>> describe((("origin", "JFK"), ("carrier", "B6"))), describe(EVERYTHING)
    ('origin=JFK, carrier=B6', 'everything')
    """
    return ", ".join(f"{name}={value}" for name, value in segment) or "everything"


def group_by(table: pl.DataFrame, by: SegmentBy, known: Collection[Segment] | None = None) -> Grouping:
    """Group rows by one grouping of the spec; by none at all, every row is in the segment `()`.

    Args:
        table: the rows.
        by: the bands to group by.
        known: the segments there are, of any groupings; a row of no other is in the rest. None: the table's commonest.

    >>> from killick.spec.document import Band
    >>> haul = Band("haul", "distance", bins=(500.0, 1500.0))
    >>> group_by(pl.DataFrame({"distance": [100, 2000, 100]}), (haul,)).segments
    ((('haul', '<500'),), (('haul', '>=1500'),))
    """
    if not by:
        return Grouping(pl.zeros(table.height, dtype=pl.Int64, eager=True).to_numpy(), (EVERYTHING,))
    names = [band.name for band in by]
    # Under names of our own: an operator may well call a band "len".
    keys = pl.DataFrame({f"band {at}": band_values(table, band) for at, band in enumerate(by)})
    distinct = keys.group_by(keys.columns).len("rows")
    if known is None:
        size = pl.sum_horizontal(pl.col(keys.columns).str.len_bytes())
        readable = distinct.filter(size <= _VALUES_BYTES_MAX)
        common = readable.sort(["rows", *keys.columns], descending=[True, *[False] * len(names)]).head(SEGMENTS_MAX)
    else:
        common = distinct.join(_keys_of(known, names), on=keys.columns, how="semi")
    kept = common.drop("rows").sort(keys.columns).with_row_index("code")
    codes = keys.join(kept, on=keys.columns, how="left", maintain_order="left")["code"].cast(pl.Int64)
    segments = [tuple(zip(names, row[1:], strict=True)) for row in kept.iter_rows()]
    if codes.null_count():
        codes = codes.fill_null(len(segments))
        segments.append(_rest(names))
    return Grouping(codes.to_numpy(), tuple(segments))


def known_of(by: SegmentBy, known: Collection[Segment]) -> tuple[Segment, ...]:
    """Return the segments of one grouping in their order, its rest at the end: the numbers of `code_segments`."""
    names = [band.name for band in by]
    mine = sorted(segment for segment in known if [name for name, _ in segment] == names and segment != _rest(names))
    return (*mine, _rest(names))


def code_segments(table: pl.DataFrame, by: SegmentBy, known: Collection[Segment]) -> pl.Series:
    """Return which of `known_of` each row is in, as UInt16. A column that the table lacks is missing in every row.

    >>> from killick.spec.document import Band
    >>> known = [(("origin", "JFK"),), (("origin", "LGA"),)]
    >>> code_segments(pl.DataFrame({"origin": ["LGA", "SFO"]}), (Band("origin", "origin"),), known).to_list()
    [1, 2]
    """
    absent = [pl.lit(None, pl.String).alias(band.column) for band in by if band.column not in table.columns]
    grouping = group_by(table.with_columns(absent), by, known)
    places = {segment: place for place, segment in enumerate(known_of(by, known))}
    return pl.Series(np.array([places[segment] for segment in grouping.segments], np.uint16)[grouping.codes])


def where(table: pl.DataFrame, segment: Segment, groupings: Sequence[SegmentBy]) -> pl.DataFrame:
    """Return the rows of a segment."""
    bands = {band.name: band for by in groupings for band in by}
    for name, value in segment:
        table = table.filter(band_values(table, bands[name]) == value) if table.height else table
    return table


def _rest(names: Sequence[str]) -> Segment:
    return tuple((name, REST) for name in names)


def _keys_of(known: Collection[Segment], names: Sequence[str]) -> pl.DataFrame:
    """Return the values of the segments of one grouping, but for its rest."""
    mine = [segment for segment in known if [name for name, _ in segment] == list(names) and segment != _rest(names)]
    values = [[value for _, value in segment] for segment in mine]
    return pl.DataFrame(values, schema={f"band {at}": pl.String for at in range(len(names))}, orient="row")


def band_values(table: pl.DataFrame, band: Band) -> pl.Series:
    """Return each row's value of a band, as text."""
    column = table[band.column]
    if not band.bins:
        text = column.cast(pl.String, strict=False)
        if column.dtype.is_float():
            # One fraction makes a table's codes floats: 1.0 must stay the segment that 1 was.
            whole = column.cast(pl.Int64, strict=False)
            text = text.zip_with((whole.cast(column.dtype) != column).fill_null(value=True), whole.cast(pl.String))
        return text.fill_null(MISSING)
    values = column.cast(pl.Float64, strict=False).to_numpy()
    labels = np.array(band.labels)[np.searchsorted(band.bins, values, side="right")]
    return pl.Series(band.name, np.where(np.isnan(values), MISSING, labels), dtype=pl.String)
