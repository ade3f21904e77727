"""The pictures of a check: the distributions of what failed or warned, on both sides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from killick.checks.reference import EVERYTHING
from killick.profiles.numeric import NumericScale
from killick.reports.report import Distribution

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from killick.checks.reference import BySegment, Reference, SegmentKey
    from killick.checks.verdict import Verdict
    from killick.profiles.cells import Floats
    from killick.profiles.profile import Profile
    from killick.profiles.scale import ColumnScale

# What a page can hold, and what one picture can show.
PICTURES_MAX, CELLS_MAX = 40, 24


def draw(
    reference: Reference, current: BySegment, verdicts: Sequence[Verdict], names: Mapping[str, str]
) -> dict[tuple[str, SegmentKey], Distribution]:
    """Return the distributions of what failed, then of what warned, the whole before segments.

    Args:
        reference: one side.
        current: the other.
        verdicts: what was found, under the operator's names.
        names: the operator's names of columns that the house calls otherwise.
    """
    found = [v for v in verdicts if v.status in ("fail", "warn") and v.column and v.segment in current]
    found.sort(key=lambda v: (v.status != "fail", v.segment != EVERYTHING))
    scales = {names.get(scale.column, scale.column): scale for scale in reference.scale.columns}
    wanted = dict.fromkeys((v.column or "", v.segment) for v in found if v.segment in reference.profiles)
    return {
        (column, segment): _picture(scales[column], reference.profiles[segment], current[segment])
        for column, segment in list(wanted)[:PICTURES_MAX]
        if column in scales
    }


def _picture(scale: ColumnScale, before: Profile, now: Profile) -> Distribution:
    """Return the cells that hold anything; of many categories the commonest."""
    then, current = _shares(before, scale.column), _shares(now, scale.column)
    cells = [cell for cell in range(len(then)) if then[cell] or current[cell]]
    ordered = isinstance(scale, NumericScale)
    if not ordered:
        cells = sorted(cells, key=lambda cell: -max(then[cell], current[cell]))[:CELLS_MAX]
    return Distribution(
        tuple(scale.label(cell) for cell in cells),
        tuple(float(then[cell]) for cell in cells),
        tuple(float(current[cell]) for cell in cells),
        ordered=ordered,
    )


def _shares(profile: Profile, column: str) -> Floats:
    counts = profile.counts_of(column)
    return counts / max(int(counts.sum()), 1)
