"""Two tables: is the current one still like the reference? What `killick check` judges, from profiles alone.

`drift.univariate` of a feature, the score or the label is one test, on PSI: is it surely more than `MATERIAL` (about
0.14 standard deviations of shift), and, where the reference has windows, more than these differ from one another? A
column's p-value is the larger of the two answers. A reference that is shorter than eight times the current time span
has no windows as wide as that; what its narrower ones excuse, though the rows are sure, is a warning. Wasserstein-1 in
spreads (total variation for a category) is no second test of the same column: it stands beside the PSI as `effect`,
because it says how far. `quality.missing`, `.unseen` and `.range` say what a column's shares do, `performance.realised`
what labels do.

The budget is the chance of any failure in a whole run on healthy data, 5 % by default. All tests of a run share it by
Holm's step-down, which keeps just that under every dependence: a verdict *fails* when its adjusted p-value is within
the budget. What only Benjamini-Hochberg finds at the same level is a *warning*: its promise is that one finding in
twenty is false. On data without drift both keep the budget, where unadjusted p-values would warn in two runs of three
on twenty columns. `threshold` is the PSI above which the column fails in this run.

Sources: Yurdakul & Naranjo (2020) for PSI's distribution; Holm (1979); Benjamini & Hochberg (1995); statistics.md 1.1,
1.6 and 1.8. False alarms and power are measured in tests/checks/test_comparison.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from killick.checks.distances import ROWS_MIN, movers
from killick.checks.drift import CHECK
from killick.checks.evidence import movement, smallest_material, stability_of
from killick.checks.quality import MISSING, RANGE, UNSEEN, judge_quality, share_histories
from killick.checks.realised import judge_realised
from killick.checks.sharing import Draft, Shared, share_budget
from killick.checks.usual import cells_of, healthy_drift, usual_drift, windows_like
from killick.checks.verdict import Verdict
from killick.profiles.categorical import CategoricalScale
from killick.stats.history import surprise
from killick.stats.shares import expected_new, share_p_value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from killick.checks.evidence import Movement
    from killick.checks.reference import BySegment, HealthyWindow, Reference, SegmentKey
    from killick.checks.usual import Comparable, Windows
    from killick.clock import Window
    from killick.profiles.cells import Floats, Ints
    from killick.profiles.profile import Profile
    from killick.spec.document import Objective
    from killick.stats.distances import PopulationStability

# A PSI that does not matter: a shift of 0.14 standard deviations, a fifth of what the folklore calls moderate (0.1).
MATERIAL = 0.02
# The chance of any false failure in a run: what people take the level of a test to be.
BUDGET = 0.05
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class LongList:
    """How a column with more than a hundred categories is judged: by hash and by novelty, not by its commonest ones.

    Those were chosen because they were common in the reference, so a second sample of the same world has fewer of
    them. `buckets` is a column of the scale that holds every category's hash; `seen` one with a single category, of the
    values that the reference has anywhere, whose *other* are new. `new_share` is the share of rows that may be new in
    a second sample (`expected_new`).
    """

    buckets: CategoricalScale
    seen: CategoricalScale
    new_share: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """How to compare.

    Attributes:
        columns: the columns to judge: features, score, label.
        long_lists: of columns with more categories than a scale knows, by name.
        label: which of them is the label, whose missing values are labels that have not come yet.
        window: the event time of the current rows, where they have one.
        objectives: what the metrics have to keep to.
        budget: the chance of any false failure in the run.
    """

    columns: tuple[Comparable, ...]
    long_lists: Mapping[str, LongList] = field(default_factory=dict)
    label: str | None = None
    window: Window | None = None
    objectives: tuple[Objective, ...] = ()
    budget: float = BUDGET


@dataclass(frozen=True, slots=True)
class _Drift:
    """One column's drift in every segment, before the budget is shared. Arrays begin with `[segments]`."""

    column: Comparable
    segments: tuple[SegmentKey, ...]
    before: Ints
    now: Ints
    psi: PopulationStability
    moved: Movement
    history: Floats
    by_rows: Floats
    p_values: Floats
    why_not: tuple[str, ...]


