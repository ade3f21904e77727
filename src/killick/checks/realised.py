"""`performance.realised` of two tables: is the model surely worse than on the reference, by enough to matter?

A difference of a metric is judged by a normal test, "it is worse by no more than the margin", with the standard errors
that the two intervals stand for, or that either side lets expect of the other; and, where the reference has windows,
with how far the metric strays from one of them to the next. All metrics are reported; only those of
`TESTED` are tests and share the budget, as the others say the same in other words. Rows that the model was trained on
flatter it: give a reference that it was not trained on, or expect the margin to be used up. Where the reference holds
no labels, the metrics that were declared at development time stand for it, of everything; without these a metric is
only reported, against its objective if it has one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from killick.checks.distances import way
from killick.checks.metrics import error_of_difference, estimate, labels_in, metrics_of
from killick.checks.performance import CHECK, LABELS_MIN, judge_measure, measured, undecided, written
from killick.checks.reference import EVERYTHING
from killick.checks.sharing import Draft
from killick.checks.verdict import Verdict
from killick.profiles.outcomes_binary import BinaryOutcome
from killick.profiles.outcomes_classes import ClassOutcome
from killick.profiles.outcomes_values import BOUND, ValueOutcome
from killick.spec.document import HIGHER_IS_BETTER
from killick.stats.history import Wander, beyond_p_value, wander

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from killick.checks.metrics import Estimates
    from killick.checks.reference import BySegment, SegmentKey
    from killick.clock import Window
    from killick.profiles.outcomes import OutcomeScale
    from killick.spec.document import Objective

# What spends the budget. A probability can be wrong, rank wrongly, decide wrongly, and be dishonest, each without the
# others; classes can be confused, rare ones among them, and confidence be dishonest; a number can be far off, or off to
# one side. Every other metric moves with one of these.
TESTED: Mapping[type[OutcomeScale], tuple[str, ...]] = {
    BinaryOutcome: ("log_loss", "roc_auc", "error_rate", "calibration_error"),
    ClassOutcome: ("log_loss", "error_rate", "f1_macro", "calibration_error"),
    ValueOutcome: ("mae", "bias"),
}
# What a metric must get worse by to matter. Shares of decisions, and the areas: what a canary may cost by default, two
# points in a hundred. The log loss: what a binary model of 30 % error loses when two more in a hundred go wrong; the
# Brier score: half of that, as it loses there. The calibration error: a promise that is off by two points decides no
# case otherwise. R2: two points of the variance in a hundred.
MARGINS = dict.fromkeys(
    (
        *("error_rate", "accuracy", "roc_auc", "average_precision", "f1", "precision", "recall", "log_loss"),
        *("calibration_error", "f1_macro", "f1_weighted", "precision_macro", "recall_macro", "r2"),
    ),
    0.02,
) | {"brier": 0.01}
# Of what has a unit only a part of its own size can matter: a twentieth, which is the least that people plan with. A
# bias has no size of its own when all is well: a tenth of the errors' spread, which adds half a percent to the RMSE.
RELATIVE_MARGIN = 0.05
BIAS_MARGIN = 0.1
_ALONE = "nothing to compare it with: the reference has too few labels, and no number was declared"
# A model without errors may come to err by a thousandth of the truth's spread.
_LEAST_MARGIN = 0.001


@dataclass(frozen=True, slots=True)
class _Side:
    """What a test knows of one side of a comparison."""

    value: float
    tested: float
    error: float
    labels: int | None


def judge_realised(
    references: BySegment,
    current: BySegment,
    window: Window | None,
    objectives: tuple[Objective, ...],
    declared: Mapping[str, float] | None = None,
    windows: Sequence[BySegment] = (),
) -> list[Draft]:
    """Judge every metric in every segment; none where neither side can have labels.

    Args:
        references: the reference's profiles by segment.
        current: the profiles to judge; each segment is in the reference.
        window: the event time of the current rows.
        objectives: what the metrics have to keep to.
        declared: metrics of the model at development time, which stand for a reference without labels.
        windows: the reference's windows, by segment: how far a metric strays when all is well.
    """
    promised = declared or {}
    segments = tuple(current)
    then, now = [references[segment] for segment in segments], [current[segment] for segment in segments]
    if not segments or now[0].scale.outcome is None:
        return []
    scale = now[0].scale.outcome
    some = (labels_in(then) > 0) | (labels_in(now) > 0)
    found = {
        metric: (estimate(then, metric), estimate(now, metric, like=then))
        for metric in dict.fromkeys((*metrics_of(scale), *promised))
    }
    drafts: list[Draft] = []
    for at, segment in enumerate(segments):
        for metric, (before, after) in found.items():
            expected = promised.get(metric) if segment == EVERYTHING else None
            if before is None or after is None:
                drafts += [] if expected is None else [_unknown(metric, window)]
                continue
            known = some[at] and (before.labels.any() or after.labels.any())
            # Decisions that nobody can read leave no trace in the counts, and must not pass in silence.
            if not known and not (undecided(scale, metric) and (some[at] or segment == EVERYTHING)):
                continue
            measure = measured(metric, after, at)
            verdict = judge_measure(now[at], measure, objectives, segment=segment, window=window)
            side = _reference(before, at, expected)
            strays = partial(_wander, windows, segment, metric)
            drafts.append(_against(verdict, side, _current(after, at), scale, strays) if side else _alone(verdict))
    return drafts


def _unknown(metric: str, window: Window | None) -> Draft:
    reason = "was declared, and is not measured for this kind of model"
    return Draft(Verdict(check=CHECK, metric=metric, window=window, status="inconclusive", reason=reason))


def _alone(verdict: Verdict) -> Draft:
    """A metric without a reference and a promise is told, and judged by its objective alone if it has one."""
    if verdict.status == "inconclusive" or verdict.threshold is not None:
        return Draft(verdict)
    return Draft(msgspec.structs.replace(verdict, status="inconclusive", reason=f"{verdict.reason}; {_ALONE}"))


def _reference(before: Estimates, at: int, declared: float | None) -> _Side | None:
    """The reference's side: its own labels where there are enough, or else what was declared."""
    labels, value = int(before.labels[at]), float(before.value[at])
    if labels >= LABELS_MIN and math.isfinite(value):
        return _Side(value, float(before.at_most[at]), float(before.error[at]), labels)
    return None if declared is None else _Side(declared, declared, 0.0, None)


