"""Arrow streams as columns.

A stream is walked by `arrow_guard` before Polars reads it. Here types stand for values: a column that is of the wrong
type refuses the rows that have anything in it. Text is bounded as it unfolds: a dictionary of one word and a million
keys is a megabyte on the wire and may be sixty gigabytes in memory.
"""

from __future__ import annotations

from io import BytesIO
from itertools import repeat
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from killick.errors import DataError, Mistake
from killick.telemetry.door import instants, measurable
from killick.telemetry.quarantine import shown
from killick.wire.arrow_guard import guard
from killick.wire.values import (
    LIST_MAX,
    LIST_TOO_LONG,
    NO_LIST,
    NO_TIME,
    OBJECT,
    refuse_texts,
    refuse_units,
    sound_texts,
    written,
    written_times,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.telemetry.quarantine import Mask, Quarantine
    from killick.wire.values import Kind

# How much a body may unfold to: what a dictionary of words saves on the wire, and no more.
_TEXT_FREE, _TEXT_EACH = 32 * 2**20, 10
_NUMBER_BYTES = 8
# Metadata as JSON: nothing but scalars is let in, and so nothing else is allocated.
_READ_TEXTS: msgspec.json.Decoder[Any] = msgspec.json.Decoder(dict[str, str | int | float | bool | None])
# The years 1 and 10000, in days since 1970: beyond them neither Python nor a time zone has days.
_DAYS = (-719_162, 2_932_897)
_DAY_TICKS = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_INT64 = (-(2**63), 2**63 - 1)
_OUT_OF_YEARS = "lies outside the years 1 to 9999"


def read_stream(body: bytes) -> pl.DataFrame:
    """Read an Arrow stream.

    Raises:
        DataError: it is no such stream, it is broken, or unfolds to far more than it holds.
    """
    rows = guard(body, "body")
    try:
        frame = pl.read_ipc_stream(BytesIO(body))
    except (Exception, pl.exceptions.PanicException) as error:  # noqa: BLE001 - a panic is none of Python's exceptions
        problem = f"is an Arrow stream that cannot be read: {str(error).partition(chr(10))[0]}"
        hint = "send what pyarrow.ipc.new_stream or Polars' write_ipc_stream writes"
        raise DataError(Mistake("body", problem, hint=hint)) from None
    if frame.height != rows:
        raise DataError(Mistake("body", f"is an Arrow stream of {rows:,} rows, of which {frame.height:,} can be read"))
    _refuse_unfolding(frame, len(body))
    return frame


def _refuse_unfolding(frame: pl.DataFrame, size: int) -> None:
    texts = pl.selectors.string()
    # All plain texts in one look; the others, which are few, one by one. Views of one text may be more than a UInt32.
    plain = frame.select(texts.str.len_bytes().cast(pl.Int64).sum())
    unfolded = sum(plain.row(0)) if plain.height else 0
    unfolded += sum(map(_unfolded, frame.select(~texts).iter_columns()))
    if unfolded > _TEXT_FREE + _TEXT_EACH * size:
        problem = f"is an Arrow stream of {size / 2**20:.1f} MiB, whose texts or lists unfold to far more"
        raise DataError(Mistake("body", problem, hint="send fewer rows at a time, or shorter texts"))


def _unfolded(column: pl.Series) -> int:
    """Return how many bytes of text a column is, or of lists that hold nothing but nulls, without unfolding it."""
    column = _plain(column)
    dtype = column.dtype
    if isinstance(dtype, pl.String):
        return int(column.str.len_bytes().cast(pl.Int64).sum())
    if isinstance(dtype, pl.Categorical | pl.Enum):
        words = column.alias("word").value_counts(name="rows")
        return int((words["word"].cast(pl.String).str.len_bytes() * words["rows"].cast(pl.Int64)).sum())
    inner: list[pl.Series] = []
    if isinstance(dtype, pl.Struct):
        inner = column.struct.unnest().get_columns()
    elif isinstance(dtype, pl.Map):
        inner = [column.map.keys().explode(), column.map.values().explode()]
    elif isinstance(dtype, pl.List) and not dtype.inner.is_numeric():
        inner = [column.explode()]
    elif isinstance(dtype, pl.Array) and not dtype.inner.is_numeric():
        inner = [column.arr.explode()]
    if isinstance(dtype, pl.List | pl.Array) and isinstance(dtype.inner, pl.Null):
        return _NUMBER_BYTES * len(inner[0])  # of which none is on the wire
    return sum(map(_unfolded, inner))


class Framed:
    """The columns of a frame (`killick.wire.values.Columns`)."""

    def __init__(self, frame: pl.DataFrame, quarantine: Quarantine, time_zone: str) -> None:
        self.quarantine = quarantine
        self._frame = frame
        self._zone = time_zone
        self._sound = sound_texts(frame.select(pl.selectors.string()))

    @property
    def names(self) -> Sequence[str]:
        """The names of the columns, in their order."""
        return self._frame.columns

    def filled(self, name: str) -> Mask:
        """Whether each row has anything in a column."""
        return self._frame[name].is_not_null().to_numpy()

    def read(self, name: str, kind: Kind, field: str) -> pl.Series:
        """Return a column as `kind`."""
        series = _plain(self._frame[name])
        if kind == "feature":
            return self._feature(series, field)
        if kind == "time":
            return self._time(series, field)
        if kind == "number":
            return self._number(series, field)
        if _is_text(series):
            return self._text(series, field)
        if series.dtype.is_integer() or (kind == "word" and _is_scalar(series)):
            return written(series.cast(pl.Float64).fill_nan(None) if _is_fraction(series) else series)
        return self._none(series, kind, field)

    def inside(self, name: str, field: str) -> Framed:
        """Return the fields of a column of structs."""
        series = _plain(self._frame[name])
        if isinstance(series.dtype, pl.Struct):
            return Framed(series.struct.unnest(), self.quarantine, self._zone)
        self._none(series, "struct", field)
        return Framed(pl.DataFrame(), self.quarantine, self._zone)

    def objects(self, name: str, field: str) -> Sequence[dict[str, object] | None]:
        """Return a column of structs, of maps, or of objects that are written as JSON."""
        series = _plain(self._frame[name])
        if isinstance(series.dtype, pl.Struct):
            return self._structs(name, field)
        if series.dtype == pl.Map(pl.String, pl.String):
            return [None if entries is None else dict(entries) for entries in series.to_list()]
        if not _is_text(series):
            self._none(series, "struct of texts, map of texts or JSON object", field)
            return [None] * len(series)
        found = [_object(text) for text in series.cast(pl.String).to_list()]
        lost = series.is_not_null().to_numpy() & np.fromiter((value is None for value in found), np.bool_)
        self.quarantine.refuse(lost, field, lambda row: f"is no JSON object of texts, but {shown(series[row])}")
        return found

    def _structs(self, name: str, field: str) -> list[dict[str, object] | None]:
        """Return structs of scalars as objects."""
        inside = self.inside(name, field)
        fields = [inside.read(own, "word", f"{field}.{own}").to_list() for own in inside.names]
        there = self._frame[name].is_not_null().to_list()
        rows = zip(*fields, strict=True) if fields else repeat(())
        return [dict(zip(inside.names, row, strict=True)) if is_there else None for row, is_there in zip(rows, there)]  # noqa: B905 - `repeat` has no end

    def kept(self) -> Framed:
        """Return the rows that are not refused."""
        frame = self._frame.filter(pl.Series(self.quarantine.kept))
        return Framed(frame, self.quarantine.rest(), self._zone)

    def _none(self, series: pl.Series, kind: str, field: str) -> pl.Series:
        """Refuse whatever is in a column of the wrong type."""
        problem = f"is no {kind}: the column is of type {series.dtype}"
        self.quarantine.refuse(series.is_not_null(), field, problem)
        dtype = {"number": pl.Float64, "time": pl.Int64, "feature": pl.Null}.get(kind, pl.String)
        return pl.Series(series.name, [None], dtype=dtype).new_from_index(0, len(series))

    def _number(self, series: pl.Series, field: str) -> pl.Series:
        if not series.dtype.is_numeric():
            return self._none(series, "number", field)
        # NaN is how NumPy and pandas say that there is nothing, as null is JSON's word for it.
        return series.cast(pl.Float64).fill_nan(None)

    def _text(self, series: pl.Series, field: str) -> pl.Series:
        text = series.cast(pl.String)
        if series.name not in self._sound:
            refuse_texts(text, field, self.quarantine)
        return text

    def _time(self, series: pl.Series, field: str) -> pl.Series:
        if series.dtype.is_numeric():
            times = series.cast(pl.Int64, strict=False)
            if not series.dtype.is_integer():
                same = times.cast(pl.Float64) == series.cast(pl.Float64)
                times = times.zip_with(same.fill_null(value=False), pl.Series([None], dtype=pl.Int64))
            refuse_units(times, field, self.quarantine)
        elif _is_text(series):
            texts = series.cast(pl.String).to_list()
            times = pl.Series(series.name, written_times(texts, self._zone), dtype=pl.Int64)
        elif isinstance(series.dtype, pl.Datetime | pl.Date):
            return self._instants(series, field)
        else:
            return self._none(series, "time", field)
        lost = times.is_null() & series.is_not_null()
        self.quarantine.refuse(lost, field, lambda row: f"{NO_TIME} (found {shown(series[row])})")
        return times

    def _instants(self, series: pl.Series, field: str) -> pl.Series:
        """Return dates and timestamps as int64 microseconds; what no calendar has would overflow on the way."""
        ticks = _DAY_TICKS[series.dtype.time_unit] if isinstance(series.dtype, pl.Datetime) else 1
        low, high = (min(max(day * ticks, _INT64[0]), _INT64[1]) for day in _DAYS)
        inside = series.to_physical().is_between(low, high, closed="left").fill_null(value=True)
        self.quarantine.refuse(~inside, field, _OUT_OF_YEARS)
        return instants(series.zip_with(inside, pl.Series([None], dtype=series.dtype)), self._zone, field)

    def _feature(self, series: pl.Series, field: str) -> pl.Series:
        dtype = series.dtype
        if _is_text(series):
            return self._text(series, field)
        if isinstance(dtype, pl.Datetime | pl.Date):
            return self._instants(series, field).cast(pl.Datetime("us", "UTC"))
        if isinstance(dtype, pl.List | pl.Array):
            return self._lists(series, field)
        if isinstance(dtype, pl.Struct | pl.Map):
            self.quarantine.refuse(series.is_not_null(), field, OBJECT)
            return self._none(series, "feature", field)
        return _measure(series)

    def _lists(self, series: pl.Series, field: str) -> pl.Series:
        lists = series.arr.to_list() if isinstance(series.dtype, pl.Array) else series
        inner = getattr(lists.dtype, "inner", None)
        if inner is None or not (inner.is_numeric() or isinstance(inner, pl.Null)):
            self.quarantine.refuse(series.is_not_null(), field, NO_LIST)
            return self._none(series, "feature", field)
        numbers = lists.cast(pl.List(pl.Float64)).list.eval(pl.element().fill_nan(None))
        self.quarantine.refuse((numbers.list.len() > LIST_MAX).fill_null(value=False), field, LIST_TOO_LONG)
        return numbers


def _plain(series: pl.Series) -> pl.Series:
    """Return what an extension type (an id, a tensor, JSON) is stored as."""
    return series.ext.storage() if isinstance(series.dtype, pl.BaseExtension) else series


def _measure(series: pl.Series) -> pl.Series:
    """Return numbers as Int64 or Float64, durations and times of day as seconds, and booleans as they are."""
    series = measurable(series)
    if series.dtype.is_integer():
        whole = series.cast(pl.Int64, strict=False)
        return whole if whole.null_count() == series.null_count() else series.cast(pl.Float64)
    return series.cast(pl.Float64) if series.dtype.is_numeric() else series


def _is_fraction(series: pl.Series) -> bool:
    return series.dtype.is_float() or series.dtype.is_decimal()


def _is_scalar(series: pl.Series) -> bool:
    return series.dtype.is_numeric() or isinstance(series.dtype, pl.Boolean)


def _is_text(series: pl.Series) -> bool:
    return isinstance(series.dtype, pl.String | pl.Categorical | pl.Enum)


def _object(text: str | None) -> dict[str, object] | None:
    try:
        found: dict[str, object] | None = _READ_TEXTS.decode(text) if text else None
    except (msgspec.MsgspecError, RecursionError):
        return None
    return found
