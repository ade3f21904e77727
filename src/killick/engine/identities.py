"""Identities: of which predictions and outcomes a model's profiles are made, and what was counted of each.

Whether a prediction was counted before, and what an outcome has to be added to or taken back from, is looked up here,
without a look at the rows. Promise: an identity is found if and only if the round that counted it was committed: runs
are files, and a run exists if and only if its manifest row does, as a batch.
Cost: 40 bytes an identity and eight for each grouping of the spec, of which little is ever in memory. Runs are merged
as they come, each with its equals (log-structured: O'Neil et al. 1996), so there are few: looking up 20,000 identities
among 50 million takes some 50 ms.

An identity is known by 64 bits of BLAKE2b of its text: among 50 million, one that is new passes for a duplicate with
a probability of 3e-12.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from killick.clock import Window
from killick.identity import derive_id
from killick.ports.control import Batch
from killick.telemetry.keys import text_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from killick.clock import Instant
    from killick.engine.world import World
    from killick.ports.archive import Numbers

    Keys = NDArray[np.uint64]

PREDICTION_IDS, OUTCOME_IDS, FORGOTTEN_IDS = RUNS = ("prediction-ids", "outcome-ids", "forgotten-ids")
KEY = "key"
# The time of a prediction of which no more than key and version is known: no label of it is counted any more.
FORGOTTEN = -(2**62)
# Merging what is larger would hold a round up for longer than a tenth of a second.
_RUN_ROWS_MAX = 1 << 21


def keys_of(ids: pl.Series) -> pl.Series:
    """Return the keys by which identities are known."""
    return pl.Series(KEY, text_keys(ids.to_list()))


@dataclass(frozen=True, slots=True)
class Identities:
    """All that was counted of one kind: a run is sorted by key, and a key may be in several runs, and several times."""

    kind: str
    runs: tuple[Batch, ...]

    def find(self, world: World, keys: pl.Series, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
        """Return what was counted of these keys, every time it was, in no order; the columns are those of `schema`."""
        wanted = keys.unique().sort().to_numpy()
        runs = self.runs if len(wanted) else ()
        found = [_read(_matching(world.archive.map_run(run.path), wanted), schema) for run in runs]
        return pl.concat([pl.DataFrame(schema=schema), *found])

    def extended(
        self, world: World, model: str, rows: pl.DataFrame, window: Window, now: Instant, name: str
    ) -> tuple[list[str], list[Batch]]:
        """Write what a round has counted, together with the newest runs that are no larger.

        Args:
            world: where it is written.
            model: whose identities they are.
            rows: the key and whatever was counted; the same columns every time.
            window: what the rows' event times span.
            now: when it is written.
            name: what no other round is called.

        Returns:
            the ids of the runs that are in it, and its manifest row: to be put in their place with the round.
        """
        if rows.is_empty():
            return [], []
        merged: list[Batch] = []
        parts, held = [_written(rows)], rows.height
        for run in sorted(self.runs, key=lambda run: run.number, reverse=True):
            if run.rows > held or held + run.rows > _RUN_ROWS_MAX:
                break
            merged.append(run)
            parts.append(world.archive.map_run(run.path))
            held += run.rows
        run_id = derive_id("run", model, self.kind, name)
        together = np.concatenate(parts, axis=1)
        path = world.archive.write_run(model, self.kind, run_id, together[:, np.argsort(together[0], kind="stable")])
        span = Window(
            min([window.start, *(run.window.start for run in merged)]),
            max([window.end, *(run.window.end for run in merged)]),
        )
        return [run.batch_id for run in merged], [Batch(run_id, model, self.kind, path, held, span, now, pending=False)]


def _matching(run: Numbers, wanted: Keys) -> Numbers:
    """The columns of a run where it has one of the keys: both are sorted."""
    keys = run[0]
    if len(wanted) > len(keys):
        places = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
        return run[:, wanted[places] == keys]
    places = np.searchsorted(keys, wanted)
    places = places[keys[np.minimum(places, len(keys) - 1)] == wanted]
    found = [places]
    # A key stands as often as versions have scored along: seldom twice.
    while len(places):
        places = places[places + 1 < len(keys)]
        places = places[keys[places + 1] == keys[places]] + 1
        found.append(places)
    return run[:, np.concatenate(found)]


def _written(rows: pl.DataFrame) -> Numbers:
    """Return columns as they are kept: eight bytes a number, whatever it means."""
    return np.stack([_wide(column).view(np.uint64) for column in rows])


def _wide(column: pl.Series) -> NDArray[Any]:
    if column.dtype.is_float():
        return column.fill_null(np.nan).to_numpy().astype(np.float64)
    return column.to_numpy().astype(np.uint64 if column.dtype.is_unsigned_integer() else np.int64)


def _read(numbers: Numbers, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Return columns under their names, each of its type."""
    columns = []
    for held, (name, dtype) in zip(numbers, schema.items(), strict=True):
        kind = np.float64 if dtype.is_float() else np.uint64 if dtype.is_unsigned_integer() else np.int64
        columns.append(pl.Series(name, held.view(kind)).cast(dtype))
    return pl.DataFrame(columns)
