"""Profiling: every batch goes into the profiles once, whoever crashes, and whoever else profiles at the same time.

A round takes what is pending of a model, finds the predictions that were not counted before, joins outcomes to
predictions in whatever order the two came (`engine/joining.py`), and computes what the profiles grow by; then one
transaction adds that, marks the batches, and remembers the identities. So a sum of profiles is a sum over predictions,
each once, and over the latest label of each.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from killick.clock import Window
from killick.engine.identities import KEY, OUTCOME_IDS, PREDICTION_IDS, Identities, keys_of
from killick.engine.joining import AT, IS_SHADOW, LABEL_SCHEMA, OWNER, SEGMENT, SENT, join, prediction_schema
from killick.engine.measure import profile_grouped, profile_known
from killick.engine.receive import OUTCOMES, PREDICTIONS, SHADOWS
from killick.engine.record import Book
from killick.engine.serve import RECORDED
from killick.engine.turns import OWNERS_MAX, grown_profiles, read_turn, width_of, write_turn
from killick.errors import OutsideError, StaleWrite
from killick.telemetry.columns import EVENT_TIME, KNOWN_AT, LABEL, PREDICTION_ID, ROLE, SCORE, VERSION
from killick.telemetry.labels import label_numbers
from killick.telemetry.segments import EVERYTHING, REST, Grouping, code_segments, known_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import TypeAlias

    from killick.checks.reference import SegmentKey
    from killick.clock import Duration, Instant
    from killick.engine.joining import Joined
    from killick.engine.turns import Turn
    from killick.engine.world import World
    from killick.ports.control import Batch, ProfileKey
    from killick.profiles.profile import Profile
    from killick.profiles.scale import Scale
    from killick.spec.document import Spec

    Growth: TypeAlias = dict[ProfileKey, Profile]

# A round holds its rows in memory: half a million of forty columns are some 200 MB.
_ROWS_MAX = 500_000


@dataclass(frozen=True, slots=True)
class Watched:
    """A model that is being watched: its spec, and the scale and the segments of its reference."""

    spec: Spec
    scale: Scale
    segments: Collection[SegmentKey]


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
    live: str


def profile_pending(world: World, watched: Watched, now: Instant, most: int = _ROWS_MAX) -> Round:
    """Profile what is pending of a model: whole batches, `most` rows or one batch.

    Raises:
        StaleWrite: another round of this model was faster; nothing was changed.
        OutsideError: archive or store failed; nothing was changed.
    """
    taken = _take(world, watched.spec, now, most)
    if not taken.batches:
        return Round()
    rows = predictions_of(world, taken.batches)
    predictions = rows.with_columns(pl.col(VERSION).fill_null(taken.live), pl.col(ROLE).fill_null("live"))
    labels = _labels(world, taken.batches, watched.spec)
    turn = _next(taken.turn, predictions, now)
    predictions = _owned(predictions, turn)
    coded = _coded(predictions, turn, watched)
    counted = taken.known.find(world, pl.concat([coded[KEY], labels[KEY]]), prediction_schema(watched.spec))
    shadows = [number for number, (_, role) in enumerate(turn.owners) if role == "shadow"]
    counted = counted.with_columns(pl.col(OWNER).is_in(shadows).alias(IS_SHADOW))
    known = taken.latest.find(world, pl.concat([coded[KEY], labels[KEY]]), LABEL_SCHEMA)
    joined = join(coded, labels, counted, known)
    _commit(world, watched, taken, turn, joined, _growth(watched, turn, predictions, joined), now)
    return Round(len(taken.batches), rows.height + labels.height, coded.height - joined.fresh.height, joined.unmatched)


def profile_first(world: World, watched: Watched, now: Instant) -> Round:
    """Profile the first pending batch alone, after a round has failed: it is set aside when it is the one that fails.

    Then it is counted, the ledger tells why, and its file stays; no other batch waits for it.
    """
    try:
        return profile_pending(world, watched, now, most=1)
    except (OutsideError, StaleWrite):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is this batch's alone
        with world.control.transaction() as t:
            first = t.pending(watched.spec.model)[0]
            t.settle([first.batch_id])
            t.tally(watched.spec.model, {"batches.set_aside": 1})
            Book(t, watched.spec.model, now).note("set aside", first.path, f"cannot be profiled: {error!r}")
        return Round(1)


def _take(world: World, spec: Spec, now: Instant, most: int) -> _Taken:
    with world.control.transaction() as t:
        turn, revision = read_turn(t, spec.model)
        known, latest = (Identities(kind, tuple(t.batches(spec.model, kind))) for kind in (PREDICTION_IDS, OUTCOME_IDS))
        live = Book(t, spec.model, now).alias("live").version or RECORDED
        return _Taken(_some(t.pending(spec.model), most), turn, revision, known, latest, live)


def _some(pending: Iterable[Batch], most: int) -> list[Batch]:
    """Take batches in the order of commit until a round is full: of a prediction the first copy counts."""
    taken: list[Batch] = []
    rows = 0
    for batch in pending:
        if taken and rows + batch.rows > most:
            break
        taken.append(batch)
        rows += batch.rows
    return taken


def predictions_of(world: World, batches: Iterable[Batch]) -> pl.DataFrame:
    """Return the predictions of batches, in their order, with the parts that every one has."""
    tables = [world.archive.read(batch.path) for batch in batches if batch.kind in (PREDICTIONS, SHADOWS)]
    parts = (PREDICTION_ID, VERSION, ROLE), (EVENT_TIME,), (SCORE,)
    schema = {
        name: dtype for names, dtype in zip(parts, (pl.String, pl.Int64, pl.Float64), strict=True) for name in names
    }
    return pl.concat([pl.DataFrame(schema=schema), *tables], how="diagonal_relaxed")


def _labels(world: World, batches: Iterable[Batch], spec: Spec) -> pl.DataFrame:
    """Return the labels that came, as numbers; outcomes without a label say nothing of it."""
    came = [pl.DataFrame(schema=LABEL_SCHEMA)]
    for batch in batches:
        if batch.kind == OUTCOMES:
            table = world.archive.read(batch.path)
            # Files of the first stores do not say under which sequence an outcome was sent.
            table = table if SENT in table.columns else table.with_columns(pl.lit(0).alias(SENT))
            if LABEL in table.columns:
                numbers = label_numbers(table[LABEL], spec)
                told = table.select(keys_of(table[PREDICTION_ID]), KNOWN_AT, SENT, numbers.alias(LABEL))
                came.append(told.drop_nulls(LABEL).cast(LABEL_SCHEMA))  # type: ignore[arg-type]
    return pl.concat(came)


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


def _growth(watched: Watched, turn: Turn, predictions: pl.DataFrame, joined: Joined) -> list[tuple[Scale, Growth]]:
    """Return what the profiles grow by: of columns, and in finer windows of signals where the spec wants them."""
    at = joined.fresh[AT]  # not in their order where shadows came first
    rows = predictions if at.len() == predictions.height and at.is_sorted() else predictions[at]
    grown = [(watched.scale, _grown(watched, watched.scale, width_of(watched.spec), turn, rows, joined))]
    if watched.spec.keep.signals < width_of(watched.spec):
        # By segment they would be many, and what a minute of a segment holds is noise.
        whole = replace(watched, spec=replace(watched.spec, segments=()))
        signals = watched.scale.signals
        fine = _grown(whole, signals, watched.spec.keep.signals, turn, rows, joined)
        # What is older than fine windows are kept is in the columns' days, and nowhere else.
        grown.append((signals, {key: profile for key, profile in fine.items() if key.window.start >= turn.aged}))
    return grown


def _grown(watched: Watched, scale: Scale, width: Duration, turn: Turn, rows: pl.DataFrame, joined: Joined) -> Growth:
    """Return what profiles on a scale grow by; of a label that was corrected, they lose the old one."""
    growth = profile_grouped(scale, rows, _groupings(joined.fresh, watched), width)
    for labelled, sign in ((joined.gained, 1), (joined.lost, -1)):
        owned = pl.DataFrame(turn.owners, schema={VERSION: pl.String, ROLE: pl.String}, orient="row")[labelled[OWNER]]
        named = labelled.with_columns(owned)
        for key, profile in profile_known(scale, named, _groupings(labelled, watched), width).items():
            grown = growth.get(key)
            if grown is None:
                growth[key] = profile if sign > 0 else profile - profile - profile
            else:
                growth[key] = grown + profile if sign > 0 else grown - profile
    return growth


def _groupings(coded: pl.DataFrame, watched: Watched) -> list[Grouping]:
    """Return how rows are grouped, from the numbers of their segments."""
    whole = Grouping(np.zeros(coded.height, np.int64), (EVERYTHING,))
    grouped = [
        Grouping(coded[f"{SEGMENT}{at}"].cast(pl.Int64).to_numpy(), known_of(by, watched.segments))
        for at, by in enumerate(watched.spec.segments)
    ]
    return [whole, *grouped]


def _commit(
    world: World,
    watched: Watched,
    taken: _Taken,
    turn: Turn,
    joined: Joined,
    growth: Sequence[tuple[Scale, Growth]],
    now: Instant,
) -> None:
    model, name = watched.spec.model, f"{world.host}-{turn.number}"
    fresh = joined.fresh.drop(AT)
    runs = taken.known.extended(world, model, fresh, _span(fresh[EVENT_TIME]), now, name)
    latest = taken.latest.extended(world, model, joined.latest, _span(joined.latest[KNOWN_AT]), now, name)
    with world.control.transaction() as t:
        # First of all: who is too late must not read what another has just written.
        write_turn(t, model, turn, taken.revision)
        t.settle([batch.batch_id for batch in taken.batches])
        t.replace_batches(*runs)
        t.replace_batches(*latest)
        for scale, grown in growth:
            t.add_profiles(model, scale.fingerprint, grown_profiles(t, model, scale, grown, turn.aged))
        rows = sum(batch.rows for batch in taken.batches if batch.kind != OUTCOMES)
        t.tally(model, {"predictions.duplicates": rows - fresh.height, "predictions.counted": fresh.height})
        t.tally(model, {"labels.gained": joined.gained.height, "labels.lost": joined.lost.height})


def _span(times: pl.Series) -> Window:
    return Window(int(times.min()), int(times.max()) + 1) if len(times) else Window(0, 0)  # type: ignore[arg-type]
