"""What the readers of other people's formats share: bounds, how bytes become values, and what comes out.

A reader turns a payload into events in the canonical form of our own wire, plain dictionaries that `POST
/v1/models/{model}/predictions` would take as they are, and says which pieces it refused and why. It never guesses a
model's columns: `Reading` says what is known of the model. Whatever the bytes, a reader returns or raises `DataError`.

What JSON cannot say (NaN, infinities) is a missing value: our wire could not carry it either.

Cost: linear in the payload. Nothing that is allocated depends on a number that merely stands in it, such as a shape.
"""

from __future__ import annotations

import base64
import binascii
import re
from contextlib import suppress
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import msgspec

from killick.clock import parse_instant
from killick.errors import DataError, Mistake
from killick.telemetry.quarantine import Rejected, whole_characters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from killick.clock import Instant
    from killick.spec.document import Task

Scalar: TypeAlias = "bool | int | float | str | None"
Event: TypeAlias = "dict[str, Any]"

ROWS_MAX = 100_000
"""Of one payload, or lines of one file's piece. Serving frameworks batch by tens, file writers by thousands."""
WIDTH_MAX = 10_000
"""Values of one row. A wider one is a picture or a document, and its columns mean nothing one by one."""
DEPTH_MAX = 16
"""Of lists inside lists. NumPy's own bound was 32, and no tensor that anyone serves has half as many dimensions."""
TEXT_MAX = 10_000
"""Characters of a feature. A longer text is a document."""
ID_MAX = 500
"""Characters of an id, a version or a model's name, which are repeated in every row."""
_INT_MAX = 2**63

_JSON = msgspec.json.Decoder()
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# A text, or a word that Python's `json` writes though JSON has none.
_WORDS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|(NaN|-?Infinity)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Decoded:
    """What a payload holds, as events of our wire without their `model`, and what of it was refused.

    Of a file of lines, `prediction_lines` and `outcome_lines` have the index of the line that each event comes from.
    """

    predictions: list[Event] = field(default_factory=list)
    outcomes: list[Event] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    prediction_lines: list[int] = field(default_factory=list)
    outcome_lines: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Reading:
    """What must be known of a model to read its payloads.

    `features` and `classes` are names in the order in which the model takes and returns them; a payload that has as
    many unnamed values is given these names. `time_zone` is that of times which do not say theirs.
    """

    task: Task
    features: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    time_zone: str = "UTC"


def refuse(place: str, problem: str, value: Scalar = None, hint: str = "") -> NoReturn:
    """Raise the `DataError` of one thing that cannot be used."""
    raise DataError(Mistake(place, problem, value, hint=hint))


def rejected(index: int, error: DataError) -> Rejected:
    """Return a refusal as one of a list: `index` is that of a line, a record or an event, from 0."""
    first = error.mistakes[0]
    return Rejected(index, first.place, f"{first.problem}; {first.hint}" if first.hint else first.problem)


def placed(refused: Iterable[Rejected], places: Sequence[int]) -> tuple[Rejected, ...]:
    """Return refusals of events as those of the lines or records that they come from.

    >>> placed([Rejected(1, "score", "is no number")], [0, 7])[0].index
    7
    """
    return tuple(Rejected(places[one.index], one.field, one.reason) for one in refused)


def read_json(body: bytes, place: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return a JSON value. NaN and infinities, which Python's `json` writes though JSON has none, are null.

    Half of a surrogate pair is NUL, which the wire refuses too: it costs its row, and not what it came with.

    Raises:
        DataError: it is no JSON, or lies deeper than the interpreter can follow.

    >>> read_json(b'{"temp": NaN}', "body")
    {'temp': None}
    """
    with suppress(*_UNREADABLE):
        return _JSON.decode(body)
    mended = _WORDS.sub(lambda found: b"null" if found[1] else found[0], whole_characters(body))
    try:
        return _JSON.decode(mended)
    except _UNREADABLE as error:
        refuse(place, f"is no JSON: {error}")


def lines(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that hold something, each with its index, empty ones counted.

    Raises:
        DataError: there are too many of them.
    """
    if body.count(b"\n") > ROWS_MAX:
        refuse("body", f"has more than {ROWS_MAX} lines", hint="send it in pieces")
    for index, line in enumerate(body.split(b"\n")):
        if stripped := line.strip():
            yield index, stripped


def mapping(value: object, place: str) -> dict[str, Any]:
    """Return a JSON object."""
    return value if isinstance(value, dict) else refuse(place, f"must be an object, not {called(value)}")


def sequence(value: object, place: str) -> list[Any]:
    """Return a JSON array."""
    return value if isinstance(value, list) else refuse(place, f"must be an array, not {called(value)}")


def called(value: object) -> str:
    """Return what JSON calls the type of a value.

    >>> called(None), called([1]), called(1)
    ('null', 'an array', 'a number')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int | float):
        return "a number"
    names = {"str": "a text", "list": "an array", "dict": "an object"}
    kind = type(value).__name__
    return names.get(kind, kind)


def name_of(value: object, place: str) -> str:
    """Return an id, a version or a name: a short text that is not empty, or a whole number written as one."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _INT_MAX:
        return str(value)
    if not isinstance(value, str):
        refuse(place, f"must be a text, not {called(value)}")
    if not value.strip() or len(value) > ID_MAX:
        refuse(place, f"must have 1 to {ID_MAX} characters, and has {len(value)}")
    if "\0" in value or (not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value)):
        refuse(place, "holds a NUL, or half of a character: no store could keep it")
    return value


def scalar(value: object, place: str) -> Scalar:
    """Return a number, a text, a boolean or null. What floats cannot hold is refused; NaN is null."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return value if len(value) <= TEXT_MAX else refuse(place, f"has more than {TEXT_MAX} characters")
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, int):
        return value if -_INT_MAX <= value < _INT_MAX else number(value, place)
    refuse(place, f"must be a number, a text, true, false or null, not {called(value)}")


def number(value: object, place: str) -> float | None:
    """Return a number as a float; null and NaN are None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse(place, f"must be a number, not {called(value)}")
    try:
        read = float(value)
    except OverflowError:
        refuse(place, "is larger than a float can hold")
    return read if isfinite(read) else None


def feature(value: object, place: str) -> Scalar | list[float | None]:
    """Return what a feature may be: a scalar, or a list of numbers."""
    if not isinstance(value, list):
        return scalar(value, place)
    if len(value) > WIDTH_MAX:
        refuse(place, f"has more than {WIDTH_MAX} values")
    return [number(each, place) for each in value]


def instant(value: object, place: str) -> Instant:
    """Return the instant of ISO 8601 text; a time without a zone is UTC.

    >>> instant("2019-11-20T23:33:12Z", "inferenceTime")
    1574292792000000
    """
    if not isinstance(value, str):
        refuse(place, f"must be a time as ISO 8601 text, not {called(value)}")
    try:
        return parse_instant(value.strip())
    except (ValueError, OverflowError):
        refuse(place, "is no time", value, "write ISO 8601, as 2013-04-01T00:00Z")


def from_base64(value: object, place: str) -> bytes:
    """Return the bytes that a base64 text stands for."""
    if not isinstance(value, str):
        refuse(place, f"must be base64 text, not {called(value)}")
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        refuse(place, "is not base64")


def row_ids(prediction_id: str, rows: int) -> list[str]:
    """Return the id of each row of a request: its own where it has one row, else followed by the row's number.

    >>> row_ids("a", 1), row_ids("a", 2)
    (['a'], ['a:0', 'a:1'])
    """
    return [prediction_id] if rows == 1 else [f"{prediction_id}:{row}" for row in range(rows)]
