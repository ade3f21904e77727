"""`performance.realised`: how good were the predictions, now that labels are there?

Every metric comes with its interval, from counts and sums alone (`metrics.py` says how exact each is); with fewer
labels than matter it is `inconclusive`, and says how many there are. Live only the few metrics of `LIVE` are reported,
and those that an objective is about; two tables are compared in all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from killick.checks.metrics import CONFIDENCE, OF_DECISIONS, curve_of, estimate, labels_in
from killick.checks.verdict import Verdict
from killick.profiles.outcomes import SCORE_BINS
from killick.profiles.outcomes_binary import BinaryOutcome
from killick.profiles.outcomes_classes import ClassOutcome
from killick.profiles.outcomes_values import ValueOutcome
from killick.spec.document import HIGHER_IS_BETTER
from killick.telemetry.columns import LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from killick.checks.metrics import Estimates
    from killick.checks.reference import SegmentKey
    from killick.checks.verdict import Status
    from killick.clock import Window
    from killick.profiles.outcomes import OutcomeScale
    from killick.profiles.profile import Profile
    from killick.spec.document import Objective

CHECK = "performance.realised"
# With fewer labels an error rate's 95 % interval is wider than 0.25: it could not tell a good model from a coin.
LABELS_MIN = 50
UNDECIDED = "it is not known which decision is positive; write them as yes and no, or as the labels are written"
# One that sees every wrong probability or number, one that sees the ranking or its direction, and what people ask for.
LIVE: Mapping[type[OutcomeScale], tuple[str, ...]] = {
    BinaryOutcome: ("log_loss", "roc_auc", "error_rate"),
    ClassOutcome: ("error_rate", "f1_macro"),
    ValueOutcome: ("mae", "bias"),
}
_NEEDED = {
    "precision": "a positive decision is needed",
    "recall": "a positive one is needed",
    "f1": "a positive one is needed",
    "r2": "labels that differ are needed",
}
# Whose values have a unit, and so any size; no other metric of a useful model reaches a thousand.
_ABSURD = 1000.0
_WITH_UNIT = ("mae", "rmse", "bias", "quantile_loss")


@dataclass(frozen=True, slots=True)
class Measure:
    """A metric with its interval; None where it cannot be known (no labels, or only one class of them)."""

    metric: str
    value: float | None
    interval: tuple[float, float] | None
    labels: int


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """One point of a calibration curve: what scores in [low, high) promised, and what came, of how many rows."""

    low: float
    high: float
    rows: int
    mean_score: float
    outcome_rate: float
    interval: tuple[float, float]


def labels_of(profile: Profile) -> int:
    """How many labelled rows with an answer are in a profile: a usable score, or a decision."""
    return int(labels_in([profile])[0])


def wrong_of(profile: Profile) -> int:
    """How many labelled rows were decided wrongly; 0 where nothing is decided."""
    found = estimate([profile], "error_rate")
    return round(float(found.value[0] * found.labels[0])) if found and found.labels[0] else 0


def measure(profile: Profile, metric: str) -> Measure:
    """Return a metric of the labelled rows of a profile."""
    return measured(metric, estimate([profile], metric), 0, labels_of(profile))


def measured(metric: str, found: Estimates | None, at: int, labels: int = 0) -> Measure:
    """Return one of several estimates. Where there is no such metric, `labels` are those that there are."""
    if found is None:
        return Measure(metric, None, None, labels)
    value, low, high = float(found.value[at]), float(found.low[at]), float(found.high[at])
    known = np.isfinite(low) and np.isfinite(high)
    return Measure(metric, value if np.isfinite(value) else None, (low, high) if known else None, int(found.labels[at]))


def calibration_of(profile: Profile) -> tuple[CalibrationBin, ...]:
    """Return the calibration curve of a profile, in at most fifteen bins of equal mass; empty without probabilities."""
    curve = curve_of([profile])
    if curve is None:
        return ()
    low, high = curve.interval(CONFIDENCE)
    return tuple(
        CalibrationBin(
            low=int(curve.first[0, at]) / SCORE_BINS,
            high=(int(curve.last[0, at]) + 1) / SCORE_BINS,
            rows=int(curve.rows[0, at]),
            mean_score=float(curve.mean_score[0, at]),
            outcome_rate=float(curve.outcome_rate[0, at]),
            interval=(float(low[0, at]), float(high[0, at])),
        )
        for at in np.flatnonzero(curve.rows[0])
    )


def judge_performance(
    profile: Profile,
    *,
    segment: SegmentKey = (),
    version: str | None = None,
    window: Window | None = None,
    objectives: Sequence[Objective] = (),
) -> list[Verdict]:
    """Judge the metrics of a profile: `warn` where an objective for one is surely missed in this window alone.

    They are those of `LIVE`, and those that an objective is about.
    """
    scale = profile.scale.outcome
    shown = LIVE[type(scale)] if scale else LIVE[BinaryOutcome]
    metrics = dict.fromkeys((*shown, *(objective.sli for objective in objectives)))
    return [
        judge_measure(
            profile,
            measure(profile, metric),
            objectives,
            segment=segment,
            version=version,
            window=window,
        )
        for metric in metrics
    ]


def judge_measure(
    profile: Profile,
    found: Measure,
    objectives: Sequence[Objective] = (),
    *,
    segment: SegmentKey = (),
    version: str | None = None,
    window: Window | None = None,
) -> Verdict:
    """Judge one metric of a profile against the first objective for it."""
    objective = next((objective for objective in objectives if objective.sli == found.metric), None)
    status, reason = _word(profile, found, objective)
    return Verdict(
        check=CHECK,
        metric=found.metric,
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


def bound(objective: Objective) -> float | None:
    """Return the number that the objective must keep to."""
    return objective.at_most if objective.at_most is not None else objective.at_least


def surely_missed(found: Measure, objective: Objective) -> bool:
    """Whether the metric misses the objective with its whole interval, not by chance."""
    if found.interval is None:
        return False
    low, high = found.interval
    return not objective.holds(high if found.metric in HIGHER_IS_BETTER else low)


def written(metric: str, value: float) -> str:
    """Write a metric's value: three decimals of a share, four digits of what has a unit, or is absurd.

    >>> written("roc_auc", 0.71239), written("mae", 12345.678)
    ('0.712', '1.235e+04')
    """
    return f"{value:.4g}" if metric.startswith(_WITH_UNIT) or abs(value) >= _ABSURD else f"{value:.3f}"


def _word(profile: Profile, found: Measure, objective: Objective | None) -> tuple[Status, str]:
    if not profile.rows and not found.labels:
        return "inconclusive", "no rows"
    if undecided(profile.scale.outcome, found.metric):
        return "inconclusive", UNDECIDED
    if found.value is None or found.labels < LABELS_MIN:
        return "inconclusive", f"{_known(profile, found)}; {_needed(profile, found)}"
    said = f"{found.metric} is {written(found.metric, found.value)} over {found.labels} labels"
    if objective is None:
        return "ok", said
    missed = surely_missed(found, objective)
    return ("warn" if missed else "ok"), f"{said}; objective {objective.name} asks for {bound(objective):g}"


def undecided(scale: OutcomeScale | None, metric: str) -> bool:
    """Whether a metric is of recorded decisions, and nobody knows which of them are positive."""
    return isinstance(scale, BinaryOutcome) and scale.undecided and metric in OF_DECISIONS


def _known(profile: Profile, found: Measure) -> str:
    """Say how many labels a metric stands on, and what the others lack."""
    scale, labels = profile.scale, labels_of(profile)
    # A label beside no usable score is in no outcome, but where labels are watched it is counted as one.
    labels = max(
        labels, *(int(profile.counts_of(LABEL)[: p.bins].sum()) for p in scale.features if p.column == LABEL), 0
    )
    if found.labels >= labels:
        return f"{found.labels} labels are known"
    of_decisions = isinstance(scale.outcome, ClassOutcome) or (
        isinstance(scale.outcome, BinaryOutcome) and scale.outcome.decision and found.metric in OF_DECISIONS
    )
    lacking = "decision that can be read" if of_decisions else "usable score"
    if not found.labels:
        return f"no {lacking} beside {labels} labels"
    return f"{found.labels} labels with a {lacking} are known"


def _needed(profile: Profile, found: Measure) -> str:
    if found.labels >= LABELS_MIN and found.metric in _NEEDED:
        return _NEEDED[found.metric]
    both = isinstance(profile.scale.outcome, BinaryOutcome | None)
    return f"{LABELS_MIN} of both classes are needed" if both else f"{LABELS_MIN} are needed"
