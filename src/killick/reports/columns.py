"""The columns of a report, one by one: what is known of each, the column that matters most first.

Also what belongs to no column, and which columns fail in which segment. Values only; `html.py` and `notebook.py` write
them down. Cost: sorting the verdicts, about 20 ms for ten thousand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from killick.reports.importance import BY_STATUS, CONCEPT, DRIFT, LOUD, PERFORMANCE, by_importance, importance
from killick.reports.sparks import spark

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from killick.checks.verdict import Status, Verdict
    from killick.reports.findings import Distribution, Findings
    from killick.reports.sparks import Spark
    from killick.reports.words import Segment

# Of a column's segments that do not hold, so many are listed with it; all stand in the table of everything.
SEGMENTS_MAX = 5
# The first columns have small pictures of their segments too; of all of them they would be a third of a page.
PICTURED_MAX = 12
# More columns of a matrix than these cannot be taken in, and more rows repeat the list of columns.
MATRIX_SEGMENTS_MAX, MATRIX_COLUMNS_MAX = 24, 40
UNKNOWN_KIND = "other"


@dataclass(frozen=True, slots=True)
class Picture:
    """A column's two distributions in one place, and their small picture."""

    name: str
    shares: Distribution
    spark: Spark


@dataclass(frozen=True, slots=True)
class Within:
    """A verdict that is loud in a segment, with that segment's small picture where there is one."""

    verdict: Verdict
    spark: Spark | None


@dataclass(frozen=True, slots=True)
class Column:
    """All that is known of one column.

    Attributes:
        name: what the operator calls it.
        kind: what it is watched as.
        status: the worst that was found, in segments too.
        top: the verdict that matters most.
        loud: what does not hold in the whole table, `top` first.
        quiet: what holds or could not be judged there.
        pictures: its distribution, or those of its facets.
        within: what does not hold in segments.
        more_within: how many of these are not listed.
    """

    name: str
    kind: str
    status: Status
    top: Verdict
    loud: tuple[Verdict, ...]
    quiet: tuple[Verdict, ...]
    pictures: tuple[Picture, ...]
    within: tuple[Within, ...]
    more_within: int


@dataclass(frozen=True, slots=True)
class Matrix:
    """Which columns do not hold in which segments.

    Attributes:
        groups: the segments' names, and how many segments have them.
        segments: the segments, by group.
        rows: for each column, its status in each segment; None where nothing was judged.
        more_segments: how many segments are left out.
        more_rows: how many columns.
    """

    groups: tuple[tuple[str, int], ...]
    segments: tuple[Segment, ...]
    rows: tuple[tuple[str, tuple[Status | None, ...]], ...]
    more_segments: int
    more_rows: int


def columns_of(report: Findings) -> list[Column]:
    """Return the columns of a report, the one that matters most first."""
    by_column: dict[str, list[Verdict]] = {}
    for verdict in report.verdicts:
        if verdict.column:
            by_column.setdefault(verdict.column, []).append(verdict)
    pictures = _pictures(report.pictures)
    found = [_column(report, name, verdicts, pictures.get(name, ())) for name, verdicts in by_column.items()]
    found.sort(key=lambda column: importance(column.top))
    first = [replace(column, within=_pictured(report, column)) for column in found[:PICTURED_MAX]]
    return first + found[PICTURED_MAX:]


def _pictured(report: Findings, column: Column) -> tuple[Within, ...]:
    """Return what does not hold in segments with its small pictures, as far as there are any."""
    shares = [report.pictures.get((column.name, one.verdict.segment)) for one in column.within]
    return tuple(
        replace(one, spark=spark(column.name, one.verdict.segment, found)) if found else one
        for one, found in zip(column.within, shares, strict=True)
    )


