"""A million outcomes that are joined to fifty million predictions (DESIGN 6): how long, and how much memory.

The predictions are remembered as rounds of profiling leave them, in runs of two million identities; a join does not
look at their rows, so none are written. The outcomes are of predictions all over them, in no order.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from benchmarks.contest import peak_megabytes, run_ours
from benchmarks.table import Row
from killick.clock import DAY, HOUR, Window
from killick.engine.identities import PREDICTION_IDS
from killick.engine.measure import learn_reference
from killick.engine.profiling import profile_pending
from killick.engine.receive import OUTCOMES, Delivery, commit
from killick.engine.turns import Turn, Watched, write_turn
from killick.identity import derive_id
from killick.ports.control import Batch
from killick.spec.document import Band, Label, Schema, Spec
from killick.telemetry.columns import EVENT_TIME, KNOWN_AT, LABEL, PREDICTION_ID, SCORE
from killick.telemetry.keys import text_keys
from killick.wiring import open_world

if TYPE_CHECKING:
    from killick.engine.world import World

MODEL, NOW = "loans", 1_763_000_400_000_000
PREDICTIONS, RUN, LABELS, BATCH = 50_000_000, 2_000_000, 1_000_000, 20_000
SECONDS, MEGABYTES = 20.0, 2_048.0
SEGMENTS = 20
SCHEMA = Schema(prediction_id=PREDICTION_ID, event_time=EVENT_TIME, score=SCORE, label=Label(LABEL, known_at=KNOWN_AT))
SPEC = Spec(model=MODEL, task="binary", schema=SCHEMA, segments=((Band("city", "city"),),))


def main() -> list[Row]:
    """Join in a process of its own, to a memory that another one has made."""
    folder = tempfile.mkdtemp(prefix="killick-joining-")
    try:
        run_ours("benchmarks.joining", "remember", folder)
        found = run_ours("benchmarks.joining", "join", folder)
    finally:
        shutil.rmtree(folder)
    what = "1M outcomes joined to 50M predictions"
    return [
        Row(what, found["wall"], budget=SECONDS),
        Row(f"{what}: peak memory", found["megabytes"], unit="MB", budget=MEGABYTES),
    ]


def watched() -> Watched:
    """Return a model of one feature, a score and twenty segments."""
    rng = np.random.default_rng(1)
    rows = pl.DataFrame(
        {
            EVENT_TIME: NOW - rng.integers(0, DAY, 5_000),
            SCORE: rng.random(5_000),
            "income": rng.normal(size=5_000),
            "city": [f"city-{number:02}" for number in rng.integers(0, SEGMENTS, 5_000)],
        }
    )
    reference = learn_reference(
        rows.with_columns((pl.col(SCORE) > rng.random(5_000)).cast(pl.Int64).alias(LABEL)), SPEC
    )
    return Watched(SPEC, reference.scale, reference.segments)


def remember(folder: Path) -> None:
    """Write the runs of fifty million predictions of one day, and the outcomes of a million of them."""
    world, rng = open_world(folder, folder / "store"), np.random.default_rng(2)
    ids = [f"{number:032x}" for number in rng.integers(0, 2**62, LABELS)]
    labelled = text_keys(ids)
    share = LABELS * RUN // PREDICTIONS
    for number in range(PREDICTIONS // RUN):
        keys = rng.integers(0, 2**64, RUN, dtype=np.uint64)
        keys[:share] = labelled[number * share : (number + 1) * share]
        order = np.argsort(keys)
        columns = [
            keys,
            NOW - rng.integers(0, DAY, RUN),
            np.zeros(RUN, np.int64),
            rng.random(RUN),
            rng.integers(0, SEGMENTS, RUN),
        ]
        numbers = np.stack([column[order].view(np.uint64) for column in columns])
        _add_run(world, number, numbers)
    with world.control.transaction() as t:
        write_turn(t, MODEL, Turn(owners=(("v1", "live"),), newest=NOW, aged=NOW - 8 * DAY, number=1), 0)
    order = rng.permutation(LABELS)
    outcomes = pl.DataFrame({PREDICTION_ID: ids, LABEL: rng.integers(0, 2, LABELS), KNOWN_AT: NOW + HOUR})[order]
    for number in range(LABELS // BATCH):
        rows = outcomes.slice(number * BATCH, BATCH)
        commit(world, [Delivery(MODEL, OUTCOMES, "labels", number, rows)], NOW)


def _add_run(world: World, number: int, numbers: np.ndarray[tuple[int, ...], np.dtype[np.uint64]]) -> None:
    run_id = derive_id("run", number)
    path = world.archive.write_run(MODEL, PREDICTION_IDS, run_id, numbers)
    with world.control.transaction() as t:
        t.add_batch(Batch(run_id, MODEL, PREDICTION_IDS, path, RUN, Window(NOW - DAY, NOW), NOW, pending=False))


def join(folder: Path) -> dict[str, float]:
    """Profile what is pending: the outcomes."""
    world, model = open_world(folder, folder / "store"), watched()
    began = time.perf_counter()
    while profile_pending(world, model, NOW + HOUR).batches:
        pass
    wall = time.perf_counter() - began
    with world.control.transaction() as t:
        gained = t.tallies(MODEL)["labels.gained"]
    assert gained == LABELS, f"{gained} of {LABELS} outcomes were joined"
    return {"wall": wall, "megabytes": peak_megabytes()}


if __name__ == "__main__":
    if sys.argv[1] == "remember":
        remember(Path(sys.argv[2]))
        print("{}")
    else:
        print(json.dumps(join(Path(sys.argv[2]))))
