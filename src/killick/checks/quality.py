"""`quality.missing`, `quality.unseen`, `quality.range`: is the input whole, and what the reference knew?

Each is a share of rows. It fails when it is surely (exact binomial bound) more than a hundredth above the reference's
share *and* beyond what the reference's own windows reach, by their law and by the highest of them; so a column that was
always half empty, or that empties every Sunday, is left in peace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from killick.checks.distances import ROWS_MIN
from killick.checks.verdict import Verdict
from killick.profiles.categorical import CategoricalScale
from killick.profiles.numeric import NumericScale, outside
from killick.profiles.outcomes import SCORE_BINS, ScoreScale
from killick.stats.history import prediction_limit
from killick.stats.intervals import proportion_interval, proportion_lower

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from killick.checks.reference import BySegment, SegmentKey
    from killick.checks.verdict import Status
    from killick.clock import Window
    from killick.profiles.cells import Floats
    from killick.profiles.profile import Profile
    from killick.profiles.scale import ColumnScale

MISSING, UNSEEN, RANGE = "quality.missing", "quality.unseen", "quality.range"
# A share of one row in a hundred is the least that is worth a person's look; below it, it is counted and shown.
SHARE_MIN = 0.01

Histories: TypeAlias = "Mapping[tuple[str, SegmentKey, str], Floats]"
_NO_HISTORY: Floats = np.empty(0)


@dataclass(frozen=True, slots=True)
class _Share:
    """One kind of share: its check, what it counts, and how to say it."""

    check: str
    metric: str
    words: str
    count: Callable[[ColumnScale, Profile], int]
    applies: Callable[[ColumnScale], bool]


def _missing(column: ColumnScale, profile: Profile) -> int:
    # A score outside [0, 1] has a cell of its own, and is as unusable as one that is missing.
    usable = SCORE_BINS if isinstance(column, ScoreScale) else column.bins
    return int(profile.counts_of(column.column)[usable:].sum())


def _unseen(column: ColumnScale, profile: Profile) -> int:
    return int(profile.counts_of(column.column)[column.bins - 1])


def _outside(column: ColumnScale, profile: Profile) -> int:
    return int(outside(column, profile.counts_of(column.column))) if isinstance(column, NumericScale) else 0


def _any(_: ColumnScale) -> bool:
    return True


def _is_categorical(column: ColumnScale) -> bool:
    return isinstance(column, CategoricalScale)


def _is_numeric(column: ColumnScale) -> bool:
    return isinstance(column, NumericScale)


SHARES = (
    _Share(MISSING, "missing_rate", "of the values are missing or no number", _missing, _any),
    _Share(UNSEEN, "unseen_rate", "of the values are in no known category", _unseen, _is_categorical),
    _Share(RANGE, "outside_rate", "of the values are outside the range", _outside, _is_numeric),
)


def judge_quality(
    columns: Sequence[ColumnScale],
    references: BySegment,
    current: BySegment,
    histories: Histories,
    alpha: float,
    window: Window | None = None,
) -> list[Verdict]:
    """Judge the shares of every column and segment.

    Args:
        columns: the columns to judge.
        references: the training profiles by segment.
        current: the profiles to judge, by segment.
        histories: each share in the reference's windows, by check, segment and column (`share_histories`).
        alpha: the false-alarm probability of one test.
        window: the event time of the current rows.
    """
    return [
        _judge(
            share,
            column,
            _Question(segment, window, references[segment], profile, alpha),
            histories.get((share.check, segment, column.column), _NO_HISTORY),
        )
        for column in columns
        for share in SHARES
        if share.applies(column)
        for segment, profile in current.items()
        if segment in references
    ]


def share_histories(columns: Sequence[ColumnScale], windows: Sequence[BySegment]) -> Histories:
    """Return every share in every window of the reference, by check, segment and column."""
    histories: dict[tuple[str, SegmentKey, str], list[float]] = {}
    for profiles in windows:
        for segment, profile in profiles.items():
            # One row of two is half: as a share of a healthy window it would leave room for any fault.
            if profile.rows < ROWS_MIN:
                continue
            for column in columns:
                for share in SHARES:
                    if share.applies(column):
                        key = (share.check, segment, column.column)
                        histories.setdefault(key, []).append(share.count(column, profile) / profile.rows)
    return {key: np.asarray(values) for key, values in histories.items()}


@dataclass(frozen=True, slots=True)
class _Question:
    """The rows of a segment in a window, what they are compared with, and how often that may err."""

    segment: SegmentKey
    window: Window | None
    reference: Profile
    current: Profile
    alpha: float


def _judge(share: _Share, column: ColumnScale, asked: _Question, history: Floats) -> Verdict:
    reference, current = asked.reference, asked.current
    before = share.count(column, reference) / reference.rows if reference.rows else 0.0
    status: Status = "inconclusive"
    reason, value, limit, interval = "no rows", None, None, None
    if current.rows:
        found = share.count(column, current)
        value = found / current.rows
        low, high = proportion_interval(found, current.rows, confidence=1 - 2 * asked.alpha)
        interval = (float(low), float(high))
        limit = min(max(_usual(history, asked.alpha), before + SHARE_MIN), 1.0)
        surely = float(proportion_lower(found, current.rows, asked.alpha))
        reached = max(before + SHARE_MIN, float(history.max(initial=0.0)))
        status = "fail" if value > limit and surely > reached else "ok"
        usually = f"{100 * before:.2f} % in training, and up to {100 * limit:.2f} % is usual"
        reason = f"{100 * value:.2f} % {share.words}; {usually}"
    return Verdict(
        check=share.check,
        metric=share.metric,
        column=column.column,
        segment=asked.segment,
        window=asked.window,
        status=status,
        reason=reason,
        value=value,
        interval=interval,
        threshold=limit,
        effect=None if value is None else value - before,
        direction="up" if status == "fail" else None,
        n_reference=reference.rows,
        n_current=current.rows,
    )


def _usual(history: Floats, alpha: float) -> float:
    """The share that healthy windows stay below; 0 when there is no history to say more.

    At most halfway from the highest of them to all rows: a column that is gone altogether is never usual, unless the
    history knows that too.
    """
    limit = prediction_limit(history, alpha, floor=SHARE_MIN)
    return min(float(limit.limit), (1 + float(history.max())) / 2) if bool(limit.known) else 0.0
