"""`performance.realised`: how good were the predictions, now that labels are there?

Log loss and error rate are exact; ROC AUC is exact up to ties inside one of a hundred score bins. Every number comes
with its interval; with fewer labels than matter it is `inconclusive`, and says how many there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from killick.checks.verdict import Verdict
from killick.profiles.outcomes import SCORE_BINS
from killick.spec.document import HIGHER_IS_BETTER, METRICS
from killick.stats.intervals import mean_interval, proportion_interval
from killick.stats.ranking import roc_auc

if TYPE_CHECKING:
    from killick.checks.reference import SegmentKey
    from killick.checks.verdict import Status
    from killick.clock import Window
    from killick.profiles.profile import Profile
    from killick.spec.document import Objective

CHECK = "performance.realised"
# With fewer labels an error rate's 95 % interval is wider than 0.25: it could not tell a good model from a coin.
LABELS_MIN = 50
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric with its interval; None where it cannot be known (no labels, or only one class of them)."""

    metric: str
    value: float | None
    interval: tuple[float, float] | None
    labels: int


def labels_of(profile: Profile) -> int:
    """How many labelled rows are in a profile."""
    outcome = profile.scale.outcome
    return int(profile.counts_of(outcome.column)[: 2 * SCORE_BINS].sum()) if outcome else 0


def wrong_of(profile: Profile) -> int:
    """How many labelled rows were decided wrongly."""
    outcome = profile.scale.outcome
    if outcome is None:
        return 0
    _, false_negatives, false_positives, _ = profile.counts_of(outcome.column)[2 * SCORE_BINS :]
    return int(false_negatives + false_positives)


def measure(profile: Profile, metric: str) -> Measure:
    """Return a metric of the labelled rows of a profile."""
    outcome, labels = profile.scale.outcome, labels_of(profile)
    if outcome is None or not labels:
        return Measure(metric, None, None, labels)
    if metric == "error_rate":
        wrong = wrong_of(profile)
        return _measure(metric, wrong / labels, proportion_interval(wrong, labels, CONFIDENCE), labels)
    if metric == "log_loss":
        total, squares = profile.sums_of(outcome.column)
        return _measure(metric, float(total) / labels, mean_interval(labels, total, squares, CONFIDENCE), labels)
    counts = profile.counts_of(outcome.column)
    area = roc_auc(counts[SCORE_BINS : 2 * SCORE_BINS], counts[:SCORE_BINS])
    if not bool(area.known):
        return Measure(metric, None, None, labels)
    return _measure(metric, float(area.value), area.interval(CONFIDENCE), labels)


def judge_performance(
    profile: Profile,
    *,
    segment: SegmentKey = (),
    version: str | None = None,
    window: Window | None = None,
    objectives: tuple[Objective, ...] = (),
) -> list[Verdict]:
    """Judge every metric of a profile: `warn` where an objective for it is surely missed in this window alone."""
    verdicts = []
    for metric in METRICS:
        found = measure(profile, metric)
        objective = next((objective for objective in objectives if objective.sli == metric), None)
        status, reason = _word(profile.rows, found, objective)
        verdicts.append(
            Verdict(
                check=CHECK,
                metric=metric,
                segment=segment,
                version=version,
                window=window,
                status=status,
                reason=reason,
                value=found.value,
                interval=found.interval,
                threshold=bound(objective) if objective else None,
                n_current=found.labels,
            )
        )
    return verdicts


def bound(objective: Objective) -> float | None:
    """Return the number that the objective must keep to."""
    return objective.at_most if objective.at_most is not None else objective.at_least


def surely_missed(found: Measure, objective: Objective) -> bool:
    """Whether the metric misses the objective with its whole interval, not by chance."""
    if found.interval is None:
        return False
    low, high = found.interval
    return not objective.holds(high if found.metric in HIGHER_IS_BETTER else low)


def _word(rows: int, found: Measure, objective: Objective | None) -> tuple[Status, str]:
    if not rows and not found.labels:
        return "inconclusive", "no rows"
    if found.value is None or found.labels < LABELS_MIN:
        return "inconclusive", f"{found.labels} labels are known; {LABELS_MIN} of both classes are needed"
    said = f"{found.metric} is {found.value:.3f} over {found.labels} labels"
    if objective is None:
        return "ok", said
    missed = surely_missed(found, objective)
    return ("warn" if missed else "ok"), f"{said}; objective {objective.name} asks for {bound(objective):g}"


def _measure(metric: str, value: float, interval: tuple[object, object], labels: int) -> Measure:
    low, high = (float(np.asarray(end)) for end in interval)
    known = np.isfinite(low) and np.isfinite(high)
    return Measure(metric, value, (low, high) if known else None, labels)
