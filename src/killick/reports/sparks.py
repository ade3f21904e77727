"""Sparks: two distributions drawn over each other, small enough for one line of a list.

A page has one for every column, so it is a few hundred characters of plain SVG, made here: it is there before any
script runs, in a viewer that runs none, and on paper. The areas of a number's bars are its shares; bars that
stand apart (what is missing, what lies beyond the axis) have a scale of their own, on which full height is all rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from killick.reports.words import percent, place

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from killick.reports.findings import Distribution
    from killick.reports.words import Segment

WIDTH, HEIGHT = 160.0, 40.0
# Less than one row in a hundred is not seen on a scale of all rows; the table of numbers has it.
APART_MIN = 0.01
# A bar that stands apart, and the air beside it.
_APART, _AIR = 8.0, 4.0
# Bars of categories, as shares of their place: the current one inside the reference's.
_WIDE, _NARROW = 0.84, 0.42
# A bar that holds anything is seen.
_LEAST = 0.8


@dataclass(frozen=True, slots=True)
class Spark:
    """The paths of a small picture in a box of `WIDTH` x `HEIGHT`, and in a sentence what it shows.

    Attributes:
        was: the reference's shape.
        now: the current one's.
        stepped: whether `now` is the outline of a histogram; else it is bars.
        apart: what stands apart: the current bars.
        apart_was: the reference's.
        tracks: the whole heights of these.
        alternative: the sentence.
    """

    was: str
    now: str
    stepped: bool
    apart: str
    apart_was: str
    tracks: str
    alternative: str


def spark(column: str, segment: Segment, shares: Distribution) -> Spark:
    """Draw a small picture of a column's two distributions."""
    lone = [at for at in shares.apart if max(shares.reference[at], shares.current[at]) >= APART_MIN]
    leading = sum(at < shares.leading for at in lone)
    trailing = len(lone) - leading
    places = [at * (_APART + _AIR) for at in range(leading)]
    places += [WIDTH - (trailing - at) * (_APART + _AIR) + _AIR for at in range(trailing)]
    left, right = leading * (_APART + _AIR), WIDTH - trailing * (_APART + _AIR)
    was, now = shares.reference[shares.axis], shares.current[shares.axis]
    shapes = _histograms(shares.edges, was, now, left, right) if shares.edges else _bars(was, now, left, right)
    return Spark(
        *shapes,
        stepped=bool(shares.edges),
        apart=_join(_box(x + _APART / 4, _APART / 2, shares.current[at]) for x, at in zip(places, lone, strict=True)),
        apart_was=_join(_box(x, _APART, shares.reference[at]) for x, at in zip(places, lone, strict=True)),
        tracks=_join(_box(x, _APART, 1.0) for x in places),
        alternative=alternative(column, segment, shares),
    )


def alternative(column: str, segment: Segment, shares: Distribution) -> str:
    """Say in a sentence what a picture of these shares shows: the bars that changed most."""
    changes = [now - was for was, now in zip(shares.reference, shares.current, strict=True)]
    said = f"Shares of {column} {'at ' if segment else ''}{place(segment)}, reference against current."
    if not any(shares.reference) or not any(shares.current):
        return f"{said} One of them has no rows."
    most = sorted(range(len(changes)), key=lambda at: -abs(changes[at]))[:2]
    told = [
        f"{shares.labels[at]} went from {percent(shares.reference[at])} to {percent(shares.current[at])}"
        for at in most
        if changes[at]
    ]
    return f"{said} {'; '.join(told) or 'They are the same'}."


def _histograms(
    edges: Sequence[float], was: Sequence[float], now: Sequence[float], left: float, right: float
) -> tuple[str, str]:
    """Outlines whose areas are shares, on one scale."""
    reach = (edges[-1] - edges[0]) or 1.0
    x = [left + (right - left) * (edge - edges[0]) / reach for edge in edges]
    widths = [max(b - a, 1e-9) for a, b in pairwise(x)]
    dense = [[share / width for share, width in zip(side, widths, strict=True)] for side in (was, now)]
    top = max((max(side, default=0.0) for side in dense), default=0.0) or 1.0
    before, after = (_outline(x, [height / top for height in side]) for side in dense)
    return before, after


def _outline(x: Sequence[float], heights: Sequence[float]) -> str:
    steps = "".join(f"V{_y(height)}H{_n(right)}" for height, right in zip(heights, x[1:], strict=True))
    return f"M{_n(x[0])} {_n(HEIGHT)}{steps}V{_n(HEIGHT)}Z"


def _bars(was: Sequence[float], now: Sequence[float], left: float, right: float) -> tuple[str, str]:
    """Bars of one width, the current inside the reference's."""
    top = max((*was, *now), default=0.0) or 1.0
    step = (right - left) / max(len(was), 1)
    middles = [left + (at + 0.5) * step for at in range(len(was))]
    wide, narrow = min(step * _WIDE, 22.0), min(step * _NARROW, 11.0)
    return (
        _join(_box(x - wide / 2, wide, share / top) for x, share in zip(middles, was, strict=True)),
        _join(_box(x - narrow / 2, narrow, share / top) for x, share in zip(middles, now, strict=True)),
    )


def _box(x: float, width: float, height: float) -> str:
    return f"M{_n(x)} {_n(HEIGHT)}V{_y(height)}h{_n(width)}V{_n(HEIGHT)}Z" if height > 0 else ""


def _y(height: float) -> str:
    return _n(HEIGHT - max(height * (HEIGHT - 1), _LEAST if height > 0 else 0.0))


def _n(number: float) -> str:
    return f"{round(number, 1):g}"


def _join(paths: Iterable[str]) -> str:
    return "".join(paths)
