"""What drift verdicts say besides their numbers: which way a column moved, how far, and which of its cells moved most.

Only what was found is put into words: all segments of a column at once, about 10 us each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from killick.checks.distances import movers_of, way
from killick.profiles.categorical import CategoricalScale

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.checks.verdict import Direction
    from killick.checks.watched import Comparable, Pile, Watched
    from killick.profiles.cells import Floats, Ints


# So few spreads are written as 0.00: what moved then is not where values lie, but which are missing.
_TELLING_MIN = 0.005


@dataclass(frozen=True, slots=True)
class Told:
    """How far values moved, in every scale that may be told of: arrays `[segments, scales]`, NaN where unknown.

    `far` is in spreads of the scale, or the share of rows that changed category.
    """

    scales: tuple[Comparable, ...]
    far: Floats
    mean_before: Floats
    mean_now: Floats

    def places(self, columns: Sequence[Watched], chosen: Ints) -> Ints:
        """Return which scale each column is told of, `[segments, columns]`: what it shows, or the facet that decides.

        Args:
            columns: the columns.
            chosen: the facet that decides; facets are the first of the scales.
        """
        at = chosen.copy()
        place = {scale.column: index for index, scale in enumerate(self.scales)}
        for k, watched in enumerate(columns):
            if watched.shown is not None:
                at[:, k] = place[watched.shown.column]
        return at

    def in_words(
        self, watched: Watched, sides: tuple[Pile, Pile], segments: Sequence[int], places: Ints, gappy: frozenset[str]
    ) -> dict[int, tuple[Direction | None, str]]:
        """Say of a column what moved in some segments, and which way; by segment.

        Args:
            watched: the column.
            sides: the profiles of the reference and of the current table, one a segment.
            segments: which of them.
            places: the scale that it is told of in each of these.
            gappy: the scales whose missing values do not count.
        """
        said: dict[int, tuple[Direction | None, str]] = {}
        for place in dict.fromkeys(places.tolist()):
            scale, mine = self.scales[place], np.asarray(segments)[places == place]
            kept = scale.bins if scale.column in gappy else scale.counts_width
            before, now = (side.counts_of(scale.column)[mine, :kept] for side in sides)
            cells = movers_of(scale, before, now)
            numbers = (part[mine, place].tolist() for part in (self.far, self.mean_before, self.mean_now))
            facet = "" if watched.shown is not None else f"{_facet_name(watched.column, scale.column)}: "
            for at, most, far, mean, mean_now in zip(mine.tolist(), cells, *numbers, strict=True):
                went = way(mean, mean_now)
                said[at] = went, facet + _sentence(scale, most, went, far, (mean, mean_now))
        return said


def _sentence(scale: Comparable, most: str, went: Direction | None, far: float, means: tuple[float, float]) -> str:
    if isinstance(scale, CategoricalScale):
        return f"{far * 100:.1f} % of the rows changed category, most: {most}"
    if went is None or not math.isfinite(far) or far < _TELLING_MIN:
        return f"values moved, most: {most}"
    before, now = (_figure(mean) for mean in means)
    if before == now:
        before, now = (f"{mean:.7g}" for mean in means)
    moved = f"mean {before} -> {now}"
    return f"{'higher' if went == 'up' else 'lower'} by {far:.2f} spreads ({moved}), most: {most}"


def _facet_name(column: str, facet: str) -> str:
    """Return what a facet is called beside its column.

    >>> _facet_name("review", "review (length)")
    'length'
    """
    return facet.removeprefix(column).strip(" ()'") or facet


def _figure(number: float) -> str:
    """Write a number as people do, not as 2.964e+04.

    >>> _figure(29641.5), _figure(0.49891), _figure(7e9)
    ('29,642', '0.4989', '7e+09')
    """
    return f"{number:,.0f}" if 1e3 <= abs(number) < 1e9 else f"{number:.4g}"  # noqa: PLR2004 - from here on grouped
