"""Forget a person: every row of an entity goes, from every file and every sample; what was counted stays counted.

The files that hold such rows are written anew without them, and the old ones are removed at once. Outcomes and halves
of the entity's predictions go with them. Profiles are sums in which nobody can be found, and stay; so do the 64 bits
by which a prediction is known as counted, from which no id can be had back. The ledger says that it was done, by whom
and how many rows it was, and not of whom: the entity is named there by a keyed hash, and the key is not kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING

import polars as pl

from killick.clock import Window
from killick.engine.open import sweep
from killick.engine.receive import OUTCOMES, PREDICTIONS, SHADOWS
from killick.engine.record import Book
from killick.errors import StaleWrite
from killick.identity import derive_id
from killick.telemetry.columns import ENTITY_ID, EVENT_TIME, PREDICTION_ID

if TYPE_CHECKING:
    from collections.abc import Callable

    from killick.clock import Instant
    from killick.engine.world import World
    from killick.ports.control import Batch

_ATTEMPTS = 10
# No commit takes so long, waiting for its turn included: a file that is older and in no manifest will never be.
_ON_ITS_WAY_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What went: rows and files, of how many models."""

    models: int
    rows: int
    files: int


def forget(world: World, entity_id: str, *, actor: str, now: Instant, salt: bytes) -> Forgotten:
    """Remove an entity's rows from every model.

    Args:
        world: where they are.
        entity_id: who is to be forgotten.
        actor: who asked for it.
        now: the present.
        salt: random bytes that nobody keeps: without them nobody can try ids against the ledger.

    Raises:
        OutsideError: archive or store failed; what was removed is removed, and asking again does the rest.
    """
    with world.control.transaction() as t:
        models = [model for model in t.models() if model]
    token = blake2b(entity_id.encode(), key=salt[:64], digest_size=8).hexdigest()
    gone = [_forget_in(world, model, entity_id) for model in models]
    touched = [one for one in gone if one.rows]
    # Files that others were merged into hold the same rows until they are swept.
    sweep(world, spared_seconds=_ON_ITS_WAY_SECONDS)
    total = Forgotten(len(touched), sum(one.rows for one in touched), sum(one.files for one in touched))
    with world.control.transaction() as t:
        reason = f"{total.rows} rows of {total.files} files were removed; what was counted stays counted"
        Book(t, "", now, actor=actor).note("forget", f"entity-{token}", reason, rows=total.rows, files=total.files)
    return total


def _forget_in(world: World, model: str, entity_id: str) -> Forgotten:
    """Remove an entity from one model: its predictions, then their outcomes."""
    ids: list[str] = []

    def without_entity(table: pl.DataFrame) -> pl.DataFrame:
        if ENTITY_ID not in table.columns:
            return table
        theirs = (table[ENTITY_ID] == entity_id).fill_null(value=False)
        ids.extend(table.filter(theirs)[PREDICTION_ID])
        return table.filter(~theirs)

    rows = files = 0
    for kind in (PREDICTIONS, SHADOWS):
        held, touched = _rewrite(world, model, kind, without_entity)
        rows, files = rows + held, files + touched
    if not ids:
        return Forgotten(0, rows, files)
    known = pl.Series(list(dict.fromkeys(ids))).implode()
    held, touched = _rewrite(world, model, OUTCOMES, lambda table: table.filter(~table[PREDICTION_ID].is_in(known)))
    with world.control.transaction() as t:
        # A refused row says which value was wrong with it, and that may have been theirs.
        t.quarantine(model, [], keep=0)
    return Forgotten(1, rows + held, files + touched)


def _rewrite(world: World, model: str, kind: str, keep: Callable[[pl.DataFrame], pl.DataFrame]) -> tuple[int, int]:
    """Write the files anew that hold rows which are not to be kept; return how many rows went, from how many files."""
    rows = files = 0
    for _ in range(_ATTEMPTS):
        with world.control.transaction() as t:
            batches = t.batches(model, kind)
        try:
            for batch in batches:
                went = _rewrite_one(world, batch, keep)
                rows, files = rows + went, files + (went > 0)
        except StaleWrite:
            continue  # a file was merged meanwhile, and what it was merged into has to be looked at too
        return rows, files
    message = f"the files of {model} are merged faster than they can be written anew; ask again"
    raise StaleWrite(message)


def _rewrite_one(world: World, batch: Batch, keep: Callable[[pl.DataFrame], pl.DataFrame]) -> int:
    table = world.archive.read(batch.path)
    kept = keep(table)
    went = table.height - kept.height
    if not went:
        return 0
    by: list[Batch] = []
    if kept.height:
        batch_id = derive_id("batch", batch.batch_id, "without", went, kept.height)
        path = world.archive.write(batch.model, batch.kind, batch_id, kept)
        times = kept[EVENT_TIME]
        span = Window(int(times.min()), int(times.max()) + 1)  # type: ignore[arg-type]
        by = [replace(batch, batch_id=batch_id, path=path, rows=kept.height, window=span)]
    with world.control.transaction() as t:
        t.replace_batches([batch.batch_id], by)
    world.archive.remove(batch.path)
    return went
