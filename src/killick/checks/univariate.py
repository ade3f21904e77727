"""`drift.univariate` of two tables: every column in every segment, from two piles of profiles.

A facet's p-value is the larger of two answers: is its distance surely more than what does not matter, and, where the
reference has windows, more than these differ from one another? A column has one verdict: its facets' smallest p-value
times their number (Bonferroni), told of that facet. Wasserstein-1 in spreads (total variation for a category) is no
second test of the same column: it stands beside the distance as `effect`, because it says how far. `value` is the
metric as people know it, `threshold` the value above which the column fails in this run, `interval` is of the true
distance: what the mere size of the samples adds to a value is taken off there.

Cost: everything is computed for a block of columns and all segments at once; a verdict costs its words, about 4 us.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from killick.checks.apart import apart_in
from killick.checks.distances import ROWS_MIN
from killick.checks.drift import CHECK
from killick.checks.evidence import movement
from killick.checks.methods import METHODS
from killick.checks.telling import Told
from killick.checks.usual import healthy_drifts, usual_drift
from killick.checks.verdict import Verdict
from killick.checks.watched import blocks, gappy_columns
from killick.profiles.categorical import CategoricalScale
from killick.stats.history import surprise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from killick.checks.apart import Apart
    from killick.checks.reference import Reference, SegmentKey
    from killick.checks.sharing import Shared
    from killick.checks.usual import Windows
    from killick.checks.verdict import Direction, Status
    from killick.checks.watched import Block, Pile, Watched
    from killick.clock import Window
    from killick.profiles.cells import Floats, Ints

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class _Measured:
    """A block of facets: which of all facets they are, their distance and that of the reference's windows."""

    at: Ints
    apart: Apart
    history: Floats


@dataclass(frozen=True, slots=True)
class Drifts:
    """Every column's drift in every segment, before the budget is shared.

    Attributes:
        columns: what was judged.
        segments: where.
        sides: the profiles of the reference and of the current table, one a segment.
        windows: what else the distances were compared with.
        gappy: the columns of the scale whose missing values do not count.
        measured: the facets' distances, block by block.
        told: how far values moved.
        chosen: the facet that decides, `[segments, columns]`.
        p_values: `[columns * segments]`, a column after the other; NaN where there are too few rows.
        by_rows: the same, from the rows alone.
    """

    columns: tuple[Watched, ...]
    segments: tuple[SegmentKey, ...]
    sides: tuple[Pile, Pile]
    windows: Windows
    gappy: frozenset[str]
    measured: tuple[_Measured, ...]
    told: Told
    chosen: Ints
    p_values: Floats
    by_rows: Floats

    def verdicts(self, shared: Shared, window: Window | None) -> list[Verdict]:
        """Return the verdicts as they stand now that the budget is shared."""
        number, width = len(self.columns), len(self.segments)
        places = self.told.places(self.columns, self.chosen)
        failed = np.array([status == "fail" for status in shared.statuses], np.bool_).reshape(number, width).T
        held = _numbers(self, shared.levels.reshape(number, width).T, failed, places)
        p_values, adjusted = (part.reshape(number, width).tolist() for part in (self.p_values, shared.adjusted))
        verdicts: list[Verdict] = []
        for k, watched in enumerate(self.columns):
            statuses = shared.statuses[k * width : (k + 1) * width]
            found = [at for at, status in enumerate(statuses) if status in ("fail", "warn")]
            words = self.told.in_words(watched, self.sides, found, places[found, k], self.gappy)
            numbers = [part[k] for part in held] + [p_values[k], adjusted[k]]
            verdicts += _of_column(self, watched, statuses, zip(*numbers, strict=True), words, window)
        return verdicts


