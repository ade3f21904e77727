"""Forget a person: every row of an entity goes, from every file and every sample; what was counted stays counted.

The files that hold such rows are written anew without them, and the old ones are removed at once, with all that were
merged or dropped before and are kept for those who may still read them. Outcomes of the entity's predictions go with
them, and those that come later when they are taken (`engine/forgotten.py`); so do rows of these predictions that name
nobody. What cannot be told apart goes for everybody: values that were refused, in quarantine and in the answers to
deliveries, and the halves that wait for their other halves.

What stays is under no name: profiles and references, which are sums and quantiles, though the sum of an hour in which a
segment had one row is that row's; and the 64 bits by which a prediction is known as counted and its version, by which
whoever has an id can find that it was there. The ledger says that it was done, by whom and how many rows it was, and
not of whom: the entity is named there by a keyed hash, and the key is not kept.

Not reached: what is on its way in while it is asked for; for ten minutes, a file whose writer died or was overtaken
before it was in the manifest; a file that was set aside because it cannot be read; an outcome whose prediction has
expired, for then nobody knows whose it is, until it expires itself; and what has left the archive, such as the files
that a retraining job was given.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import TYPE_CHECKING

import polars as pl

from killick.clock import FOREVER
from killick.engine.forgotten import blank_identities, note_forgotten, read_as_known, write_without
from killick.engine.identities import keys_of
from killick.engine.lost import is_there
from killick.engine.open import sweep
from killick.engine.profiling import ASIDE
from killick.engine.receive import OUTCOMES, PREDICTIONS, SHADOWS, Receipt, pack_receipt, unpack_receipt
from killick.engine.record import Book
from killick.errors import StaleWrite
from killick.telemetry.columns import ENTITY_ID, PREDICTION_ID

if TYPE_CHECKING:
    from killick.clock import Instant
    from killick.engine.world import World
    from killick.ports.control import Batch

_ATTEMPTS = 10
# Those by which others are found go last.
_IN_TURN = (OUTCOMES, SHADOWS, PREDICTIONS)
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
        OutsideError: archive or store failed, or the store is read all the while, so that its journal cannot be
            emptied; what was removed is removed, and asking again does the rest.
    """
    with world.control.transaction() as t:
        models = [model for model in t.models() if model]
        for model in models:
            # A refused row says which value was wrong with it, and that may have been theirs; so do the answers.
            t.quarantine(model, [], keep=0)
        t.redact(_BARE_ANSWER, _without_values)
    _drop_halves(world)
    token = blake2b(entity_id.encode(), key=salt[:64], digest_size=8).hexdigest()
    gone = [_forget_in(world, model, entity_id, token, now) for model in models]
    touched = [one for one in gone if one.rows]
    # Files that others were merged into hold the same rows until they are swept.
    sweep(world, at_once=True)
    total = Forgotten(len(touched), sum(one.rows for one in touched), sum(one.files for one in touched))
    with world.control.transaction() as t:
        reason = f"{total.rows} rows of {total.files} files were removed; what was counted stays counted"
        Book(t, "", now, actor=actor).note("forget", f"entity-{token}", reason, rows=total.rows, files=total.files)
    world.control.scrub()
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


def _forget_in(world: World, model: str, entity_id: str, token: str, now: Instant) -> Forgotten:
    """Remove an entity from one model: outcomes first, and the rows by which these are found last.

    So whoever dies in the midst of it, or fails, finds by the same rows, and the keys that were noted before any of
    them went, what is left to be done.
    """
    rows = files = 0
    for attempt in range(_ATTEMPTS):
        try:
            keys = _keys(world, model, entity_id)
            forgotten = note_forgotten(world, model, keys, now, f"{token}-{attempt}")
            if forgotten.is_empty():
                break
            for batch in _batches(world, model, *_IN_TURN):
                went = write_without(world, batch, _theirs(world, batch, forgotten, entity_id), token)
                rows, files = rows + went, files + (went > 0)
            blank_identities(world, model, forgotten, token)
            if keys.is_empty():
                break
        except StaleWrite:
            continue  # a file was merged or settled meanwhile, and what stands in its place has to be looked at too
    else:
        message = f"the files of {model} change faster than they can be written anew; ask again"
        raise StaleWrite(message)
    return Forgotten(rows > 0, rows, files)


def _batches(world: World, model: str, *kinds: str) -> list[Batch]:
    """Return the files of some kinds, and of what was set aside of them those that can be read."""
    with world.control.transaction() as t:
        held = [batch for kind in kinds for batch in t.batches(model, kind)]
        aside = [batch for kind in kinds for batch in t.batches(model, ASIDE[kind])]
    return [*held, *(batch for batch in aside if is_there(world, batch))]


def _keys(world: World, model: str, entity_id: str) -> pl.Series:
    """Return the keys of an entity's predictions, shadows' too."""
    found = [pl.Series(PREDICTION_ID, [], pl.String)]
    for batch in _batches(world, model, SHADOWS, PREDICTIONS):
        if ENTITY_ID in read_as_known(world, batch, world.archive.columns):
            table = read_as_known(world, batch, partial(world.archive.read, columns=[PREDICTION_ID, ENTITY_ID]))
            found.append(table.filter(pl.col(ENTITY_ID) == entity_id)[PREDICTION_ID])
    return keys_of(pl.concat(found).unique())


def _theirs(world: World, batch: Batch, forgotten: pl.Series, entity_id: str) -> pl.Series:
    """Return of each row whether it goes: an outcome with its prediction, and a prediction that is nobody else's."""
    are_outcomes = batch.kind in (OUTCOMES, ASIDE[OUTCOMES])
    names_whom = not are_outcomes and ENTITY_ID in read_as_known(world, batch, world.archive.columns)
    columns = [PREDICTION_ID, ENTITY_ID] if names_whom else [PREDICTION_ID]
    table = read_as_known(world, batch, partial(world.archive.read, columns=columns))
    theirs = keys_of(table[PREDICTION_ID]).is_in(forgotten.implode())
    if names_whom:
        # What somebody else was predicted under the same id is not theirs.
        theirs &= (table[ENTITY_ID] == entity_id).fill_null(value=True)
    return theirs
