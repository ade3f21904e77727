"""Lost: a file that can no longer be read does not keep what came after it from being counted.

It is set aside as what cannot be profiled is: counted, told in the ledger, and left where it is. Only where the archive
works: of one that is away as a whole nothing is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from killick.engine.identities import PREDICTION_IDS, RUNS
from killick.engine.profiling import BATCHES_MAX, ROWS_MAX, set_aside
from killick.engine.ready import try_archive
from killick.errors import OutsideError

if TYPE_CHECKING:
    from killick.clock import Instant
    from killick.engine.world import World
    from killick.ports.control import Batch, Transaction


def set_aside_lost(world: World, model: str, now: Instant) -> list[str]:
    """Set aside the pending batches of a model that cannot be read while the archive works; return their paths.

    Raises:
        OutsideError: archive or store failed; nothing was changed.
        StaleWrite: one of them is not pending any more; nothing was changed.
    """
    with world.control.transaction() as t:
        pending = t.pending(model, rows=ROWS_MAX, limit=BATCHES_MAX)
        counted = [batch for kind in RUNS for batch in t.batches(model, kind)]
    lost = [batch for batch in pending if not is_there(world, batch)]
    if not lost:
        return []
    try_archive(world.archive, now)
    # What was counted of the model lies in the same archive; where nothing was, whatever others have there.
    if counted and not all(is_there(world, run) for run in counted):
        return []
    if not counted and len(lost) == len(pending):
        with world.control.transaction() as t:
            others = _of_others(t, model)
        if not any(is_there(world, batch) for batch in others):
            return []
    with world.control.transaction() as t:
        for batch in lost:
            set_aside(t, batch, "cannot be read, while the rest of the archive can", now)
    return [batch.path for batch in lost]


def _of_others(t: Transaction, model: str) -> list[Batch]:
    """Return what to look for of each other model: a run of what was counted, and the first file that was not."""
    others = [other for other in t.models() if other not in ("", model)]
    return [batch for other in others for batch in (*t.batches(other, PREDICTION_IDS)[:1], *t.pending(other, rows=1))]


def is_there(world: World, batch: Batch) -> bool:
    """Whether a file can be read."""
    try:
        (world.archive.map_run if batch.kind in RUNS else world.archive.read)(batch.path)
    except OutsideError:
        return False
    return True
