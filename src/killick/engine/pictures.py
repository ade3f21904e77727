"""The pictures of a check: where each column's rows lie on both sides, in as many bars as a person can read.

Bins are quantiles of the reference, so every one of them holds as much as its neighbour and their shares alone show no
shape. For a picture they are joined to bars of about equal width: a bar's share is exact, and its area tells density.
What is far outside is one bar before or behind the axis, so that the middle is seen; what is missing or no number
stands apart.
Cost: about 0.1 ms a picture; all columns of the whole, and in segments at most `IN_SEGMENTS_MAX` of what does not hold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from killick.checks.performance import calibration_of
from killick.checks.reference import EVERYTHING
from killick.profiles.categorical import CATEGORIES_MAX, MISSING, CategoricalScale
from killick.profiles.numeric import ODD, NumericScale
from killick.profiles.outcomes import SCORE_BINS
from killick.reports.findings import Calibration, Curve
from killick.reports.importance import by_importance
from killick.reports.report import Distribution

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from killick.checks.reference import BySegment, Reference, SegmentKey
    from killick.checks.verdict import Verdict
    from killick.profiles.cells import Floats
    from killick.profiles.profile import Profile
    from killick.profiles.scale import ColumnScale

# Beyond this many bars nobody compares lengths.
BARS_MAX = 24
# What a page of a hundred columns can hold beside these.
IN_SEGMENTS_MAX = 120
# A text has two facets, an embedding ten: the first ones say how long it is and where it went.
FACETS_MAX = 3
# The share of rows, on either side, that is worth stretching the axis for.
_OUTSIDE = 0.01
# With fewer of the reference's values on single numbers, its bars are stretches.
_ON_ATOMS = 0.9
# A number that so many rows share (no rain, no debt) would make a needle of the histogram and hide the rest; but not
# where many single numbers have many rows each: it would leave a hole among them.
_SPIKE, _OTHER_ATOMS = 0.2, 0.1
_PLAIN_MAX = 1e15
# A bin that is three times as wide as the others together leaves them a quarter of the axis.
_GIANT = 3.0


def draw(
    reference: Reference, current: BySegment, verdicts: Sequence[Verdict], names: Mapping[str, str]
) -> dict[tuple[str, SegmentKey], Distribution]:
    """Return the distributions of every column, and in segments those of what fails or warns there.

    Args:
        reference: one side.
        current: the other.
        verdicts: what was found, under the operator's names.
        names: the operator's names of columns that the house calls otherwise.

    Returns:
        by column, under the operator's name, and segment. A column without cells of its own has those of its facets,
        under their names, and each says whose facet it is.
    """
    seen = _shown(reference, names)
    loud = [v for v in by_importance(verdicts) if v.status in ("fail", "warn") and v.segment != EVERYTHING]
    within = dict.fromkeys((v.column or "", v.segment) for v in loud if v.column in seen)
    wanted = [*((column, EVERYTHING) for column in seen), *list(within)[:IN_SEGMENTS_MAX]]
    return {
        (name, segment): _picture(scale, owner, reference.profiles[segment], current[segment], asked=at == 0)
        for column, segment in wanted
        if segment in reference.profiles and segment in current
        for at, (name, scale, owner) in enumerate(seen[column])
    }


def _shown(reference: Reference, names: Mapping[str, str]) -> dict[str, list[tuple[str, ColumnScale, str]]]:
    """Return what is drawn of each column, its own cells or its first facets: their name, scale, and whose they are."""
    held = {scale.column: scale for scale in reference.scale.columns}
    derived = {name for one in reference.scale.facets for name in one.names}
    shown = {
        names.get(column, column): [(names.get(column, column), scale, "")]
        for column, scale in held.items()
        if column not in derived
    }
    for one in reference.scale.facets:
        column = names.get(one.column, one.column)
        facets = [(name, held[name], column) for name in one.names[:FACETS_MAX]]
        shown.setdefault(column, facets)
    return shown


def _picture(scale: ColumnScale, owner: str, before: Profile, now: Profile, *, asked: bool) -> Distribution:
    sides = np.stack([_shares(side, scale, asked=asked) for side in (before, now)])
    if isinstance(scale, CategoricalScale):
        return _named(scale, sides, owner)
    if isinstance(scale, NumericScale):
        return _numbers(np.asarray(scale.edges), sides[:, : scale.bins], _odd(ODD, sides[:, scale.bins :]), owner)
    odd = _odd(("outside [0, 1]", MISSING), sides[:, SCORE_BINS:])
    closed = np.pad(sides[:, :SCORE_BINS], ((0, 0), (1, 1)))
    return _numbers(np.linspace(0, 1, SCORE_BINS + 1), closed, odd, owner)


def _shares(profile: Profile, scale: ColumnScale, *, asked: bool) -> Floats:
    counts = profile.counts_of(scale.column)
    if not asked:
        # Only a column's first facet is asked of every row; in the others a null may be a row that was not.
        counts = counts.copy()
        counts[scale.bins] = 0
    shares: Floats = counts / max(int(counts.sum()), 1)
    return shares


# ------------------------------------------------------------------------------------------------ categories


def _named(scale: CategoricalScale, sides: Floats, owner: str) -> Distribution:
    """The commonest categories, in the reference's order; the rarer ones, and what it does not know, come behind."""
    known, most = len(scale.categories), sides.max(axis=0)
    filled = np.flatnonzero(most[:known])
    large = np.sort(filled[np.argsort(-most[filled], kind="stable")][: BARS_MAX - 2])
    rare = np.setdiff1d(filled, large)
    bars = [(scale.categories[cell], sides[:, cell]) for cell in large]
    if len(rare):
        bars.append((f"{len(rare)} rarer", sides[:, rare].sum(axis=1)))
    if most[known]:
        bars.append(("unknown values" if known < CATEGORIES_MAX else "all others", sides[:, known]))
    odd = _odd((MISSING,), sides[:, known + 1 :])
    return _distribution([*bars, *odd], trailing=len(odd), facet_of=owner)


