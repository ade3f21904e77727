"""Whether an Arrow stream keeps its word: every length and every buffer lies inside the body, before anybody reads it.

Polars trusts what a stream says of its own sizes: a length that was made up is an allocation that aborts the process,
or a panic (found by fuzzing; see tests/wire/test_arrow.py). So the framing and the flatbuffers are walked
here first, by the published format (Arrow columnar format 1.5, Message.fbs and Schema.fbs). What passes has no buffer
outside the body, none that is too short for its rows, no two that share bytes to multiply them, no compression that
hides a size, and only types that a batch of telemetry may have. The values themselves (offsets, UTF-8, keys of
dictionaries) are left to Polars, which does check them. Cost: some 5 us a column and batch; no value is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct, error
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from killick.errors import DataError, Mistake

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS_MAX = 10_000
ROWS_MAX = 1_000_000
# features -> a list -> its numbers; a map's entries are one deeper. Nothing that is let in needs more.
_DEPTH_MAX = 4
_CONTINUES = b"\xff\xff\xff\xff"
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
_HINT = "send what pyarrow.ipc.new_stream or Polars' write_ipc_stream writes"

_U8, _I16, _U16, _I32, _U32, _I64 = (Struct(f"<{code}") for code in "BhHiIq")
_BITS = 8

# By the numbers of Schema.fbs.
_NULL, _INT, _FLOAT, _TEXT, _BOOL, _DECIMAL, _DATE, _TIME, _TIMESTAMP = 1, 2, 3, 5, 6, 7, 8, 9, 10
_LIST, _STRUCT, _FIXED_LIST, _MAP, _DURATION, _LARGE_TEXT, _LARGE_LIST, _TEXT_VIEW = 12, 13, 16, 17, 18, 20, 21, 24
_NAMES = {
    4: "Binary",
    11: "Interval",
    14: "Union",
    15: "FixedSizeBinary",
    19: "LargeBinary",
    22: "RunEndEncoded",
    23: "BinaryView",
    25: "ListView",
    26: "LargeListView",
}
_OFFSET_BYTES = {_TEXT: 4, _LARGE_TEXT: 8, _LIST: 4, _LARGE_LIST: 8, _MAP: 4}
_VIEW_BYTES = 16
_INT_BITS = frozenset({8, 16, 32, 64})
_DECIMAL_DIGITS_MAX = 38


class _Broken(Exception):
    """What is wrong with the stream, in words."""


@dataclass(frozen=True, slots=True)
class _Table:
    """A table of a flatbuffer: fields by their slot, absent ones with their default."""

    data: memoryview
    at: int

    def _slot(self, slot: int) -> int:
        """Return where a field lies, 0 where it is absent."""
        vtable = self.at - _read(_I32, self.data, self.at)
        inside = 4 + 2 * slot
        offset = _read(_U16, self.data, vtable + inside) if inside < _read(_U16, self.data, vtable) else 0
        return self.at + offset if offset else 0

    def number(self, slot: int, code: Struct, default: int = 0) -> int:
        at = self._slot(slot)
        return _read(code, self.data, at) if at else default

    def table(self, slot: int) -> _Table | None:
        at = self._slot(slot)
        return _Table(self.data, at + _read(_U32, self.data, at)) if at else None

    def needed(self, slot: int, what: str) -> _Table:
        found = self.table(slot)
        if found is None:
            raise _Broken(f"has no {what}")
        return found

    def _vector(self, slot: int, width: int) -> tuple[int, int]:
        """Return where a vector's elements begin and how many they are: all of them lie inside."""
        at = self._slot(slot)
        if not at:
            return 0, 0
        start = at + _read(_U32, self.data, at)
        count = _read(_U32, self.data, start)
        if start + 4 + count * width > len(self.data):
            raise _Broken("promises more than it holds")
        return start + 4, count

    def tables(self, slot: int) -> list[_Table]:
        start, count = self._vector(slot, 4)
        if count > COLUMNS_MAX:
            raise _Broken(f"has more than {COLUMNS_MAX:,} columns")
        places = range(start, start + 4 * count, 4)
        return [_Table(self.data, place + _read(_U32, self.data, place)) for place in places]

    def longs(self, slot: int, each: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """Return a vector of structs of so many int64 each."""
        start, count = self._vector(slot, 8 * each)
        return np.frombuffer(self.data, "<i8", count * each, start).reshape(count, each)

    def text(self, slot: int) -> str:
        start, count = self._vector(slot, 1)
        return bytes(self.data[start : start + count]).decode()


def _read(code: Struct, data: memoryview, at: int) -> int:
    if at < 0:  # struct would count from the end
        raise _Broken("points outside itself")
    return int(code.unpack_from(data, at)[0])


@dataclass(frozen=True, slots=True)
class _Field:
    """A column's layout: `bits` of a value of fixed width, `size` of a list of fixed length."""

    name: str
    kind: int
    bits: int
    size: int
    children: tuple[_Field, ...]
    # The dictionary's number and its values' layout, where the column holds keys.
    dictionary: int | None = None
    values: _Field | None = None


def guard(body: bytes, place: str) -> int:
    """Return how many rows a stream has, after it has been walked to its end.

    Args:
        body: an Arrow IPC stream.
        place: what to call it in a message.

    Raises:
        DataError: it is no such stream, it is broken, too large, or of a type that telemetry has no use for.
    """
    try:
        return _rows(memoryview(body))
    except _Broken as broken:
        raise DataError(Mistake(place, f"is an Arrow stream that cannot be read: it {broken}", hint=_HINT)) from None
    except (error, ValueError, UnicodeDecodeError):
        problem = "is no Arrow stream, or one that was cut or mangled"
        raise DataError(Mistake(place, problem, hint=_HINT)) from None


def _rows(body: memoryview) -> int:
    message, at, length = _message(body, 0)
    if message is None or message.number(1, _U8) != _SCHEMA:
        raise _Broken("does not begin with its schema")
    schema = _schema(message.needed(2, "schema"))
    dictionaries: dict[int, _Field] = {}
    _note_dictionaries(schema, dictionaries)
    rows, missing = 0, set(dictionaries)
    while (at := at + length) < len(body):
        message, at, length = _message(body, at)
        if message is None:
            break
        header = message.number(1, _U8)
        if header == _DICTIONARY:
            part = message.needed(2, "dictionary")
            number = part.number(0, _I64)
            if number not in dictionaries:
                raise _Broken("has a dictionary for no column")
            _check_batch(part.needed(1, "values"), [dictionaries[number]], length)
            missing.discard(number)
        elif header != _BATCH or missing:
            raise _Broken("holds something else than batches, or one before its dictionaries")
        else:
            rows += _check_batch(message.needed(2, "rows"), schema, length)
        if rows > ROWS_MAX:
            raise _Broken(f"has more than {ROWS_MAX:,} rows")
    return rows


def _message(body: memoryview, at: int) -> tuple[_Table | None, int, int]:
    """Return the message that begins here, where its body does, and how long that is; none at the end of the stream."""
    if body[at : at + 4] != _CONTINUES:
        raise _Broken("has no message where one should begin")
    size = _read(_I32, body, at + 4)
    at += 8
    if size == 0:
        return None, at, 0
    if size < 0 or at + size > len(body):
        raise _Broken("was cut: its last message is longer than what is there")
    metadata = body[at : at + size]
    message = _Table(metadata, _read(_U32, metadata, 0))
    at, length = at + size, message.number(3, _I64)
    if length < 0 or at + length > len(body):
        raise _Broken("was cut: its last message is longer than what is there")
    return message, at, length


# ------------------------------------------------------------------------------------------------ the schema


def _schema(table: _Table) -> list[_Field]:
    if table.number(0, _I16):
        raise _Broken("is written in big-endian order")
    left = [COLUMNS_MAX]
    return _fields(table.tables(1), 0, left)


def _fields(tables: list[_Table], depth: int, left: list[int]) -> list[_Field]:
    fields = [_field(field, depth, left) for field in tables]
    if len({field.name for field in fields}) < len(fields):
        raise _Broken("names a column twice")
    return fields


def _field(table: _Table, depth: int, left: list[int]) -> _Field:
    """Read a field and its children; `left` is how many more there may be, whoever their parent is."""
    left[0] -= 1
    if left[0] < 0 or depth > _DEPTH_MAX:
        raise _Broken(f"has more than {COLUMNS_MAX:,} columns, or columns inside columns inside columns")
    name, kind = table.text(0), table.number(2, _U8)
    children = tuple(_fields(table.tables(5), depth + 1, left))
    type_table = table.needed(3, "type of a column")
    bits = _bits_of(name, kind, type_table)
    size = type_table.number(0, _I32) if kind == _FIXED_LIST else 0
    if kind in {_LIST, _LARGE_LIST, _FIXED_LIST, _MAP}:
        if len(children) != 1:
            raise _Broken(f"has a list {name!r} of nothing")
    elif kind != _STRUCT and children:
        raise _Broken(f"has a column {name!r} with columns inside that its type does not have")
    own = _Field(name, kind, bits, size, children)
    encoding = table.table(4)
    if encoding is None:
        return own
    if kind not in {_TEXT, _LARGE_TEXT, _TEXT_VIEW} or encoding.number(3, _I16):
        _unknown(name, "a dictionary of other things than text")
    index = encoding.table(1)
    width = index.number(0, _I32) if index else 32
    if width not in _INT_BITS:
        raise _Broken(f"has a column {name!r} with keys of {width} bits")
    return _Field(name, _INT, width, 0, (), dictionary=encoding.number(0, _I64), values=own)


def _one_of(slot: int, code: Struct, default: int, bits: dict[int, int]) -> Callable[[_Table], int | None]:
    return lambda table: bits.get(table.number(slot, code, default))


def _decimal(table: _Table) -> int | None:
    digits, scale, width = table.number(0, _I32), table.number(1, _I32), table.number(2, _I32, 128)
    return width if width == 128 and 0 <= scale <= digits <= _DECIMAL_DIGITS_MAX and digits else None  # noqa: PLR2004


_SAME = {bits: bits for bits in _INT_BITS}
_UNITS = dict.fromkeys(range(4), 64)
# How many bits a value of each type has, 0 where that differs from value to value, None where Arrow has no such type.
_WIDTHS: dict[int, Callable[[_Table], int | None]] = {
    **dict.fromkeys((_NULL, _TEXT, _LARGE_TEXT, _TEXT_VIEW, _LIST, _LARGE_LIST, _STRUCT, _MAP), lambda _: 0),
    _BOOL: lambda _: 1,
    _INT: _one_of(0, _I32, 0, _SAME),
    _FLOAT: _one_of(0, _I16, 0, {0: 16, 1: 32, 2: 64}),
    _DECIMAL: _decimal,
    _DATE: _one_of(0, _I16, 1, {0: 32, 1: 64}),
    _TIME: _one_of(1, _I32, 32, {32: 32, 64: 64}),
    _TIMESTAMP: _one_of(0, _I16, 0, _UNITS),
    _DURATION: _one_of(0, _I16, 1, _UNITS),
    _FIXED_LIST: lambda table: 0 if table.number(0, _I32) >= 0 else None,
}


def _bits_of(name: str, kind: int, table: _Table) -> int:
    known = _WIDTHS.get(kind)
    bits = known(table) if known else None
    if bits is None:
        _unknown(name, _NAMES.get(kind, "a width or unit that Arrow does not have"))
    return bits


def _unknown(name: str, what: str) -> NoReturn:
    raise _Broken(f"has a column {name!r} of a type that is not let in, {what}: leave it out, or send text or numbers")


def _note_dictionaries(fields: list[_Field] | tuple[_Field, ...], found: dict[int, _Field]) -> None:
    for field in fields:
        if field.dictionary is not None and field.values is not None:
            if field.dictionary in found:
                raise _Broken("has two columns with one dictionary")
            found[field.dictionary] = field.values
        _note_dictionaries(field.children, found)


# ------------------------------------------------------------------------------------------------ the batches


class _Cursor:
    """The nodes and buffers of a batch, taken one after another as the fields ask for them."""

    def __init__(self, table: _Table, body: int) -> None:
        nodes, buffers = table.longs(1, 2), table.longs(2, 2)
        starts, lengths = buffers[:, 0], buffers[:, 1]
        # Compared without a sum that could overflow.
        if ((starts < 0) | (lengths < 0) | (starts > body) | (lengths > body - np.clip(starts, 0, body))).any():
            raise _Broken("has a buffer outside its body")
        if int(lengths.sum(dtype=np.float64)) > body:
            raise _Broken("uses the same bytes more than once")
        self._nodes, self._sizes = iter(nodes.tolist()), iter(lengths.tolist())
        self._views = iter(table.longs(4, 1)[:, 0].tolist())
        self.body = body

    def node(self) -> tuple[int, int]:
        length, nulls = next(self._nodes, (-1, 0))
        if not 0 <= nulls <= length <= max(ROWS_MAX, _BITS * self.body):
            raise _Broken("has a column whose length is made up, or none at all")
        return length, nulls

    def take(self, needed: int) -> None:
        size = next(self._sizes, -1)
        if size < needed:
            raise _Broken("has a buffer that is too short for its rows")

    def take_views(self) -> None:
        count = next(self._views, -1)
        if not 0 <= count <= self.body:
            raise _Broken("has text without its buffers")
        for _ in range(count):
            self.take(0)

    def finish(self) -> None:
        if any(next(rest, None) is not None for rest in (self._nodes, self._sizes, self._views)):
            raise _Broken("has more buffers than its columns need")


def _check_batch(table: _Table, fields: list[_Field], body: int) -> int:
    if table.table(3) is not None:
        # What they hold is not known before they are unpacked, and a megabyte may become a terabyte.
        raise _Broken("has compressed buffers; send it plain, and compress the whole body (Content-Encoding: zstd)")
    rows = table.number(0, _I64)
    if not 0 <= rows <= max(ROWS_MAX, body):
        raise _Broken(f"has more than {ROWS_MAX:,} rows")
    cursor = _Cursor(table, body)
    for field in fields:
        _check_column(field, rows, cursor)
    cursor.finish()
    return rows


def _check_column(field: _Field, rows: int | None, cursor: _Cursor) -> None:
    """Take a column's node and buffers; `rows` is None where only the node says how many there are."""
    length, nulls = cursor.node()
    if rows is not None and length != rows:
        raise _Broken(f"has a column {field.name!r} of {length:,} values in {rows:,} rows")
    if field.kind == _NULL:
        return
    cursor.take(-(-length // _BITS) if nulls else 0)
    if field.bits:
        cursor.take(-(-length * field.bits // _BITS))
    elif field.kind == _TEXT_VIEW:
        cursor.take(_VIEW_BYTES * length)
        cursor.take_views()
    elif field.kind in _OFFSET_BYTES:
        cursor.take(_OFFSET_BYTES[field.kind] * (length + 1) if length else 0)
        if not field.children:
            cursor.take(0)
    inside = {_STRUCT: length, _FIXED_LIST: length * field.size}.get(field.kind)
    for child in field.children:
        _check_column(child, inside, cursor)