def compare(reference: Reference, current: BySegment, how: Comparison) -> tuple[list[Verdict], int]:
    """Judge current profiles against a reference; return the verdicts, and how many tests shared the budget.

    Args:
        reference: on the same scale.
        current: the profiles to judge, by segment. A segment that only one side has is said, not judged.
        how: what to judge, and the budget.
    """
    known = {segment: profile for segment, profile in current.items() if segment in reference.profiles}
    windows = windows_like(reference, how.window)
    drifts = [_drift(column, reference, known, windows, how) for column in how.columns] if known else []
    others = [
        *_quality(reference, known, windows.each, how),
        *judge_realised(reference.profiles, known, how.window, how.objectives),
    ]
    p_others = np.array([test.p_value for test in others])
    p_values = np.concatenate([*(drift.p_values for drift in drifts), p_others])
    by_rows = np.concatenate([*(drift.by_rows for drift in drifts), p_others])
    shared = share_budget(p_values, how.budget, by_rows if windows.narrow else p_values)
    verdicts: list[Verdict] = []
    at = 0
    for drift in drifts:
        verdicts += _drift_verdicts(drift, shared.part(at, at + len(drift.segments)), windows, how)
        at += len(drift.segments)
    verdicts += [test.sealed(shared, at + index) for index, test in enumerate(others)]
    return [*verdicts, *_one_sided(reference, current, how)], shared.tests


# ------------------------------------------------------------------------------------------------ drift


def _drift(column: Comparable, reference: Reference, current: BySegment, windows: Windows, how: Comparison) -> _Drift:
    segments = tuple(current)
    is_label = column.column == how.label
    then, now_ = [reference.profiles[segment] for segment in segments], [current[segment] for segment in segments]
    before, sums_before = cells_of(column, then, is_label=is_label)
    now, sums_now = cells_of(column, now_, is_label=is_label)
    tested = how.long_lists[column.column].buckets if column.column in how.long_lists else column
    psi = stability_of(
        tested, cells_of(tested, then, is_label=is_label)[0], cells_of(tested, now_, is_label=is_label)[0]
    )
    history = healthy_drift(tested, reference, segments, windows.each, psi, is_label=is_label)
    why_not = tuple(_why_not(column, before[at], now[at], psi, at) for at in range(len(segments)))
    by_rows = np.where([bool(reason) for reason in why_not], np.nan, psi.p_exceeds(MATERIAL))
    p_values = by_rows
    if history.shape[1]:
        # Where the history is too short its p-value is NaN, and the rows alone speak.
        unusual = surprise(history, psi.debiased, floor=MATERIAL)
        p_values = np.where(np.isnan(by_rows), np.nan, np.fmax(by_rows, unusual))
    moved = movement(column, (before, sums_before), (now, sums_now))
    return _Drift(column, segments, before, now, psi, moved, history, by_rows, p_values, why_not)


def _why_not(column: Comparable, before: Ints, now: Ints, psi: PopulationStability, at: int) -> str:
    """Say why a column cannot be judged; empty when it can."""
    rows = {"reference": int(before.sum()), "current table": int(now.sum())}
    side = min(rows, key=lambda name: rows[name])
    if rows[side] < ROWS_MIN:
        return f"{rows[side]} values in the {side}; {ROWS_MIN} are needed"
    if isinstance(column, CategoricalScale) and len(column.categories) > 1 and not (psi.known[at] and psi.bins[at] > 1):
        return "nearly every row has a value of its own, so shares cannot be compared"
    return ""


def _drift_verdicts(drift: _Drift, shared: Shared, windows: Windows, how: Comparison) -> list[Verdict]:
    by_rows = smallest_material(drift.psi, MATERIAL, shared.levels)
    usual = usual_drift(drift.history, shared.levels, MATERIAL)
    limits = np.maximum(by_rows, usual)
    lows, highs = drift.psi.interval(CONFIDENCE)
    verdicts = []
    for at, segment in enumerate(drift.segments):
        verdict = Verdict(
            check=CHECK,
            metric="psi",
            column=drift.column.column,
            segment=segment,
            window=how.window,
            status=shared.statuses[at],
            reason=drift.why_not[at],
            n_reference=int(drift.before[at].sum()),
            n_current=int(drift.now[at].sum()),
        )
        if not drift.why_not[at]:
            found = verdict.status in ("fail", "warn")
            value, limit = float(drift.psi.debiased[at]), float(limits[at])
            excused = f"the reference's own {windows.described} reach up to {limit:.3g}"
            said = f"PSI is {value:.3g}; {excused if usual[at] > by_rows[at] else f'above {limit:.3g} it would fail'}"
            if found:
                sure = "surely" if value > by_rows[at] else "not surely"
                over = f", and {excused}" if verdict.status == "warn" and usual[at] > by_rows[at] else ""
                said = f"{_in_words(drift, at)}; PSI is {value:.3g}, {sure} over {by_rows[at]:.3g}{over}"
            verdict = msgspec.structs.replace(
                verdict,
                reason=said,
                value=value,
                interval=(float(lows[at]), float(highs[at])),
                threshold=limit,
                effect=_known(drift.moved.distance[at]),
                direction=drift.moved.way(at) if found else None,
                p_value=float(drift.p_values[at]),
                p_adjusted=float(shared.adjusted[at]),
            )
        verdicts.append(verdict)
    return verdicts


