"""Growth: what a round's predictions and labels add to the profiles, and what corrected labels take from them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import polars as pl

from killick.clock import DAY
from killick.engine.joining import AT, FIRST_KNOWN, OWNER, SEGMENT
from killick.engine.measure import profile_grouped, profile_known
from killick.engine.turns import width_of
from killick.ports.control import ProfileKey
from killick.profiles.profile import Profile
from killick.telemetry.columns import EVENT_TIME, KNOWN_AT, ROLE, VERSION
from killick.telemetry.segments import EVERYTHING, Grouping, known_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from killick.clock import Duration, Instant
    from killick.engine.joining import Joined
    from killick.engine.turns import Turn, Watched
    from killick.profiles.scale import Scale

Growth: TypeAlias = dict[ProfileKey, Profile]


def growth_of(watched: Watched, turn: Turn, predictions: pl.DataFrame, joined: Joined) -> list[tuple[Scale, Growth]]:
    """Return what the profiles grow by: of columns, and in finer windows of signals where the spec wants them."""
    at = joined.fresh[AT]  # not in their order where shadows came first
    rows = predictions if at.len() == predictions.height and at.is_sorted() else predictions[at]
    grown = [(watched.scale, _grown(watched, width_of(watched.spec), turn, rows, joined))]
    if watched.spec.keep.signals < width_of(watched.spec):
        # By segment they would be many, and what a minute of a segment holds is noise.
        spec = replace(watched.spec, segments=())
        fine = _grown(replace(watched, spec=spec, scale=watched.scale.signals), spec.keep.signals, turn, rows, joined)
        # What is older than fine windows are kept is in the columns' days, and nowhere else.
        grown.append((watched.scale.signals, {key: one for key, one in fine.items() if key.window.start >= turn.aged}))
    return grown


def _grown(watched: Watched, width: Duration, turn: Turn, rows: pl.DataFrame, joined: Joined) -> Growth:
    """Return what profiles on a scale grow by; of a label that was corrected, they lose the old one."""
    growth: Growth = {}
    for part, (coded, windows) in _by_age(joined.fresh, turn.aged, width):
        mine = rows if part is None else rows.filter(part)
        growth |= profile_grouped(watched.scale, mine, _groupings(coded, watched), windows)
    owners = pl.DataFrame(turn.owners, schema={VERSION: pl.String, ROLE: pl.String}, orient="row")
    for labelled, sign in ((joined.gained, 1), (joined.lost, -1)):
        for _, (coded, windows) in _by_age(labelled, turn.aged, width):
            named = coded.with_columns(*owners[coded[OWNER]], coded[FIRST_KNOWN].alias(KNOWN_AT))
            for key, profile in profile_known(watched.scale, named, _groupings(coded, watched), windows).items():
                before = growth.get(key, Profile.empty(watched.scale))
                growth[key] = before + profile if sign > 0 else before - profile
    return growth


def _by_age(
    coded: pl.DataFrame, aged: Instant, width: Duration
) -> Iterator[tuple[pl.Series | None, tuple[pl.DataFrame, Duration]]]:
    """Yield what is in fine windows by now, then what is in whole days: a month's history has few days, many hours."""
    old = coded[EVENT_TIME] < aged
    if not old.any():
        yield None, (coded, width)
        return
    for part, windows in ((~old, width), (old, DAY)):
        if part.any():
            yield part, (coded.filter(part), windows)


def _groupings(coded: pl.DataFrame, watched: Watched) -> list[Grouping]:
    """Return how rows are grouped, from the numbers of their segments."""
    whole = Grouping(np.zeros(coded.height, np.int64), (EVERYTHING,))
    grouped = [
        Grouping(coded[f"{SEGMENT}{at}"].cast(pl.Int64).to_numpy(), known_of(by, watched.segments))
        for at, by in enumerate(watched.spec.segments)
    ]
    return [whole, *grouped]