def _odd(names: Sequence[str], sides: Floats) -> list[tuple[str, Floats]]:
    """Return what has no place on an axis, and is there at all."""
    return [
        (name.replace("_", " ").replace("nan", "NaN"), share)
        for name, share in zip(names, sides.T, strict=True)
        if share.any()
    ]


# ------------------------------------------------------------------------------------------------ numbers


@dataclass(frozen=True, slots=True)
class _Groups:
    """Bins without the edges that only set a value apart: up to each of `tops`, and beyond the last.

    `shares` and `gaps` are `[2][groups]`; a gap is what a group holds beside its atom, its top, where it has one.
    """

    tops: Floats
    shares: Floats
    gaps: Floats
    atoms: NDArray[np.bool_]


def _numbers(edges: Floats, sides: Floats, odd: list[tuple[str, Floats]], owner: str) -> Distribution:
    """Bars of numbers. `sides` are the shares `[2][bins]`: up to each edge, and beyond the last."""
    groups = _grouped(edges, sides)
    filled, at_atoms = groups.shares.any(axis=0), (groups.shares - groups.gaps)[0, groups.atoms].sum()
    on_atoms = at_atoms >= _ON_ATOMS * groups.shares[0].sum() > 0
    if len(groups.tops) >= 2 and not (on_atoms and filled.sum() <= BARS_MAX):  # noqa: PLR2004 - one bar is no histogram
        return _histogram(groups, odd, owner)
    pure = groups.atoms & ~groups.gaps.any(axis=0)
    bars = [
        (_stretch(groups.tops, cell, alone=bool(pure[cell])), groups.shares[:, cell])
        for cell in np.flatnonzero(filled).tolist()
    ]
    return _distribution([*bars, *odd], ordered=True, trailing=len(odd), facet_of=owner)


def _grouped(edges: Floats, sides: Floats) -> _Groups:
    """Drop every edge just below another: it gives the value of the other, an atom, a bin of its own."""
    if not len(edges):
        return _Groups(edges, sides, np.zeros_like(sides), np.zeros(1, np.bool_))
    touches = np.append(np.nextafter(edges[1:], -np.inf) == edges[:-1], False)
    starts = np.append(0, np.flatnonzero(~touches) + 1)
    atoms = np.append(np.append(False, touches[:-1])[~touches], False)
    return _Groups(edges[~touches], np.add.reduceat(sides, starts, axis=1), np.where(atoms, sides[:, starts], 0), atoms)


def _histogram(groups: _Groups, odd: list[tuple[str, Floats]], owner: str) -> Distribution:
    """Bars from one number to another; what would hide them stands before and behind the axis."""
    tops, shares, alone = groups.tops, groups.shares.copy(), groups.shares - groups.gaps
    leading, trailing = [], list(odd)
    highest = int(np.argmax(np.where(groups.atoms, alone, 0.0).max(axis=0)))
    others = alone[:, groups.atoms].sum(axis=1) - alone[:, highest]
    if groups.atoms[highest] and alone[:, highest].max() >= _SPIKE and others[0] <= _OTHER_ATOMS:
        leading.append((f"exactly {_stretch(tops, highest, alone=True)}", alone[:, highest]))
        shares[:, highest] = groups.gaps[:, highest]
    first, last = _without_giants(tops, *_view(shares[:, 1:-1]))
    chosen = _even(tops[first : last + 2])
    cuts = np.searchsorted(tops, chosen)
    if groups.atoms[first + 1] and not groups.gaps[:, first + 1].any():
        # Nothing lies between the axis's first number and the edge below it.
        chosen[0] = max(chosen[0], tops[first + 1] - (chosen[-1] - tops[first + 1]) / BARS_MAX)
    said = _written(chosen)
    below, above = shares[:, : cuts[0] + 1].sum(axis=1), shares[:, cuts[-1] + 1 :].sum(axis=1)
    if below.any():
        leading.append((f"below {said[0]}", below))
    if above.any():
        trailing.insert(0, (f"above {said[-1]}", above))
    bars = [
        (f"{bottom} to {top}", shares[:, start + 1 : end + 1].sum(axis=1))
        for (bottom, top), (start, end) in zip(pairwise(said), pairwise(cuts.tolist()), strict=True)
    ]
    return _distribution(
        [*leading, *bars, *trailing],
        ordered=True,
        edges=tuple(chosen.tolist()),
        leading=len(leading),
        trailing=len(trailing),
        facet_of=owner,
    )


