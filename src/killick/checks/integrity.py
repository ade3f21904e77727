"""`quality.duplicates`, `quality.cardinality`: do rows repeat, and are there as many distinct values as there were?

Both are compared at equal numbers of rows, by rarefaction: a table of a million rows repeats more of its values than
one of a thousand, and that is no fault. Duplicates fail when surely more than one row in a hundred (one id in a
thousand) repeats another than in the reference; distinct values when surely more than 1.5 times as many, or as few.

How far a number of distinct values varies from sample to sample follows from how many values came once, twice and three
times (Good & Toulmin 1956, Biometrika 43): its variance is the number of further values that as many rows again would
bring, less what is already known of the rows. Values that come in clumps, as users do, vary by no more than that.
Rows that follow one another hold fewer distinct values than rows drawn at large; `narrower` says that it may be so.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from killick.checks.distances import ROWS_MIN, way
from killick.checks.sharing import Draft
from killick.checks.verdict import Verdict
from killick.stats.shares import share_p_value

if TYPE_CHECKING:
    from killick.clock import Window
    from killick.profiles.census import Census
    from killick.profiles.sketch import Sketch

__all__ = ["CARDINALITY", "DUPLICATES", "judge_cardinality", "judge_duplicates"]

DUPLICATES, CARDINALITY = "quality.duplicates", "quality.cardinality"
# One row in a hundred is the least share that is worth a person's look (as in `quality`). An id is there to be unique:
# one in a thousand that is not means that predictions and labels are joined wrongly.
ROWS_MATERIAL, IDS_MATERIAL = 0.01, 0.001
# Half as many values again: a new source or a lost one, not growth.
FACTOR = 1.5
# The sketch's own error may hide a single value that makes up much of the rows; beyond so many errors it is there.
_SURE_ERRORS = 5.0
# What a count may have been but for a chance of one in a thousand: three errors more, and seven where none was seen.
_SURE, _NONE_SEEN = 3.0, 7.0
# A healthy clump is a coach party; of rows of few kinds, which have many more repeats, the kinds say how they vary.
_CLUMP_MAX = 50.0


class _Repeats(NamedTuple):
    """How many rows repeat another among some rows, the least and the most it may be, and the variance of the least."""

    least: float
    most: float
    variance: float


def judge_duplicates(reference: Census, current: Census, window: Window | None = None) -> list[Draft]:
    """Judge the rows that repeat another one, and the ids that do; no verdict for what was not asked.

    Args:
        reference: the census of the reference.
        current: of the rows to judge, with the same questions.
        window: their event time.
    """
    found = []
    if current.asked.row:
        found.append(_duplicates(reference.repeats, current.repeats, None, ROWS_MATERIAL, window))
    if current.asked.identity is not None:
        name = current.asked.identity
        found.append(_duplicates(reference.identities, current.identities, name, IDS_MATERIAL, window))
    return found


def judge_cardinality(
    reference: Census, current: Census, window: Window | None = None, *, narrower: bool = False
) -> list[Draft]:
    """Judge the number of distinct values of each column; no verdict where all values differ on both sides.

    Args:
        reference: the census of the reference.
        current: of the rows to judge, with the same questions.
        window: their event time.
        narrower: whether they span less time than the reference. Rows that follow one another are alike (one week has
            a week's dates, and the same users come back), so that there are fewer values is then no finding.
    """
    drafts = []
    for name, now in current.values.items():
        before = reference.values[name]
        if not (_all_differ(before) and _all_differ(now)):
            drafts.append(_cardinality(name, before, now, window, narrower=narrower))
    return drafts


# ------------------------------------------------------------------------------------------------ duplicates


def _duplicates(before: Sketch, now: Sketch, column: str | None, material: float, window: Window | None) -> Draft:
    what = "rows repeat another row" if column is None else f"values of {column} repeat another one"
    asked = Verdict(
        check=DUPLICATES,
        metric="duplicate_rate" if column is None else "duplicate_id_rate",
        status="inconclusive",
        reason=f"{before.rows} values in the reference, {now.rows} in the current table: nothing to compare",
        column=column,
        window=window,
        n_reference=before.rows,
        n_current=now.rows,
    )
    if min(before.rows, now.rows) <= 0:
        return Draft(asked)
    rows, then, usual = _usual(before, now, material)
    found = _repeats(now, rows)
    share, limit = found.least / rows, min(usual + material, 1.0)
    reason = f"{100 * share:.2f} % of {rows:,} {what}, where up to {100 * usual:.2f} % is usual"
    if now.rows > rows:
        reason += f"; {100 * _repeats(now, now.rows).least / now.rows:.2f} % of all {now.rows:,}"
    verdict = _with(asked, reason, share, limit, share - usual)
    few = min(before.rows, now.rows) < ROWS_MIN
    if share <= limit:
        return Draft(verdict, 1.0) if not few else Draft(_unsure(verdict, min(before.rows, now.rows)))
    # Repeats that come in clumps are fewer independent ones: each side counts by how much wider it varies than a share.
    wider = max(_wider(then, min(before.rows, rows)), _wider(found, rows), _clumps(before))
    p_value = share_p_value(
        math.ceil(usual * before.rows / wider),
        math.ceil(before.rows / wider),
        math.floor(found.least / wider),
        math.ceil(rows / wider),
    )
    return Draft(verdict, p_value, few=few)


def _usual(before: Sketch, now: Sketch, material: float) -> tuple[int, _Repeats, float]:
    """Return at how many rows to compare, what the reference repeats there, and the share that is usual.

    Values that come back by chance are fewer among fewer rows; those of a client that sends twice are as many among any
    number, as they follow one another. Either is healthy where the reference has it, so the larger share is usual. To a
    smaller reference the current rows would have to be thinned out, where what was sent twice is lost. But repeats by
    chance grow no faster than the square of the rows: as many rows are compared as these would still not matter in.
    """
    own = _repeats(before, before.rows)
    if now.rows <= before.rows:
        fewer = _repeats(before, now.rows)
        return now.rows, fewer, max(fewer.most / now.rows, own.most / before.rows)
    at_most = own.most + _SURE * math.sqrt(own.most + own.variance) + _NONE_SEEN
    rows = min(int(material * before.rows**2 / at_most), now.rows)
    if rows <= before.rows:
        return before.rows, own, own.most / before.rows
    return rows, own, max(at_most * rows / before.rows**2, own.most / before.rows)


def _repeats(sketch: Sketch, rows: int) -> _Repeats:
    """Count the repeats among some of the rows.

    Where not every distinct value is kept there are two answers. Those of the kept values know of no repeat where there
    is none, but not of a single value outside that makes up a tenth of the rows. The number of distinct values knows of
    that too, but has the error of the sketch. The first holds, unless the second surely says more.
    """
    kept, distinct = sketch.repeats_among(rows), sketch.distinct_among(rows)
    once, twice, thrice = (sketch.came_among(times, rows).value for times in (1, 2, 3))
    variance = max(once - twice + thrice - once * once / rows, 0.0) + kept.error**2
    missing = rows - distinct.value
    reach = _SURE_ERRORS * distinct.error
    if missing - reach > kept.value:
        return _Repeats(missing - reach, min(missing + reach, float(rows)), variance)
    return _Repeats(kept.value, kept.value, variance)


def _clumps(sketch: Sketch) -> float:
    """How many repeats of the reference come together, as its own rows have it: a group that books, a client's retries.

    Rows drawn at large are counted by `_wider`; those that follow one another are seen only here.
    """
    again = np.maximum(sketch.counts - 1, 0).astype(np.float64)
    return min(max(float(np.square(again).sum()) / max(float(again.sum()), 1.0), 1.0), _CLUMP_MAX)


def _wider(repeats: _Repeats, rows: int) -> float:
    """How much wider the number of repeats varies than that of independent rows of the same share."""
    plain = repeats.least * (1.0 - repeats.least / rows)
    return max(repeats.variance / plain, 1.0) if plain > 0 else 1.0


# ------------------------------------------------------------------------------------------------ distinct values


def _cardinality(name: str, before: Sketch, now: Sketch, window: Window | None, *, narrower: bool) -> Draft:
    rows = min(before.rows, now.rows)
    asked = Verdict(
        check=CARDINALITY,
        metric="distinct_values",
        status="inconclusive",
        reason=f"{before.rows} values in the reference, {now.rows} in the current table; {ROWS_MIN} are needed",
        column=name,
        window=window,
        n_reference=before.rows,
        n_current=now.rows,
    )
    if rows < ROWS_MIN:
        return Draft(asked)
    then, found = before.distinct_among(rows).value, now.distinct_among(rows).value
    up = found >= then
    reason = f"{_count(found)} distinct values in {rows:,} rows, where the reference has {_count(then)}"
    limit = then * FACTOR if up else then / FACTOR
    verdict = _with(asked, reason, found, limit, found - then)
    more, fewer = (found, then) if up else (then, found)
    if more <= FACTOR * fewer:
        return Draft(verdict, 1.0)
    if narrower and not up:
        said = f"{reason}, as can be expected of rows from a shorter time"
        return Draft(msgspec.structs.replace(verdict, reason=said), 1.0)
    many, few = (now, before) if up else (before, now)
    error = math.hypot(_distinct_error(many, rows), FACTOR * _distinct_error(few, rows))
    # Either direction would do.
    p_value = min(2.0 * NormalDist().cdf(-(more - FACTOR * fewer) / error), 1.0)
    return Draft(verdict, p_value)


def _distinct_error(sketch: Sketch, rows: int) -> float:
    """The standard error of a number of distinct values; one value is the least that it can be wrong by."""
    once, twice, thrice = (sketch.came_among(times, rows).value for times in (1, 2, 3))
    return math.sqrt(max(once - twice + thrice, 0.0) + 1.0 + sketch.distinct_among(rows).error ** 2)


def _all_differ(sketch: Sketch) -> bool:
    return bool((sketch.counts <= 1).all())


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _with(verdict: Verdict, reason: str, value: float, threshold: float, effect: float) -> Verdict:
    return msgspec.structs.replace(
        verdict,
        status="ok",
        reason=reason,
        value=value,
        threshold=threshold,
        effect=effect,
        direction=way(0.0, effect),
    )


def _unsure(verdict: Verdict, rows: int) -> Verdict:
    reason = f"{verdict.reason}; {rows} rows cannot tell more"
    return msgspec.structs.replace(verdict, status="inconclusive", reason=reason, direction=None)
