"""JSON and NDJSON as columns.

msgspec reads the rows, and refuses what no row may hold (objects in objects, lists of anything but numbers, numbers
beyond a float) before it allocates them; an array is read at once, and row by row only where that fails. Both ways the
same reader sees each row, so that both give the same rows. Cost: some 2 us a row of 20 features.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec
import numpy as np
import polars as pl
from msgspec import Meta, Raw

from killick.errors import DataError, Mistake
from killick.telemetry.arrow_guard import COLUMNS_MAX, ROWS_MAX
from killick.telemetry.quarantine import NAMED_MAX, Quarantine, Rejected, shown
from killick.telemetry.values import (
    LIST_MAX,
    LIST_TOO_LONG,
    MISMATCH,
    NO_LIST,
    NO_TIME,
    OBJECT,
    TEXT_MAX,
    TOO_LONG,
    refuse_broken_text,
    refuse_units,
    written,
    written_times,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from killick.telemetry.quarantine import Mask
    from killick.telemetry.values import Kind

Value: TypeAlias = (
    None
    | bool
    | int
    | float
    | Annotated[str, Meta(max_length=TEXT_MAX)]
    | Annotated[list[float], Meta(max_length=LIST_MAX)]
)
Row: TypeAlias = dict[str, Value | dict[str, Value]]
_READ_VALUE = msgspec.json.Decoder(Value)
_READ_ROW = msgspec.json.Decoder(Row)
_READ_ROWS = msgspec.json.Decoder(list[Row])
_READ_PIECES = msgspec.json.Decoder(list[Raw])
_READ_FIELDS = msgspec.json.Decoder(dict[str, Raw])

# A row with all its parts has four objects: itself, features, scores, metadata.
_OBJECTS_MAX = 4 * ROWS_MAX
# Few rows may have any columns; more have a quarter of their cells filled, or ids were taken for names.
_CELLS_FREE, _CELLS_EACH = 4_000_000, 4
# Why a row cannot be read is looked up in no more than this: 8,192 numbers are 200 KB.
_EXPLAINED_MAX = 4 * 2**20
_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1

# Every escape of a text, the lone half of a surrogate pair as a group of its own.
_ESCAPES = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
_TOKENS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[][{},]', re.DOTALL)

_NONE = type(None)
_MAY: dict[str, frozenset[type]] = {
    "text": frozenset({str, int}),
    "number": frozenset({int, float}),
    "time": frozenset({str, int, float}),
    "word": frozenset({str, int, float, bool}),
    "feature": frozenset({str, int, float, bool, list}),
}
_CALLED = {"text": "text", "number": "number", "time": "time", "word": "text or number"}


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a body that could be read, each one's place in it, and those that could not."""

    rows: list[dict[str, Any]]
    index: Sequence[int]
    unread: tuple[Rejected, ...] = ()
    unread_rows: int = 0


def read_array(body: bytes) -> Rows:
    """Read an array of objects, or one object.

    Raises:
        DataError: it is no JSON, nested too deeply, or has too many rows.
    """
    if body.count(b"{") > _OBJECTS_MAX:
        raise _too_many()
    try:
        rows = _READ_ROWS.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_each(_pieces(_mended(body)))
    if len(rows) > ROWS_MAX:
        raise _too_many()
    return Rows(rows, range(len(rows)))


def read_lines(body: bytes) -> Rows:
    """Read a JSON object a line; empty lines are passed over, and not counted.

    Raises:
        DataError: there are too many lines.
    """
    if body.count(b"\n") > ROWS_MAX:
        raise _too_many()
    return _read_each(line for line in body.split(b"\n") if line and not line.isspace())


def _read_each(pieces: Iterable[bytes | Raw]) -> Rows:
    rows: list[dict[str, Any]] = []
    index: list[int] = []
    unread: list[Rejected] = []
    at = -1
    for at, piece in enumerate(pieces):
        row = _decoded(piece) or _decoded(_mended(bytes(piece)))
        if row is not None:
            rows.append(row)
            index.append(at)
        elif len(unread) < NAMED_MAX:
            unread.append(Rejected(at, *_why(bytes(piece))))
    return Rows(rows, index, tuple(unread), at + 1 - len(rows))


