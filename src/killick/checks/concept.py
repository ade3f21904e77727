"""`drift.concept`: is the relation of features and label still what it was?

For the score and each feature: does the outcome (label minus score; the label itself without one; whether the decision
was right, for several classes) differ from the reference's within the same bin? More rows in a bin change nothing, so
inputs that move set off nothing while the model is right about them; a label that comes to depend on them otherwise
does. What is shifted inside a bin, or seen by a model that is wrong in its own way elsewhere, can look the same: read
it together with `drift.univariate`.

The sum over bins of the squared two-sample z is a chi-square, non-central by what does not matter: a change of 0.05 of
the rate (0.2 spreads of a regression's residual) in every bin. The metric is the root mean square change over bins,
weighted by the current rows, less what chance adds.

Sources: Cochran (1954) for the sum over strata; statistics.md 1.2 for the minimum effect.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from killick.checks.distances import ROWS_MIN, way
from killick.checks.sharing import Draft
from killick.checks.verdict import Verdict
from killick.profiles.categorical import CategoricalScale
from killick.profiles.numeric import NumericScale
from killick.stats.noncentral import noncentral_chi2_sf

if TYPE_CHECKING:
    from killick.clock import Window
    from killick.profiles.cells import Floats, Ints
    from killick.profiles.census import Census
    from killick.profiles.residuals import Outcome
    from killick.profiles.scale import ColumnScale

__all__ = ["CONCEPT", "judge_concept"]

CONCEPT = "drift.concept"
# Five more in a hundred come true: twice what a canary may cost. For a regression, Cohen's "small" effect.
MATERIAL_RATE, MATERIAL_SPREADS = 0.05, 0.2
# With fewer labels a bin's mean is not near enough to normal; Cochran's rule of five, on two outcomes.
_BIN_ROWS_MIN = 10
# Ten zeros of ten do not make a rate of 2 % certain: a bin's spread is at least that of one more outcome that went the
# other way in two more rows (Agresti & Coull 1998 add as many); of a regression, that of all bins for ten more rows.
_RATE_ROWS, _SPREAD_ROWS = 2.0, 10.0
_TOLD = 3


class _Bins(NamedTuple):
    """The merged bins of a column on both sides: rows, mean and sum of squares about it, `[bins]`, and their names."""

    names: list[str]
    before: tuple[Floats, Floats, Floats]
    now: tuple[Floats, Floats, Floats]


class _Shift(NamedTuple):
    """How the outcome changed by bin, its variance, and what is asked of all bins together."""

    change: Floats
    variance: Floats
    weight: Floats
    p_value: float
    size: float


class _What(NamedTuple):
    """What is averaged in the bins: of which task, in words, and whether it is a difference from what was predicted."""

    task: str
    words: str
    difference: bool


def judge_concept(reference: Census, current: Census, window: Window | None = None) -> list[Draft]:
    """Judge the outcome by each column's bins; none where neither side has labels.

    Args:
        reference: the census of the reference.
        current: of the rows to judge, with the same questions.
        window: their event time.
    """
    outcome = current.asked.outcome
    labelled = [any(held[0].any() for held in census.residuals.values()) for census in (reference, current)]
    if outcome is None or not any(labelled):
        return []
    what = _what(outcome)
    return [
        _judge(scale, reference.residuals[scale.column], current.residuals[scale.column], what, window)
        for scale in current.asked.binned
    ]


def _what(outcome: Outcome) -> _What:
    if outcome.task == "multiclass":
        return _What(outcome.task, "the share of right decisions", difference=False)
    label, score = ("outcome", "prediction") if outcome.task == "regression" else ("outcome rate", "score")
    if outcome.score is None:
        return _What(outcome.task, f"the {label}", difference=False)
    return _What(outcome.task, f"{label} minus {score}", difference=True)


def _judge(scale: ColumnScale, before: Floats, now: Floats, what: _What, window: Window | None) -> Draft:
    task = what.task
    rows_before, rows_now = int(before[0].sum()), int(now[0].sum())
    asked = {
        "check": CONCEPT,
        "metric": "outcome_shift",
        "column": scale.column,
        "window": window,
        "n_reference": rows_before,
        "n_current": rows_now,
    }
    rows = {"reference": rows_before, "current table": rows_now}
    side = min(rows, key=lambda name: rows[name])
    if rows[side] < ROWS_MIN:
        reason = f"{rows[side]} labels in the {side}; {ROWS_MIN} are needed"
        return Draft(Verdict(status="inconclusive", reason=reason, **asked))  # type: ignore[arg-type]
    bins = _merged(scale, before, now)
    spread = _spread(before)
    if not bins.names or not spread > 0:
        reason = "the outcome never varies in the reference" if bins.names else "no bin has labels enough on both sides"
        return Draft(Verdict(status="inconclusive", reason=reason, **asked))  # type: ignore[arg-type]
    material = MATERIAL_SPREADS * spread if task == "regression" else MATERIAL_RATE
    shift = _shift(bins, material, task)
    mean = float((shift.weight * shift.change).sum())
    verdict = Verdict(
        status="ok",
        reason=_in_words(bins, shift, material, what),
        value=shift.size,
        threshold=material,
        effect=mean,
        direction=way(0.0, mean),
        **asked,  # type: ignore[arg-type]
    )
    return Draft(verdict, shift.p_value if shift.size > material else 1.0)


def _shift(bins: _Bins, material: float, task: str) -> _Shift:
    (n0, mean0, squares0), (n1, mean1, squares1) = bins.before, bins.now
    # Together where they are alike; each by itself where inputs moved inside a bin, and took its spread along.
    together = _surely_wide(squares0 + squares1, n0 + n1 - 2.0, task) * (1.0 / n0 + 1.0 / n1)
    apart = _surely_wide(squares0, n0 - 1.0, task) / n0 + _surely_wide(squares1, n1 - 1.0, task) / n1
    each = np.maximum(np.maximum(together, apart), np.finfo(float).tiny)
    change = mean1 - mean0
    statistic = float((np.square(change) / each).sum())
    noncentrality = float((material**2 / each).sum())
    p_value = float(noncentral_chi2_sf(statistic, len(change), noncentrality))
    weight = n1 / n1.sum()
    size = math.sqrt(max(float((weight * (np.square(change) - each)).sum()), 0.0))
    return _Shift(change, each, weight, p_value, size)


def _surely_wide(squares: Floats, freedom: Floats, task: str) -> Floats:
    """The variance in each bin, or what it may well be where its few outcomes are all alike."""
    more, rows = 1.0, _RATE_ROWS
    if task == "regression":
        rows = _SPREAD_ROWS
        more = rows * float(squares.sum() / freedom.sum())
    return np.asarray(np.maximum(squares / freedom, (squares + more) / (freedom + rows)))


def _merged(scale: ColumnScale, before: Floats, now: Floats) -> _Bins:
    """Merge cells until each holds labels enough on both sides; what is left over counts nowhere."""
    groups = _groups(scale, np.minimum(before[0], now[0]), before[0], now[0])
    number = int(groups.max(initial=-1)) + 1
    sides = []
    for held in (before, now):
        summed = np.stack([np.bincount(groups[groups >= 0], row[groups >= 0], minlength=number) for row in held])
        n = np.maximum(summed[0], 1.0)
        mean = summed[1] / n
        sides.append((summed[0], mean, np.maximum(summed[2] - n * np.square(mean), 0.0)))
    full = (sides[0][0] >= _BIN_ROWS_MIN) & (sides[1][0] >= _BIN_ROWS_MIN)
    names = [_name(scale, np.flatnonzero(groups == group)) for group in np.flatnonzero(full)]
    kept = [tuple(part[full] for part in side) for side in sides]
    return _Bins(names, kept[0], kept[1])


def _groups(scale: ColumnScale, least: Floats, before: Floats, now: Floats) -> Ints:
    """Give each cell its group: neighbours for numbers, all rare ones for categories; the odd cells are one more."""
    groups = np.full(len(least), -1)
    bins = scale.bins
    if isinstance(scale, CategoricalScale):
        rare = least[:bins] < _BIN_ROWS_MIN
        groups[:bins] = np.where(rare, int((~rare).sum()), np.cumsum(~rare) - 1)
        group = int((~rare).sum()) + 1
    else:
        group, held = 0, np.zeros(2)
        for cell in range(bins):
            groups[cell] = group
            held += before[cell], now[cell]
            if held.min() >= _BIN_ROWS_MIN:
                group, held = group + 1, np.zeros(2)
        if group and held.any():
            # What is left over at the end is too little for a bin, and joins the last one.
            groups[groups == group] = group - 1
        group = int(groups.max(initial=-1)) + 1
    groups[bins:] = group
    return groups


def _spread(held: Floats) -> float:
    rows, total, squares = held.sum(axis=1)
    return math.sqrt(max(squares / rows - (total / rows) ** 2, 0.0))


def _name(scale: ColumnScale, cells: Ints) -> str:
    first, last = int(cells[0]), int(cells[-1])
    if first == last:
        return scale.label(first)
    if first >= scale.bins:
        return "no value"
    return scale.span(first, last) if isinstance(scale, NumericScale) else "rare ones"


def _in_words(bins: _Bins, shift: _Shift, material: float, what: _What) -> str:
    """Say how far the outcome is off, which way, and where most."""
    order = np.argsort(-shift.weight * np.square(shift.change), kind="stable")[:_TOLD]
    most = ", ".join(f"{bins.names[at]} {_pair(bins.before[1][at], bins.now[1][at], what)}" for at in order)
    mean = float((shift.weight * shift.change).sum())
    said = f"{what.words} is {_change(abs(mean), what)} {'higher' if mean > 0 else 'lower'} than in the reference"
    size = f"{_change(shift.size, what)} in the typical bin, where {_change(material, what)} would not matter"
    return f"{said} on average, {size}; most: {most}"


def _change(number: float, what: _What) -> str:
    """Write a difference: of shares in percentage points, of a regression in its own unit."""
    return f"{number:.3g}" if what.task == "regression" else f"{100 * number:.1f} points"


def _pair(before: float, now: float, what: _What) -> str:
    """Write what a bin had and has: a share, or a difference with its sign."""
    if what.task == "regression":
        return f"{before:+.3g} -> {now:+.3g}" if what.difference else f"{before:.3g} -> {now:.3g}"
    if what.difference:
        return f"{100 * before:+.1f} -> {100 * now:+.1f} points"
    return f"{100 * before:.1f} % -> {100 * now:.1f} %"
