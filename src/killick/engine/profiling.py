"""Profiling: every batch goes into the profiles once, whoever crashes, and whoever else profiles at the same time.

A round takes what is pending of a model, finds the predictions that were not counted before, joins outcomes to
predictions in whatever order the two came (`engine/joining.py`), and computes what the profiles grow by; then one
transaction adds that, marks the batches, and remembers the identities. So a sum of profiles is a sum over predictions,
each once, and over the latest label of each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

import polars as pl

from killick.clock import Window
from killick.engine.forgotten import drop_late
from killick.engine.growth import growth_of
from killick.engine.identities import KEY, RUNS, Identities, keys_of
from killick.engine.joining import (
    AT,
    FIRST_KNOWN,
    IS_SHADOW,
    LABEL_SCHEMA,
    OWNER,
    RECEIVED_AT,
    SEGMENT,
    join,
    prediction_schema,
)
from killick.engine.receive import OUTCOMES, PREDICTIONS, PROFILED, SHADOWS
from killick.engine.record import Book
from killick.engine.serve import RECORDED
from killick.engine.turns import OWNERS_MAX, grown_profiles, read_turn, write_turn
from killick.errors import OutsideError, StaleWrite
from killick.profiles.categorical import CategoricalScale, as_text
from killick.telemetry.columns import (
    EVENT_TIME,
    KNOWN_AT,
    LABEL,
    LATENCY,
    PREDICTION_ID,
    ROLE,
    SCORE,
    STATUS,
    VERSION,
    WEIGHT,
)
from killick.telemetry.labels import label_numbers
from killick.telemetry.segments import REST, code_segments

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from killick.clock import Instant
    from killick.engine.growth import Growth
    from killick.engine.joining import Joined
    from killick.engine.turns import Turn, Watched
    from killick.engine.world import World
    from killick.ports.control import Batch, Transaction
    from killick.profiles.scale import Scale
    from killick.spec.document import Spec

# A round holds its rows in memory: half a million of forty columns are some 200 MB. A batch costs beside
# its rows what its file does to be read: some kilobytes.
ROWS_MAX, BATCHES_MAX = 500_000, 1_000
# What could not be profiled lies apart: nobody takes it for what was counted, and nobody merges it with that.
ASIDE = {kind: f"{kind}-aside" for kind in PROFILED}
# What is measured of a prediction beside its features.
_PARTS = (PREDICTION_ID, EVENT_TIME, SCORE, VERSION, ROLE, LATENCY, STATUS, WEIGHT)


@dataclass(frozen=True, slots=True)
class Round:
    """What a round did: batches and rows taken, duplicate predictions, labels whose prediction is missing."""

    batches: int = 0
    rows: int = 0
    duplicates: int = 0
    unmatched: int = 0

    def __add__(self, other: Round) -> Round:
        return Round(
            self.batches + other.batches,
            self.rows + other.rows,
            self.duplicates + other.duplicates,
            self.unmatched + other.unmatched,
        )


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a round begins with: the batches, and all that was counted before."""

    batches: list[Batch]
    turn: Turn
    revision: int
    known: Identities
    latest: Identities
    forgotten: Identities
    live: str


@dataclass(frozen=True, slots=True)
class _Done:
    """What a round has found out, and is to be committed."""

    turn: Turn
    joined: Joined
    growth: Sequence[tuple[Scale, Growth]]
    unusable: int


def profile_pending(world: World, watched: Watched, now: Instant, most: int = ROWS_MAX) -> Round:
    """Profile what is pending of a model, in the order of commit: of a prediction the first copy counts.

    A round takes whole batches until it holds `most` rows, and a thousand at most.

    Raises:
        StaleWrite: another round of this model was faster; nothing was changed.
        OutsideError: archive or store failed; nothing was changed.
    """
    taken = _take(world, watched.spec, now, most)
    while drop_late(world, taken.batches, taken.forgotten):
        taken = _take(world, watched.spec, now, most)
    if not taken.batches:
        return Round()
    rows = predictions_of(world, taken.batches, watched)
    predictions = rows.with_columns(pl.col(VERSION).fill_null(taken.live), pl.col(ROLE).fill_null("live"))
    labels, unusable = _labels(world, taken.batches, watched.spec)
    turn = _next(taken.turn, predictions, now)
    predictions = _owned(predictions, turn)
    coded = _coded(predictions, turn, watched)
    counted = taken.known.find(world, pl.concat([coded[KEY], labels[KEY]]), prediction_schema(watched.spec))
    shadows = [number for number, (_, role) in enumerate(turn.owners) if role == "shadow"]
    counted = counted.with_columns(pl.col(OWNER).is_in(shadows).alias(IS_SHADOW))
    known = taken.latest.find(world, pl.concat([coded[KEY], labels[KEY]]), LABEL_SCHEMA)
    joined = join(coded, labels, counted, known)
    done = _Done(turn, joined, growth_of(watched, turn, predictions, joined), unusable)
    _commit(world, watched, taken, done, now)
    return Round(len(taken.batches), rows.height + labels.height, coded.height - joined.fresh.height, joined.unmatched)


