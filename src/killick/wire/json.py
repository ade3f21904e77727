"""JSON and NDJSON as columns.

msgspec reads the rows, and refuses what no row may hold (objects in objects, lists of anything but numbers and nulls,
numbers beyond a float) before it allocates them; an array is read at once, and row by row only where that fails. Both
ways the same reader sees each row, so that both give the same rows. Cost: some 2 us a row of 20 features.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Raw

from killick.errors import DataError, Mistake
from killick.telemetry.quarantine import NAMED_MAX, Rejected, shown, whole_characters
from killick.wire.arrow_guard import ROWS_MAX
from killick.wire.values import (
    BEYOND,
    LIST_MAX,
    LIST_TOO_LONG,
    NO_LIST,
    OBJECT,
    TEXT_MAX,
    TOO_LONG,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


Value: TypeAlias = (
    bool
    | int
    | float
    | Annotated[str, Meta(max_length=TEXT_MAX)]
    | Annotated[list[float | None], Meta(max_length=LIST_MAX)]
    | None
)
Row: TypeAlias = dict[str, Value | dict[str, Value]]
_READ_VALUE = msgspec.json.Decoder(Value)
_READ_ROW = msgspec.json.Decoder(Row)
_READ_ROWS = msgspec.json.Decoder(list[Row])
_READ_PIECES = msgspec.json.Decoder(list[Raw])
_READ_FIELDS = msgspec.json.Decoder(dict[str, Raw])

# A row with all its parts has four objects: itself, features, scores, metadata.
_OBJECTS_MAX = 4 * ROWS_MAX
# Why a row cannot be read is looked up in no more than this: 8,192 numbers are 200 KB.
_EXPLAINED_MAX = 4 * 2**20
# A text that nobody ends is one token too: looking for its end from each quote in it would take hours.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[][{},]', re.DOTALL)


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
    if len(body) > _OBJECTS_MAX and body.count(b"{") > _OBJECTS_MAX:
        raise _too_many()
    try:
        rows = _READ_ROWS.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_each(enumerate(_pieces(whole_characters(body))))
    if len(rows) > ROWS_MAX:
        raise _too_many()
    return Rows(rows, range(len(rows)))


def read_lines(body: bytes) -> Rows:
    """Read a JSON object a line; empty lines are passed over, and counted: an index is that of a line.

    Raises:
        DataError: there are too many lines.
    """
    if body.count(b"\n") > ROWS_MAX:
        raise _too_many()
    every = body.split(b"\n")
    index = [at for at, line in enumerate(every) if line and not line.isspace()]
    lines = [every[at] for at in index]
    try:
        return Rows(list(map(_READ_ROW.decode, lines)), index)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _read_each(zip(index, lines, strict=True))


def _read_each(pieces: Iterable[tuple[int, bytes | Raw]]) -> Rows:
    rows: list[dict[str, Any]] = []
    index: list[int] = []
    unread: list[Rejected] = []
    unread_rows = 0
    for at, piece in pieces:
        row = _decoded(piece) or _decoded(whole_characters(bytes(piece)))
        if row is not None:
            rows.append(row)
            index.append(at)
            continue
        unread_rows += 1
        if len(unread) < NAMED_MAX:
            unread.append(Rejected(at, *_why(whole_characters(bytes(piece)))))
    return Rows(rows, index, tuple(unread), unread_rows)


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


def _why(piece: bytes) -> tuple[str, str]:
    """Return which field of a row could not be read, and why."""
    if len(piece) > _EXPLAINED_MAX:
        return "", f"cannot be read, and is larger than {_EXPLAINED_MAX // 2**20} MiB"
    return _first_wrong(piece, "") or ("", "cannot be read")


def _first_wrong(piece: bytes | Raw, inside: str) -> tuple[str, str] | None:
    try:
        fields = _READ_FIELDS.decode(piece)
    except msgspec.ValidationError:
        return inside, f"is no object, but {shown(bytes(memoryview(piece)[:60]).decode(errors='replace'))}"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return inside, _no_json(error)
    for name, raw in fields.items():
        field = f"{inside}.{name}" if inside else name
        try:
            _READ_VALUE.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            if bytes(memoryview(raw)[:1]) != b"{" or inside:
                return field, _no_value(raw, error)
            if found := _first_wrong(raw, field):
                return found
    return None


def _no_value(raw: Raw, error: Exception) -> str:
    begins, long = bytes(memoryview(raw)[:1]), "length" in str(error)
    if begins == b"{":
        return OBJECT
    if begins == b"[":
        return LIST_TOO_LONG if long else NO_LIST
    if isinstance(error, msgspec.ValidationError):
        return TOO_LONG if long else BEYOND
    return _no_json(error)


def _no_json(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "is not UTF-8"
    return "is nested too deeply" if isinstance(error, RecursionError) else f"is no JSON: {error}"


def _too_many() -> DataError:
    return DataError(Mistake("body", f"has more than {ROWS_MAX:,} rows", hint="send fewer at a time"))
