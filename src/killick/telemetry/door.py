"""The door: whatever speaks Arrow comes in, and leaves it as a frame with the house's own names.

A table keeps its rows in their order. Parts (`event_time`, `score`, `label` ...) get the names of `telemetry.columns`;
features keep theirs. What the spec promises and the table does not hold is a `DataError` that names every such column.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import polars as pl

from killick.errors import DataError, Mistake, SpecError, did_you_mean
from killick.telemetry.columns import (
    ENTITY_ID,
    EVENT_TIME,
    KNOWN_AT,
    LABEL,
    PARTS,
    PREDICTION_ID,
    SCORE,
    VERSION,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from killick.spec.document import Label, Schema, Spec


class ArrowStream(Protocol):
    """Any table with the Arrow C stream interface: pandas, Polars, pyarrow, DuckDB, Ibis, Daft ..."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a PyCapsule with the stream."""
        ...


# Numbers that NumPy has no type for. No feature is an id, so a float does.
_WIDE = (pl.Int128, pl.UInt128)
# Floats hold whole numbers exactly up to here.
_EXACT_MAX = 2**53
# What has one way to be written.
_WRITTEN = (str, int, float, Decimal, date, time, timedelta)

# Without these a row belongs to no window, or cannot be told from its own copy.
_WHOLE = frozenset({PREDICTION_ID, EVENT_TIME})

# What ends the text of a time that says how far it is from UTC: `Z`, `+02`, `+02:00`, `-0500`. A date alone ends in
# `-05` too, so a time of day must stand before it.
_ZONED = r"\d:\d{2}(?::\d{2})?(?:[.,]\d+)?\s*(?:[zZ]|[+-]\d{2}(?::?\d{2})?)$"

Table: TypeAlias = "pl.DataFrame | pl.LazyFrame | ArrowStream | Mapping[str, list[object]]"


def admit(table: Table, *, name: str) -> pl.DataFrame:
    """Return any Arrow table as a frame, without copying where the types allow it.

    Args:
        table: anything with the Arrow C stream interface, or a mapping of columns.
        name: what to call it in a message: a path, or `current`.

    Raises:
        DataError: it is no table, or names a column twice.

    >>> admit({"temp": [39.0, None]}, name="current").height
    2
    """
    if isinstance(table, pl.DataFrame):
        return table
    hint = "give a table with the Arrow C stream interface (pandas, Polars, pyarrow, DuckDB ...) or a path"
    if not isinstance(table, pl.LazyFrame | Mapping) and not hasattr(table, "__arrow_c_stream__"):
        raise DataError(Mistake(name, "is not a table", value=type(table).__name__, hint=hint))
    if not isinstance(table, pl.LazyFrame):
        _refuse_twice(_names(table), name)
    try:
        return _admitted(table, name)
    except DataError:
        raise
    except Exception as error:  # whatever the foreign library raises while it hands its table over
        # The rest is a stack of Polars' own, or advice about its options.
        said = str(error).partition("\n")[0]
        if isinstance(error, pl.exceptions.DuplicateError):
            raise DataError(Mistake(name, f"names a column twice: {said}", hint="rename one of the two")) from None
        problem = "is one column, not a table" if "expected `Struct`" in said else f"cannot be read as a table: {said}"
        raise DataError(Mistake(name, problem, value=type(table).__name__, hint=hint)) from error


def _admitted(table: Any, name: str) -> pl.DataFrame:  # noqa: ANN401 - a table of any library
    if isinstance(table, pl.LazyFrame):
        return table.collect()
    # A mapping of lists and a pandas frame may hold any Python values, several types of them in one column.
    if not isinstance(table, Mapping) and not (hasattr(table, "dtypes") and hasattr(table, "columns")):
        return pl.DataFrame(table)
    try:
        frame = pl.DataFrame(table)
    except Exception:  # noqa: BLE001 - whatever the foreign library raises; what is really wrong is said column by column
        return pl.DataFrame([_series(table, column, name) for column in table])
    for column, dtype in zip(table, frame.dtypes, strict=True):
        if isinstance(dtype, pl.Datetime) and dtype.time_zone:
            _refuse_mixed_times(table[column], f"{name}.{column}")
    return frame


# ------------------------------------------------------------------------------------------------ Python's own values


