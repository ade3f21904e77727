"""Copies: of a prediction that came several times the first is counted, and the identities know which one it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from killick.engine.identities import KEY, PREDICTION_IDS, Identities, keys_of
from killick.engine.joining import OWNER
from killick.engine.turns import read_turn
from killick.telemetry.columns import EVENT_TIME, PREDICTION_ID, ROLE, VERSION
from killick.telemetry.segments import REST

if TYPE_CHECKING:
    from killick.engine.world import World
    from killick.ports.control import Batch

_COUNTED = "counted as"


def are_first(world: World, batch: Batch) -> bool:
    """Whether each prediction of a file is the one that was counted: then no file before it holds a copy.

    Told by its time and its version. Of what is not remembered any more nobody can say it.

    Raises:
        OutsideError: archive or store failed.
    """
    with world.control.transaction() as t:
        turn, _ = read_turn(t, batch.model)
        runs = tuple(t.batches(batch.model, PREDICTION_IDS))
    if not runs:
        return False
    has_version = VERSION in world.archive.columns(batch.path)
    rows = world.archive.read(batch.path, [PREDICTION_ID, EVENT_TIME, *([VERSION] if has_version else [])])
    version = rows[VERSION] if has_version else pl.Series(VERSION, [None] * rows.height, pl.String)
    told = pl.DataFrame([keys_of(rows[PREDICTION_ID]), rows[EVENT_TIME], version])
    owners = pl.DataFrame(turn.owners, schema={_COUNTED: pl.String, ROLE: pl.String}, orient="row").with_row_index(
        OWNER
    )
    # What else is remembered of a prediction does not matter here.
    rest = {str(at): pl.UInt64() for at in range(3, len(world.archive.map_run(runs[0].path)))}
    schema = {KEY: pl.UInt64(), EVENT_TIME: pl.Int64(), OWNER: pl.UInt32(), **rest}
    counted = Identities(PREDICTION_IDS, runs).find(world, told[KEY], schema)
    answered = counted.join(owners.filter(pl.col(ROLE) != "shadow"), on=OWNER)
    # Without a version of its own a row has that of whoever was live; beyond a thousand, that of the rest.
    same = pl.col(VERSION).is_null() | (pl.col(VERSION) == pl.col(_COUNTED)) | (pl.col(_COUNTED) == REST)
    return told.join(answered, on=[KEY, EVENT_TIME]).filter(same).height == told.height