def _decoded(piece: bytes | Raw) -> dict[str, Any] | None:
    try:
        return _READ_ROW.decode(piece)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _pieces(body: bytes) -> list[Raw]:
    """Cut an array into its elements, none of which is read."""
    # An element takes more memory unread than it may have bytes.
    if body.count(b",") >= ROWS_MAX and _elements_exceed(body, ROWS_MAX):
        raise _too_many()
    hint = "send an array of objects; or NDJSON, as application/x-ndjson"
    try:
        return [msgspec.json.decode(body, type=Raw)] if body.lstrip()[:1] == b"{" else _READ_PIECES.decode(body)
    except RecursionError:
        raise DataError(Mistake("body", "is JSON nested too deeply", hint=hint)) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        if re.search(rb"[:,\[]\s*-?(?:NaN|Infinity)", body):
            hint = "NaN and Infinity are no JSON: write null"
        raise DataError(Mistake("body", f"is no array of JSON objects: {error}", hint=hint)) from None


def _elements_exceed(body: bytes, most: int) -> bool:
    depth, commas = 0, 0
    for token in _TOKENS.finditer(body):
        sign = token[0]
        depth += (sign in b"[{") - (sign in b"]}") if len(sign) == 1 else 0
        commas += sign == b"," and depth == 1
        if commas >= most:
            return True
    return False


def _mended(body: bytes) -> bytes:
    """Write NUL for every half of a surrogate pair: its row is then read, and refused for it, and not the whole body."""
    if b"\\ud" not in body and b"\\uD" not in body:
        return body
    return _ESCAPES.sub(lambda found: b"\\u0000" if found[1] else found[0], body)


def _why(piece: bytes) -> tuple[str, str]:
    """Return which field of a row could not be read, and why."""
    if len(piece) > _EXPLAINED_MAX:
        return "", f"cannot be read, and is larger than {_EXPLAINED_MAX // 2**20} MiB"
    return _first_wrong(piece, "") or ("", "cannot be read")


def _first_wrong(piece: bytes | Raw, inside: str) -> tuple[str, str] | None:
    try:
        fields = _READ_FIELDS.decode(piece)
    except UnicodeDecodeError:
        return inside, "is not UTF-8"
    except msgspec.ValidationError:
        return inside, f"is no object, but {shown(bytes(piece[:60]).decode(errors='replace'))}"  # type: ignore[index]
    except msgspec.DecodeError as error:
        return inside, f"is no JSON: {error}"
    except RecursionError:
        return inside, "is nested too deeply"
    for name, raw in fields.items():
        field = f"{inside}.{name}" if inside else name
        try:
            _READ_VALUE.decode(raw)
        except UnicodeDecodeError:
            return field, "is not UTF-8"
        except (msgspec.MsgspecError, RecursionError) as error:
            begins = bytes(memoryview(raw)[:1])
            if begins == b"{" and not inside:
                found = _first_wrong(raw, field)
            else:
                found = field, _no_value(begins, str(error))
            if found:
                return found
    return None


def _no_value(begins: bytes, error: str) -> str:
    if begins == b"{":
        return OBJECT
    if begins == b"[":
        return LIST_TOO_LONG if "length" in error else NO_LIST
    return TOO_LONG if begins == b'"' and "length" in error else f"cannot be read: {error.partition(' - at')[0]}"


def _too_many() -> DataError:
    return DataError(Mistake("body", f"has more than {ROWS_MAX:,} rows", hint="send fewer at a time"))


# ------------------------------------------------------------------------------------------------ columns


def by_column(rows: Sequence[dict[str, Any]]) -> dict[str, Sequence[Any]]:
    """Return rows as columns, None where a row has nothing.

    Raises:
        DataError: there are too many columns, or far more cells than values.
    """
    if not rows:
        return {}
    names = list(rows[0])
    if all(list(row) == names for row in rows):
        return dict(zip(names, zip(*map(dict.values, rows), strict=True), strict=True))
    names = list(dict.fromkeys(chain.from_iterable(rows)))
    filled = sum(map(len, rows))
    if len(names) * len(rows) > _CELLS_FREE + _CELLS_EACH * filled:
        problem = f"names {len(names):,} columns in {len(rows):,} rows, and hardly any row has them"
        raise DataError(Mistake("body", problem, hint="use the same names in every row; an id is a value, not a name"))
    return {name: [row.get(name) for row in rows] for name in names}