def _view(closed: Floats) -> tuple[int, int]:
    """Return the first and the last of the bins with two ends that the axis reaches to."""
    up = (np.cumsum(closed, axis=1) > _OUTSIDE).any(axis=0)
    down = np.flip((np.cumsum(np.flip(closed, axis=1), axis=1) > _OUTSIDE).any(axis=0))
    if not up.any():
        return 0, closed.shape[1] - 1
    ends = int(np.argmax(up)), int(len(down) - 1 - np.argmax(np.flip(down)))
    return min(ends), max(ends)


def _without_giants(tops: Floats, first: int, last: int) -> tuple[int, int]:
    """Leave an end bin out that is far wider than all others together: one absurd value stretched it."""
    while last > first + 1 and tops[last + 1] - tops[last] > _GIANT * (tops[last] - tops[first]):
        last -= 1
    while last > first + 1 and tops[first + 1] - tops[first] > _GIANT * (tops[last + 1] - tops[first + 1]):
        first += 1
    return first, last


def _even(edges: Floats) -> Floats:
    """Return some of the edges, the ends among them, so that neighbours are about equally far apart."""
    grid = np.linspace(edges[0], edges[-1], BARS_MAX + 1)
    chosen: Floats = edges[np.unique(np.clip(np.searchsorted(edges, grid), 0, len(edges) - 1))]
    return chosen


def _stretch(tops: Floats, cell: int, *, alone: bool) -> str:
    """Name a bar that is a single number, or all numbers between two."""
    if not len(tops):
        return "any number"
    said = _written(tops)
    if alone:
        return f"{tops[cell]:,.0f}" if tops[cell] == round(tops[cell]) and abs(tops[cell]) < _PLAIN_MAX else said[cell]
    if cell == 0:
        return f"up to {said[0]}"
    return f"above {said[-1]}" if cell == len(tops) else f"{said[cell - 1]} to {said[cell]}"


def _written(edges: Floats) -> list[str]:
    """Write numbers with as many digits as it takes to tell them apart, and no more."""
    large = float(np.abs(edges).max())
    apart = float(np.diff(edges).mean()) if len(edges) > 1 else large
    if not 0 < apart < math.inf or not large < _PLAIN_MAX:
        return [f"{edge:.6g}" for edge in edges]
    digits = 0 if (edges == np.round(edges)).all() else 1 - math.floor(math.log10(apart))
    if digits > 9:  # noqa: PLR2004 - then a power of ten says it shorter
        return [f"{edge:.4g}" for edge in edges]
    digits = max(digits, 0)
    return [f"{round(float(edge), digits) + 0.0:,.{digits}f}" for edge in edges]


def _distribution(
    bars: list[tuple[str, Floats]],
    *,
    ordered: bool = False,
    edges: tuple[float, ...] = (),
    leading: int = 0,
    trailing: int = 0,
    facet_of: str = "",
) -> Distribution:
    return Distribution(
        tuple(label for label, _ in bars),
        tuple(float(share[0]) for _, share in bars),
        tuple(float(share[1]) for _, share in bars),
        ordered=ordered,
        edges=edges,
        leading=leading,
        trailing=trailing,
        facet_of=facet_of,
    )


def draw_calibration(reference: Profile | None, current: Profile | None) -> Calibration | None:
    """Return how often it came true when the model said so, on both sides; None where the current rows have no labels.

    Args:
        reference: the reference's profile of all rows.
        current: the current table's.
    """
    now, then = _curve(current), _curve(reference)
    return None if now is None else Calibration(now, then)


def _curve(profile: Profile | None) -> Curve | None:
    bins = calibration_of(profile) if profile else ()
    if not bins:
        return None
    return Curve(
        score=tuple(one.mean_score for one in bins),
        rate=tuple(one.outcome_rate for one in bins),
        low=tuple(one.interval[0] for one in bins),
        high=tuple(one.interval[1] for one in bins),
        labels=tuple(one.rows for one in bins),
    )