def _names(table: Any) -> list[str]:  # noqa: ANN401 - a table of any library
    """Return the columns' names without reading the table, as far as its library tells them."""
    if isinstance(table, Mapping):
        return [str(name) for name in table]
    schema = getattr(table, "schema", None)
    # In pyarrow `columns` are the columns themselves.
    names: Any = getattr(schema, "names", None) or getattr(table, "columns", ())
    return [str(name) for name in names]


def _refuse_twice(names: list[str], name: str) -> None:
    twice = [column for column, times in Counter(names).items() if times > 1]
    if twice:
        told = ", ".join(map(repr, twice))
        raise DataError(Mistake(name, f"names a column twice: {told}", hint="rename one of the two"))


def _values(table: Any, column: Any) -> list[Any]:  # noqa: ANN401 - a table of any library, and its name of a column
    """Return a column's values, None where there is none: pandas has three more words for that."""
    values = table[column]
    listed = values.tolist() if hasattr(values, "tolist") else list(values)
    missing = values.isna().tolist() if hasattr(values, "isna") else [value is None for value in listed]
    return [None if absent else value for value, absent in zip(listed, missing, strict=True)]


def _refuse_mixed_times(values: Iterable[Any], place: str) -> None:
    """Refuse times with and without a zone in one column: the latter would be taken for UTC without a word."""
    if str(getattr(values, "dtype", "object")) == "object":
        times = (value for value in values if isinstance(value, datetime) and value == value)  # noqa: PLR0124 - NaT
        if len({value.tzinfo is not None for value in times}) > 1:
            hint = "give all of them a time zone, or none"
            raise DataError(Mistake(place, "holds times with and without a time zone", hint=hint))


def _series(table: Any, column: Any, name: str) -> pl.Series:  # noqa: ANN401 - a table of any library
    """Read a column that is of no one type: numbers stay numbers where that loses nothing, all else is text."""
    values = _values(table, column)
    there = [value for value in values if value is not None and value == value]  # noqa: PLR0124 - NaN
    kinds = {type(value) for value in there}
    if kinds <= {int, float}:
        if kinds == {int}:
            return pl.Series(str(column), [None if value != value else value for value in values])  # noqa: PLR0124
        if all(abs(value) <= _EXACT_MAX for value in there if isinstance(value, int)):
            return pl.Series(str(column), values, dtype=pl.Float64, strict=False)
    _refuse_mixed_times(there, f"{name}.{column}")
    if len(kinds) == 1:
        try:
            return pl.Series(str(column), values)
        except Exception as error:  # noqa: BLE001 - whatever a foreign value raises
            problem = f"cannot be read: {str(error).partition(chr(10))[0]}"
            raise DataError(Mistake(f"{name}.{column}", problem, value=kinds.pop().__name__)) from None
    if strange := sorted(kind.__name__ for kind in kinds if not issubclass(kind, _WRITTEN)):
        hint = "give the column one type"
        raise DataError(Mistake(f"{name}.{column}", f"mixes values with {', '.join(strange)}", hint=hint))
    return pl.Series(str(column), [None if value is None else str(value) for value in values], dtype=pl.String)


# ------------------------------------------------------------------------------------------------ the house's names


def arrange(
    table: pl.DataFrame,
    spec: Spec,
    *,
    name: str,
    needed: frozenset[str] = frozenset(),
    whole: frozenset[str] = frozenset({EVENT_TIME}),
) -> pl.DataFrame:
    """Return the table's features and parts under the names of the house.

    Args:
        table: the operator's table.
        spec: which column plays which part.
        name: what to call the table in a message.
        needed: the parts that must be there; others are taken where the table has them.
        whole: of the others, those that may be missing in no row where the table has them.

    Raises:
        DataError: a needed part or a declared feature is missing, or a part's values cannot be used.
    """
    columns = part_columns(spec.schema)
    features = features_of(table, spec)
    mistakes = [_missing(part, columns.get(part), table, name) for part in sorted(needed)]
    mistakes += [
        Mistake(
            f"{name}.{feature}",
            "is a feature with a name that the house keeps for itself",
            hint=f"rename the column, or leave it out: features: {{exclude: [{feature}]}}",
        )
        for feature in features
        if feature in PARTS and columns.get(feature) != feature
    ]
    found = [mistake for mistake in mistakes if mistake]
    if found:
        raise DataError(*found)
    parts = [
        _part(part, table[column], spec, name).alias(part)
        for part, column in columns.items()
        if column and column in table.columns
    ]
    own = [measurable(table[c]) if c in features else table[c] for c in own_columns(table, spec)]
    arranged = table.select(own + parts)
    complete = ((_WHOLE & needed) | whole) & set(arranged.columns)
    gaps = [_gap(arranged[part], f"{name}.{columns[part]}") for part in sorted(complete)]
    if any(gaps):
        raise DataError(*[gap for gap in gaps if gap])
    return _with_known_at(arranged, spec.schema.label)


