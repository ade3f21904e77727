"""Forget a person: every row of an entity goes, from every file and every sample; what was counted stays counted.

The files that hold such rows are written anew without them, and the old ones are removed at once, with all that were
merged or dropped before and are kept for those who may still read them. Outcomes of the entity's predictions go with
them. What cannot be told apart goes for everybody: values that were refused, in quarantine and in the answers to
deliveries, and the halves that wait for their other halves. Profiles are sums in which nobody can be found, and stay;
so do the 64 bits by which a prediction is known as counted, from which no id can be had back. The ledger says that it
was done, by whom and how many rows it was, and not of whom: the entity is named there by a keyed hash, and the key is
not kept.

Not reached: what is on its way in while it is asked for; for ten minutes, a file that a process wrote and died before
it was in the manifest; and what has left the archive, such as the files that a retraining job was given.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from killick.clock import FOREVER, Window
from killick.engine.open import sweep
from killick.engine.receive import OUTCOMES, PREDICTIONS, SHADOWS, Receipt, pack_receipt, unpack_receipt
from killick.engine.record import Book
from killick.errors import OutsideError, StaleWrite
from killick.identity import derive_id
from killick.telemetry.columns import ENTITY_ID, EVENT_TIME, PREDICTION_ID

if TYPE_CHECKING:
    from collections.abc import Callable

    from killick.clock import Instant
    from killick.engine.world import World
    from killick.ports.control import Batch, Transaction

T = TypeVar("T")

_ATTEMPTS = 10
# So many at once: of a megabyte each at most.
_HALVES_AT_ONCE = 100
# An answer that names no refused row is no longer.
_BARE_ANSWER = len(pack_receipt(Receipt(10**12)))


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
        for model in models:
            # A refused row says which value was wrong with it, and that may have been theirs; so do the answers.
            t.quarantine(model, [], keep=0)
        t.redact(_BARE_ANSWER, _without_values)
    _drop_halves(world)
    token = blake2b(entity_id.encode(), key=salt[:64], digest_size=8).hexdigest()
    gone = [_forget_in(world, model, entity_id, token) for model in models]
    touched = [one for one in gone if one.rows]
    # Files that others were merged into hold the same rows until they are swept.
    sweep(world, at_once=True)
    total = Forgotten(len(touched), sum(one.rows for one in touched), sum(one.files for one in touched))
    with world.control.transaction() as t:
        reason = f"{total.rows} rows of {total.files} files were removed; what was counted stays counted"
        Book(t, "", now, actor=actor).note("forget", f"entity-{token}", reason, rows=total.rows, files=total.files)
    return total


def _without_values(receipt: bytes) -> bytes:
    return pack_receipt(Receipt(unpack_receipt(receipt).accepted))


def _drop_halves(world: World) -> None:
    """Drop what waits for its other half: in a request as it was logged, nobody can be told from anybody."""
    with world.control.transaction() as t:
        for model in t.holding():
            while held := t.halves(model, FOREVER, _HALVES_AT_ONCE):
                t.release(model, [halves[0].half_id for halves in held])
                t.tally(model, {"halves.forgotten": sum(len(halves) for halves in held)})


def _forget_in(world: World, model: str, entity_id: str, token: str) -> Forgotten:
    """Remove an entity from one model: outcomes first, and the rows by which these are found last.

    So whoever dies in the midst of it, or fails, finds by the same rows what is left to be done.
    """

    def theirs(table: pl.DataFrame) -> pl.Series:
        return (table[ENTITY_ID] == entity_id).fill_null(value=False)

    rows = files = 0
    for _ in range(_ATTEMPTS):
        try:
            ids = _ids(world, model, theirs)
            if ids.is_empty():
                return Forgotten(rows > 0, rows, files)
            known = ids.implode()
            for kind in (OUTCOMES, SHADOWS, PREDICTIONS):
                for batch in _batches(world, model, kind):
                    went = _rewrite(world, batch, known, theirs, token)
                    rows, files = rows + went, files + (went > 0)
        except StaleWrite:
            continue  # a file was merged or settled meanwhile, and what stands in its place has to be looked at too
    message = f"the files of {model} change faster than they can be written anew; ask again"
    raise StaleWrite(message)


def _batches(world: World, model: str, kind: str) -> list[Batch]:
    with world.control.transaction() as t:
        return t.batches(model, kind)


def _ids(world: World, model: str, theirs: Callable[[pl.DataFrame], pl.Series]) -> pl.Series:
    """Return the ids of an entity's predictions, shadows' too."""
    found = [pl.Series(PREDICTION_ID, [], pl.String)]
    for kind in (SHADOWS, PREDICTIONS):
        for batch in _batches(world, model, kind):
            if ENTITY_ID in _read(world, batch, world.archive.columns):
                table = _read(world, batch, partial(world.archive.read, columns=[PREDICTION_ID, ENTITY_ID]))
                found.append(table.filter(theirs(table))[PREDICTION_ID])
    return pl.concat(found).unique(maintain_order=True)


def _read(world: World, batch: Batch, read: Callable[[str], T]) -> T:
    """Read a batch; a `StaleWrite` when it cannot be read because it has left the manifest."""
    try:
        return read(batch.path)
    except OutsideError:
        with world.control.transaction() as t:
            if t.batch(batch.batch_id):
                raise
        raise StaleWrite(f"batch {batch.batch_id!r} is no longer there; read the manifest again") from None


def _rewrite(
    world: World, batch: Batch, known: pl.Series, theirs: Callable[[pl.DataFrame], pl.Series], token: str
) -> int:
    """Write a file anew without the rows of these predictions; return how many rows went."""
    columns = _read(world, batch, world.archive.columns)
    if batch.kind != OUTCOMES and ENTITY_ID not in columns:
        return 0
    table = _read(world, batch, world.archive.read)
    out = table[PREDICTION_ID].is_in(known)
    if batch.kind != OUTCOMES:
        # What somebody else was predicted under the same id is not theirs.
        out &= theirs(table)
    kept = table.filter(~out)
    went = table.height - kept.height
    if not went:
        return 0
    by: list[Batch] = []
    if kept.height:
        # Of two who forget at once, each writes a file of its own.
        batch_id = derive_id("batch", batch.batch_id, "without", token)
        path = world.archive.write(batch.model, batch.kind, batch_id, kept)
        times = kept[EVENT_TIME]
        span = Window(int(times.min()), int(times.max()) + 1)  # type: ignore[arg-type]
        by = [replace(batch, batch_id=batch_id, path=path, rows=kept.height, window=span)]
    try:
        with world.control.transaction() as t:
            _hold_as_read(t, batch)
            t.replace_batches([batch.batch_id], by)
    except StaleWrite:
        for one in by:
            world.archive.remove(one.path)
        raise
    world.archive.remove(batch.path)
    return went


def _hold_as_read(t: Transaction, batch: Batch) -> None:
    if t.batch(batch.batch_id) != batch:
        raise StaleWrite(f"batch {batch.batch_id!r} is no longer as it was read; read it again")
