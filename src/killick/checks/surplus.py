"""`quality.*` of two tables: is a share surely higher than in the reference, both sides being samples?

The shares, and the limits up to which they do not matter or are usual, are those of `checks/quality.py`. What is above
its limit is tested with a two-sample tail (`stats.shares.share_p_value`); what is not was given a p-value of 1, since
whether to test was decided by looking. `quality.constant` stands beside them (`checks/constancy.py`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from killick.checks.distances import ROWS_MIN
from killick.checks.quality import (
    MISSING,
    MISSING_SHARE,
    OUTLIER_SHARE,
    RANGE,
    RANGE_SHARE,
    SHARE_MIN,
    UNSEEN,
    UNSEEN_SHARE,
    histories_of,
    measure_shares,
)
from killick.checks.sharing import Draft
from killick.checks.verdict import Verdict
from killick.stats.intervals import proportion_interval
from killick.stats.shares import expected_new, share_p_value

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from killick.checks.quality import Measured, Share
    from killick.checks.reference import SegmentKey
    from killick.checks.sharing import Shared
    from killick.checks.usual import Windows
    from killick.checks.verdict import Status
    from killick.checks.watched import Comparable, Pile, Watched
    from killick.clock import Window
    from killick.profiles.cells import Floats

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class _Asked:
    """One share of one column; `mild` when it warns at most."""

    watched: Watched
    scale: Comparable
    share: Share
    mild: bool = False


@dataclass(frozen=True, slots=True)
class Surpluses:
    """Every share of every column in every segment, before the budget is shared; arrays `[tests, segments]`.

    Up to its `limit` a share does not matter or is usual; `tested` holds p-values.
    """

    asked: tuple[_Asked, ...]
    segments: tuple[SegmentKey, ...]
    measured: Measured
    limit: Floats
    tested: Floats

    @property
    def p_values(self) -> Floats:
        """`[tests * segments]`; NaN where there are too few rows to ask."""
        return self.tested.ravel()

    @property
    def mild(self) -> NDArray[np.bool_]:
        """Which of the p-values take for granted what need not hold, in their order."""
        return np.repeat(np.array([one.mild for one in self.asked], np.bool_), len(self.segments))

    def verdicts(self, shared: Shared, window: Window | None) -> list[Verdict]:
        """Return the verdicts as they stand now that the budget is shared."""
        found = self.measured
        low, high = proportion_interval(found.now, found.rows_now, CONFIDENCE)
        usual = self.limit > found.share_before + SHARE_MIN
        adjusted = shared.adjusted.reshape(self.tested.shape)
        numbers = (found.share, self.limit, low, high, found.share_before, usual, self.tested, adjusted)
        each = np.stack(numbers, axis=-1).tolist()
        sizes = list(zip(self.segments, found.rows_before.tolist(), found.rows_now.tolist(), strict=True))
        statuses = iter(shared.statuses)
        return [
            _told(one, size, each[at][place], next(statuses), window)
            for at, one in enumerate(self.asked)
            for place, size in enumerate(sizes)
        ]


def always(_: str) -> bool:
    """Ask for every check."""
    return True


def judge_surpluses(
    columns: Sequence[Watched],
    segments: tuple[SegmentKey, ...],
    sides: tuple[Pile, Pile],
    windows: Windows,
    budget: float,
    wanted: Callable[[str], bool] = always,
) -> Surpluses:
    """Measure every share that applies to a column.

    Args:
        columns: what to judge.
        segments: where.
        sides: the profiles of the reference and of the current table, one a segment.
        windows: the reference's windows that are compared with one another.
        budget: the chance of any false failure in the run.
        wanted: whether a check is asked for, by its name.
    """
    asked = tuple(
        one for watched in columns for one in _asked_of(watched, timed=windows.timed) if wanted(one.share.check)
    )
    pairs = [(one.scale, one.share) for one in asked]
    # The level that Holm would give to the first of so many.
    alpha = budget / max(len(asked) * len(segments), 1)
    found = measure_shares(
        pairs, segments, sides, histories_of(pairs, [healthy.profiles for healthy in windows.each]), alpha
    )
    # As live, what a window of the reference has had is nothing new, however seldom it was.
    limit = np.maximum(found.limit, found.highest)
    above = found.share > limit
    few = np.minimum(found.rows_before, found.rows_now) < ROWS_MIN
    sizes = found.rows_before, found.rows_now
    # Nothing to compare with, no rows, or so few that only a surplus can be found in them.
    p_values = np.where(few & ~(above & (found.rows_before >= ROWS_MIN)), np.nan, 1.0)
    for at, place in np.argwhere(above & ~np.isnan(p_values)).tolist():
        before, now = (int(side[place]) for side in sizes)
        expected = min(int(found.before[at, place]) + _lucky(asked[at], sides[0], place, before), before)
        p_values[at, place] = share_p_value(expected, before, int(found.now[at, place]), now)
    return Surpluses(asked, segments, found, limit, p_values)


def _asked_of(watched: Watched, *, timed: bool) -> list[_Asked]:
    asked = [_Asked(watched, watched.counted, MISSING_SHARE)]
    if watched.seen is not None:
        asked.append(_Asked(watched, watched.seen, UNSEEN_SHARE))
    plain = watched.plain
    if plain is not None:
        # No window of a reference leaves the range that was learned from all of them: they cannot say what is usual.
        learned = timed and not watched.declared
        more = ((UNSEEN_SHARE, False), (RANGE_SHARE, learned), (OUTLIER_SHARE, False))
        asked += [_Asked(watched, plain, share, mild) for share, mild in more if share.applies(plain)]
    return asked


def _lucky(asked: _Asked, reference: Pile, place: int, rows: int) -> int:
    """How many more rows the share stands for, were the reference not the sample that the column was cut by."""
    if asked.share.check == UNSEEN and asked.watched.seen is not None:
        # None of the reference's own values is new to it.
        return math.ceil(asked.watched.new_share * rows)
    if asked.share.check == UNSEEN:
        counts = reference.counts_of(asked.scale.column)[place, : asked.scale.bins]
        return expected_new(int((counts == 1).sum()), int((counts == 2).sum()))  # noqa: PLR2004 - seen twice
    # The reference's least and largest are its own: the next row lies outside with a chance of 2 / (rows + 1).
    return int(asked.share.check == RANGE)


def _told(
    one: _Asked, size: tuple[SegmentKey, int, int], numbers: list[Any], status: Status, window: Window | None
) -> Verdict:
    """Say what was found of a share in a segment."""
    (segment, n, m), (value, limit, low, high, before, usual, p_value, adjusted) = size, numbers
    found, tested = status in ("fail", "warn"), not math.isnan(p_value)
    if status == "fail" and one.mild:
        status = "warn"
    reason = "no rows"
    if m:
        excused = "is usual in its own windows" if usual else "would not matter"
        then = f"{100 * before:.2f} % in the reference; up to {100 * limit:.2f} % {excused}"
        reason = f"{100 * value:.2f} % {one.share.words}, {then}"
        if not tested:
            reason = f"{reason}; {min(n, m)} rows cannot tell more"
        elif p_value < 1.0 and not found:
            reason = f"{reason}; so few rows leave it to chance"
            # Too few rows for anything but a finding: what is not found is then not known.
            status = "inconclusive" if min(n, m) < ROWS_MIN else status
    return Verdict(
        check=one.share.check,
        metric=one.share.metric,
        column=one.watched.column,
        segment=segment,
        window=window,
        status=status,
        reason=reason,
        value=value if m else None,
        interval=(low, high) if m else None,
        threshold=limit if m else None,
        effect=value - before if m else None,
        direction="up" if found else None,
        p_value=p_value if tested else None,
        p_adjusted=adjusted if tested else None,
        n_reference=n,
        n_current=m,
    )


def judge_times(column: str, reference: tuple[int, int], current: tuple[int, int], window: Window | None) -> Draft:
    """Judge the rows that should have an event time and have none.

    Args:
        column: the column of the event time.
        reference: how many of its rows have none, and how many rows it has.
        current: the same of the current table.
        window: its event time.
    """
    (before, n), (now, m) = reference, current
    share, usual = now / m if m else 0.0, before / n if n else 0.0
    reason = f"{100 * share:.2f} % of the rows have no event time, {100 * usual:.2f} % in the reference"
    found = share > usual + SHARE_MIN
    verdict = Verdict(
        check=MISSING,
        metric="missing_rate",
        column=column,
        window=window,
        status="ok" if m else "inconclusive",
        reason=reason if m else "no rows",
        value=share if m else None,
        threshold=usual + SHARE_MIN,
        effect=share - usual if m else None,
        direction="up" if found else None,
        n_reference=n,
        n_current=m,
    )
    return Draft(verdict, share_p_value(before, n, now, m) if found else 1.0 if m else math.nan)
