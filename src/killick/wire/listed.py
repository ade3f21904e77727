"""Rows of Python values as columns: what JSON gives.

Types are judged by column: one set of types tells whether any value of it needs a closer look. Cost: some 50 ns a
value.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import chain, compress, repeat
from operator import eq
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from killick.errors import DataError, Mistake
from killick.telemetry.quarantine import shown
from killick.wire.arrow_guard import COLUMNS_MAX
from killick.wire.values import (
    BEYOND,
    MISMATCH,
    NO_TIME,
    OBJECT,
    refuse_texts,
    refuse_units,
    written,
    written_times,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.telemetry.quarantine import Mask, Quarantine
    from killick.wire.values import Kind

# Few rows may have any columns; more have a quarter of their cells filled, or ids were taken for names.
_CELLS_FREE, _CELLS_EACH = 4_000_000, 4
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1

_NONE = type(None)
_MAY: dict[str, frozenset[type]] = {
    "text": frozenset({str, int}),
    "number": frozenset({int, float}),
    "time": frozenset({str, int, float}),
    "word": frozenset({str, int, float, bool}),
    "feature": frozenset({str, int, float, bool, list}),
}
_CALLED = {"text": "text", "number": "number", "time": "time", "word": "text or number"}


def by_column(rows: Sequence[dict[str, Any]]) -> dict[str, Sequence[Any]]:
    """Return rows as columns, None where a row has nothing.

    Raises:
        DataError: there are too many columns, or far more cells than values.
    """
    if not rows:
        return {}
    names = list(rows[0])
    if all(map(eq, map(list, rows), repeat(names))):
        return dict(zip(names, zip(*map(dict.values, rows), strict=True), strict=True))
    names = list(dict.fromkeys(chain.from_iterable(rows)))
    filled = sum(map(len, rows))
    if len(names) * len(rows) > _CELLS_FREE + _CELLS_EACH * filled:
        problem = f"names {len(names):,} columns in {len(rows):,} rows, and hardly any row has them"
        raise DataError(Mistake("body", problem, hint="use the same names in every row; an id is a value, not a name"))
    return {name: [row.get(name) for row in rows] for name in names}


class Listed:
    """Columns of Python values (`killick.wire.values.Columns`), as JSON gives them.

    Args:
        rows: the rows, each with the columns that it has.
        quarantine: where rows are refused.
        time_zone: of times that name none.
        escaped: whether texts may hold a NUL.
    """

    def __init__(
        self, rows: Sequence[dict[str, Any]], quarantine: Quarantine, time_zone: str, *, escaped: bool
    ) -> None:
        columns = by_column(rows)
        if len(columns) > COLUMNS_MAX:
            hint = "send the columns that the model looks at"
            raise DataError(Mistake("body", f"has more than {COLUMNS_MAX:,} columns", value=len(columns), hint=hint))
        self._rows = rows
        self.quarantine = quarantine
        self._columns = columns
        self._zone = time_zone
        self._escaped = escaped

    @property
    def names(self) -> Sequence[str]:
        """The names of the columns, in their order."""
        return list(self._columns)

    def filled(self, name: str) -> Mask:
        """Whether each row has anything in a column."""
        return np.fromiter((value is not None for value in self._columns[name]), np.bool_)

    def read(self, name: str, kind: Kind, field: str) -> pl.Series:
        """Return a column as `kind`."""
        values, types = self._allowed(self._columns[name], kind, field)
        if kind == "time":
            return pl.Series(name, self._times(values, types, field), dtype=pl.Int64)
        if kind == "number":
            return _numbers(name, values, types)
        if list in types:
            return self._lists(name, values, types, field)
        return self._scalars(name, values, types if kind == "feature" else types | {str}, field)

    def inside(self, name: str, field: str) -> Listed:
        """Return what a column of objects holds, as columns."""
        rows = [value or {} for value in self.objects(name, field)]
        return Listed(rows, self.quarantine, self._zone, escaped=self._escaped)

    def objects(self, name: str, field: str) -> Sequence[dict[str, object] | None]:
        """Return a column of objects; a row with anything else is refused."""
        values = self._columns[name]
        if set(map(type, values)) <= {dict, _NONE}:
            return values
        strange = np.fromiter((not isinstance(value, dict | None) for value in values), np.bool_)
        self.quarantine.refuse(strange, field, lambda row: f"is no object, but {shown(values[row])}")
        return [value if isinstance(value, dict) else None for value in values]

    def kept(self) -> Listed:
        """Return the rows that are not refused."""
        rows = list(compress(self._rows, self.quarantine.kept))
        return Listed(rows, self.quarantine.rest(), self._zone, escaped=self._escaped)

    def _allowed(self, values: Sequence[Any], kind: Kind, field: str) -> tuple[Sequence[Any], set[type]]:
        """Refuse the rows whose values are of no type that the kind allows; return the others', and their types."""
        types = set(map(type, values)) - {_NONE}
        strange = types - _MAY[kind]
        if not strange:
            return values, types
        wrong = np.fromiter((type(value) in strange for value in values), np.bool_)

        def reason(row: int) -> str:
            # A feature's value may be a person's, and what is refused is kept in logs.
            return OBJECT if kind == "feature" else f"is no {_CALLED[kind]}, but {shown(values[row])}"

        self.quarantine.refuse(wrong, field, reason)
        return [None if type(value) in strange else value for value in values], types - strange

    def _times(self, values: Sequence[Any], types: set[type], field: str) -> Sequence[int | None]:
        if types <= {int}:
            with suppress(OverflowError, TypeError):  # beyond int64, of int128 even
                numbers = pl.Series(values, dtype=pl.Int64)
                refuse_units(numbers, field, self.quarantine)
                return values
        numbers = pl.Series([None if isinstance(value, str) else _whole(value) for value in values], dtype=pl.Int64)
        texts = written_times([value if isinstance(value, str) else None for value in values], self._zone)
        found = [a if a is not None else b for a, b in zip(numbers.to_list(), texts, strict=True)]
        refuse_units(numbers, field, self.quarantine)
        lost = np.fromiter(
            (value is not None and time is None for value, time in zip(values, found, strict=True)), np.bool_
        )
        self.quarantine.refuse(lost, field, lambda row: f"{NO_TIME} (found {shown(values[row])})")
        return found

    def _lists(self, name: str, values: Sequence[Any], types: set[type], field: str) -> pl.Series:
        """Return a column of lists, or of what else more rows have; where they are as many, of lists."""
        are_lists = True
        if types > {list}:
            there = [type(value) is list for value in compress(values, self.quarantine.kept) if value is not None]
            are_lists = 2 * sum(there) >= len(there)
            other = np.fromiter(
                (value is not None and (type(value) is list) != are_lists for value in values), np.bool_
            )
            self.quarantine.refuse(other, field, MISMATCH)
            values = [None if wrong else value for value, wrong in zip(values, other, strict=True)]
        if are_lists:
            return pl.Series(name, values, dtype=pl.List(pl.Float64))
        return self._scalars(name, values, types - {list}, field)

    def _scalars(self, name: str, values: Sequence[Any], types: set[type], field: str) -> pl.Series:
        if str not in types:
            found = _numbers_or_flags(name, values, types)
            if found.dtype == pl.Float64 and int in types:
                self.quarantine.refuse(found.is_infinite().fill_null(value=False), field, BEYOND)
            return found
        text = pl.Series(name, values if types <= {str} else _texts(values, types), dtype=pl.String)
        if self._escaped:
            refuse_texts(text, field, self.quarantine)
        return text


