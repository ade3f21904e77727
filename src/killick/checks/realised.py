"""`performance.realised` of two tables: is the model surely worse than on the reference, by enough to matter?

A difference of a metric is judged by a normal test, "it is worse by no more than the margin", with the standard errors
that the two intervals stand for. Rows that the model was trained on flatter it: give a reference that it was not
trained on, or expect the margin to be used up. Where the reference holds no labels there is nothing to compare with,
and a metric is only reported, against its objective if it has one.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

import msgspec

from killick.checks.performance import CONFIDENCE, LABELS_MIN, judge_performance, labels_of, measure
from killick.checks.sharing import Draft
from killick.spec.document import HIGHER_IS_BETTER

if TYPE_CHECKING:
    from killick.checks.performance import Measure
    from killick.checks.reference import BySegment
    from killick.checks.verdict import Verdict
    from killick.clock import Window
    from killick.spec.document import Objective

_NORMAL = NormalDist()

# What a loss must grow by to matter: the error rate by what a canary may cost by default (two points in a hundred), the
# area by as much, the log loss by what a binary model of 30 % error loses when two more in a hundred go wrong.
MARGINS = {"error_rate": 0.02, "roc_auc": 0.02, "log_loss": 0.02}


def judge_realised(
    references: BySegment, current: BySegment, window: Window | None, objectives: tuple[Objective, ...]
) -> list[Draft]:
    """Judge every metric in every segment; none where neither side can have labels.

    Args:
        references: the reference's profiles by segment.
        current: the profiles to judge; each segment is in the reference.
        window: the event time of the current rows.
        objectives: what the metrics have to keep to.
    """
    tested: list[Draft] = []
    for segment, profile in current.items():
        before = references[segment]
        if not labels_of(before) and not labels_of(profile):
            continue
        tested += [
            _against(verdict, measure(before, verdict.metric), measure(profile, verdict.metric))
            for verdict in judge_performance(profile, segment=segment, window=window, objectives=objectives)
        ]
    return tested


def _against(verdict: Verdict, before: Measure, now: Measure) -> Draft:
    """Compare a metric with the reference's, where both are known."""
    if verdict.status == "inconclusive" or before.value is None or now.value is None or before.labels < LABELS_MIN:
        return Draft(verdict)
    margin, sign = MARGINS[verdict.metric], -1.0 if verdict.metric in HIGHER_IS_BETTER else 1.0
    worse = sign * (now.value - before.value)
    error = math.hypot(_standard_error(before), _standard_error(now))
    p_value = _NORMAL.cdf((margin - worse) / error) if error > 0 else float(worse <= margin)
    said = f"{verdict.reason}; {before.value:.3f} in the reference"
    if worse > margin:
        said += f", worse by {worse:.3f} where {margin:g} would not matter"
    changed = msgspec.structs.replace(
        verdict,
        reason=said,
        effect=now.value - before.value,
        direction=None if now.value == before.value else "up" if now.value > before.value else "down",
        n_reference=before.labels,
        threshold=verdict.threshold if verdict.threshold is not None else before.value + sign * margin,
    )
    return Draft(changed, p_value if worse > margin else 1.0)


def _standard_error(found: Measure) -> float:
    if found.interval is None:
        return math.inf
    low, high = found.interval
    return (high - low) / (2.0 * _NORMAL.inv_cdf(0.5 + CONFIDENCE / 2.0))