def measurable(series: pl.Series) -> pl.Series:
    """Return a feature in a type that NumPy has: durations and times of day in seconds, wide numbers as floats."""
    dtype = series.dtype
    if isinstance(dtype, pl.Duration):
        return series.dt.total_microseconds() / 1e6
    if isinstance(dtype, pl.Time):
        return series.cast(pl.Int64) / 1e9
    return series.cast(pl.Float64) if dtype.is_decimal() or dtype in _WIDE else series


def features_of(table: pl.DataFrame, spec: Spec) -> tuple[str, ...]:
    """Return the table's features: what the spec includes and no part claims."""
    return spec.features.select([column for column in table.columns if column not in spec.schema.columns])


def own_columns(table: pl.DataFrame, spec: Spec) -> tuple[str, ...]:
    """Return the columns that keep their names: features, then what only groups rows, and no model may look at."""
    features = features_of(table, spec)
    bands = dict.fromkeys(band.column for by in spec.segments for band in by)
    only = (c for c in bands if c in table.columns and c not in features and c not in PARTS)
    return (*features, *only)


def part_columns(schema: Schema) -> dict[str, str | None]:
    """Return which of the operator's columns plays each part."""
    label = schema.label
    return {
        PREDICTION_ID: schema.prediction_id,
        EVENT_TIME: schema.event_time,
        ENTITY_ID: schema.entity_id,
        SCORE: schema.score,
        VERSION: schema.version,
        LABEL: label.column if label else None,
        KNOWN_AT: label.known_at if label else None,
    }


def instants(series: pl.Series, time_zone: str, place: str) -> pl.Series:
    """Return times as int64 microseconds UTC; naive ones are in the spec's time zone.

    Of an hour that comes twice the first is meant; a time that the clocks leap over is taken as if they had not leapt.

    Raises:
        DataError: the column holds no times.

    >>> from datetime import datetime
    >>> instants(pl.Series("t", [datetime(1970, 1, 1, 1)]), "Europe/Berlin", "t").to_list()
    [0]
    """
    if series.dtype == pl.Null:
        return series.cast(pl.Int64)
    if series.dtype == pl.String:
        return _written_instants(series, time_zone, place)
    if series.dtype == pl.Date:
        series = series.cast(pl.Datetime("us"))
    if not isinstance(series.dtype, pl.Datetime):
        hint = "give a timestamp column, or ISO 8601 text"
        raise DataError(Mistake(place, "does not hold times", value=str(series.dtype), hint=hint))
    return (located(series, time_zone) if series.dtype.time_zone is None else series).dt.epoch("us")


def binary_labels(series: pl.Series, positive: str | float | None, place: str) -> pl.Series:
    """Return labels as 0 and 1, null where there is none yet.

    Raises:
        DataError: the column has other values than two, or it is not clear which of them is positive.
    """
    if series.dtype.is_float():
        series = series.fill_nan(None)  # how pandas says that there is no label yet
    if series.null_count() == len(series):
        return series.cast(pl.Int64, strict=False)
    if positive is not None:
        return _equal(series, positive, place)
    if series.dtype == pl.Boolean:
        return series.cast(pl.Int64)
    if series.dtype.is_numeric() and ((series == 0) | (series == 1)).all():
        return series.cast(pl.Int64)
    shown = ", ".join(repr(value) for value in series.drop_nulls().unique().sort().head(3).to_list())
    hint = "name the positive one: schema: {label: {column: ..., positive: ...}}"
    raise DataError(Mistake(place, f"is not a binary label that explains itself: it holds {shown}", hint=hint))