def _whole(value: float | None) -> int | None:
    """Return a number that is whole and that int64 can hold."""
    if value is None or value != int(value) or not _INT64_MIN <= value <= _INT64_MAX:
        return None
    return int(value)


def _numbers(name: str, values: Sequence[Any], types: set[type]) -> pl.Series:
    """Return floats; a whole number that no float can hold is infinite."""
    if int in types or bool in types:
        values = [None if value is None else _float(value) for value in values]
    return pl.Series(name, values, dtype=pl.Float64)


def _float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _numbers_or_flags(name: str, values: Sequence[Any], types: set[type]) -> pl.Series:
    """Return booleans, whole numbers or floats; booleans among numbers are 0 and 1."""
    if not types:
        return pl.Series(name, values, dtype=pl.Null)
    if types == {bool}:
        return pl.Series(name, values, dtype=pl.Boolean)
    if float not in types:
        whole = values if bool not in types else [None if value is None else int(value) for value in values]
        if all(value is None or _INT64_MIN <= value <= _INT64_MAX for value in whole):
            return pl.Series(name, whole, dtype=pl.Int64)
    return _numbers(name, values, types)


def _texts(values: Sequence[Any], types: set[type]) -> list[str | None]:
    """Return mixed scalars as text, each as a column of its own type would be."""
    text = [value if isinstance(value, str) else None for value in values]
    for one in types - {str}:
        places = [at for at, value in enumerate(values) if type(value) is one]
        own = [values[at] for at in places]
        for at, words in zip(places, map(str, own) if one is int else written(pl.Series(own)).to_list(), strict=True):
            text[at] = words
    return text
