"""The forgotten: what is still known of the predictions of those who were forgotten, so that labels find no way back.

Their keys are kept in runs of their own, for as long as the spec keeps anything: a label that comes late is the rule,
and the row that it would be joined to is gone. Whoever takes an outcome of such a key counts nothing, and writes the
file anew without it. Of what identities know, the key and the version stay, which is why no copy is counted again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import polars as pl

from killick.clock import Window
from killick.engine.identities import FORGOTTEN, FORGOTTEN_IDS, KEY, OUTCOME_IDS, PREDICTION_IDS, Identities, keys_of
from killick.engine.receive import OUTCOMES
from killick.errors import OutsideError, StaleWrite
from killick.identity import derive_id
from killick.telemetry.columns import EVENT_TIME, PREDICTION_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from killick.clock import Instant
    from killick.engine.world import World
    from killick.ports.archive import Numbers
    from killick.ports.control import Batch, Transaction

T = TypeVar("T")

_SCHEMA = {KEY: pl.UInt64()}


def note_forgotten(world: World, model: str, keys: pl.Series, now: Instant, name: str) -> pl.Series:
    """Note the keys of predictions that are being forgotten; return all that were noted and have not expired.

    Args:
        world: where they are noted.
        model: whose predictions they are.
        keys: theirs, each once.
        now: the present.
        name: what no other note is called.

    Raises:
        StaleWrite: somebody else has noted others meanwhile.
    """
    with world.control.transaction() as t:
        noted = Identities(FORGOTTEN_IDS, tuple(t.batches(model, FORGOTTEN_IDS)))
    held = [pl.Series(KEY, read_as_known(world, run, world.archive.map_run)[0]) for run in noted.runs]
    before = pl.concat([pl.Series(KEY, [], pl.UInt64), *held])
    new = pl.DataFrame([keys.filter(~keys.is_in(before.implode()))])
    runs = noted.extended(world, model, new, Window(now, now + 1), now, name)
    with world.control.transaction() as t:
        t.replace_batches(*runs)
    return pl.concat([before, new[KEY]])


def drop_late(world: World, batches: Iterable[Batch], forgotten: Identities) -> bool:
    """Drop the outcomes of forgotten predictions from files; True where there were any, and there are others now.

    Raises:
        StaleWrite: a file was settled or written anew meanwhile.
    """
    went = 0
    for batch in batches if forgotten.runs else ():
        if batch.kind == OUTCOMES:
            keys = keys_of(world.archive.read(batch.path, [PREDICTION_ID])[PREDICTION_ID])
            late = keys.is_in(forgotten.find(world, keys, _SCHEMA)[KEY].implode())
            went += write_without(world, batch, late, world.host)
    return went > 0


def write_without(world: World, batch: Batch, out: pl.Series, name: str) -> int:
    """Write a file anew without some of its rows, and remove it; return how many went.

    Args:
        world: where it is.
        batch: its manifest row, as it was read.
        out: of each row, whether it goes.
        name: whoever else writes the file anew at the same time has another, and so a file of his own.

    Raises:
        StaleWrite: the batch is no longer as it was read; nothing was changed.
    """
    went = int(out.sum())
    if not went:
        return 0
    by: list[Batch] = []
    if went < batch.rows:
        kept = read_as_known(world, batch, world.archive.read).filter(~out)
        times = kept[EVENT_TIME]
        span = Window(int(times.min()), int(times.max()) + 1)  # type: ignore[arg-type]
        batch_id = derive_id("batch", batch.batch_id, "without", name)
        path = world.archive.write(batch.model, batch.kind, batch_id, kept)
        by = [replace(batch, batch_id=batch_id, path=path, rows=kept.height, window=span)]
    _put_in_place(world, batch, by, {f"{batch.kind}.forgotten": went})
    return went


def blank_identities(world: World, model: str, forgotten: pl.Series, name: str) -> None:
    """Leave of forgotten predictions the key and the version, and nothing of their outcomes.

    Raises:
        StaleWrite: runs were merged meanwhile, and what stands in their place has to be looked at too.
    """
    keys = forgotten.to_numpy()
    with world.control.transaction() as t:
        runs = [run for kind in (PREDICTION_IDS, OUTCOME_IDS) for run in t.batches(model, kind)]
    for run in runs:
        numbers = read_as_known(world, run, world.archive.map_run)
        blank = _blanked(run.kind, numbers, np.isin(numbers[0], keys))
        if np.array_equal(blank, numbers):
            continue
        by: list[Batch] = []
        if blank.shape[1]:
            run_id = derive_id("run", run.batch_id, "without", name)
            path = world.archive.write_run(model, run.kind, run_id, blank)
            by = [replace(run, batch_id=run_id, path=path, rows=blank.shape[1])]
        _put_in_place(world, run, by, {})


def read_as_known(world: World, batch: Batch, read: Callable[[str], T]) -> T:
    """Read a batch; a `StaleWrite` when it cannot be read because it has left the manifest."""
    try:
        return read(batch.path)
    except OutsideError:
        with world.control.transaction() as t:
            if t.batch(batch.batch_id):
                raise
        raise StaleWrite(f"batch {batch.batch_id!r} is no longer there; read the manifest again") from None


def _blanked(kind: str, numbers: Numbers, theirs: NDArray[np.bool_]) -> Numbers:
    if kind == OUTCOME_IDS:
        return numbers[:, ~theirs]
    # The key, the time, the version; then the score and segments (`engine/joining.py`).
    blank = numbers.copy()
    blank[1, theirs] = np.int64(FORGOTTEN).view(np.uint64)
    blank[3:, theirs] = 0
    return blank


def _put_in_place(world: World, batch: Batch, by: list[Batch], counts: Mapping[str, int]) -> None:
    """Put a file that was written anew in the place of the old one, unless that has become another meanwhile."""
    try:
        with world.control.transaction() as t:
            _hold_as_read(t, batch)
            t.replace_batches([batch.batch_id], by)
            t.tally(batch.model, counts)
    except StaleWrite:
        for one in by:
            world.archive.remove(one.path)
        raise
    world.archive.remove(batch.path)


def _hold_as_read(t: Transaction, batch: Batch) -> None:
    if t.batch(batch.batch_id) != batch:
        raise StaleWrite(f"batch {batch.batch_id!r} is no longer as it was read; read it again")
