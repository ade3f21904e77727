"""`drift.univariate`, live: has a column's distribution moved in this window?

Two witnesses are asked about each column of each segment, each judged against its own healthy history
(`checks/limits.py`). A column *fails* when both speak and *warns* when only one does: weather that turned everywhere,
or a difference between segments that grew slowly. Two tables without such a history are judged in
`checks/comparison.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from killick.checks.distances import ROWS_MIN, means, moved, movement_metric, movers, stability, way
from killick.checks.methods import METHODS
from killick.checks.reference import EVERYTHING, SegmentKey
from killick.checks.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.checks.limits import Limit, Limits
    from killick.checks.reference import BySegment
    from killick.checks.verdict import Direction, ReferenceKind, Status
    from killick.clock import Window
    from killick.profiles.profile import Profile
    from killick.profiles.scale import ColumnScale

CHECK = "drift.univariate"
WITNESSES: tuple[ReferenceKind, ...] = ("trailing", "other_segments")
_AGAINST: dict[ReferenceKind, str] = {
    "trailing": "its own last 28 healthy days",
    "other_segments": "the other segments in the same window",
}


@dataclass(frozen=True, slots=True)
class Witness:
    """What one witness says about one column of one segment. `value` is None where it cannot be asked."""

    kind: ReferenceKind
    metric: str
    value: float | None
    limit: Limit
    reference: Profile | None

    @property
    def speaks(self) -> bool:
        """Whether the value is beyond what healthy windows reach."""
        return self.value is not None and self.limit.level is not None and self.value > self.limit.level


def judge_window(
    window: Window,
    current: BySegment,
    references: dict[ReferenceKind, BySegment],
    columns: Sequence[ColumnScale],
    limits: Limits,
) -> list[Verdict]:
    """Judge every column of every segment in a window by its witnesses.

    Args:
        window: the window.
        current: its profiles by segment.
        references: for each witness, what it compares with, by segment; a segment that is absent cannot be compared.
        columns: the columns to judge.
        limits: how far healthy windows stray.

    Returns:
        one verdict for each witness: two for a column of a segment, one for the whole, which has no others beside it.
    """
    verdicts: list[Verdict] = []
    for column in columns:
        said = {kind: _ask(kind, column, current, references[kind], limits) for kind in WITNESSES}
        for segment, profile in current.items():
            witnesses = [said[kind][segment] for kind in WITNESSES if segment in said[kind]]
            together = all(witness.speaks for witness in witnesses) and len(witnesses) == len(WITNESSES)
            verdicts += [_verdict(window, column, segment, profile, one, together=together) for one in witnesses]
    return verdicts


def witnessed(verdicts: Sequence[Verdict]) -> list[tuple[SegmentKey, str]]:
    """Return the segments and columns about which all witnesses spoke."""
    return sorted({(v.segment, v.column or "") for v in verdicts if v.check == CHECK and v.status == "fail"})


def _ask(
    kind: ReferenceKind, column: ColumnScale, current: BySegment, side: BySegment, limits: Limits
) -> dict[SegmentKey, Witness]:
    """What one witness says of a column, for all segments at once."""
    askable = [segment for segment in current if kind == "trailing" or segment != EVERYTHING]
    able = [s for s in askable if s in side and min(current[s].rows, side[s].rows) >= ROWS_MIN]
    metric, numbers = "psi" if kind == "trailing" else movement_metric(column), np.empty(0)
    if able:
        before, now = [side[segment] for segment in able], [current[segment] for segment in able]
        numbers = stability(column.column, before, now).excess if metric == "psi" else moved(column, before, now)
    known = {segment: float(number) for segment, number in zip(able, numbers, strict=True) if np.isfinite(number)}
    return {
        segment: Witness(kind, metric, known.get(segment), limits.of(kind, segment, column.column), side.get(segment))
        for segment in askable
    }


def _verdict(
    window: Window, column: ColumnScale, segment: SegmentKey, profile: Profile, witness: Witness, *, together: bool
) -> Verdict:
    status: Status = "ok"
    if witness.value is None or witness.limit.level is None:
        status = "inconclusive"
    elif witness.speaks:
        status = "fail" if together else "warn"
    reference = witness.reference
    return Verdict(
        check=CHECK,
        metric=witness.metric,
        column=column.column,
        segment=segment,
        window=window,
        reference=witness.kind,
        status=status,
        reason=_reason(column, profile, witness),
        value=witness.value,
        threshold=witness.limit.level,
        effect=witness.value,
        direction=direction(column, reference, profile) if reference and witness.speaks else None,
        n_reference=reference.rows if reference else 0,
        n_current=profile.rows,
    )


def _reason(column: ColumnScale, profile: Profile, witness: Witness) -> str:
    against, name = _AGAINST[witness.kind], METHODS[witness.metric].called
    if not profile.rows:
        return "no rows"
    if witness.value is None:
        sides = [profile, witness.reference] if witness.reference else []
        if sides and min(side.rows for side in sides) >= ROWS_MIN:
            values = min(int(side.counts_of(column.column)[: column.bins].sum()) for side in sides)
            return f"{values} values that are numbers to compare with {against}; {ROWS_MIN} are needed"
        return f"{min((side.rows for side in sides), default=0)} rows to compare with {against}; {ROWS_MIN} are needed"
    if witness.limit.level is None:
        known, needed = witness.limit.windows, witness.limit.windows_needed
        return f"{known} healthy windows are known; {needed} are needed to judge {name}"
    unit = METHODS[witness.metric].unit
    usual = f"healthy windows stay within {witness.limit.level:.3g}{unit}"
    if not witness.speaks or witness.reference is None:
        return f"{name} against {against} is {witness.value:.3g}{unit}; {usual}"
    cells = movers(column, witness.reference.counts_of(column.column), profile.counts_of(column.column))
    return f"{name} against {against} is {witness.value:.3g}{unit}; {usual} ({cells})"


def direction(column: ColumnScale, reference: Profile, current: Profile) -> Direction | None:
    """Return which way the mean went; None for a category, or where there is no mean."""
    return way(*means(column, [reference, current]))