def judge_columns(
    columns: tuple[Watched, ...],
    reference: Reference,
    segments: tuple[SegmentKey, ...],
    sides: tuple[Pile, Pile],
    windows: Windows,
    label: str | None = None,
) -> Drifts:
    """Measure every column in every segment.

    Args:
        columns: what to judge.
        reference: whose windows they are.
        segments: where.
        sides: the profiles of the reference and of the current table, one a segment.
        windows: those of the reference to compare with one another.
        label: which column is the label, whose missing values are labels that have not come yet.
    """
    gappy = gappy_columns(columns, label)
    facets = [facet for watched in columns for facet in watched.facets]
    more = [w.shown for w in columns if w.shown is not None and w.shown not in w.facets]
    owner = np.repeat(np.arange(len(columns)), [len(watched.facets) for watched in columns])
    by_rows, p_values = np.full((2, len(segments), len(facets)), np.nan)
    told = np.full((3, len(segments), len(facets) + len(more)), np.nan)
    pairs, places, each = max(len(segments), len(windows.each)), [], []
    for method in dict.fromkeys(watched.method for watched in columns):
        mine = np.flatnonzero([columns[k].method == method for k in owner])
        for block in blocks(reference.scale, [facets[at] for at in mine], pairs, gappy):
            each.append((block, apart_in(block, METHODS[method], *sides)))
            places.append(mine[list(block.at)])
            told[:, :, places[-1]] = movement(block, *sides)
    for block in blocks(reference.scale, more, pairs, gappy):
        told[:, :, len(facets) + np.asarray(block.at)] = movement(block, *sides)
    asked = [(block, apart.method) for block, apart in each]
    histories = healthy_drifts(asked, reference, segments, sides, windows)
    for at, (block, apart), history in zip(places, each, histories, strict=True):
        material = apart.method.material
        sure = np.where(_can_be_judged(block, apart, sides), apart.distance.p_exceeds(material), np.nan)
        # Where the history is too short its p-value is NaN, and the rows alone speak. Where there should be one and is
        # none, they can warn and not fail.
        unusual: Floats | float = 1.0 if windows.why_none else np.nan
        if windows.each:
            unusual = surprise(history, apart.distance.excess, floor=material)
        by_rows[:, at], p_values[:, at] = sure, np.where(np.isnan(sure), np.nan, np.fmax(sure, unusual))
    return Drifts(
        columns=columns,
        segments=segments,
        sides=sides,
        windows=windows,
        gappy=gappy,
        measured=tuple(_Measured(at, one, h) for at, (_, one), h in zip(places, each, histories, strict=True)),
        told=Told((*facets, *more), *told),
        chosen=_decisive(owner, p_values, told[0]),
        p_values=_of_columns(owner, p_values),
        by_rows=_of_columns(owner, by_rows),
    )


def _can_be_judged(block: Block, apart: Apart, sides: tuple[Pile, Pile]) -> NDArray[np.bool_]:
    """Whether both sides have rows enough, and of a list of categories for more than one, or of one only."""
    before, now = (block.counts_in(side) for side in sides)
    rows = np.minimum(before.sum(axis=-1), now.sum(axis=-1))
    # The first cell of a list is *other*: many values that nobody knows.
    there = (before > 0) | (now > 0)
    alike = (there.sum(axis=-1) == 1) & ~there[..., 0]
    return np.asarray((rows >= ROWS_MIN) & ((apart.cells > 1) | alike | ~block.listed))


def _of_columns(owner: Ints, p_values: Floats) -> Floats:
    """Each column's p-value in each segment, a column after the other: Bonferroni's over its facets."""
    starts, facets = np.unique(owner, return_index=True)[1], np.bincount(owner)
    least = np.fmin.reduceat(p_values, starts, axis=1)
    return np.asarray(np.minimum(least * facets, 1.0).T.ravel())


def _decisive(owner: Ints, p_values: Floats, far: Floats) -> Ints:
    """Which facet a column's verdict is told of, `[segments, columns]`: the surest, of equals what moved furthest."""
    starts, facets = np.unique(owner, return_index=True)[1], np.bincount(owner)
    chosen = np.tile(starts, (len(p_values), 1))
    for at in np.flatnonzero(facets > 1):
        mine = slice(starts[at], starts[at] + facets[at])
        surest = np.fmin.reduce(p_values[:, mine], axis=1, keepdims=True)
        chosen[:, at] += np.where(p_values[:, mine] <= surest, np.nan_to_num(far[:, mine]), -1.0).argmax(axis=1)
    return chosen


# ------------------------------------------------------------------------------------------------ verdicts