def loose(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return what belongs to no column and to no model's performance: order, duplicates, freshness ..."""
    return by_importance(v for v in verdicts if not v.column and not v.check.startswith(PERFORMANCE) and not v.segment)


def performance(verdicts: Iterable[Verdict]) -> tuple[list[Verdict], list[Verdict]]:
    """Return the performance of the whole, in the checks' order, and what does not hold of it in segments."""
    found = [verdict for verdict in verdicts if verdict.check.startswith(PERFORMANCE)]
    within = [verdict for verdict in found if verdict.segment and verdict.status in LOUD]
    return [verdict for verdict in found if not verdict.segment], by_importance(within)


def segments_of(verdicts: Iterable[Verdict]) -> list[Segment]:
    """Return every segment that verdicts are about, without the whole."""
    return list(dict.fromkeys(verdict.segment for verdict in verdicts if verdict.segment))


def matrix(verdicts: Sequence[Verdict]) -> Matrix | None:
    """Return which columns do not hold in which segments; None where there are no segments, or all hold everywhere."""
    status: dict[tuple[str, Segment], Status] = {}
    for verdict in by_importance(v for v in verdicts if v.segment):
        status.setdefault((verdict.column or verdict.check, verdict.segment), verdict.status)
    # The order of what matters is kept: a row stands where its worst cell would.
    rows = dict.fromkeys(name for (name, _), found in status.items() if found in LOUD)
    if not rows:
        return None
    loud: dict[Segment, int] = {}
    for (name, place), found in status.items():
        if name in rows:
            loud[place] = loud.get(place, 0) + (found in LOUD)
    chosen = sorted(loud, key=lambda place: (-loud[place], place))[:MATRIX_SEGMENTS_MAX]
    chosen.sort(key=lambda place: ([name for name, _ in place], -loud[place], place))
    groups: dict[str, int] = {}
    for place in chosen:
        groups[group(place)] = groups.get(group(place), 0) + 1
    shown = list(rows)[:MATRIX_COLUMNS_MAX]
    return Matrix(
        tuple(groups.items()),
        tuple(chosen),
        tuple((name, tuple(status.get((name, place)) for place in chosen)) for name in shown),
        len(loud) - len(chosen),
        len(rows) - len(shown),
    )


def group(segment: Segment) -> str:
    """Name what a segment is made of.

    >>> group((("origin", "JFK"), ("carrier", "UA")))
    'origin x carrier'
    """
    return " x ".join(name for name, _ in segment)


def _column(report: Findings, name: str, verdicts: Sequence[Verdict], pictures: Sequence[Picture]) -> Column:
    ordered = by_importance(verdicts)
    whole = [verdict for verdict in ordered if not verdict.segment]
    within = [verdict for verdict in ordered if verdict.segment and verdict.status in LOUD]
    listed = [Within(verdict, None) for verdict in within[:SEGMENTS_MAX]]
    quiet = [verdict for verdict in whole if verdict.status not in LOUD]
    return Column(
        name=name,
        kind=report.kinds.get(name) or _kind(pictures),
        status=min((verdict.status for verdict in ordered), key=_rank),
        top=_top(ordered),
        loud=tuple(verdict for verdict in whole if verdict.status in LOUD),
        quiet=tuple(quiet),
        pictures=tuple(pictures),
        within=tuple(listed),
        more_within=len(within) - len(listed),
    )


def _top(ordered: Sequence[Verdict]) -> Verdict:
    """The verdict that a column's line tells: the worst; where all is well, the drift that its picture shows."""
    if ordered[0].status in LOUD:
        return ordered[0]
    drift = [v for v in ordered if v.check.startswith(DRIFT) and v.check != CONCEPT and not v.segment]
    return next((v for v in drift if v.status == "ok"), drift[0] if drift else ordered[0])


def _rank(status: Status) -> int:
    """The worst first; but what holds outweighs what is not known of the same column."""
    return len(BY_STATUS) if status == "inconclusive" else BY_STATUS.index(status)


def _pictures(held: Mapping[tuple[str, Segment], Distribution]) -> dict[str, list[Picture]]:
    found: dict[str, list[Picture]] = {}
    for (name, segment), shares in held.items():
        if not segment:
            found.setdefault(shares.facet_of or name, []).append(Picture(name, shares, spark(name, segment, shares)))
    return found


def _kind(pictures: Sequence[Picture]) -> str:
    if not pictures or pictures[0].shares.facet_of:
        return UNKNOWN_KIND
    return "numeric" if pictures[0].shares.ordered else "categorical"