def _known(number: float) -> float | None:
    return float(number) if np.isfinite(number) else None


def _in_words(drift: _Drift, at: int) -> str:
    """Say what moved, which way and how far."""
    moved, way = drift.moved, drift.moved.way(at)
    most = movers(drift.column, drift.before[at], drift.now[at])
    far = moved.distance[at]
    if isinstance(drift.column, CategoricalScale):
        return f"{far * 100:.1f} % of the rows changed category, most: {most}"
    if way is None or not np.isfinite(far):
        return f"values moved, most: {most}"
    means = f"mean {_figure(moved.mean_before[at])} -> {_figure(moved.mean_now[at])}"
    return f"{'higher' if way == 'up' else 'lower'} by {far:.2f} spreads ({means}), most: {most}"


def _figure(number: float) -> str:
    """Write a number as people do, not as 2.964e+04.

    >>> _figure(29641.5), _figure(0.49891), _figure(7e9)
    ('29,642', '0.4989', '7e+09')
    """
    return f"{number:,.0f}" if 1e3 <= abs(number) < 1e9 else f"{number:.4g}"  # noqa: PLR2004 - from here on grouped


# ------------------------------------------------------------------------------------------------ shares, segments


def _quality(
    reference: Reference, current: BySegment, windows: Sequence[HealthyWindow], how: Comparison
) -> list[Draft]:
    """Judge the shares: `judge_quality` says which are too high, a two-sample tail whether surely so."""
    columns: list[Comparable] = [column for column in how.columns if column.column != how.label]
    news: dict[str, str] = {held.seen.column: name for name, held in how.long_lists.items()}
    asked = [*columns, *(held.seen for held in how.long_lists.values())]
    histories = share_histories(asked, [healthy.profiles for healthy in windows])
    # Three kinds of test for a column of a segment: the level that Holm would give the first of them.
    alpha = how.budget / max(3 * len(columns) * len(current), 1)
    tested = []
    for verdict in judge_quality(asked, reference.profiles, current, histories, alpha, how.window):
        name = verdict.column or ""
        if (verdict.check == UNSEEN and name in how.long_lists) or (verdict.check == MISSING and name in news):
            continue
        before = reference.profiles[verdict.segment]
        named = msgspec.structs.replace(verdict, column=news.get(name, name))
        tested.append(_surely(named, before, _expected(named, before, how)))
    return tested


def _expected(verdict: Verdict, before: Profile, how: Comparison) -> int:
    """Return how many rows of the reference the share stands for, were the reference not the sample it was cut by."""
    name = verdict.column or ""
    if verdict.check == UNSEEN and name in how.long_lists:
        return math.ceil(how.long_lists[name].new_share * before.rows)
    then = round(((verdict.value or 0.0) - (verdict.effect or 0.0)) * before.rows)
    if verdict.check == UNSEEN:
        counts = before.counts_of(name)
        return then + expected_new(int((counts == 1).sum()), int((counts == 2).sum()))  # noqa: PLR2004 - seen twice
    # The reference's least and largest are its own: the next row lies outside with a chance of 2 / (rows + 1).
    return then + 1 if verdict.check == RANGE else then


def _surely(verdict: Verdict, before: Profile, expected: int) -> Draft:
    """Ask whether a share that is too high is surely so, both sides being samples."""
    if verdict.value is None or verdict.threshold is None or not before.rows:
        return Draft(verdict)
    rows = verdict.n_current or 0
    few = min(rows, before.rows)
    if verdict.value > verdict.threshold and before.rows >= ROWS_MIN:
        found = round(verdict.value * rows)
        p_value = share_p_value(min(expected, before.rows), before.rows, found, rows)
        return Draft(verdict, p_value, few=few < ROWS_MIN)
    if few >= ROWS_MIN:
        return Draft(verdict, 1.0)
    reason = f"{verdict.reason}; {few} rows cannot tell more"
    return Draft(msgspec.structs.replace(verdict, status="inconclusive", reason=reason, direction=None))


def _one_sided(reference: Reference, current: BySegment, how: Comparison) -> list[Verdict]:
    """Say which segments only one of the sides has: nothing can be compared there."""
    then, now = reference.profiles, current
    lone = [(segment, "reference", 0, then[segment].rows) for segment in then if segment not in now]
    lone += [(segment, "current table", now[segment].rows, 0) for segment in now if segment not in then]
    return [
        Verdict(
            check=CHECK,
            metric="psi",
            segment=segment,
            window=how.window,
            status="inconclusive",
            reason=f"only the {side} has rows in this segment",
            n_reference=rows_then,
            n_current=rows_now,
        )
        for segment, side, rows_now, rows_then in lone
    ]
