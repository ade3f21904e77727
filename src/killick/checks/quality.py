"""`quality.missing`, `.unseen`, `.range`, `.outliers`: is the input whole, and what the reference knew?

Each is a share of rows. Live, it fails when it is surely (exact binomial bound) more than a hundredth above the
reference's share *and* beyond what the reference's own windows reach, by their law and by the highest of them; so a
column that was always half empty, or that empties every Sunday, is left in peace. Two tables are judged by the same
shares and limits in `checks/surplus.py`. Costs one pass over a column's counts of all segments together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from killick.checks.distances import ROWS_MIN
from killick.checks.verdict import Verdict
from killick.checks.watched import pile
from killick.profiles.categorical import CategoricalScale
from killick.profiles.numeric import NumericScale, beyond_fences, outside
from killick.profiles.outcomes import SCORE_BINS, ScoreScale
from killick.stats.history import prediction_limit
from killick.stats.intervals import proportion_interval, proportion_lower

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from killick.checks.reference import BySegment, SegmentKey
    from killick.checks.verdict import Status
    from killick.checks.watched import Pile
    from killick.clock import Window
    from killick.profiles.cells import Floats, Ints
    from killick.profiles.scale import ColumnScale

MISSING, UNSEEN, RANGE, OUTLIERS = "quality.missing", "quality.unseen", "quality.range", "quality.outliers"
# A share of one row in a hundred is the least that is worth a person's look; below it, it is counted and shown.
SHARE_MIN = 0.01

Histories: TypeAlias = "Mapping[tuple[str, SegmentKey, str], Floats]"
_NO_HISTORY: Floats = np.empty(0)


@dataclass(frozen=True, slots=True)
class Share:
    """One kind of share: its check, what it counts in a column's counts `[..., cells]`, and how to say it."""

    check: str
    metric: str
    words: str
    count: Callable[[ColumnScale, Ints], Ints]
    applies: Callable[[ColumnScale], bool]


def _missing(column: ColumnScale, counts: Ints) -> Ints:
    # A score outside [0, 1] has a cell of its own, and is as unusable as one that is missing.
    usable = SCORE_BINS if isinstance(column, ScoreScale) else column.bins
    return np.asarray(counts[..., usable:].sum(axis=-1))


def _unseen(column: ColumnScale, counts: Ints) -> Ints:
    return counts[..., column.bins - 1]


def _outside(column: ColumnScale, counts: Ints) -> Ints:
    return outside(column, counts) if isinstance(column, NumericScale) else counts[..., 0] * 0


def _beyond_fences(column: ColumnScale, counts: Ints) -> Ints:
    return beyond_fences(column, counts) if isinstance(column, NumericScale) else counts[..., 0] * 0


def _any(_: ColumnScale) -> bool:
    return True


def _is_categorical(column: ColumnScale) -> bool:
    return isinstance(column, CategoricalScale)


def _is_numeric(column: ColumnScale) -> bool:
    return isinstance(column, NumericScale)


def _has_fences(column: ColumnScale) -> bool:
    return isinstance(column, NumericScale) and column.fence_low != column.fence_high


MISSING_SHARE = Share(MISSING, "missing_rate", "of the values are missing or no number", _missing, _any)
UNSEEN_SHARE = Share(UNSEEN, "unseen_rate", "of the values are in no known category", _unseen, _is_categorical)
RANGE_SHARE = Share(RANGE, "outside_rate", "of the values are outside the range", _outside, _is_numeric)
OUTLIER_SHARE = Share(
    OUTLIERS, "outlier_rate", "of the values are outliers (beyond Tukey's far fences)", _beyond_fences, _has_fences
)
# What is judged live.
SHARES = (MISSING_SHARE, UNSEEN_SHARE, RANGE_SHARE)


@dataclass(frozen=True, slots=True)
class Measured:
    """Shares of several columns in every segment; arrays `[tests, segments]`, NaN where there are no rows.

    Attributes:
        before: how many rows of the reference are counted.
        now: how many of the current rows.
        rows_before: how many rows the reference has, `[segments]`.
        rows_now: how many current ones there are, `[segments]`.
        usual: the share that the reference's windows stay below, 0 where there are too few of them.
        highest: the highest of them, 0 without any.
    """

    before: Ints
    now: Ints
    rows_before: Ints
    rows_now: Ints
    usual: Floats
    highest: Floats

    @property
    def share_before(self) -> Floats:
        """The share in the reference; 0 without rows."""
        return np.asarray(self.before / np.maximum(self.rows_before, 1))

    @property
    def share(self) -> Floats:
        """The share now."""
        return np.asarray(np.where(self.rows_now > 0, self.now / np.maximum(self.rows_now, 1), np.nan))

    @property
    def limit(self) -> Floats:
        """Up to it a share does not matter, or is usual."""
        return np.asarray(np.minimum(np.maximum(self.usual, self.share_before + SHARE_MIN), 1.0))


