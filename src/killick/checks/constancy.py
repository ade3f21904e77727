"""`quality.constant`: a column that varied in the reference has a single value now.

Seen from profiles: all values fall into one cell and, for numbers, vary about the cell's mean by less than a
ten-thousandth of the reference's spread; whole numbers beyond 2**53, which floats cannot tell apart, are never called
constant. How likely so many rows in that cell are is the two-sample tail
(`stats.shares.share_p_value`), once for each cell that could have been the one. A column of which hardly any row ever
differed is so left in peace: fifty rows without it are no news.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from killick.checks.distances import ROWS_MIN
from killick.checks.verdict import Verdict
from killick.profiles.numeric import NumericScale
from killick.stats.shares import share_p_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from killick.checks.reference import SegmentKey
    from killick.checks.sharing import Shared
    from killick.checks.verdict import Status
    from killick.checks.watched import Comparable, Pile, Watched
    from killick.clock import Window
    from killick.profiles.cells import Floats, Ints

CONSTANT = "quality.constant"
# A standard deviation that is none, in spreads; and what rounding leaves of a variance, as a share of the square of the
# distance from the centre that it is computed from.
_SPREAD_MIN, _ROUNDING = 1e-4, 1e-9
# From here on whole numbers share floats with their neighbours: ids that all differ may look like one.
_EXACT_MAX = 2.0**53
_NEARLY = "the same but for a ten-thousandth of the reference's spread at most"


@dataclass(frozen=True, slots=True)
class Side:
    """How alone the commonest cell of a column is, on one side; arrays `[segments]`.

    `commonest` is how many values may be one and the same at most: all of the fullest cell, but for one where they are
    seen to vary.
    """

    cell: Ints
    commonest: Ints
    values: Ints

    @property
    def share(self) -> Floats:
        """The share of values that are one and the same at most; 1 for a constant, 0 without values."""
        return np.asarray(self.commonest / np.maximum(self.values, 1))


@dataclass(frozen=True, slots=True)
class Constants:
    """Every column's constancy in every segment, before the budget is shared.

    `before`, `now` and `alike`, what its values are called when they are constant, have one entry a column; `tested` is
    `[columns, segments]`.
    """

    columns: tuple[str, ...]
    segments: tuple[SegmentKey, ...]
    before: tuple[Side, ...]
    now: tuple[Side, ...]
    alike: tuple[str, ...]
    tested: Floats

    @property
    def p_values(self) -> Floats:
        """`[columns * segments]`; NaN where there are too few values to ask."""
        return self.tested.ravel()

    def verdicts(self, shared: Shared, window: Window | None) -> list[Verdict]:
        """Return the verdicts as they stand now that the budget is shared."""
        verdicts, statuses = [], iter(shared.statuses)
        tests = zip(self.tested.ravel().tolist(), shared.adjusted.tolist(), strict=True)
        for column, before, now, alike in zip(self.columns, self.before, self.now, self.alike, strict=True):
            sides = (before.share.tolist(), before.values.tolist(), now.share.tolist(), now.values.tolist())
            for segment, *numbers in zip(self.segments, *sides, strict=True):
                verdicts.append(_told((column, alike), segment, numbers, next(tests), next(statuses), window))
        return verdicts


def judge_constancy(
    columns: Sequence[Watched], segments: tuple[SegmentKey, ...], sides: tuple[Pile, Pile]
) -> Constants:
    """Look at every column that shows cells of its own.

    Args:
        columns: what to judge.
        segments: where.
        sides: the profiles of the reference and of the current table, one a segment.
    """
    shown = [(watched.column, watched.shown) for watched in columns if watched.shown is not None]
    before, now = (tuple(fullest(scale, side) for _, scale in shown) for side in sides)
    tested = np.ones((len(shown), len(segments)))
    for at, (_, scale) in enumerate(shown):
        then, here = before[at], now[at]
        looks = (here.share >= 1.0) & (then.share < 1.0)
        tested[at, np.minimum(then.values, here.values) < ROWS_MIN] = np.nan
        for place in np.flatnonzero(looks & ~np.isnan(tested[at])).tolist():
            counts = sides[0].counts_of(scale.column)[place, : scale.bins]
            rows = int(here.values[place])
            tail = share_p_value(int(counts[here.cell[place]]), int(then.values[place]), rows, rows)
            tested[at, place] = min(tail * int((counts > 0).sum()), 1.0)
    alike = tuple(_NEARLY if isinstance(scale, NumericScale) else "the same" for _, scale in shown)
    return Constants(tuple(name for name, _ in shown), segments, before, now, alike, tested)


def fullest(scale: Comparable, held: Pile) -> Side:
    """Return the fullest cell of a column in each profile. Values of no known category are not one and the same."""
    counts = held.counts_of(scale.column)[:, : scale.bins]
    values = counts.sum(axis=1)
    named = counts if isinstance(scale, NumericScale) else counts[:, :-1]
    if not named.shape[1]:
        return Side(np.zeros(len(counts), np.int64), np.zeros(len(counts), np.int64), values)
    cell = named.argmax(axis=1)
    most = named[np.arange(len(named)), cell]
    if isinstance(scale, NumericScale):
        most = most - ((most == values) & (values > 0) & _varies(scale, held, values))
    return Side(cell, most, values)


def _varies(scale: NumericScale, held: Pile, values: Ints) -> NDArray[np.bool_]:
    """Whether values that are all in one bin differ from one another, or may differ for all that is known."""
    sums = held.sums_of(scale.column)
    rows = np.maximum(values, 1)
    centred = (sums[:, : scale.bins].sum(axis=1) / rows - scale.centre) / scale.spread
    variance = sums[:, -1] / rows - centred**2
    blurred = np.abs(scale.centre + scale.spread * centred) >= _EXACT_MAX
    return np.asarray(blurred | (variance > np.maximum(_SPREAD_MIN**2, _ROUNDING * centred**2)))


def _told(
    about: tuple[str, str],
    segment: SegmentKey,
    numbers: list[Any],
    test: tuple[float, float],
    status: Status,
    window: Window | None,
) -> Verdict:
    """Say how constant a column is in a segment."""
    (column, alike), (before, n, share, m), (p_value, adjusted) = about, numbers, test
    found, tested = status in ("fail", "warn"), not math.isnan(p_value)
    known, varied = bool(n and m), before < 1.0
    reason = "no values"
    if known:
        reason = f"at most {100 * share:.2f} % of {m:,} values are the same"
    if known and share >= 1.0:
        then = f"at most {100 * before:.2f} % were in the reference" if varied else "as they were in the reference"
        reason = f"all {m:,} values are {alike}, {then}"
        if varied and tested and not found:
            reason += "; so few rows leave it to chance"
    if known and not tested:
        reason += f"; {min(n, m)} values cannot tell more"
    return Verdict(
        check=CONSTANT,
        metric="constant_share",
        column=column,
        segment=segment,
        window=window,
        status=status,
        reason=reason,
        value=share if known else None,
        threshold=1.0 if known and varied else None,
        effect=share - before if known else None,
        direction="up" if found else None,
        p_value=p_value if tested else None,
        p_adjusted=adjusted if tested else None,
        n_reference=n,
        n_current=m,
    )
