"""Recall: predictions as they were received, with what became known of them, read back from the archive."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from killick.clock import Window
from killick.engine.identities import PREDICTION_IDS, Identities, keys_of
from killick.engine.joining import RECEIVED_AT, prediction_schema
from killick.engine.receive import OUTCOMES, PREDICTIONS, SHADOWS
from killick.telemetry.columns import EVENT_TIME, KNOWN_AT, LABEL, PREDICTION_ID, ROLE, SCORE, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from killick.clock import Instant
    from killick.engine.world import World
    from killick.ports.control import Batch
    from killick.spec.document import Spec

_NOTHING = pl.DataFrame(
    schema={
        PREDICTION_ID: pl.String,
        EVENT_TIME: pl.Int64,
        SCORE: pl.Float64,
        VERSION: pl.String,
        ROLE: pl.String,
        LABEL: pl.Int64,
    }
)


def labelled_between(world: World, model: str, window: Window, known_by: Instant) -> pl.DataFrame:
    """Return the answered predictions of a window whose labels were known by then, each with its label.

    A label is taken from the outcomes that had come in by `known_by`, so asking later gives no other answer.
    """
    with world.control.transaction() as t:
        batches = sorted(t.batches(model, PREDICTIONS, window), key=lambda batch: batch.number)
        outcomes = [
            batch
            for batch in t.batches(model, OUTCOMES)
            if batch.window.start < known_by and batch.window.end > window.start
        ]
    if not batches or not outcomes:
        return _NOTHING
    rows = pl.concat([world.archive.read(batch.path) for batch in batches], how="diagonal_relaxed")
    rows = rows.filter(pl.col(EVENT_TIME).is_between(window.start, window.end, closed="left"))
    known = _known(world, outcomes).filter(pl.col(KNOWN_AT) < known_by)
    return rows.unique(PREDICTION_ID, keep="first", maintain_order=True).join(
        _latest(known).select(PREDICTION_ID, LABEL), on=PREDICTION_ID, maintain_order="left"
    )


def known_in(world: World, spec: Spec, window: Window) -> pl.DataFrame:
    """Return the predictions, shadows' too, whose labels became known in a window."""
    with world.control.transaction() as t:
        outcomes = t.batches(spec.model, OUTCOMES, window)
        identities = Identities(PREDICTION_IDS, tuple(t.batches(spec.model, PREDICTION_IDS)))
        if not outcomes:
            return _NOTHING
        newest = _latest(
            _known(world, outcomes).filter(pl.col(KNOWN_AT).is_between(window.start, window.end, closed="left"))
        )
        counted = identities.find(world, keys_of(newest[PREDICTION_ID]), prediction_schema(spec))
        if counted.is_empty():
            return _NOTHING
        times = counted[EVENT_TIME].unique().sort()
        span = Window(int(times[0]), int(times[-1]) + 1)
        held = [batch for kind in (PREDICTIONS, SHADOWS) for batch in t.batches(spec.model, kind, span)]
        batches = sorted(held, key=lambda batch: batch.number)
    frames = [_NOTHING]
    for batch in batches:
        first, end = times.search_sorted(pl.Series([batch.window.start, batch.window.end]), side="left").to_list()
        if first < end:
            frames.append(world.archive.find(batch.path, newest[PREDICTION_ID]))
    rows = pl.concat(frames, how="diagonal_relaxed").drop(LABEL)
    once = rows.unique([PREDICTION_ID, VERSION, ROLE], keep="first", maintain_order=True)
    return once.join(newest.select(PREDICTION_ID, LABEL), on=PREDICTION_ID, maintain_order="left")


def _known(world: World, batches: Iterable[Batch]) -> pl.DataFrame:
    """Return the labels of files of outcomes. Files of the first stores do not say when one was received."""
    schema = {PREDICTION_ID: pl.String, LABEL: pl.Null, KNOWN_AT: pl.Int64, RECEIVED_AT: pl.Int64}
    tables = [world.archive.read(batch.path) for batch in batches]
    known = pl.concat([pl.DataFrame(schema=schema), *tables], how="diagonal_relaxed")
    return known.select(*schema).drop_nulls(LABEL)


def _latest(known: pl.DataFrame) -> pl.DataFrame:
    """Return the latest label of each prediction, by the order in which they are counted (`engine/joining.py`)."""
    ordered = known.sort(KNOWN_AT, RECEIVED_AT, LABEL, maintain_order=True)
    return ordered.unique(PREDICTION_ID, keep="last", maintain_order=True)