def measure_shares(
    asked: Sequence[tuple[ColumnScale, Share]],
    segments: Sequence[SegmentKey],
    sides: tuple[Pile, Pile],
    histories: Histories,
    alpha: float,
) -> Measured:
    """Count shares.

    Args:
        asked: what to count in which column.
        segments: the segments.
        sides: the profiles of the reference and of the current rows, one a segment.
        histories: each share in the reference's windows (`share_histories`).
        alpha: the false-alarm probability of one test.
    """
    shape = len(asked), len(segments)
    before, now = (
        np.array([share.count(column, side.counts_of(column.column)) for column, share in asked]).reshape(shape)
        for side in sides
    )
    usual, highest = np.zeros((2, *shape))
    if histories:
        each = [histories.get((s.check, key, c.column), _NO_HISTORY) for c, s in asked for key in segments]
        held = np.full((len(each), max(map(len, each), default=0)), np.nan)
        for row, history in zip(held, each, strict=True):
            row[: len(history)] = history
        highest = np.fmax.reduce(held, axis=1, initial=0.0).reshape(shape)
        # At most halfway from the highest of them to all rows: a column that is gone altogether is never usual, unless
        # the history knows that too.
        limit = prediction_limit(held, alpha, floor=SHARE_MIN).limit.reshape(shape)
        usual = np.nan_to_num(np.minimum(limit, (1 + highest) / 2))
    return Measured(before, now, sides[0].rows, sides[1].rows, usual, highest)


def judge_quality(
    columns: Sequence[ColumnScale],
    references: BySegment,
    current: BySegment,
    histories: Histories,
    alpha: float,
    window: Window | None = None,
) -> list[Verdict]:
    """Judge the shares of every column and segment, live.

    Args:
        columns: the columns to judge.
        references: the training profiles by segment.
        current: the profiles to judge, by segment.
        histories: each share in the reference's windows, by check, segment and column (`share_histories`).
        alpha: the false-alarm probability of one test.
        window: the event time of the current rows.
    """
    segments = [segment for segment in current if segment in references]
    asked = [(column, share) for column in columns for share in SHARES if share.applies(column)]
    if not segments or not asked:
        return []
    scale = references[segments[0]].scale
    sides = pile(scale, [references[s] for s in segments]), pile(scale, [current[s] for s in segments])
    found = measure_shares(asked, segments, sides, histories, alpha)
    # Only what is above its limit is asked whether it is surely so: the exact bound costs more than all the rest.
    value, limit = found.share, found.limit
    above = value > limit
    rows = np.broadcast_to(found.rows_now, above.shape)
    reached = np.maximum(found.share_before + SHARE_MIN, found.highest)[above]
    above[above] = proportion_lower(found.now[above], rows[above], alpha) > reached
    low, high = proportion_interval(found.now, found.rows_now, confidence=1 - 2 * alpha)
    numbers = np.stack([value, limit, low, high, found.share_before], axis=-1).tolist()
    sizes = list(zip(segments, found.rows_before.tolist(), found.rows_now.tolist(), strict=True))
    return [
        _live(share, column.column, size, numbers[at][place], window, failed=bool(above[at, place]))
        for at, (column, share) in enumerate(asked)
        for place, size in enumerate(sizes)
    ]


def share_histories(columns: Sequence[ColumnScale], windows: Sequence[BySegment]) -> Histories:
    """Return every share of `SHARES` in every window of the reference, by check, segment and column."""
    return histories_of([(column, share) for column in columns for share in SHARES if share.applies(column)], windows)


def histories_of(asked: Sequence[tuple[ColumnScale, Share]], windows: Sequence[BySegment]) -> Histories:
    """Return some shares in every window of the reference, by check, segment and column."""
    histories: dict[tuple[str, SegmentKey, str], Floats] = {}
    for segment in dict.fromkeys(segment for profiles in windows for segment in profiles):
        # One row of two is half: as a share of a healthy window it would leave room for any fault.
        enough = [held[segment] for held in windows if segment in held and held[segment].rows >= ROWS_MIN]
        if enough:
            every = pile(enough[0].scale, enough)
            for column, share in asked:
                counted = share.count(column, every.counts_of(column.column))
                histories[share.check, segment, column.column] = counted / every.rows
    return histories


def _live(
    share: Share,
    column: str,
    size: tuple[SegmentKey, int, int],
    numbers: list[float],
    window: Window | None,
    *,
    failed: bool,
) -> Verdict:
    (segment, rows_before, rows), (value, limit, low, high, before) = size, numbers
    status: Status = "fail" if failed else "ok" if rows else "inconclusive"
    usually = f"{100 * before:.2f} % in training, and up to {100 * limit:.2f} % is usual"
    return Verdict(
        check=share.check,
        metric=share.metric,
        column=column,
        segment=segment,
        window=window,
        status=status,
        reason=f"{100 * value:.2f} % {share.words}; {usually}" if rows else "no rows",
        value=value if rows else None,
        interval=(low, high) if rows else None,
        threshold=limit if rows else None,
        effect=value - before if rows else None,
        direction="up" if failed else None,
        n_reference=rows_before,
        n_current=rows,
    )
