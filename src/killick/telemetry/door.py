"""The door: whatever speaks Arrow comes in, and leaves it as a frame with the house's own names.

A table keeps its rows in their order. Parts (`event_time`, `score`, `label` ...) get the names of `telemetry.columns`;
features keep theirs. What the spec promises and the table does not hold is a `DataError` that names every such column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeAlias

import polars as pl

from killick.errors import DataError, Mistake, did_you_mean
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
    from collections.abc import Mapping

    from killick.spec.document import Label, Schema, Spec


class ArrowStream(Protocol):
    """Any table with the Arrow C stream interface: pandas, Polars, pyarrow, DuckDB, Ibis, Daft ..."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return a PyCapsule with the stream."""
        ...


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
    if isinstance(table, pl.LazyFrame):
        return table.collect()
    try:
        return pl.DataFrame(table)
    except pl.exceptions.DuplicateError as error:
        raise DataError(Mistake(name, f"names a column twice: {error}", hint="rename one of the two")) from None
    except Exception as error:  # whatever the foreign library raises while it hands its table over
        hint = "give a table with the Arrow C stream interface (pandas, Polars, pyarrow, DuckDB ...) or a path"
        raise DataError(Mistake(name, f"is not a table: {error}", value=type(table).__name__, hint=hint)) from error


def arrange(table: pl.DataFrame, spec: Spec, *, name: str, needed: frozenset[str] = frozenset()) -> pl.DataFrame:
    """Return the table's features and parts under the names of the house.

    Args:
        table: the operator's table.
        spec: which column plays which part.
        name: what to call the table in a message.
        needed: the parts that must be there; others are taken where the table has them.

    Raises:
        DataError: a needed part or a declared feature is missing, or a part's values cannot be used.
    """
    columns = part_columns(spec.schema)
    features = features_of(table, spec)
    mistakes = [_missing(part, columns.get(part), table, name) for part in sorted(needed)]
    mistakes += [
        Mistake(f"{name}.{feature}", "is a feature with a name that the house keeps for itself", hint="rename the column")
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
    arranged = table.select([*[table[feature] for feature in features], *parts])
    return _with_known_at(arranged, spec.schema.label)


def features_of(table: pl.DataFrame, spec: Spec) -> tuple[str, ...]:
    """Return the table's features: what the spec includes and no part claims."""
    free = [column for column in table.columns if column not in spec.schema.columns]
    return spec.features.select(free)


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

    Raises:
        DataError: the column holds no times.

    >>> from datetime import datetime
    >>> instants(pl.Series("t", [datetime(1970, 1, 1, 1)]), "Europe/Berlin", "t").to_list()
    [0]
    """
    if series.dtype == pl.String:
        parsed = series.str.to_datetime(time_unit="us", time_zone="UTC", strict=False)
        if parsed.null_count() > series.null_count():
            bad = series.filter(parsed.is_null() & series.is_not_null())[0]
            raise DataError(Mistake(place, "does not hold times", value=bad, hint="write ISO 8601, as 2013-04-01T00:00Z"))
        series = parsed
    if series.dtype == pl.Date:
        series = series.cast(pl.Datetime("us"))
    if not isinstance(series.dtype, pl.Datetime):
        hint = "give a timestamp column, or ISO 8601 text"
        raise DataError(Mistake(place, "does not hold times", value=str(series.dtype), hint=hint))
    if series.dtype.time_zone is None:
        series = series.dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null")
    return series.dt.epoch("us")


def binary_labels(series: pl.Series, positive: str | float | None, place: str) -> pl.Series:
    """Return labels as 0 and 1, null where there is none yet.

    Raises:
        DataError: the column has other values than two, or it is not clear which of them is positive.
    """
    if positive is not None:
        return (series.cast(pl.String) == str(positive).lower() if series.dtype == pl.Boolean else series == positive).cast(
            pl.Int64
        )
    if series.dtype == pl.Boolean:
        return series.cast(pl.Int64)
    values = series.drop_nulls().unique()
    if series.dtype.is_numeric() and values.is_in([0, 1]).all():
        return series.cast(pl.Int64)
    shown = ", ".join(str(value) for value in values.sort().head(3).to_list())
    hint = "name the positive one: schema: {label: {column: ..., positive: ...}}"
    raise DataError(Mistake(place, "is not a binary label that explains itself", value=shown, hint=hint))


def _part(part: str, series: pl.Series, spec: Spec, name: str) -> pl.Series:
    place = f"{name}.{series.name}"
    if part in (EVENT_TIME, KNOWN_AT):
        return instants(series, spec.schema.time_zone, place)
    if part == LABEL:
        positive = spec.schema.label.positive if spec.schema.label else None
        return binary_labels(series, positive, place) if spec.task == "binary" else series
    if part == SCORE:
        if not series.dtype.is_numeric():
            raise DataError(Mistake(place, "is the score, but holds no numbers", value=str(series.dtype)))
        return series.cast(pl.Float64)
    return series.cast(pl.String)


def _with_known_at(arranged: pl.DataFrame, label: Label | None) -> pl.DataFrame:
    """A label without a time of its own is known `delay` after its prediction."""
    if label is None or KNOWN_AT in arranged.columns or not {LABEL, EVENT_TIME} <= set(arranged.columns):
        return arranged
    return arranged.with_columns((pl.col(EVENT_TIME) + label.delay).alias(KNOWN_AT))


def _missing(part: str, column: str | None, table: pl.DataFrame, name: str) -> Mistake | None:
    if column is None:
        return Mistake(f"schema.{part}", "is not in the spec, and is needed here", hint="name the column that holds it")
    if column not in table.columns:
        return Mistake(f"{name}.{column}", f"is missing; the spec says it is the {part}", hint=did_you_mean(column, table.columns))
    return None
