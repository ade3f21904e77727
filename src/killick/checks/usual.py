"""How far the reference's own windows stray from one another: the second yardstick of two tables that have event times.

At a million rows every difference is significant, because healthy weeks differ by more than their rows' luck. Windows
as wide as the current table, each against the rest of the reference, say how much (statistics.md 1.6); whether the
current one is beyond that is asked of Student's t on the logarithm (stats/history.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from killick.checks.apart import apart_in
from killick.checks.distances import ROWS_MIN
from killick.checks.reference import merge_windows
from killick.checks.watched import Pile, pile
from killick.clock import DAY, HOUR
from killick.stats.history import prediction_limit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from killick.checks.methods import Method
    from killick.checks.reference import HealthyWindow, Reference, SegmentKey
    from killick.checks.watched import Block
    from killick.clock import Window
    from killick.profiles.cells import Floats

# Fewer windows are no yardstick (stats/history.py); more cost time and say nothing new.
WINDOWS_MIN, WINDOWS_MAX = 8, 120
# From eight windows Student's t reaches out to a thousand times their median at the levels of a hundred tests; from
# thirty-two to some ten times. So how much windows vary is learned from many narrow ones, and how far they are on
# average from few wide ones, which are mixtures of them and nearer to the whole.
WINDOWS_ENOUGH = 32


@dataclass(frozen=True, slots=True)
class Windows:
    """The reference's windows to compare with one another; `narrow` when they are narrower than the current one.

    `wide` are fewer and wider ones, at least eight and no wider than the current one; none where `each` are as wide.
    `why_none` says why a reference with event times has none to compare with; what rows alone say is then a warning.
    """

    each: tuple[HealthyWindow, ...] = ()
    narrow: bool = False
    wide: tuple[HealthyWindow, ...] = ()
    why_none: str = ""

    @property
    def timed(self) -> bool:
        """Whether the reference has event times, so that windows could say what is usual."""
        return bool(self.each) or bool(self.why_none)

    @property
    def described(self) -> str:
        """Name them by how wide they are: in days, unless they are shorter than two."""
        widths = sorted(healthy.window.width for healthy in self.each)
        width = widths[len(widths) // 2] if widths else 0
        return f"windows of {f'{width / DAY:.0f} days' if width >= 2 * DAY else f'{width / HOUR:.0f} hours'}"


def windows_like(reference: Reference, window: Window | None) -> Windows:
    """Return the reference's windows, made about as wide as the current one, but enough of them where that is to be."""
    fine = reference.windows
    if not fine:
        return Windows()
    if window is None:
        return Windows(why_none="the current rows have no event times")
    if len(fine) < WINDOWS_MIN:
        return Windows(why_none=f"the reference has {len(fine)} windows, and {WINDOWS_MIN} are needed")
    if 2 * window.width < fine[0].window.width:
        return Windows(why_none="the reference's windows are wider than the current rows")
    alike = max(1, round(window.width / fine[0].window.width))
    each = max(1, min(alike, len(fine) // WINDOWS_ENOUGH))
    many = merge_windows(fine, reference.scale, each) if each > 1 else list(fine)
    widest = max(1, min(alike, len(fine) // WINDOWS_MIN))
    wide = merge_windows(fine, reference.scale, widest) if widest > each else []
    return Windows(tuple(many[:: -(-len(many) // WINDOWS_MAX)]), narrow=widest < alike, wide=tuple(wide))


def healthy_drifts(
    asked: Sequence[tuple[Block, Method]],
    reference: Reference,
    segments: Sequence[SegmentKey],
    sides: tuple[Pile, Pile],
    windows: Windows,
) -> list[Floats]:
    """Return what each window's distance from the rest of the reference would be with as many rows as the current one.

    A window may hold fewer rows than the current table does, and then differs by luck alone as the current table
    cannot; its distance from the mean is scaled down to what is left.

    Args:
        asked: blocks of columns, and how distance is measured in them.
        reference: whose windows they are.
        segments: the segments that are judged.
        sides: the profiles of the reference and of the current table, one a segment.
        windows: the windows to compare, and wider ones beside them.

    Returns:
        for each block the excess of each window, `[segments, columns, windows]`; NaN where a window has too few rows,
        or a segment too few windows.
    """
    calm = _as_many(*sides)
    luck = [apart_in(block, method, sides[0], calm).distance.luck for block, method in asked]
    many, wide = (_drifts_of(asked, reference, segments, luck, some) for some in (windows.each, windows.wide))
    return [history * _nearer(history, few)[..., None] for history, few in zip(many, wide, strict=True)]


def _nearer(many: Floats, wide: Floats) -> Floats:
    """Return how much nearer to the whole wide windows are than narrow ones, `[segments, columns]`, at most 1.

    A standard error is added, since they are few. Where there are none, or too few with rows, it is 1.
    """
    known = (np.isfinite(wide).sum(axis=-1) >= WINDOWS_MIN) & (np.isfinite(many).sum(axis=-1) >= WINDOWS_MIN)
    here, number = np.where(known[..., None], wide, 0.0), np.maximum(np.isfinite(wide).sum(axis=-1), 1)
    centre = np.nansum(here, axis=-1) / number
    error = np.sqrt(np.nansum(np.square(here - centre[..., None]), axis=-1)) / number
    far = np.nansum(many, axis=-1) / np.maximum(np.isfinite(many).sum(axis=-1), 1)
    ratio: Floats = np.divide(centre + error, far, out=np.ones_like(far), where=known & (far > 0))
    return ratio.clip(max=1.0)


def _drifts_of(
    asked: Sequence[tuple[Block, Method]],
    reference: Reference,
    segments: Sequence[SegmentKey],
    luck: Sequence[Floats],
    windows: Sequence[HealthyWindow],
) -> list[Floats]:
    found = [np.full((len(segments), len(block.at), len(windows)), np.nan) for block, _ in asked]
    for at, segment in enumerate(segments):
        having = [i for i, healthy in enumerate(windows) if segment in healthy.profiles]
        if len(having) < WINDOWS_MIN:
            continue
        each = pile(reference.scale, [windows[i].profiles[segment] for i in having])
        whole = pile(reference.scale, [reference.profiles[segment]])
        rest = Pile(reference.scale, np.maximum(whole.counts - each.counts, 0), whole.sums - each.sums)
        for history, lucky, (block, method) in zip(found, luck, asked, strict=True):
            apart = apart_in(block, method, rest, each).distance
            enough = np.minimum(*(block.counts_in(side).sum(axis=-1) for side in (rest, each))) >= ROWS_MIN
            history[at][:, having] = _at_the_size(apart.excess, apart.luck, enough, np.nan_to_num(lucky[at])).T
    return found


def _as_many(before: Pile, now: Pile) -> Pile:
    """Return the reference with as many rows as the current table: what that would be, had nothing changed."""
    ratio = (now.rows / np.maximum(before.rows, 1))[:, None]
    return Pile(before.scale, np.rint(before.counts * ratio).astype(np.int64), before.sums * ratio)


def _at_the_size(excess: Floats, luck: Floats, seen: NDArray[np.bool_], luck_now: Floats) -> Floats:
    """Draw windows `[windows, columns]` together by what their luck exceeds that of the current rows."""
    number = seen.sum(axis=0)
    known = number >= WINDOWS_MIN
    shared = np.where(known, number, WINDOWS_MIN)
    centre = np.where(seen, excess, 0.0).sum(axis=0) / shared
    varies = np.where(seen, (excess - centre) ** 2, 0.0).sum(axis=0) / (shared - 1)
    left = varies - np.where(seen, luck, 0.0).sum(axis=0) / shared + luck_now
    ratio = np.divide(left, varies, out=np.ones_like(varies), where=varies > 0)
    drawn = centre + np.sqrt(np.clip(ratio, 0.0, 1.0)) * (excess - centre)
    return np.where(seen & known, np.maximum(drawn, 0.0), np.nan)


def usual_drift(history: Floats, levels: Floats, material: float) -> Floats:
    """Return the excess that the reference's own windows stay below at each level, 0 where they are too few.

    Args:
        history: the windows' excess, `[..., windows]`.
        levels: the chance that each may be exceeded with, `[...]`.
        material: an excess that does not matter.
    """
    if not history.shape[-1]:
        return np.zeros(levels.shape)
    return np.nan_to_num(prediction_limit(history, levels, floor=material).limit)