def _numbers(drifts: Drifts, levels: Floats, failed: NDArray[np.bool_], places: Ints) -> list[list[list[Any]]]:
    """Return what verdicts tell of the facets that decide, each `[columns][segments]`.

    Value, threshold, the interval's two ends, whether the windows set the threshold, and the effect.

    Args:
        drifts: what was measured.
        levels: the p-value at which each column fails, `[segments, columns]`.
        failed: whether it does.
        places: the scale that its effect is of.
    """
    owner = np.repeat(np.arange(len(drifts.columns)), [len(watched.facets) for watched in drifts.columns])
    each = np.bincount(owner)
    facets = np.full((5, len(drifts.segments), len(owner)), np.nan)
    for part in drifts.measured:
        mine = levels[:, owner[part.at]] / each[owner[part.at]]
        found, material = part.apart.distance, part.apart.method.material
        by_rows = found.reach(material, mine)
        usual = usual_drift(part.history, mine, material)
        limit = np.fmax(by_rows, usual)
        value, threshold = part.apart.value, part.apart.value_at(limit)
        # A test is smoothed and its quantile rounded, a value is neither: by that hair it must not be told on the wrong
        # side.
        below = np.minimum(threshold, np.nextafter(value, 0.0))
        threshold = np.where(failed[:, owner[part.at]], below, np.maximum(threshold, value))
        facets[:, :, part.at] = (value, threshold, *found.interval(CONFIDENCE), usual > by_rows)
    far = np.take_along_axis(drifts.told.far, places, axis=1)
    effect = np.where(np.isfinite(far), far.astype(object), np.array(None))
    return [*(np.take_along_axis(one, drifts.chosen, axis=1).T.tolist() for one in facets), effect.T.tolist()]


def _of_column(
    drifts: Drifts,
    watched: Watched,
    statuses: tuple[Status, ...],
    numbers: Iterator[tuple[Any, ...]],
    words: dict[int, tuple[Direction | None, str]],
    window: Window | None,
) -> Iterator[Verdict]:
    """Say what was found of a column in every segment."""
    method, by_windows = METHODS[watched.method], f"the reference's own {drifts.windows.described} reach that far"
    before, now = _rows(drifts, watched)
    for at, (value, limit, low, high, usual, effect, p_value, adjusted) in enumerate(numbers):
        status, n, m = statuses[at], before[at], now[at]
        if status == "inconclusive":
            yield _unknown(watched, drifts.segments[at], (n, m), window)
            continue
        luck = f"{method.material:g} does not matter, the rest is the luck of {n:,} and {m:,} rows"
        fails = "fails" if status == "fail" else "would fail"
        reason = f"{method.called} is {value:.3g}{method.unit}; it {fails} above {limit:.3g} "
        reason = f"{reason}({by_windows if usual else luck})"
        if status == "warn" and drifts.windows.why_none:
            reason = f"{reason}; it warns and does not fail, since {drifts.windows.why_none}"
        direction = None
        if at in words:
            direction, moved = words[at]
            reason = f"{moved}; {reason}"
        yield Verdict(
            check=CHECK,
            metric=method.name,
            column=watched.column,
            segment=drifts.segments[at],
            window=window,
            status=status,
            reason=reason,
            value=value,
            interval=(low, high),
            threshold=limit,
            effect=effect,
            direction=direction,
            p_value=p_value,
            p_adjusted=adjusted,
            n_reference=n,
            n_current=m,
        )


def _unknown(watched: Watched, segment: SegmentKey, rows: tuple[int, int], window: Window | None) -> Verdict:
    """Say why a column cannot be judged."""
    side, few = min(zip(("reference", "current table"), rows, strict=True), key=lambda one: one[1])
    reason = f"{few} values in the {side}; {ROWS_MIN} are needed"
    if few >= ROWS_MIN:
        # Only a list of categories can be too long for its rows.
        scale = watched.shown if isinstance(watched.shown, CategoricalScale) else watched.counted
        reason = f"{few} rows in the {side} are too few for {scale.bins - 1} categories"
    return Verdict(
        check=CHECK,
        metric=watched.method,
        column=watched.column,
        segment=segment,
        window=window,
        status="inconclusive",
        reason=reason,
        n_reference=rows[0],
        n_current=rows[1],
    )


def _rows(drifts: Drifts, watched: Watched) -> tuple[list[int], list[int]]:
    """How many rows of a column count on either side, in each segment."""
    scale = watched.counted
    kept = scale.bins if scale.column in drifts.gappy else scale.counts_width
    before, now = (side.counts_of(scale.column)[:, :kept].sum(axis=1).tolist() for side in drifts.sides)
    return before, now