def _equal(series: pl.Series, positive: str | float, place: str) -> pl.Series:
    """Whether each label is the positive one. A batch may well hold no positive, but never three kinds of label."""
    if series.n_unique() - (series.null_count() > 0) > 2:  # noqa: PLR2004 - a binary label has two values
        shown = ", ".join(repr(value) for value in series.drop_nulls().unique().sort().head(3).to_list())
        raise DataError(Mistake(place, f"is a binary label with more than two values: {shown} ...", value=positive))
    if series.dtype == pl.Boolean:
        return (series.cast(pl.String) == str(positive).lower()).cast(pl.Int64)
    if series.dtype.is_numeric():
        try:
            return (series == float(positive)).cast(pl.Int64)
        except ValueError:
            hint = "write the positive label as a number: schema: {label: {positive: 1}}"
            raise DataError(
                Mistake(place, "holds numbers, and none can be the label", value=positive, hint=hint)
            ) from None
    return (series.cast(pl.String) == str(positive)).cast(pl.Int64)


def _written_instants(series: pl.Series, time_zone: str, place: str) -> pl.Series:
    """Read ISO 8601 text: with an offset or `Z` it names an instant, without one a local time."""
    zoned = series.str.contains(_ZONED).fill_null(value=False)
    nothing = pl.Series(series.name, [None], dtype=pl.String)
    with_zone = _parsed(series.zip_with(zoned, nothing))
    local = _parsed(series.zip_with(~zoned, nothing)).dt.replace_time_zone(None)
    read = with_zone.zip_with(zoned, located(local, time_zone).dt.convert_time_zone("UTC"))
    if read.null_count() > series.null_count():
        bad = series.filter(read.is_null() & series.is_not_null())[0]
        raise DataError(Mistake(place, "does not hold times", value=bad, hint="write ISO 8601, as 2013-04-01T00:00Z"))
    return read.dt.epoch("us")


def _parsed(text: pl.Series) -> pl.Series:
    """Read what is ISO 8601, and nothing else: whoever wrote 02/03/2013 must say himself which month he meant."""
    iso = text.zip_with(text.str.contains(r"^\d{4}-\d{2}-\d{2}"), pl.Series(text.name, [None], dtype=pl.String))
    return iso.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)


def located(local: pl.Series, time_zone: str) -> pl.Series:
    """Put local times on the world's clock, as `instants` says; the rows do not depend on each other.

    Raises:
        SpecError: nobody knows the time zone.
    """
    try:
        found = local.dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null")
    except pl.exceptions.ComputeError:
        hint = "write UTC, or a name such as America/New_York"
        raise SpecError(Mistake("schema.time_zone", "is no time zone that is known", time_zone, hint=hint)) from None
    if found.null_count() > local.null_count():
        # No zone has two leaps within a day, so a day earlier the old offset was in force.
        day = timedelta(days=1)
        before = (local - day).dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null") + day
        found = found.zip_with(found.is_not_null(), before)
    return found


def _part(part: str, series: pl.Series, spec: Spec, name: str) -> pl.Series:
    place = f"{name}.{series.name}"
    if part in (EVENT_TIME, KNOWN_AT):
        return instants(series, spec.schema.time_zone, place)
    if part == LABEL:
        positive = spec.schema.label.positive if spec.schema.label else None
        return binary_labels(series, positive, place) if spec.task == "binary" else series
    if part == SCORE:
        if not series.dtype.is_numeric() and series.null_count() < len(series):
            hint = "give the probability of the positive class, a number from 0 to 1"
            raise DataError(Mistake(place, "is the score, but holds no numbers", value=str(series.dtype), hint=hint))
        return series.cast(pl.Float64)
    return series.cast(pl.String)


def _with_known_at(arranged: pl.DataFrame, label: Label | None) -> pl.DataFrame:
    """A label without a time of its own is known `delay` after its prediction."""
    if label is None or not {LABEL, EVENT_TIME} <= set(arranged.columns):
        return arranged
    later = pl.col(EVENT_TIME) + label.delay
    return arranged.with_columns(
        (pl.col(KNOWN_AT).fill_null(later) if KNOWN_AT in arranged.columns else later).alias(KNOWN_AT)
    )


def _gap(series: pl.Series, place: str) -> Mistake | None:
    if not series.null_count():
        return None
    first = series.is_null().arg_max()
    problem = f"is empty in {series.null_count()} rows, the first of which is row {first}"
    return Mistake(place, problem, hint=f"every row needs its {series.name}; leave the others out")


def _missing(part: str, column: str | None, table: pl.DataFrame, name: str) -> Mistake | None:
    if column is None:
        return Mistake(f"schema.{part}", "is not in the spec, and is needed here", hint="name the column that holds it")
    if column not in table.columns:
        hint = did_you_mean(column, table.columns)
        return Mistake(f"{name}.{column}", f"is missing; the spec says it is the {part}", hint=hint)
    return None
