"""Two tables of the same rows, compared value by value: what was logged online, and what an offline store has.

Rows are joined on their keys. Numbers that differ by less than a millionth are the same number in another store's
float32; whole numbers and text must be the same to the last digit and letter; a value that is missing on both sides is
the same, on one side a difference. Cost: a join, and a pass over each column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from killick.errors import CallError, Mistake
from killick.profiles.categorical import as_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# float32 keeps seven digits.
_RELATIVE = 1e-6


class Difference(NamedTuple):
    """What one column differs in between two tables.

    Attributes:
        column: which one.
        rows: how many rows of the two were compared.
        differ: of these, how many have another value.
        example: the first such pair in words; empty when there is none.
        why_not: why nothing could be compared; empty when it could.
        unmatched: the rows that were compared with none, in words; empty when there are none.
        online_rows: how many rows one table has.
        offline_rows: how many the other has.
    """

    column: str
    rows: int
    differ: int
    example: str
    why_not: str
    unmatched: str
    online_rows: int
    offline_rows: int


class _Matched(NamedTuple):
    """Where the rows that both sides have stand on each, and what is to be said of the rest."""

    online: NDArray[np.uint32]
    offline: NDArray[np.uint32]
    said: str


def compare_rows(
    online: pl.DataFrame, offline: pl.DataFrame, keys: Sequence[str], columns: Sequence[str]
) -> list[Difference]:
    """Compare each column of two tables of the same entities and times.

    Args:
        online: what the model was given.
        offline: what the batch store has.
        keys: the columns that say which row is which: entity and time. Rows whose key is missing, or comes twice on one
            side, are compared with none.
        columns: the columns to compare.

    Raises:
        CallError: a key is on one side only, or there is none.

    >>> one, other = pl.DataFrame({"k": [1, 2], "v": [0.5, 1.0]}), pl.DataFrame({"k": [2, 1], "v": [9.0, 0.5]})
    >>> compare_rows(one, other, ["k"], ["v"])[0][:4]
    ('v', 2, 1, '1.0 online and 9.0 offline')
    """
    sides = (("online", online), ("offline", offline))
    absent = [f"{name}.{key}" for name, side in sides for key in keys if key not in side.columns]
    if absent or not keys:
        problem = "is missing; rows cannot be joined without it"
        hint = "give the columns that both tables share, for example entity_id and event_time"
        raise CallError(*(Mistake(place, problem, hint=hint) for place in absent or ["keys"]))
    matched = _match(online, offline, keys)
    return [_compare(column, online, offline, matched) for column in columns]


def _compare(column: str, online: pl.DataFrame, offline: pl.DataFrame, matched: _Matched) -> Difference:
    rows = len(matched.online)
    why_not = _why_not(column, online, offline) or ("" if rows else "no row is on both sides")
    differ, example = 0, ""
    if not why_not:
        here, there = online[column][matched.online], offline[column][matched.offline]
        apart = _differ(here, there)
        differ, first = int(apart.sum()), int(np.argmax(apart))
        example = f"{here[first]!r} online and {there[first]!r} offline" if differ else ""
    return Difference(column, rows, differ, example, why_not, matched.said, online.height, offline.height)


def _why_not(column: str, online: pl.DataFrame, offline: pl.DataFrame) -> str:
    """Say why a column cannot be compared; empty when it can."""
    lacking = [name for name, side in (("online", online), ("offline", offline)) if column not in side.columns]
    if lacking:
        return f"the {' and the '.join(lacking)} table has no such column"
    here, there = online.schema[column], offline.schema[column]
    if pl.Object in (here, there) or (here != there and (here.is_nested() or there.is_nested())):
        return f"{here} online and {there} offline cannot be compared"
    return ""


def _match(online: pl.DataFrame, offline: pl.DataFrame, keys: Sequence[str]) -> _Matched:
    """Find each row's partner by its key."""
    sides = [_keyed(online, offline, keys), _keyed(offline, online, keys)]
    names = sides[0].columns[:-1]
    alone = [side.drop_nulls().filter(pl.struct(names).is_unique()) for side in sides]
    joined = alone[0].join(alone[1], on=names, how="inner", suffix=" (offline)")
    said: list[str] = []
    for name, side, held in (("online", sides[0], alone[0]), ("offline", sides[1], alone[1])):
        unmatched, unclear = held.height - joined.height, side.height - held.height
        said += [f"{unmatched:,} {name} rows have no partner"] if unmatched else []
        said += [f"{unclear:,} {name} rows have no key of their own"] if unclear else []
    places = [joined.to_series(at).to_numpy() for at in (len(names), len(names) + 1)]
    return _Matched(places[0], places[1], "; ".join(said))


def _keyed(side: pl.DataFrame, other: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """The keys of a side under names of our own, in a type that both sides share, and each row's place."""
    columns = [_alike(side[key], other.schema[key]).alias(f"key {at}") for at, key in enumerate(keys)]
    return pl.DataFrame(columns).with_row_index("place").select(*(c.name for c in columns), "place")


def _alike(series: pl.Series, other: pl.DataType) -> pl.Series:
    """The values in a type that they can be compared in with another column's."""
    mine = series.dtype
    if mine.is_integer() and other.is_integer():
        return series.cast(pl.Int128)
    if _is_time(mine) and _is_time(other):
        # Counted from the epoch, two clocks that only write their zones otherwise agree.
        return (series.cast(pl.Datetime("us")) if mine == pl.Date else series).dt.epoch("us")
    return series if mine == other else as_text(series)


def _differ(here: pl.Series, there: pl.Series) -> NDArray[np.bool_]:
    """Which values are not the same."""
    both_whole = here.dtype.is_integer() and there.dtype.is_integer()
    if _is_number(here.dtype) and _is_number(there.dtype) and not both_whole:
        a, b = (side.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy() for side in (here, there))
        with np.errstate(invalid="ignore"):  # infinity less itself; equal infinities are told apart first
            near = np.abs(a - b) <= _RELATIVE * np.maximum(np.abs(a), np.abs(b))
        same = (a == b) | (np.isnan(a) & np.isnan(b)) | (near & np.isfinite(a) & np.isfinite(b))
        return np.asarray(~same, dtype=np.bool_)
    both_times = _is_time(here.dtype) and _is_time(there.dtype)
    if both_whole or both_times:
        here, there = _alike(here, there.dtype), _alike(there, here.dtype)
    elif not here.dtype.is_nested():
        here, there = as_text(here), as_text(there)
    return np.asarray(here.ne_missing(there).to_numpy(), dtype=np.bool_)


def _is_number(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype == pl.Boolean


def _is_time(dtype: pl.DataType) -> bool:
    return dtype == pl.Date or isinstance(dtype, pl.Datetime)