def _current(after: Estimates, at: int) -> _Side:
    return _Side(float(after.value[at]), float(after.at_least[at]), float(after.error[at]), int(after.labels[at]))


def _wander(windows: Sequence[BySegment], segment: SegmentKey, metric: str) -> Wander:
    """How far a metric of a segment strays from window to window, in those that have labels enough."""
    profiles = [held[segment] for held in windows if segment in held]
    found = estimate(profiles, metric) if profiles else None
    if found is None:
        return Wander()
    return wander(np.where(found.labels >= LABELS_MIN, found.value, np.nan), found.error)


def _against(verdict: Verdict, before: _Side, now: _Side, scale: OutcomeScale, strays: Callable[[], Wander]) -> Draft:
    """Compare a metric with the reference's, where both are known."""
    if verdict.status == "inconclusive":
        return Draft(verdict)
    metric = verdict.metric
    margin, sign = _margin(metric, before.tested, scale), -1.0 if metric in HIGHER_IS_BETTER else 1.0
    worse = sign * (now.tested - before.tested)
    # An absurd row of the reference must not set the limit.
    limit = (before.tested if isinstance(scale, ValueOutcome) else before.value) + sign * margin
    if metric == "bias":
        worse, limit = abs(now.tested) - abs(before.tested), abs(before.tested) + margin
    origin = "was declared" if before.labels is None else "in the reference"
    said = f"{verdict.reason}; {written(metric, before.value)} {origin}"
    tested = metric in TESTED[type(scale)] or before.labels is None
    if tested and worse > margin:
        apart = (side for side in (before, now) if not math.isclose(side.tested, side.value, rel_tol=1e-6))
        how = f", errors being bounded at {BOUND:g} spreads" if isinstance(scale, ValueOutcome) and any(apart) else ""
        said += f", worse by {written(metric, worse)} where {written(metric, margin)} would not matter{how}"
    changed = msgspec.structs.replace(verdict, reason=said, effect=now.value - before.value, n_reference=before.labels)
    if not tested:
        return Draft(changed)
    changed = msgspec.structs.replace(
        changed,
        direction=way(before.value, now.value),
        threshold=verdict.threshold if verdict.threshold is not None else limit,
    )
    return Draft(changed, _p_value(metric, before, now, worse - margin, strays()) if worse > margin else 1.0)


def _p_value(metric: str, before: _Side, now: _Side, beyond: float, strays: Wander) -> float:
    """The chance of being so far beyond the margin, were the model just as much worse as the margin allows."""
    error = now.error
    if before.labels and now.labels:
        error = error_of_difference((before.error, now.error), (before.labels, now.labels))
    p_value = beyond_p_value(beyond, error, strays)
    if metric == "bias":
        # A bias of the other sign is as far from 0.
        p_value += beyond_p_value(2.0 * abs(now.tested) - beyond, error, strays)
    return min(p_value, 1.0)


def _margin(metric: str, before: float, scale: OutcomeScale) -> float:
    """What a metric must get worse by to matter, in its own unit."""
    if metric in MARGINS or not isinstance(scale, ValueOutcome):
        return MARGINS[metric]
    if metric == "bias":
        return BIAS_MARGIN * scale.error_spread
    return max(RELATIVE_MARGIN * abs(before), _LEAST_MARGIN * scale.spread)
