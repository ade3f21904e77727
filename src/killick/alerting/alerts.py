"""From verdicts to incidents: what is worth a person's attention, and under which name.

Drift alone never pages. A column of a segment is testified against when both witnesses of drift spoke about it, or when
more of it than usual is missing, in no known category, or outside the range that the operator declared. A segment's
data is called faulty when at least two of its columns are in one window, or one column in two windows running; one
column once is weather (decision 0005: 6 such incidents of drift in 9 healthy months of flights, where the budget allows
9). What is wrong nearly everywhere is one fault, of everything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from killick.checks.drift import CHECK as DRIFT
from killick.checks.quality import MISSING, RANGE, UNSEEN
from killick.checks.reference import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from killick.checks.reference import SegmentKey
    from killick.checks.verdict import Verdict

COLUMNS_MIN = 2


@dataclass(frozen=True, slots=True)
class Feed:
    """Which verdicts are about the data that comes in.

    A score that drifted is the model's answer to its data, and blames no feed; one that is missing does. A range that
    was only learned is left by every spring.

    Args:
        score: the score's column.
        ranges: the columns whose range the operator declared.
    """

    score: str | None = None
    ranges: frozenset[str] = frozenset()

    def is_told_by(self, verdict: Verdict) -> bool:
        """Whether the verdict says anything about the feed, good or bad."""
        if verdict.check == DRIFT:
            return verdict.column != self.score
        return verdict.check in (MISSING, UNSEEN) or (verdict.check == RANGE and verdict.column in self.ranges)

    def testified(self, verdicts: Sequence[Verdict]) -> dict[SegmentKey, set[str]]:
        """Return the columns that are testified against, by segment."""
        found: dict[SegmentKey, set[str]] = {}
        for verdict in verdicts:
            if verdict.status == "fail" and verdict.column and self.is_told_by(verdict):
                found.setdefault(verdict.segment, set()).add(verdict.column)
        return dict(sorted(found.items()))


def data_faults(
    now: Sequence[Verdict], before: Sequence[Verdict], feed: Feed | None = None
) -> dict[SegmentKey, tuple[str, ...]]:
    """Return the segments whose data is faulty, with the columns that say so.

    Args:
        now: the verdicts of a window.
        before: those of the window before it.
        feed: which of them are about the data that comes in.
    """
    feed = feed or Feed()
    today, yesterday = feed.testified(now), feed.testified(before)
    faults = {}
    for segment, columns in today.items():
        again = columns & yesterday.get(segment, set())
        if len(columns) >= COLUMNS_MIN or again:
            faults[segment] = tuple(sorted(columns if len(columns) >= COLUMNS_MIN else again))
    return _at_its_widest(faults, {verdict.segment for verdict in now if verdict.column})


def are_missing(columns: Sequence[str], segment: SegmentKey, verdicts: Sequence[Verdict]) -> bool:
    """Whether what is wrong with each of the columns is that its values are missing."""
    gone = {v.column for v in verdicts if v.check == MISSING and v.status == "fail" and v.segment == segment}
    return gone.issuperset(columns)


def _at_its_widest(
    faults: Mapping[SegmentKey, tuple[str, ...]], segments: set[SegmentKey]
) -> dict[SegmentKey, tuple[str, ...]]:
    """Tell one fault once: of everything where most segments of every grouping share it, and else of those that do."""
    whole = set(faults.get(EVERYTHING, ()))
    parts = {segment: set(columns) for segment, columns in faults.items() if segment != EVERYTHING}
    sharing = {segment for segment, columns in parts.items() if columns & whole}
    if not sharing:
        return dict(faults)
    groupings: dict[tuple[str, ...], list[bool]] = {}
    for segment in segments - {EVERYTHING}:
        groupings.setdefault(tuple(name for name, _ in segment), []).append(segment in sharing)
    if all(2 * sum(shares) > len(shares) for shares in groupings.values()):
        told = {segment for segment, columns in parts.items() if columns <= whole}
    else:
        told = {EVERYTHING} if whole <= set().union(*parts.values()) else set()
    return {segment: columns for segment, columns in faults.items() if segment not in told}