class Listed:
    """Columns of Python values (`killick.telemetry.values.Columns`), as JSON gives them."""

    def __init__(self, columns: dict[str, Sequence[Any]], quarantine: Quarantine, time_zone: str) -> None:
        if len(columns) > COLUMNS_MAX:
            hint = "send the columns that the model looks at"
            raise DataError(Mistake("body", f"has more than {COLUMNS_MAX:,} columns", value=len(columns), hint=hint))
        self.quarantine = quarantine
        self._columns = columns
        self._zone = time_zone

    @property
    def names(self) -> Sequence[str]:
        """The names of the columns, in their order."""
        return list(self._columns)

    def filled(self, name: str) -> Mask:
        """Whether each row has anything in a column."""
        return np.fromiter((value is not None for value in self._columns[name]), np.bool_)

    def read(self, name: str, kind: Kind, field: str) -> pl.Series:
        """Return a column as `kind`."""
        values = self._allowed(self._kept(name), kind, field)
        types = set(map(type, values)) - {_NONE}
        if kind == "time":
            return pl.Series(name, self._times(values, types, field), dtype=pl.Int64)
        if kind == "number":
            return _numbers(name, values, types)
        if kind == "feature" and list in types:
            return self._lists(name, values, types, field)
        if kind == "feature" and str not in types:
            return _scalars(name, values, types)
        text = pl.Series(name, values if types <= {str} else _texts(values, types), dtype=pl.String)
        refuse_broken_text(text, field, self.quarantine)
        return text

    def inside(self, name: str, field: str) -> Listed:
        """Return what a column of objects holds, as columns."""
        return Listed(by_column([value or {} for value in self.objects(name, field)]), self.quarantine, self._zone)

    def objects(self, name: str, field: str) -> Sequence[dict[str, object] | None]:
        """Return a column of objects; a row with anything else is refused."""
        values = self._kept(name)
        if set(map(type, values)) <= {dict, _NONE}:
            return values
        strange = np.fromiter((not isinstance(value, dict | None) for value in values), np.bool_)
        self.quarantine.refuse(strange, field, lambda row: f"is no object, but {shown(values[row])}")
        return [value if isinstance(value, dict) else None for value in values]

    def _kept(self, name: str) -> Sequence[Any]:
        kept = self.quarantine.kept
        values = self._columns[name]
        return values if kept.all() else [value if stays else None for value, stays in zip(values, kept, strict=True)]

    def _allowed(self, values: Sequence[Any], kind: Kind, field: str) -> Sequence[Any]:
        """Refuse the rows whose values are of no type that the kind allows."""
        strange = set(map(type, values)) - _MAY[kind] - {_NONE}
        if not strange:
            return values
        wrong = np.fromiter((type(value) in strange for value in values), np.bool_)

        def reason(row: int) -> str:
            # A feature's value may be a person's, and what is refused is kept in logs.
            return OBJECT if kind == "feature" else f"is no {_CALLED[kind]}, but {shown(values[row])}"

        self.quarantine.refuse(wrong, field, reason)
        return [None if type(value) in strange else value for value in values]

    def _times(self, values: Sequence[Any], types: set[type], field: str) -> Sequence[int | None]:
        if types <= {int, float}:
            numbers = pl.Series([_whole(value) for value in values], dtype=pl.Int64)
            found: Sequence[int | None] = numbers.to_list() if float in types else values
        else:
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
        """Return a column of lists, or of what its first row has where that is no list."""
        first = next(type(value) for value in values if value is not None)
        if types > {list}:
            other = np.fromiter(
                (value is not None and (type(value) is list) != (first is list) for value in values), np.bool_
            )
            self.quarantine.refuse(other, field, MISMATCH)
            values = [None if wrong else value for value, wrong in zip(values, other, strict=True)]
        if first is list:
            return pl.Series(name, values, dtype=pl.List(pl.Float64))
        return Listed({name: values}, self.quarantine, self._zone).read(name, "feature", field)


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


def _scalars(name: str, values: Sequence[Any], types: set[type]) -> pl.Series:
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
