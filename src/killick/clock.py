"""Time inside the house: instants, durations and windows. Nothing here reads a clock.

An `Instant` is int64 microseconds since 1970-01-01 UTC, and so is a table's time column once it is through the door.
A `Window` is half-open, `[start, end)`. Tumbling windows are aligned to the epoch, so that two hosts, a replay and a
warehouse cut time at the same places.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator

Instant: TypeAlias = int
Duration: TypeAlias = int

SECOND: Duration = 1_000_000
MINUTE: Duration = 60 * SECOND
HOUR: Duration = 60 * MINUTE
DAY: Duration = 24 * HOUR
WEEK: Duration = 7 * DAY
# The last instant that int64 microseconds can hold: what has no end yet ends then.
FOREVER: Instant = 2**63 - 1

_UNITS = {"w": WEEK, "d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": 1_000, "us": 1}
_DURATION = re.compile(r"(\d+)\s*(ms|us|w|d|h|m|s)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Tells the time. The live engine has the system's, a replay has the history's, a test has its own."""

    def now(self) -> Instant:
        """Return the present instant."""
        ...


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """A half-open interval of event time, `[start, end)`.

    >>> day = Window.around(parse_instant("2013-05-10T14:00:00Z"), DAY)
    >>> str(day)
    '2013-05-10T00:00Z/1d'
    >>> day.start in day, day.end in day
    (True, False)
    """

    start: Instant
    end: Instant

    @classmethod
    def around(cls, instant: Instant, width: Duration) -> Window:
        """Return the tumbling window of this width that holds the instant."""
        start = align(instant, width)
        return cls(start, start + width)

    @classmethod
    def trailing(cls, end: Instant, width: Duration) -> Window:
        """Return the window of this width that ends at `end`."""
        return cls(end - width, end)

    @property
    def width(self) -> Duration:
        """How long the window is, in microseconds."""
        return self.end - self.start

    def __contains__(self, instant: Instant) -> bool:
        return self.start <= instant < self.end

    def __str__(self) -> str:
        return f"{format_instant(self.start)}/{format_duration(self.width)}"

    def shifted(self, by: Duration) -> Window:
        """Return the window moved in time; a negative duration goes back."""
        return Window(self.start + by, self.end + by)

    def covers(self, other: Window) -> bool:
        """Whether the other window lies wholly inside this one."""
        return self.start <= other.start and other.end <= self.end

    def tumbling(self, width: Duration) -> Iterator[Window]:
        """Yield the aligned windows of this width that touch this one, oldest first."""
        start = align(self.start, width)
        while start < self.end:
            yield Window(start, start + width)
            start += width


def align(instant: Instant, width: Duration) -> Instant:
    """Return the start of the epoch-aligned interval of this width that holds the instant."""
    return instant - instant % width


def parse_duration(text: str) -> Duration:
    """Read `90d`, `1h`, `1d 12h` as microseconds.

    Raises:
        ValueError: the text is not a positive duration.

    >>> parse_duration("1d 12h") == 36 * HOUR
    True
    """
    parts = _DURATION.findall(text)
    if not parts or _DURATION.sub("", text).strip():
        message = f"{text!r} is not a duration such as 30m, 1h or 28d"
        raise ValueError(message)
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def format_duration(duration: Duration) -> str:
    """Write a duration in its largest whole units.

    >>> format_duration(36 * HOUR), format_duration(0)
    ('1d 12h', '0s')
    """
    if duration < 0:
        return f"-{format_duration(-duration)}"
    parts = []
    for unit in ("d", "h", "m", "s", "ms", "us"):
        number, duration = divmod(duration, _UNITS[unit])
        if number:
            parts.append(f"{number}{unit}")
    return " ".join(parts) or "0s"


def parse_instant(text: str) -> Instant:
    """Read an ISO 8601 date or time as an instant; a time without a zone is UTC.

    Raises:
        ValueError: the text is not ISO 8601.

    >>> parse_instant("2013-04-01") == parse_instant("2013-04-01T02:00:00+02:00")
    True
    """
    return from_datetime(datetime.fromisoformat(text))


def from_datetime(moment: datetime) -> Instant:
    """Return the instant of a datetime; a naive one is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def to_datetime(instant: Instant) -> datetime:
    """Return the instant as an aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=instant)


def format_instant(instant: Instant) -> str:
    """Write an instant as ISO 8601 in UTC, to the minute when nothing finer is in it.

    >>> format_instant(0)
    '1970-01-01T00:00Z'
    """
    moment = to_datetime(instant).replace(tzinfo=None)
    timespec = "minutes" if instant % MINUTE == 0 else "auto"
    return f"{moment.isoformat(timespec=timespec)}Z"
