"""`business.<kpi>`: did what predictions earn or cost change surely, and by enough to matter?

A figure's mean per prediction is compared with the reference's by a normal test, "it differs by no more than the
margin". The mean and its interval are those of all values; the test takes values as bounded at twenty spreads of the
reference, so that one absurd value neither hides nor makes a change. Whoever says which way is better has the bad way
fail, and is left alone by the good one; else a change either way is worth a warning, and no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from killick.checks.distances import way
from killick.checks.metrics import CONFIDENCE, error_of_difference
from killick.checks.sharing import Draft
from killick.checks.verdict import Verdict
from killick.profiles.profile import stack
from killick.stats.history import Wander, beyond_p_value, wander
from killick.stats.intervals import mean_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from killick.checks.reference import BySegment
    from killick.clock import Window
    from killick.profiles.cells import Floats
    from killick.profiles.kpis import KpiScale
    from killick.profiles.profile import Profile
    from killick.spec.document import Kpi

FAMILY = "business."
# What business figures are planned to the nearest of; and a tenth of a spread, where the mean is small beside it.
MARGIN = 0.05
MARGIN_SPREADS = 0.1
# Fewer values of a skewed figure have no mean that a normal test could judge.
VALUES_MIN = 50


@dataclass(frozen=True, slots=True)
class _Means:
    """A figure in several profiles; arrays `[profiles]`. `bounded` and `error` are what a test goes by."""

    values: Floats
    mean: Floats
    low: Floats
    high: Floats
    bounded: Floats
    error: Floats


def judge_kpis(
    references: BySegment,
    current: BySegment,
    kpis: Sequence[Kpi],
    window: Window | None = None,
    windows: Sequence[BySegment] = (),
) -> list[Draft]:
    """Judge every business figure that is on the scale, in every segment where one side has values.

    Args:
        references: the reference's profiles by segment.
        current: the profiles to judge; each segment is in the reference.
        kpis: the figures as the spec declares them.
        window: the event time of the current rows.
        windows: the reference's windows, by segment: how far a figure strays when all is well.
    """
    segments = tuple(current)
    if not segments:
        return []
    scales = {part.column: part for part in current[segments[0]].scale.kpis}
    drafts: list[Draft] = []
    for kpi in (kpi for kpi in kpis if kpi.name in scales):
        scale = scales[kpi.name]
        before = _means(scale, [references[segment] for segment in segments])
        now = _means(scale, [current[segment] for segment in segments])
        for at, segment in enumerate(segments):
            if before.values[at] or now.values[at]:
                verdict = _reported(kpi, now, at)
                verdict = msgspec.structs.replace(verdict, segment=segment, window=window)
                held = [profiles[segment] for profiles in windows if segment in profiles]
                drafts.append(_against(verdict, kpi, scale, (before, now), at, partial(_wander, scale, held)))
    return drafts


def _wander(scale: KpiScale, profiles: Sequence[Profile]) -> Wander:
    """How far a figure strays from window to window, in those that have values enough."""
    if not profiles:
        return Wander()
    each = _means(scale, profiles)
    return wander(np.where(each.values >= VALUES_MIN, each.bounded, np.nan), each.error)


def _means(scale: KpiScale, profiles: Sequence[Profile]) -> _Means:
    counts, sums = stack(profiles, scale.column)
    n = counts[:, 0].astype(np.float64)
    some = np.maximum(n, 1.0)
    ends = mean_interval(n, sums[:, 0], sums[:, 1], CONFIDENCE)
    low, high = (scale.centre + scale.spread * end for end in ends)
    bounded = sums[:, 2] / some
    variance = np.maximum(sums[:, 3] / some - bounded**2, 0.0)
    return _Means(
        values=n,
        mean=scale.centre + scale.spread * sums[:, 0] / some,
        low=low,
        high=high,
        bounded=scale.centre + scale.spread * bounded,
        error=scale.spread * np.sqrt(variance / np.maximum(n - 1.0, 1.0)),
    )


def _reported(kpi: Kpi, now: _Means, at: int) -> Verdict:
    """What is known of the current values alone."""
    values, unit = int(now.values[at]), f" {kpi.unit}" if kpi.unit else ""
    few = values < VALUES_MIN
    said = f"{kpi.name} is {now.mean[at]:.4g}{unit} on average over {values} values"
    return Verdict(
        check=f"{FAMILY}{kpi.name}",
        metric="mean",
        column=kpi.name,
        status="inconclusive" if few else "ok",
        reason=f"{values} values are known; {VALUES_MIN} are needed" if few else said,
        value=float(now.mean[at]) if values else None,
        interval=(float(now.low[at]), float(now.high[at])) if values > 1 else None,
        n_current=values,
    )


def _against(
    verdict: Verdict,
    kpi: Kpi,
    scale: KpiScale,
    sides: tuple[_Means, _Means],
    at: int,
    strays: Callable[[], Wander],
) -> Draft:
    """Compare a figure with the reference's, where both are known."""
    before, now = sides
    values = int(before.values[at])
    if verdict.status == "inconclusive":
        return Draft(verdict)
    if values < VALUES_MIN:
        reason = f"{verdict.reason}; the reference has {values} to compare with, and {VALUES_MIN} are needed"
        return Draft(msgspec.structs.replace(verdict, status="inconclusive", reason=reason, n_reference=values))
    # By the bounded mean: the reference may hold the absurd value.
    margin = max(MARGIN * abs(float(before.bounded[at])), MARGIN_SPREADS * scale.spread)
    change = float(now.bounded[at] - before.bounded[at])
    worse = {None: abs(change), "higher": -change, "lower": change}[kpi.better]
    said = f"{verdict.reason}; {before.mean[at]:.4g} in the reference"
    if abs(change) > margin:
        judged = "" if kpi.better is None else ", for the worse" if worse > 0 else ", for the better"
        said += f", {'up' if change > 0 else 'down'} by {abs(change):.3g} where {margin:.3g} would not matter{judged}"
    above = change > 0 if kpi.better is None else kpi.better == "lower"
    changed = msgspec.structs.replace(
        verdict,
        reason=said,
        effect=float(now.mean[at] - before.mean[at]),
        direction=way(0.0, change),
        threshold=float(before.mean[at]) + (margin if above else -margin),
        n_reference=values,
    )
    errors, rows = ((float(before.error[at]), float(now.error[at])), (float(values), float(now.values[at])))
    if worse <= margin:
        return Draft(changed, 1.0, mild=kpi.better is None)
    error, healthy = error_of_difference(errors, rows), strays()
    p_value = beyond_p_value(worse - margin, error, healthy)
    if kpi.better is None:
        p_value += beyond_p_value(worse + margin, error, healthy)
    return Draft(changed, min(p_value, 1.0), mild=kpi.better is None)
