"""How far the reference's own windows stray from one another: the second yardstick of two tables that have event times.

At a million rows every difference is significant, because healthy weeks differ by more than their rows' luck. Windows
as wide as the current table, each against the rest of the reference, say how much (statistics.md 1.6); whether the
current one is beyond that is asked of Student's t on the logarithm (stats/history.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from killick.checks.distances import ROWS_MIN
from killick.checks.evidence import stability_of
from killick.checks.reference import merge_windows
from killick.clock import DAY, HOUR
from killick.profiles.categorical import CategoricalScale
from killick.profiles.numeric import NumericScale
from killick.profiles.profile import stack
from killick.stats.history import prediction_limit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.checks.reference import HealthyWindow, Reference, SegmentKey
    from killick.clock import Window
    from killick.profiles.cells import Floats, Ints
    from killick.profiles.profile import Profile
    from killick.stats.distances import PopulationStability

Comparable: TypeAlias = NumericScale | CategoricalScale

# Fewer windows are no yardstick (stats/history.py); more cost time and say nothing new.
WINDOWS_MIN, WINDOWS_MAX = 8, 120


@dataclass(frozen=True, slots=True)
class Windows:
    """The reference's windows to compare with one another; `narrow` when they are narrower than the current one."""

    each: tuple[HealthyWindow, ...]
    narrow: bool

    @property
    def described(self) -> str:
        """Name them by how wide they are: in days, unless they are shorter than two."""
        width = self.each[0].window.width if self.each else 0
        return f"windows of {f'{width / DAY:.0f} days' if width >= 2 * DAY else f'{width / HOUR:.0f} hours'}"


def windows_like(reference: Reference, window: Window | None) -> Windows:
    """Return the reference's windows, made about as wide as the current one, but at least eight of them."""
    fine = reference.windows
    if len(fine) < WINDOWS_MIN or window is None:
        return Windows((), narrow=False)
    alike = max(1, round(window.width / fine[0].window.width))
    each = min(alike, len(fine) // WINDOWS_MIN)
    wide = merge_windows(fine, reference.scale, each) if each > 1 else list(fine)
    return Windows(tuple(wide[:: -(-len(wide) // WINDOWS_MAX)]), narrow=each < alike)


def cells_of(column: Comparable, profiles: Sequence[Profile], *, is_label: bool) -> tuple[Ints, Floats]:
    """Return a column's counts and sums; of a label without the missing ones, which have not come yet."""
    counts, sums = stack(profiles, column.column)
    if is_label:
        counts[:, column.bins :] = 0
    return counts, sums


def healthy_drift(
    column: Comparable,
    reference: Reference,
    segments: Sequence[SegmentKey],
    windows: Sequence[HealthyWindow],
    now: PopulationStability,
    *,
    is_label: bool,
) -> Floats:
    """Return what the debiased PSI of each of the reference's windows would be with the current rows, each `[windows]`.

    A window is compared with the rest of the reference. It may hold fewer rows than the current table does, and then
    differs by luck alone as the current table cannot; its distance from the mean is scaled down to what is left.
    """
    found = np.full((len(segments), len(windows)), np.nan)
    for at, segment in enumerate(segments):
        having = [i for i, healthy in enumerate(windows) if segment in healthy.profiles]
        if len(having) < WINDOWS_MIN:
            continue
        counts, _ = cells_of(column, [windows[i].profiles[segment] for i in having], is_label=is_label)
        whole, _ = cells_of(column, [reference.profiles[segment]], is_label=is_label)
        rest = np.maximum(whole - counts, 0)
        enough = np.minimum(counts.sum(axis=1), rest.sum(axis=1)) >= ROWS_MIN
        psi = stability_of(column, rest, counts)
        raw, luck = psi.value - psi.noise * (psi.bins - 1), _luck(psi)
        if enough.sum() >= WINDOWS_MIN:
            centre, varies = float(raw[enough].mean()), float(raw[enough].var(ddof=1))
            left = varies - float(luck[enough].mean()) + float(np.nan_to_num(_luck(now)[at]))
            scale = math.sqrt(min(max(left / varies, 0.0), 1.0)) if varies > 0 else 1.0
            found[at, having] = np.where(enough, np.maximum(centre + scale * (raw - centre), 0.0), np.nan)
    return found


def _luck(psi: PopulationStability) -> Floats:
    """Return the variance that the mere size of the samples gives to PSI: the chi-square's, and what drift adds."""
    return np.asarray(2.0 * (psi.bins - 1) * psi.noise**2 + psi.standard_error**2, dtype=np.float64)


def usual_drift(history: Floats, levels: Floats, material: float) -> Floats:
    """Return the PSI that the reference's own windows stay below at each level, 0 where they are too few."""
    usual = np.zeros(len(levels))
    for level in np.unique(levels[np.isfinite(levels)]):
        mine = levels == level
        if history.shape[1]:
            usual[mine] = np.nan_to_num(prediction_limit(history[mine], float(level), floor=material).limit)
    return usual
