"""From verdicts to incidents: what is worth a person's attention, and under which name.

Drift alone never pages. A segment's data is called faulty when both witnesses spoke about at least two of its columns
in one window, or about one column in two windows running; one column once is weather (decision 0005: 6 such incidents
in 9 healthy months of flights, where the budget allows 9).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from killick.checks.drift import witnessed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.checks.verdict import Verdict

COLUMNS_MIN = 2

SegmentKey = tuple[tuple[str, str], ...]


def data_faults(now: Sequence[Verdict], before: Sequence[Verdict]) -> dict[SegmentKey, tuple[str, ...]]:
    """Return the segments whose data is faulty, with the columns that say so.

    Args:
        now: the verdicts of a window.
        before: those of the window before it.
    """
    today, yesterday = _by_segment(now), _by_segment(before)
    faults = {}
    for segment, columns in today.items():
        again = columns & yesterday.get(segment, set())
        if len(columns) >= COLUMNS_MIN or again:
            faults[segment] = tuple(sorted(columns if len(columns) >= COLUMNS_MIN else again))
    return faults


def _by_segment(verdicts: Sequence[Verdict]) -> dict[SegmentKey, set[str]]:
    found: dict[SegmentKey, set[str]] = {}
    for segment, column in witnessed(verdicts):
        found.setdefault(segment, set()).add(column)
    return found
