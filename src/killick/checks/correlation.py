"""`quality.correlation`: do two numeric columns still go together as they did?

Each column is one test: its largest change of a correlation with another, surely more than 0.1, by Bonferroni over its
pairs. Joins that went wrong, a column that is filled from another, or one that is shuffled show here, where each column
alone is as it was.

Correlations are compared on Fisher's scale, where their spread does not depend on how large they are. For normal values
its variance is 1 / (rows - 3); where large values of two columns come together, though they are not correlated (two
columns that are both wild on the same days), it is as many times that as E[x^2 y^2] is of what normal values would give
(exact for elliptical laws: Muirhead 1982, 5.1.4). The larger of the two is used. Pairs of columns so lopsided that a
handful of rows makes their correlation, such as two rare flags, are left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import msgspec
import numpy as np

from killick.checks.distances import ROWS_MIN, way
from killick.checks.sharing import Draft
from killick.checks.verdict import Verdict
from killick.stats.noncentral import noncentral_chi2_sf

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from killick.clock import Window
    from killick.profiles.cells import Floats
    from killick.profiles.census import Census
    from killick.profiles.gram import Gram

    Bools: TypeAlias = NDArray[np.bool_]

__all__ = ["CORRELATION", "judge_correlation"]

CORRELATION = "quality.correlation"
# A tenth is what is called a small correlation (Cohen 1988); less than that no model lives by.
MATERIAL = 0.1
# Rows over the kurtosis of a pair: how many rows of normal values it is worth is three times that.
_WORTH_MIN = 15.0
# Beyond it Fisher's scale runs off to infinity, and columns are one the copy of the other anyway.
_R_MAX = 0.999999


def judge_correlation(reference: Census, current: Census, window: Window | None = None) -> list[Draft]:
    """Judge each numeric column's correlations with the others; none where there is no other.

    Args:
        reference: the census of the reference.
        current: of the rows to judge, with the same questions.
        window: their event time.
    """
    names = [scale.column for scale in current.asked.correlated]
    if len(names) < 2:  # noqa: PLR2004 - a pair
        return []
    before, now = reference.moments.correlations(), current.moments.correlations()
    error_before, judged_before = _errors(reference.moments, before)
    error_now, judged_now = _errors(current.moments, now)
    known = judged_before & judged_now & np.isfinite(before) & np.isfinite(now) & ~np.eye(len(names), dtype=bool)
    p_values = np.where(known, _p_values(before, now, error_before, error_now), np.nan)
    return [_column(at, names, (before, now), p_values, (reference, current), window) for at in range(len(names))]


def _column(
    at: int,
    names: list[str],
    correlations: tuple[Floats, Floats],
    p_values: Floats,
    sides: tuple[Census, Census],
    window: Window | None,
) -> Draft:
    """One column's verdict: of its pairs, that which is least likely by chance."""
    before, now = correlations
    pairs = np.flatnonzero(~np.isnan(p_values[at]))
    asked = Verdict(
        check=CORRELATION,
        metric="correlation_change",
        status="inconclusive",
        reason=f"no other column has {ROWS_MIN} rows with both values on both sides, and varies enough to compare with",
        column=names[at],
        window=window,
        n_reference=sides[0].rows,
        n_current=sides[1].rows,
    )
    if not len(pairs):
        return Draft(asked)
    changes = np.abs(now[at] - before[at])
    # Where no change matters all p-values are 1, and the largest change is told.
    most = int(pairs[np.lexsort((-changes[pairs], p_values[at][pairs]))[0]])
    change = float(now[at, most] - before[at, most])
    value = abs(change)
    reason = f"correlation with {names[most]} {before[at, most]:.2f} -> {now[at, most]:.2f}"
    verdict = msgspec.structs.replace(
        asked,
        status="ok",
        reason=f"{reason}; a change of {MATERIAL:g} would not matter",
        value=value,
        threshold=MATERIAL,
        effect=change,
        direction=way(0.0, change),
        n_reference=int(sides[0].moments.pairs[at, most]),
        n_current=int(sides[1].moments.pairs[at, most]),
    )
    return Draft(verdict, min(float(p_values[at, most]) * len(pairs), 1.0))


def _p_values(before: Floats, now: Floats, error_before: Floats, error_now: Floats) -> Floats:
    """The chance of so large a change of each pair, were the true one no more than `MATERIAL` either way."""
    sign = np.where(now >= before, 1.0, -1.0)
    # As if all were rising: a correlation that falls is the same with one of the columns turned over.
    then, found = sign * before, sign * now
    allowed = then + MATERIAL
    reach = np.clip(allowed, -_R_MAX, _R_MAX)
    # The reference's error, carried from its own correlation to the one that would still not matter.
    stretched = error_before * (1.0 - np.square(np.clip(then, -_R_MAX, _R_MAX))) / (1.0 - np.square(reach))
    gap = np.arctanh(np.clip(found, -_R_MAX, _R_MAX)) - np.arctanh(reach)
    # Both tails of the normal are the upper one of its square; what does not stick out has no tail to be in.
    p_values = noncentral_chi2_sf(np.square(gap / np.hypot(stretched, error_now)), 1.0, 0.0)
    return np.asarray(np.where((allowed >= 1.0) | (found <= allowed), 1.0, p_values))


def _errors(moments: Gram, r: Floats) -> tuple[Floats, Bools]:
    """The standard error of each correlation `r` on Fisher's scale, and which pairs have rows enough to be judged."""
    n = np.maximum(moments.pairs, 4)
    spread = np.maximum(moments.squares - np.square(moments.firsts) / n, 0.0) / n
    both = np.where(spread * spread.T > 0, spread * spread.T, np.nan)
    together = moments.fourths / n / both
    wider = np.maximum(together / (1.0 + 2.0 * np.square(r)), 1.0)
    # A column's own kurtosis stands on the diagonal.
    own = np.nan_to_num(np.diagonal(together), nan=np.inf)
    judged = (moments.pairs >= ROWS_MIN) & (n >= _WORTH_MIN * np.sqrt(np.outer(own, own))) & np.isfinite(wider)
    return np.sqrt(wider / (n - 3)), judged
