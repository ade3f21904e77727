"""How far a healthy window strays: the limits that live drift is judged by, learned from the reference's own windows.

Two witnesses are asked about each column of each segment. *Trailing*: is the window unlike the segment's own last 28
healthy days (PSI)? *Other segments*: is it unlike the other segments in the same window (Wasserstein-1)? Weather that
turns for every airport moves the first and not the second; a difference between airports that is always there moves
neither. Each witness is compared with its own healthy history by rank, which needs no model of how healthy windows vary
(overdispersion, few effective rows in an hour of weather), only that they do so alike (Vovk et al. 2005, conformal p).

The false-alarm budget is split over all tests of its period; as both witnesses must speak, each may err at the square
root of that share. Measured on flights: decision 0005.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from killick.checks.distances import ROWS_MIN, moved, stability
from killick.checks.reference import EVERYTHING, SegmentKey, others, trailing
from killick.checks.verdict import ReferenceKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from killick.checks.reference import Reference
    from killick.clock import Duration
    from killick.profiles.cells import Floats
    from killick.profiles.profile import Profile
    from killick.profiles.scale import ColumnScale
    from killick.spec.document import FalseAlarms

# 49 x (1 / 49) is just below 1 in float64, and must not cost another healthy window.
_ROUNDING = 1e-9

Key: TypeAlias = tuple[ReferenceKind, SegmentKey, str]


@dataclass(frozen=True, slots=True)
class Limit:
    """A healthy window stays at or below `level`, but for the stated chance. None: the history is too short to know."""

    level: float | None
    windows: int
    windows_needed: int


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of every witness, and the chance that each may err with."""

    alpha: float
    by_key: Mapping[Key, Limit]

    def of(self, kind: ReferenceKind, segment: SegmentKey, column: str) -> Limit:
        """Return a witness's limit; one for which there is no history has no level."""
        return self.by_key.get((kind, segment, column), Limit(None, 0, windows_needed(self.alpha)))


def share_of_budget(budget: FalseAlarms, window: Duration, columns: int, segments: int) -> float:
    """Return the false-alarm probability that one column of one segment may spend in one window.

    >>> from killick.clock import DAY
    >>> from killick.spec.document import FalseAlarms
    >>> round(1 / share_of_budget(FalseAlarms(budget=1, per=30 * DAY), DAY, columns=13, segments=3))
    1170
    """
    tests = budget.per / window * columns * max(segments, 1)
    return min(budget.budget / tests, 0.5)


def windows_needed(alpha: float) -> int:
    """Return how many healthy windows a rank needs before it can be as rare as `alpha`."""
    return math.ceil(1 / alpha - _ROUNDING) - 1


def conformal_level(history: Floats, alpha: float) -> Limit:
    """Return the level that one more healthy window exceeds with a probability of at most `alpha`.

    >>> conformal_level(np.arange(1.0, 100.0), 0.05).level
    95.0
    """
    seen = np.sort(history[np.isfinite(history)])
    needed = windows_needed(alpha)
    above = math.floor(alpha * (len(seen) + 1) + _ROUNDING)
    return Limit(float(seen[len(seen) - above]) if above else None, len(seen), needed)


def learn_limits(reference: Reference, columns: Sequence[ColumnScale], alpha: float) -> Limits:
    """Learn every witness's limit from the reference's windows.

    Args:
        reference: with windows; without them no limit is known.
        columns: the columns that will be judged.
        alpha: the share of the budget that one column of one segment has in one window.
    """
    each = math.sqrt(alpha)
    limits: dict[Key, Limit] = {}
    for segment in reference.segments:
        own = _pairs_trailing(reference, segment)
        beside = _pairs_others(reference, segment) if segment != EVERYTHING else []
        for column in columns:
            limits["trailing", segment, column.column] = conformal_level(_stabilities(column, own), each)
            if beside:
                limits["other_segments", segment, column.column] = conformal_level(_moves(column, beside), each)
    return Limits(each, limits)


def _pairs_trailing(reference: Reference, segment: SegmentKey) -> list[tuple[Profile, Profile]]:
    """Pairs that live windows would be judged by: the noise of few rows is not how far healthy windows stray."""
    windows = [h for h in reference.windows if segment in h.profiles and h.profiles[segment].rows >= ROWS_MIN]
    before = ((trailing(reference, reference.windows, h.window.start, segment), h.profiles[segment]) for h in windows)
    return [(sum_, now) for sum_, now in before if sum_ and sum_.rows >= ROWS_MIN]


def _pairs_others(reference: Reference, segment: SegmentKey) -> list[tuple[Profile, Profile]]:
    return [
        (others(healthy.profiles, reference.scale, segment), healthy.profiles[segment])
        for healthy in reference.windows
        if segment in healthy.profiles
    ]


def _stabilities(column: ColumnScale, pairs: Sequence[tuple[Profile, Profile]]) -> Floats:
    if not pairs:
        return np.empty(0)
    return stability(column.column, [before for before, _ in pairs], [now for _, now in pairs]).excess


def _moves(column: ColumnScale, pairs: Sequence[tuple[Profile, Profile]]) -> Floats:
    return moved(column, [beside for beside, _ in pairs], [now for _, now in pairs])
