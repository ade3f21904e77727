"""Instants, durations and windows."""

from __future__ import annotations

import calendar
import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.clock import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    WEEK,
    Window,
    align,
    format_duration,
    format_instant,
    from_datetime,
    parse_duration,
    parse_instant,
    to_datetime,
)

INSTANTS = st.integers(-(10**16), 10**17)
MOMENTS = st.datetimes(timezones=st.just(UTC))


@given(MOMENTS)
def test_an_instant_is_a_moment_to_the_microsecond(moment: datetime) -> None:
    """Both ways, before the epoch too, and through its text."""
    instant = from_datetime(moment)
    assert to_datetime(instant) == moment
    assert parse_instant(format_instant(instant)) == instant
    assert instant == calendar.timegm(moment.utctimetuple()) * SECOND + moment.microsecond


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("2013-04-01", "2013-04-01T00:00Z"),
        ("2013-04-01T02:00:00+02:00", "2013-04-01T00:00Z"),
        ("2013-04-01 00:00", "2013-04-01T00:00Z"),
        ("20130401T000000Z", "2013-04-01T00:00Z"),
    ],
)
def test_iso_8601_is_read(text: str, same: str) -> None:
    """A time without a zone is UTC."""
    assert parse_instant(text) == parse_instant(same)
    assert format_instant(parse_instant(text)) == same


@pytest.mark.parametrize("text", ["", "yesterday", "2013-02-30", "1364774400"])
def test_what_is_no_instant_is_refused(text: str) -> None:
    """With the text in the message, as Python has it."""
    with pytest.raises(ValueError, match=r"Invalid isoformat|out of range|must be in|day"):
        parse_instant(text)


@given(st.integers(0, 10**15))
def test_a_duration_comes_back_from_its_text(duration: int) -> None:
    """To the microsecond; nothing is written as `0s`."""
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("90d", 90 * DAY),
        ("1h", HOUR),
        ("1d 12h", 36 * HOUR),
        ("2w", 2 * WEEK),
        ("1 h 30 m", 90 * MINUTE),
        ("5ms", 5000),
    ],
)
def test_durations_are_read(text: str, duration: int) -> None:
    """In the units that a spec uses."""
    assert parse_duration(text) == duration


@pytest.mark.parametrize("text", ["", "1", "h", "1x", "-1h", "1.5h", "1h later", "soon"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    """The message shows how it is written."""
    with pytest.raises(ValueError, match="is not a duration such as 30m, 1h or 28d"):
        parse_duration(text)


def test_a_negative_duration_is_shown_with_its_sign() -> None:
    """For a gap that should not be."""
    assert format_duration(-90 * SECOND) == "-1m 30s"


@given(INSTANTS, st.sampled_from([SECOND, MINUTE, HOUR, DAY, WEEK]))
def test_every_instant_is_in_one_aligned_window(instant: int, width: int) -> None:
    """Aligned to the epoch, before it too; half-open, so the next one begins where this one ends."""
    window = Window.around(instant, width)
    assert instant in window
    assert window.start % width == 0 == align(instant, width) % width
    assert window.width == width
    assert window.end not in window
    assert window.end in window.shifted(width)


@given(INSTANTS, st.integers(0, 10 * DAY))
def test_tumbling_windows_cover_without_gap_or_overlap(start: int, width: int) -> None:
    """Every one touches the span; together they cover it."""
    span = Window(start, start + width)
    windows = list(span.tumbling(DAY))
    assert all(a.end == b.start for a, b in itertools.pairwise(windows))
    if width:
        assert Window(windows[0].start, windows[-1].end).covers(span)
        assert windows[0].end > span.start
        assert windows[-1].start < span.end


def test_windows_know_what_they_cover_and_how_they_are_written() -> None:
    """A trailing window ends where it is asked."""
    day = Window.around(parse_instant("2013-05-10T14:00Z"), DAY)
    assert str(day) == "2013-05-10T00:00Z/1d"
    assert day.covers(day)
    assert not day.covers(day.shifted(1))
    assert Window.trailing(day.end, DAY) == day
