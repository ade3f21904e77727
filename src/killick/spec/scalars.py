"""What a single word or number of the spec may be: texts, names, durations, shares, margins and levels.

Each parser returns a value that needs no further checking, or says what to write instead, worked out from what was
written: `90 days` is answered with `90d`. Decimals are scaled as decimals: `0.2pp` is exactly the float 0.002.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import isfinite
from typing import TYPE_CHECKING, TypeVar

from killick.clock import DAY, HOUR, MINUTE, SECOND, WEEK, Duration, format_duration, parse_duration
from killick.errors import did_you_mean
from killick.spec.reader import each

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.spec.reader import Parser, Place

T = TypeVar("T")

# Names stand in paths of files and URLs, so they are made of what both leave alone.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_LOADER = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_TIME_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")
_PERCENT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*%")
_POINTS = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*pp")

_PERCENT_MAX = 100

# A century: longer than any history, and far from the end of int64 microseconds.
_DURATION_MAX = 36_525 * DAY

_SPELLED = {
    "year": 365 * DAY,
    "month": 30 * DAY,
    "week": WEEK,
    "day": DAY,
    "hour": HOUR,
    "hr": HOUR,
    "minute": MINUTE,
    "min": MINUTE,
    "second": SECOND,
    "sec": SECOND,
    "w": WEEK,
    "d": DAY,
    "h": HOUR,
    "m": MINUTE,
    "s": SECOND,
}
_SPELLED_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)")
_DURATION_HINT = "write a number and a unit: 30m, 1h or 28d"


def text(place: Place) -> str:
    """Read a text that is not empty."""
    content = place.node.content
    if isinstance(content, str):
        return content if content.strip() else place.refuse("is empty", "write a text, or leave the key out")
    if isinstance(content, bool | int | float):
        place.refuse("must be a text", f'put quotes around it: "{place.node.written}"')
    return place.refuse("must be a text", "write one word, or a text in quotes")


def name(place: Place) -> str:
    """Read a name that may stand in a path and a URL."""
    return _matching(place, NAME, "is not a name", "use at most 100 letters, digits, dots, dashes and underscores")


def loader(place: Place) -> str:
    """Read `module:function`."""
    return _matching(place, _LOADER, "is not a loader", "write module:function, for example delays:load_v1")


def time_zone(place: Place) -> str:
    """Read the name of a time zone. Whether the machine knows it is seen where times are read."""
    return _matching(place, _TIME_ZONE, "is not a time zone", "write UTC, or a name such as America/New_York")


def choice(known: Sequence[T]) -> Parser[T]:
    """Return the parser of one of the known words."""
    words = {str(word): word for word in known}

    def parse(place: Place) -> T:
        content = place.node.content
        if isinstance(content, str) and content in words:
            return words[content]
        return place.refuse("is not known", did_you_mean(place.node.written, words))

    return parse


def scalar(place: Place) -> str | int | bool:
    """Read a value that a label may have: a text, a whole number, true or false."""
    content = place.node.content
    if isinstance(content, str | int):
        return content
    return place.refuse("must be a text, a whole number, true or false", "write the value that means positive")


def number(place: Place) -> float:
    """Read a finite number."""
    content = place.node.content
    if isinstance(content, bool) or not isinstance(content, int | float):
        bare = isinstance(content, str) and re.fullmatch(r"[-+]?[0-9.]+", content)
        place.refuse("must be a number", "remove the quotes" if bare else "write a number such as 0.62")
    try:
        value = float(content)
    except OverflowError:
        place.refuse("is too large", "write a number below 1e308")
    if not isfinite(value):
        place.refuse("must be finite", "write a number such as 0.62, or leave the key out")
    return value + 0.0  # minus zero is zero, so that equal specs have equal fingerprints


def positive(place: Place) -> float:
    """Read a finite number above zero."""
    value = number(place)
    return value if value > 0 else place.refuse("must be above zero", "write a positive number")


def count(place: Place) -> int:
    """Read a whole number above zero."""
    content = place.node.content
    if isinstance(content, bool) or not isinstance(content, int) or content < 1:
        place.refuse("must be a whole number above zero", "write a number such as 90")
    return content


def duration(place: Place) -> Duration:
    """Read `30m`, `1h`, `28d` or `1d 12h` as microseconds, above zero and at most a century."""
    content = place.node.content
    if isinstance(content, int | float) and not isinstance(content, bool):
        place.refuse("has no unit", f"write {place.node.written}d, {place.node.written}h or {place.node.written}m")
    if not isinstance(content, str):
        place.refuse("is not a duration", _DURATION_HINT)
    try:
        value = parse_duration(content)
    except ValueError:
        place.refuse("is not a duration", _spelled_duration(content))
    if value == 0:
        place.refuse("must be above zero", "write a positive duration, or leave the key out")
    if value > _DURATION_MAX:
        place.refuse("is longer than a century", _DURATION_HINT)
    return value


def width(place: Place) -> Duration:
    """Read how wide windows are: whole days, or a part of which a day has a whole number.

    No such window crosses midnight, so that windows of a day always add up to the day.
    """
    value = duration(place)
    if DAY % value and value % DAY:
        parts = -(-DAY // value)
        while DAY % parts:
            parts += 1
        fits = format_duration(DAY // parts if value < DAY else value - value % DAY)
        place.refuse("does not fit into days: some windows would lie in two", f"write {fits}")
    return value


def share(place: Place) -> float:
    """Read a share of the traffic, `1%` or `0.01`, as a fraction of 1: above zero, at most one."""
    content = place.node.content
    value = _scaled(_PERCENT, content) if isinstance(content, str) else number(place)
    if value is None:
        place.refuse("is not a share", "write a percentage such as 5%, or a fraction such as 0.05")
    if 1 < value <= _PERCENT_MAX and not isinstance(content, str):
        place.refuse("is more than everything", f"write {place.node.written}% for per cent")
    if not 0 < value <= 1:
        place.refuse("must be above 0 % and at most 100 %", "write a percentage such as 5%")
    return value


def margin(place: Place) -> float:
    """Read an absolute difference, `0.2pp` (percentage points) or `0.002`, above zero."""
    content = place.node.content
    if not isinstance(content, str):
        return positive(place)
    value = _scaled(_POINTS, content)
    if value is None:
        percent = _scaled(_PERCENT, content)
        if percent is None:
            place.refuse("is not a margin", "write percentage points such as 1pp, or a number such as 0.01")
        points = content.replace("%", "").strip()
        place.refuse("does not say of what", f"write {points}pp for percentage points, or {percent:g}")
    return value if value > 0 else place.refuse("must be above zero", "write a margin such as 1pp")


def level(place: Place) -> float:
    """Read the level of a metric: a number, or a percentage for a rate."""
    content = place.node.content
    value = _scaled(_PERCENT, content) if isinstance(content, str) else None
    return number(place) if value is None else value


def pair(place: Place) -> tuple[float, float]:
    """Read an inclusive range `[low, high]` with low below high."""
    match numbers_growing(place):
        case (low, high):
            return low, high
        case _:
            return place.refuse("is not a range", "write [low, high]")


def numbers_growing(place: Place) -> tuple[float, ...]:
    """Read a list of numbers, each above the one before."""
    return growing(number)(place)


def growing(parser: Parser[float]) -> Parser[tuple[float, ...]]:
    """Return the parser of a list that grows strictly and is not empty."""

    def holds(place: Place, values: tuple[float, ...]) -> None:
        if not values:
            place.refuse("is empty", "write at least one number")
        if any(later <= earlier for earlier, later in pairwise(values)):
            place.refuse("does not grow", "write each number above the one before")

    return each(parser, holds=holds)


def _matching(place: Place, pattern: re.Pattern[str], problem: str, hint: str) -> str:
    word = text(place)
    return word if pattern.fullmatch(word) else place.refuse(problem, hint)


def _scaled(pattern: re.Pattern[str], written: str) -> float | None:
    """Return a hundredth of the number in the text, or None when it is not of this form."""
    found = pattern.fullmatch(written.strip())
    return float(Decimal(found[1]).scaleb(-2)) if found else None


def _spelled_duration(written: str) -> str:
    """Return what a spelled-out duration should have been, worked out where it can be."""
    plain = written.lower()
    parts = _SPELLED_PART.findall(plain)
    units = [_SPELLED.get(unit, _SPELLED.get(unit.removesuffix("s"))) for _, unit in parts]
    rest = _SPELLED_PART.sub("", plain).replace("and", "").strip(" ,")
    if not parts or rest or None in units:
        return _DURATION_HINT
    total = sum(Fraction(amount) * unit for (amount, _), unit in zip(parts, units, strict=True) if unit)
    return f"write {format_duration(int(total))}" if 0 < total <= _DURATION_MAX else _DURATION_HINT
