"""Metrics of many profiles at once: values, intervals, and what a test of "it is worse" goes by.

Each metric is a function of counts `[profiles, counts]` and sums `[profiles, sums]`; where a metric cannot be known
(no labels, one class only, nothing decided positive) its value is NaN, exactly there. Values are exact from the sums;
ROC AUC and average precision are exact up to ties inside a score bin. Fifty profiles in ten metrics cost about ten
milliseconds.

A test goes by the value and the standard error that the interval stands for, with two exceptions. A calibration error
is blown up by noise, so one side's is taken without what noise can show, and the other's with it. Errors of numbers are
taken bounded at twenty spreads of the reference's, so that one absurd row neither hides nor makes a change.

Sources: the files of `stats`; statistics.md 3.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from killick.profiles.outcomes import SCORE_BINS
from killick.profiles.outcomes_binary import BinaryOutcome
from killick.profiles.outcomes_classes import ClassOutcome
from killick.profiles.outcomes_values import ValueOutcome
from killick.profiles.profile import stack
from killick.stats.calibration import calibration_curve, calibration_error
from killick.stats.confusion import class_averages
from killick.stats.intervals import mean_interval, proportion_interval
from killick.stats.ranking import average_precision, roc_auc
from killick.stats.residuals import explained_variance, quantile_sums, root_mean_square

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from numpy.typing import ArrayLike

    from killick.profiles.cells import Floats, Ints
    from killick.profiles.outcomes import OutcomeScale
    from killick.profiles.profile import Profile
    from killick.stats.calibration import CalibrationCurve

CONFIDENCE = 0.95
# What a binary model's recorded decisions are needed for.
OF_DECISIONS = frozenset({"error_rate", "accuracy", "f1", "precision", "recall"})
_REACH = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2.0)


@dataclass(frozen=True, slots=True)
class Estimates:
    """A metric of several profiles; arrays `[profiles]`, NaN where it is not known.

    Attributes:
        value: the metric.
        low: the lower end of its 95 % interval.
        high: the upper end.
        labels: how many labelled rows it stands on.
        at_most: what a test takes the reference's value for.
        at_least: what it takes the current value for.
        error: the standard error of both; infinite where it is not known.
    """

    value: Floats
    low: Floats
    high: Floats
    labels: Floats
    at_most: Floats
    at_least: Floats
    error: Floats


@dataclass(frozen=True, slots=True)
class _Held:
    """Counts and sums of several profiles. `mass` is rows by score bin that a calibration curve is cut by."""

    scale: OutcomeScale
    counts: Ints
    sums: Floats
    mass: Ints | None = None


_Metric: TypeAlias = "Callable[[_Held], Estimates]"


def error_of_difference(errors: tuple[float, float], rows: tuple[float, float]) -> float:
    """Return the standard error of the difference of two sides: the largest that either side makes likely.

    A side of few rows may show little spread by luck, such as sixty values without the one sale in a hundred. If
    nothing changed, each side's standard error is the other's but for the number of rows.

    >>> error_of_difference((0.3, 0.1), (100.0, 100.0)) == 0.3 * 2.0**0.5
    True
    """
    (first, second), (n, m) = errors, rows
    return max(math.hypot(first, second), first * math.sqrt(1.0 + n / m), second * math.sqrt(1.0 + m / n))


def metrics_of(scale: OutcomeScale | None) -> tuple[str, ...]:
    """Return the metrics of an outcome.

    >>> metrics_of(ValueOutcome("y", 0.0, 1.0, 1.0))
    ('mae', 'rmse', 'r2', 'bias', 'quantile_loss')
    """
    return () if scale is None else tuple(_table(scale))


def estimate(profiles: Sequence[Profile], metric: str, like: Sequence[Profile] | None = None) -> Estimates | None:
    """Return a metric of profiles on one scale; None where it has no outcome, or one without such a metric.

    Args:
        profiles: at least one.
        metric: its name.
        like: the profiles that each is compared with, whose bins a calibration curve then has.
    """
    scale = profiles[0].scale.outcome
    measured = _table(scale).get(metric) if scale else None
    if scale is None or measured is None:
        return None
    counts, sums = stack(profiles, scale.column)
    if like is None or isinstance(scale, ValueOutcome):
        return measured(_Held(scale, counts, sums))
    mass = _scored(scale, stack(like, scale.column)[0])
    # A profile whose counterpart has no scores is cut by its own.
    mass = np.where(mass.sum(axis=1, keepdims=True) > 0, mass, _scored(scale, counts))
    return measured(_Held(scale, counts, sums, mass))


def labels_in(profiles: Sequence[Profile]) -> Ints:
    """Return how many labelled rows with an answer each profile holds: a usable score, or a decision."""
    scale = profiles[0].scale.outcome
    if scale is None:
        return np.zeros(len(profiles), np.int64)
    counts = stack(profiles, scale.column)[0]
    if isinstance(scale, BinaryOutcome):
        scored, decided = counts[:, : 2 * SCORE_BINS].sum(axis=1), counts[:, 2 * SCORE_BINS :].sum(axis=1)
        return np.asarray(np.maximum(scored, decided), np.int64)
    if isinstance(scale, ClassOutcome):
        return np.asarray(counts[:, : scale.confusion_width].sum(axis=1), np.int64)
    return counts[:, 0]


def curve_of(profiles: Sequence[Profile]) -> CalibrationCurve | None:
    """Return the calibration curves of profiles; None where scores are no probabilities."""
    scale = profiles[0].scale.outcome
    if scale is None or isinstance(scale, ValueOutcome):
        return None
    return _curve(_Held(scale, *stack(profiles, scale.column)))


def _table(scale: OutcomeScale) -> Mapping[str, _Metric]:
    if isinstance(scale, BinaryOutcome):
        return _BINARY
    if isinstance(scale, ClassOutcome):
        return _CLASSES
    return _VALUES


# ------------------------------------------------------------------------------------------------ scores


def _scored(scale: OutcomeScale, counts: Ints) -> Ints:
    """Rows by score bin."""
    first, second = _by_score(scale, counts)
    return first + second


def _by_score(scale: OutcomeScale, counts: Ints) -> tuple[Ints, Ints]:
    """Rows by score bin: negatives and positives, or wrong and right decisions by confidence."""
    start = scale.confusion_width if isinstance(scale, ClassOutcome) else 0
    return counts[:, start : start + SCORE_BINS], counts[:, start + SCORE_BINS : start + 2 * SCORE_BINS]


def _curve(held: _Held) -> CalibrationCurve:
    negatives, positives = _by_score(held.scale, held.counts)
    return calibration_curve(positives, negatives + positives, held.sums[:, -SCORE_BINS:], held.mass)


def _calibration_error(held: _Held) -> Estimates:
    found = calibration_error(_curve(held))
    low, high = found.interval(CONFIDENCE)
    labels = np.asarray(_scored(held.scale, held.counts).sum(axis=1), np.float64)
    return Estimates(
        found.value, low, high, labels, found.plain, found.plain - found.noise, _known_error(found.standard_error)
    )


def _roc_auc(held: _Held) -> Estimates:
    negatives, positives = _by_score(held.scale, held.counts)
    found = roc_auc(positives, negatives)
    return _estimates(found.value, found.interval(CONFIDENCE), (negatives + positives).sum(axis=1))


def _average_precision(held: _Held) -> Estimates:
    negatives, positives = _by_score(held.scale, held.counts)
    found = average_precision(positives, negatives)
    return _estimates(found.value, found.interval(CONFIDENCE), (negatives + positives).sum(axis=1))


def _loss(at: int) -> _Metric:
    """The mean of the sums at a place, whose squares stand behind it; 0 or more."""

    def measured(held: _Held) -> Estimates:
        rows = _scored(held.scale, held.counts).sum(axis=1)
        return _mean(rows, held.sums[:, at], held.sums[:, at + 1], 1.0, least=0.0)

    return measured


def _class_log_loss(held: _Held) -> Estimates:
    return _mean(held.counts[:, -1], held.sums[:, 0], held.sums[:, 1], 1.0, least=0.0)


# ------------------------------------------------------------------------------------------------ decisions


def _share(of: Callable[[Ints, Ints, Ints, Ints], tuple[Ints, Ints]]) -> _Metric:
    """A share of decided rows, from TN, FN, FP, TP: successes and trials."""

    def measured(held: _Held) -> Estimates:
        confusion = held.counts[:, 2 * SCORE_BINS :]
        successes, trials = of(*(confusion[:, at] for at in range(4)))
        return _proportion(successes, trials, confusion.sum(axis=1))

    return measured


def _f1(held: _Held) -> Estimates:
    """F1 is 2 J / (1 + J), where J is the share of true positives in all that are positive in either way."""
    confusion = held.counts[:, 2 * SCORE_BINS :]
    _, false_negatives, false_positives, true_positives = (confusion[:, at] for at in range(4))
    found = _proportion(true_positives, true_positives + false_negatives + false_positives, confusion.sum(axis=1))
    value, low, high = (2.0 * end / (1.0 + end) for end in (found.value, found.low, found.high))
    return _estimates(value, (low, high), found.labels)


def _accuracy(*, wrong: bool) -> _Metric:
    def measured(held: _Held) -> Estimates:
        matrix, lost = _confusion(held)
        rows = matrix.sum(axis=(1, 2)) + lost
        right = np.trace(matrix, axis1=1, axis2=2)
        return _proportion(rows - right if wrong else right, rows, rows)

    return measured


def _class_average(name: str) -> _Metric:
    def measured(held: _Held) -> Estimates:
        matrix, lost = _confusion(held)
        found = class_averages(matrix, lost)[name]
        return _estimates(found.value, found.interval(CONFIDENCE), matrix.sum(axis=(1, 2)) + lost)

    return measured


def _confusion(held: _Held) -> tuple[Ints, Ints]:
    scale = held.scale
    side = scale.side if isinstance(scale, ClassOutcome) else 0
    return held.counts[:, : side**2].reshape(-1, side, side), held.counts[:, side**2]


# ------------------------------------------------------------------------------------------------ numbers

# Where the sums of `ValueOutcome` stand.
_E, _SIZE, _SQUARE, _SIGNED, _FOURTH, _Z = range(6)
_MIXED, _BOUNDED, _BOUNDED_SIZE, _BOUNDED_SQUARE = 9, 11, 12, 13
_MEDIAN = 0.5


def _mean_error(at: int, bounded: int, least: float) -> _Metric:
    def measured(held: _Held) -> Estimates:
        rows, unit = held.counts[:, 0], _unit(held)
        found = _mean(rows, held.sums[:, at], held.sums[:, _SQUARE], unit, least)
        robust = _mean(rows, held.sums[:, bounded], held.sums[:, _BOUNDED_SQUARE], unit, least)
        return Estimates(found.value, found.low, found.high, found.labels, robust.value, robust.value, robust.error)

    return measured


def _rmse(held: _Held) -> Estimates:
    rows, unit = np.asarray(held.counts[:, 0], np.float64), _unit(held)
    value, low, high = root_mean_square(rows, held.sums[:, _SQUARE], held.sums[:, _FOURTH], CONFIDENCE)
    return _estimates(value * unit, (low * unit, high * unit), rows)


def _r2(held: _Held) -> Estimates:
    rows, sums = np.asarray(held.counts[:, 0], np.float64), held.sums
    truth = sums[:, _Z], sums[:, _Z + 1], sums[:, _Z + 2], sums[:, _Z + 3]
    errors, both = (sums[:, _SQUARE], sums[:, _FOURTH]), (sums[:, _MIXED], sums[:, _MIXED + 1])
    unit = _unit(held) / held.scale.spread if isinstance(held.scale, ValueOutcome) else 1.0
    value, low, high = explained_variance(rows, errors, truth, both, unit, CONFIDENCE)
    return _estimates(value, (low, high), rows)


def _quantile_loss(held: _Held) -> Estimates:
    errors = tuple(held.sums[:, at] for at in (_E, _SIZE, _SQUARE, _SIGNED))
    return _mean(held.counts[:, 0], *quantile_sums(_MEDIAN, errors), _unit(held), least=0.0)


def _unit(held: _Held) -> float:
    return held.scale.error_spread if isinstance(held.scale, ValueOutcome) else 1.0


# ------------------------------------------------------------------------------------------------ how it is done


def _mean(rows: Ints, total: Floats, squares: Floats, unit: float, least: float = -np.inf) -> Estimates:
    n = np.asarray(rows, np.float64)
    value = np.where(n > 0, total / np.maximum(n, 1.0), np.nan)
    low, high = mean_interval(n, total, squares, CONFIDENCE)
    return _estimates(value * unit, (np.maximum(low * unit, least), high * unit), n)


def _proportion(successes: Ints, trials: Ints, labels: ArrayLike) -> Estimates:
    value = np.where(trials > 0, successes / np.maximum(trials, 1), np.nan)
    return _estimates(value, proportion_interval(successes, trials, CONFIDENCE), labels)


def _estimates(value: Floats, ends: tuple[Floats, Floats], labels: ArrayLike) -> Estimates:
    error = _known_error((ends[1] - ends[0]) / (2.0 * _REACH))
    return Estimates(value, *ends, np.asarray(labels, np.float64), value, value, error)


def _known_error(error: Floats) -> Floats:
    return np.asarray(np.where(np.isfinite(error), error, np.inf), dtype=np.float64)


_BINARY: Mapping[str, _Metric] = {
    "log_loss": _loss(0),
    "roc_auc": _roc_auc,
    "error_rate": _share(lambda tn, fn, fp, tp: (fn + fp, tn + fn + fp + tp)),
    "calibration_error": _calibration_error,
    "brier": _loss(2),
    "average_precision": _average_precision,
    "accuracy": _share(lambda tn, fn, fp, tp: (tn + tp, tn + fn + fp + tp)),
    "f1": _f1,
    "precision": _share(lambda _tn, _fn, fp, tp: (tp, tp + fp)),
    "recall": _share(lambda _tn, fn, _fp, tp: (tp, tp + fn)),
}
_CLASSES: Mapping[str, _Metric] = {
    "log_loss": _class_log_loss,
    "error_rate": _accuracy(wrong=True),
    "f1_macro": _class_average("f1_macro"),
    "calibration_error": _calibration_error,
    "accuracy": _accuracy(wrong=False),
    "f1_weighted": _class_average("f1_weighted"),
    "precision_macro": _class_average("precision_macro"),
    "recall_macro": _class_average("recall_macro"),
}
_VALUES: Mapping[str, _Metric] = {
    "mae": _mean_error(_SIZE, _BOUNDED_SIZE, 0.0),
    "rmse": _rmse,
    "r2": _r2,
    "bias": _mean_error(_E, _BOUNDED, -np.inf),
    "quantile_loss": _quantile_loss,
}
