"""What other tools' usual rules say of a history: alarms by a fixed threshold, from the same profiles.

    psi>0.2           PSI on ten quantile bins of the reference above 0.2: credit scoring's rule
    js>0.1            Jensen-Shannon distance (natural logarithm) above 0.1: Evidently's, of categories
    wasserstein>0.1   Wasserstein-1 in standard deviations of the reference above 0.1: Evidently's, of numbers, above
                      1,000 reference rows; a category is judged by Jensen-Shannon and the same number, as there
    ks                two-sample Kolmogorov-Smirnov at p < 0.05, chi-square for a category: Evidently's up to 1,000
                      reference rows, and Alibi Detect's before it corrects for many columns
    3sigma            NannyML's: Jensen-Shannon (base 2) beyond mean + 3 standard deviations of the reference's windows

Every rule compares a window with the whole reference, each column for itself, and drops missing values, as these tools
do. Where they bin otherwise (thirty equal bins of the pooled range, Sturges, Doane) Killick's bins stand in, which no
outlier stretches; the Kolmogorov-Smirnov statistic is the lower end of its bracket. So a rule's alarms are counted
rather too low than too high.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, cast

import numpy as np

from killick.errors import CallError, Mistake
from killick.profiles.numeric import NumericScale
from killick.profiles.outcomes import SCORE_BINS, ScoreScale
from killick.stats.distances import chi_square, jensen_shannon
from killick.stats.moved import gaps_of, way_moved

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from killick.profiles.cells import Floats, Ints
    from killick.profiles.scale import ColumnScale

RuleKind: TypeAlias = Literal["psi", "js", "wasserstein", "ks", "sigma"]

_GRAMMAR = re.compile(r"(?P<name>psi|js|wasserstein)>(?P<number>\d*\.?\d+)|(?P<ks>ks)|(?P<sigmas>\d*\.?\d+)sigma")
_EXAMPLES = {
    "psi": "psi>0.2",
    "js": "js>0.1",
    "wasserstein": "wasserstein>0.1",
    "ks": "ks",
    "sigma": "3sigma",
}
_TENTHS = 10
_LEVEL = 0.05
# What Kolmogorov's limit distribution exceeds at that level (Smirnov 1948).
_KOLMOGOROV = 1.3581
# A distance to base 2, in that of the natural logarithm.
_NATURAL = math.sqrt(math.log(2.0))
# What the tools put in place of a share of zero, lest its logarithm be infinite.
_SHARE_MIN = 1e-4
# Evidently's own floor of a standard deviation.
_DEVIATION_MIN = 1e-3
# A mean and a deviation of fewer windows than two are none.
_WINDOWS_MIN = 2


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, as a person wrote it, and the number in it: a threshold, a level, or how many deviations."""

    text: str
    kind: RuleKind
    number: float


class Held(NamedTuple):
    """One column's counts and sums of some windows: `[windows, cells]`."""

    counts: Ints
    sums: Floats


class Said(NamedTuple):
    """What a rule says of each window, `[windows]`: whether it alarms, and whether it could say anything at all."""

    alarms: NDArray[np.bool_]
    known: NDArray[np.bool_]


def parse_rules(text: str) -> tuple[Rule, ...]:
    """Read rules that are written with commas between them; one that is named twice counts once.

    Raises:
        CallError: with every word that is no rule.

    >>> [(rule.kind, rule.number) for rule in parse_rules("psi>0.2, ks,3sigma")]
    [('psi', 0.2), ('ks', 0.05), ('sigma', 3.0)]
    """
    words = [word for word in ("".join(part.split()).lower() for part in text.split(",")) if word]
    found = {word: _rule(word) for word in words}
    wrong = [_mistake(word) for word, rule in found.items() if rule is None]
    if not words:
        wrong.append(Mistake("--compare", "names no rule", hint=f"for example '{','.join(_EXAMPLES.values())}'"))
    if wrong:
        raise CallError(*wrong)
    return tuple(rule for rule in found.values() if rule)


def judge(rule: Rule, column: ColumnScale, reference: Held, healthy: Held, windows: Held) -> Said:
    """Say in which windows a rule alarms about a column.

    A window without a value of the column is not known, and neither is any window of a rule that lacks what it learns
    from.

    Args:
        rule: the rule.
        column: the column's scale.
        reference: the whole reference, as one window.
        healthy: the reference's own windows, which `3sigma` learns from; none where it has no event times.
        windows: what is judged.
    """
    before, now = reference.counts[:, : column.bins], windows.counts[:, : column.bins]
    known = (now.sum(axis=1) > 0) & (before.sum() > 0)
    limit = rule.number
    if rule.kind == "ks" and _ordered(column):
        values, limit = _kolmogorov(before, now), _KOLMOGOROV
    elif rule.kind == "ks":
        values, limit = -chi_square(before, now).p_exceeds(), -_LEVEL
    elif rule.kind == "psi" and _ordered(column):
        values = _psi(_tenths(before, before), _tenths(now, before))
    elif rule.kind == "psi":
        values = _psi(before, now)
    elif rule.kind == "wasserstein" and isinstance(column, NumericScale | ScoreScale):
        values = _normed_wasserstein(column, reference, windows)
    elif rule.kind == "sigma":
        values = jensen_shannon(before, now).value
        limit = _sigmas(jensen_shannon(before, healthy.counts[:, : column.bins]).value, rule.number)
        known &= np.isfinite(limit)
    else:
        values = _NATURAL * jensen_shannon(before, now).value
    return Said(known & (values > limit), known)