def profile_first(world: World, watched: Watched, now: Instant) -> Round:
    """Profile the first pending batch alone, after a round has failed: it is set aside when it is the one that fails.

    Then it is counted, the ledger tells why, and its file stays; no other batch waits for it.
    """
    with world.control.transaction() as t:
        first = t.pending(watched.spec.model, rows=1)
    if not first:
        return Round()
    try:
        return profile_pending(world, watched, now, most=1)
    except (OutsideError, StaleWrite, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this batch's alone
        with world.control.transaction() as t:
            set_aside(t, first[0], f"cannot be profiled: {type(error).__name__}", now)
        return Round(1)


def set_aside(t: Transaction, batch: Batch, why: str, now: Instant) -> None:
    """Take a batch out of what is pending without counting it; its file stays where it is, under a kind of its own.

    Raises:
        StaleWrite: another worker has settled it meanwhile.
    """
    t.settle([batch.batch_id])
    t.replace_batches([batch.batch_id], [replace(batch, kind=ASIDE[batch.kind], pending=False)])
    t.tally(batch.model, {"batches.set_aside": 1})
    Book(t, batch.model, now).note("set aside", batch.path, why)


def _take(world: World, spec: Spec, now: Instant, most: int) -> _Taken:
    with world.control.transaction() as t:
        turn, revision = read_turn(t, spec.model)
        known, latest, forgotten = (Identities(kind, tuple(t.batches(spec.model, kind))) for kind in RUNS)
        live = Book(t, spec.model, now).alias("live").version or RECORDED
        batches = t.pending(spec.model, rows=most, limit=BATCHES_MAX)
        return _Taken(batches, turn, revision, known, latest, forgotten, live)


def predictions_of(world: World, batches: Iterable[Batch], watched: Watched | None = None) -> pl.DataFrame:
    """Return the predictions of batches, in their order, with the parts that every one has.

    Of a model that is watched they hold what is measured, each batch's in the form in which it is: what a value counts
    as must not depend on what came in the same round, and what nobody measures may be of any type.
    """
    read = (world.archive.read(batch.path) for batch in batches if batch.kind in (PREDICTIONS, SHADOWS))
    tables = [_measured(table, watched) for table in read] if watched else _alike(list(read))
    texts = dict.fromkeys((PREDICTION_ID, VERSION, ROLE), pl.String)
    empty = pl.DataFrame(schema=texts | {EVENT_TIME: pl.Int64, SCORE: pl.Float64})
    return pl.concat([empty, *tables], how="diagonal_relaxed")


def _alike(tables: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
    """Return tables in which what is of several types is text, as categories are measured; a list has none."""
    types: dict[str, set[pl.DataType]] = {}
    for table in tables:
        for name, dtype in table.schema.items():
            if dtype != pl.Null:
                types.setdefault(name, set()).add(pl.Float64() if dtype.is_numeric() else dtype)
    mixed = [name for name, held in types.items() if len(held) > 1]
    return [table.with_columns(as_text(table[name]) for name in mixed if name in table.columns) for table in tables]


def _measured(table: pl.DataFrame, watched: Watched) -> pl.DataFrame:
    """Return the columns that are measured or grouped by: categories as text, the others as numbers."""
    is_text = {part.column: isinstance(part, CategoricalScale) for part in watched.scale.features}
    for band in chain.from_iterable(watched.spec.segments):
        is_text.setdefault(band.column, not band.bins)
    columns = {name: table[name] for name in (*_PARTS, *is_text) if name in table.columns}
    for name in columns.keys() & is_text.keys() - set(_PARTS):
        columns[name] = _text(columns[name]) if is_text[name] else _number(columns[name])
    return table.select(columns.values())


def _text(series: pl.Series) -> pl.Series:
    # A list is no category and no segment that anybody knows, and no text has a NUL.
    return _instead(series, "\0") if series.dtype.is_nested() else as_text(series)


def _number(series: pl.Series) -> pl.Series:
    return _instead(series, math.nan) if series.dtype.is_nested() else series.cast(pl.Float64, strict=False)


def _instead(series: pl.Series, value: str | float) -> pl.Series:
    """Return a value wherever a column has one."""
    return pl.select(pl.when(series.is_not_null()).then(pl.lit(value)).alias(series.name)).to_series()


def _labels(world: World, batches: Iterable[Batch], spec: Spec) -> tuple[pl.DataFrame, int]:
    """Return the labels that came, as numbers, and how many were none of the model's task.

    Outcomes without a label say nothing of it.
    """
    came, unusable = [pl.DataFrame(schema=LABEL_SCHEMA)], 0
    for batch in batches:
        if batch.kind == OUTCOMES:
            table = world.archive.read(batch.path)
            # Files of the first stores do not say when an outcome was received.
            table = table if RECEIVED_AT in table.columns else table.with_columns(pl.lit(0).alias(RECEIVED_AT))
            if LABEL in table.columns:
                numbers = label_numbers(table[LABEL], spec)
                unusable += numbers.null_count() - table[LABEL].null_count()
                first, label = pl.col(KNOWN_AT).alias(FIRST_KNOWN), numbers.alias(LABEL)
                told = table.select(keys_of(table[PREDICTION_ID]), KNOWN_AT, RECEIVED_AT, first, label)
                came.append(told.drop_nulls(LABEL).cast(LABEL_SCHEMA))  # type: ignore[arg-type]
    return pl.concat(came), unusable


def _next(turn: Turn, predictions: pl.DataFrame, now: Instant) -> Turn:
    owners = predictions.select(VERSION, ROLE).unique(maintain_order=True).rows()
    newest = predictions[EVENT_TIME].max()
    return turn.grown(owners, min(int(newest), now) if isinstance(newest, int) else None)


def _owned(predictions: pl.DataFrame, turn: Turn) -> pl.DataFrame:
    """Return predictions under the versions by which they are counted."""
    if len(turn.owners) <= OWNERS_MAX:
        return predictions
    known = pl.DataFrame(turn.owners, schema={VERSION: pl.String, ROLE: pl.String}, orient="row")
    told = predictions.select(VERSION, ROLE, pl.int_range(pl.len()).alias(AT))
    apart = told.join(known, on=[VERSION, ROLE], how="semi")[AT]
    version = pl.when(pl.int_range(pl.len()).is_in(apart.implode())).then(pl.col(VERSION)).otherwise(pl.lit(REST))
    return predictions.with_columns(version.alias(VERSION))


def _coded(predictions: pl.DataFrame, turn: Turn, watched: Watched) -> pl.DataFrame:
    """Return predictions as they are remembered: numbers only, with their place in the round."""
    numbers = {owner: number for number, owner in enumerate(turn.owners)}
    owners = [numbers[owner] for owner in predictions.select(VERSION, ROLE).iter_rows()]
    segments = [
        code_segments(predictions, by, watched.segments).alias(f"{SEGMENT}{at}")
        for at, by in enumerate(watched.spec.segments)
    ]
    return predictions.select(
        keys_of(predictions[PREDICTION_ID]),
        EVENT_TIME,
        pl.Series(OWNER, owners, dtype=pl.UInt16),
        SCORE,
        *segments,
        (pl.col(ROLE) == "shadow").alias(IS_SHADOW),
        pl.int_range(pl.len(), dtype=pl.UInt32).alias(AT),
    )


def _commit(world: World, watched: Watched, taken: _Taken, done: _Done, now: Instant) -> None:
    turn, joined = done.turn, done.joined
    model, name = watched.spec.model, f"{world.host}-{turn.number}"
    fresh = joined.fresh.drop(AT)
    runs = taken.known.extended(world, model, fresh, _span(fresh[EVENT_TIME]), now, name)
    # Labels are remembered as long as the newest predictions are, however old they say that they are.
    known = _span(pl.concat([joined.latest[KNOWN_AT], pl.Series([turn.newest])]))
    latest = taken.latest.extended(world, model, joined.latest, known, now, name)
    growth = [(scale, grown_profiles(world, model, scale, grown, turn.aged)) for scale, grown in done.growth]
    with world.control.transaction() as t:
        # First of all: who is too late must not change what another has just written.
        write_turn(t, model, turn, taken.revision)
        t.settle([batch.batch_id for batch in taken.batches])
        t.replace_batches(*runs)
        t.replace_batches(*latest)
        for scale, profiles in growth:
            t.add_profiles(model, scale.fingerprint, profiles)
        rows = sum(batch.rows for batch in taken.batches if batch.kind != OUTCOMES)
        t.tally(model, {"predictions.duplicates": rows - fresh.height, "predictions.counted": fresh.height})
        t.tally(model, {"labels.gained": joined.gained.height, "labels.lost": joined.lost.height})
        t.tally(model, {"labels.unusable": done.unusable})


def _span(times: pl.Series) -> Window:
    return Window(int(times.min()), int(times.max()) + 1) if len(times) else Window(0, 0)  # type: ignore[arg-type]