def _rule(word: str) -> Rule | None:
    read = _GRAMMAR.fullmatch(word)
    if read is None:
        return None
    if read["ks"]:
        return Rule(word, "ks", _LEVEL)
    if read["sigmas"]:
        return Rule(word, "sigma", float(read["sigmas"]))
    return Rule(word, cast("RuleKind", read["name"]), float(read["number"]))


def _mistake(word: str) -> Mistake:
    if word in ("psi", "js", "wasserstein"):
        # What a shell makes of an unquoted `psi>0.2`: the rest of the line has become the name of a file.
        hint = f"give it a threshold, and quote it, since > is a sign of the shell: --compare '{_EXAMPLES[word]}'"
        return Mistake("--compare", "has no threshold", value=word, hint=hint)
    return Mistake("--compare", "is no rule", value=word, hint=f"there are {', '.join(_EXAMPLES.values())}")


def _ordered(column: ColumnScale) -> bool:
    return isinstance(column, NumericScale | ScoreScale)


def _tenths(counts: Ints, reference: Ints) -> Ints:
    """Gather cells into ten bins of equally many reference rows, each cell in the tenth where its middle lies."""
    total = max(int(reference.sum()), 1)
    middles = np.cumsum(reference[0]) - reference[0] / 2.0
    tenth = np.minimum((middles * _TENTHS / total).astype(np.int64), _TENTHS - 1)
    gathered = np.zeros((len(counts), _TENTHS), np.int64)
    for cell, at in enumerate(tenth):
        gathered[:, at] += counts[:, cell]
    return gathered


def _shares(counts: Ints) -> Floats:
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1), dtype=np.float64)


def _psi(before: Ints, now: Ints) -> Floats:
    used = (before > 0) | (now > 0)
    p, q = (np.maximum(_shares(side), _SHARE_MIN) for side in (before, now))
    return np.asarray(np.where(used, (q - p) * np.log(q / p), 0.0).sum(axis=1), dtype=np.float64)


def _kolmogorov(before: Ints, now: Ints) -> Floats:
    """The Kolmogorov-Smirnov statistic, times the root of the rows that both sides are worth together."""
    n, m = float(max(before.sum(), 1)), np.maximum(now.sum(axis=1), 1)
    gap = np.abs(gaps_of(before.astype(np.float64), now.astype(np.float64))).max(axis=1, initial=0.0)
    return np.asarray(np.sqrt(n * m / (n + m)) * gap, dtype=np.float64)


def _sigmas(usual: Floats, deviations: float) -> float:
    """Return mean + so many standard deviations of the windows that are known; NaN where these are too few."""
    held = usual[np.isfinite(usual)]
    return float(held.mean() + deviations * held.std()) if len(held) >= _WINDOWS_MIN else math.nan


def _normed_wasserstein(column: NumericScale | ScoreScale, reference: Held, windows: Held) -> Floats:
    """Wasserstein-1 in standard deviations of the reference, as its rows have them, outliers and all."""
    bins, edges = SCORE_BINS, np.arange(1, SCORE_BINS) / SCORE_BINS
    if isinstance(column, NumericScale):
        bins, edges = column.bins, np.asarray(column.edges)
    n, s = reference.counts[0, :bins], reference.sums[0, :bins]
    rows = max(float(n.sum()), 1.0)
    mean = float(s.sum()) / rows
    if isinstance(column, NumericScale):
        variance = column.spread**2 * float(reference.sums[0, -1]) / rows - (mean - column.centre) ** 2
    else:
        # Within a bin of a hundredth scores vary by a twelfth of its square at most: nothing beside their deviation.
        means = np.divide(s, n, out=np.zeros_like(s), where=n > 0)
        variance = float((n * (means - mean) ** 2).sum()) / rows
    norm = max(math.sqrt(max(variance, 0.0)), _DEVIATION_MIN)
    far = way_moved(edges, n[None], s[None], windows.counts[:, :bins], windows.sums[:, :bins])
    return np.asarray(far / norm, dtype=np.float64)
