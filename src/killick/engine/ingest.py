"""Ingest: what comes in is written, counted once, and profiled, whatever crashes meanwhile.

A batch exists if and only if its manifest row is committed (DESIGN D3): the Parquet file is written first; then one
transaction adds the row under its unique (producer, sequence), claims the predictions' identities and merges their
profiles. A second copy of a batch changes nothing; a second copy of a prediction is counted as a duplicate and not
profiled. An outcome's join, subtraction of a label it corrects, and addition are one transaction too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from killick.clock import DAY, Window, align
from killick.engine.measure import profile_batch, profile_labels
from killick.identity import derive_id
from killick.ports.control import Batch, ProfileKey
from killick.profiles.codec import pack_profile, unpack_profile
from killick.profiles.profile import Profile
from killick.telemetry.columns import EVENT_TIME, KNOWN_AT, LABEL, PREDICTION_ID, ROLE, SCORE, VERSION

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from killick.checks.reference import SegmentKey
    from killick.clock import Duration, Instant
    from killick.engine.world import World
    from killick.ports.control import Transaction
    from killick.profiles.scale import Scale
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
PREDICTIONS, SHADOWS, OUTCOMES = KINDS = ("predictions", "shadows", "outcomes")
# Windows finer than a day are for finding the hour in which something began: two days at most before it is noticed, and
# six more to know how healthy hours behave. Then they merge into days.
FINE_FOR: Duration = 8 * DAY


def ingest_predictions(  # noqa: PLR0913 - a delivery has a kind, a producer and a sequence
    world: World,
    spec: Spec,
    scale: Scale,
    predictions: pl.DataFrame,
    *,
    kind: str,
    producer: str,
    sequence: int,
    now: Instant,
    segments: Collection[SegmentKey] | None = None,
) -> int:
    """Write and profile a batch of predictions that have score, version and role.

    Shadows' predictions are another kind: they have the identities of those that were answered. `segments` are those
    that the reference knows; a row of no other is in the rest, in this batch as in every other.

    Returns:
        how many rows were duplicates; the same batch again is none, for it is not looked at.
    """
    if predictions.is_empty() or is_ingested(world, spec.model, kind, producer, sequence):
        return 0
    batch_id = derive_id("batch", spec.model, kind, producer, sequence)
    path = world.archive.write(spec.model, kind, batch_id, predictions)
    times = predictions[EVENT_TIME]
    window = Window(int(times.min()), int(times.max()) + 1)  # type: ignore[arg-type]
    batch = Batch(batch_id, spec.model, kind, producer, sequence, path, predictions.height, window, now)
    with world.control.transaction() as t:
        if not t.add_batch(batch):
            return 0
        fresh = predictions
        if kind == PREDICTIONS:
            fresh = predictions.filter(pl.Series(t.claim(spec.model, predictions[PREDICTION_ID].to_list(), batch_id)))
        add_profiles(t, spec, scale, profile_batch(scale, fresh, spec, width_of(spec), segments), now)
    return predictions.height - fresh.height


def ingest_outcomes(  # noqa: PLR0913 - as a batch of predictions
    world: World,
    spec: Spec,
    scale: Scale,
    outcomes: pl.DataFrame,
    *,
    producer: str,
    sequence: int,
    now: Instant,
    segments: Collection[SegmentKey] | None = None,
) -> int:
    """Write outcomes, join them to their predictions and those of shadows, and profile them by the same `segments`.

    Returns:
        how many outcomes met no prediction.
    """
    if outcomes.is_empty() or is_ingested(world, spec.model, OUTCOMES, producer, sequence):
        return 0
    batch_id = derive_id("batch", spec.model, OUTCOMES, producer, sequence)
    path = world.archive.write(
        spec.model, OUTCOMES, batch_id, outcomes.with_columns(pl.col(KNOWN_AT).alias(EVENT_TIME))
    )
    times = outcomes[KNOWN_AT]
    window = Window(int(times.min()), int(times.max()) + 1)  # type: ignore[arg-type]
    batch = Batch(batch_id, spec.model, OUTCOMES, producer, sequence, path, outcomes.height, window, now)
    newest = outcomes.unique(PREDICTION_ID, keep="last", maintain_order=True)
    with world.control.transaction() as t:
        if not t.add_batch(batch):
            return 0
        known = t.identities(spec.model, newest[PREDICTION_ID].to_list())
        before = [(key, identity.label) for key, identity in known.items() if identity.label is not None]
        counted = pl.DataFrame(before, schema={PREDICTION_ID: pl.String, "counted": pl.Int64}, orient="row")
        found = join(world, t, spec.model, newest).join(counted, on=PREDICTION_ID, how="left", maintain_order="left")
        changed = found.filter(pl.col(LABEL).ne_missing(pl.col("counted")))
        corrected = changed.drop_nulls("counted").with_columns(pl.col("counted").alias(LABEL))
        width = width_of(spec)
        profiles = profile_labels(scale, changed, spec, width, segments)
        for key, wrong in profile_labels(scale, corrected, spec, width, segments).items():
            profiles[key] = profiles.get(key, Profile.empty(scale)) - wrong
        add_profiles(t, spec, scale, profiles, now)
        t.set_labels(spec.model, dict(changed.select(PREDICTION_ID, LABEL).iter_rows()))
    return newest.height - len(known)


def join(world: World, t: Transaction, model: str, outcomes: pl.DataFrame) -> pl.DataFrame:
    """Return the predictions, answered and shadowed, of outcomes: each row with its label.

    A prediction's row is the one that was counted: the first of its identity, in the batch that claimed it.
    """
    known = t.identities(model, outcomes[PREDICTION_ID].to_list())
    claimed: dict[str, list[str]] = {}
    for prediction_id, identity in known.items():
        claimed.setdefault(identity.batch_id, []).append(prediction_id)
    labels = outcomes.select(PREDICTION_ID, LABEL)
    frames = [_NOTHING]
    for batch_id in sorted(claimed):
        batch = t.batch(batch_id)
        if batch:
            mine = labels.filter(pl.col(PREDICTION_ID).is_in(claimed[batch_id]))
            along = t.batch(derive_id("batch", model, SHADOWS, batch.producer, batch.sequence))
            for one in (batch, along):
                if one:
                    rows = world.archive.read(one.path).join(mine, on=PREDICTION_ID)
                    frames.append(rows.unique([PREDICTION_ID, VERSION], keep="first", maintain_order=True))
    return pl.concat(frames, how="diagonal")


def labelled_between(world: World, model: str, window: Window, known_by: Instant) -> pl.DataFrame:
    """Return the answered predictions of a window whose labels were known by then, each with its label.

    A label is taken from the outcomes that had come in by `known_by`, so asking later gives no other answer.
    """
    with world.control.transaction() as t:
        batches = t.batches(model, PREDICTIONS, window)
        outcomes = [
            batch
            for batch in t.batches(model, OUTCOMES)
            if batch.window.start < known_by and batch.window.end > window.start
        ]
    if not batches or not outcomes:
        return _NOTHING
    rows = pl.concat([world.archive.read(batch.path) for batch in batches], how="diagonal")
    rows = rows.filter(pl.col(EVENT_TIME).is_between(window.start, window.end, closed="left"))
    known = pl.concat([world.archive.read(batch.path, [PREDICTION_ID, LABEL, KNOWN_AT]) for batch in outcomes])
    known = known.filter(pl.col(KNOWN_AT) < known_by).sort(KNOWN_AT, maintain_order=True)
    labels = known.unique(PREDICTION_ID, keep="last", maintain_order=True).select(PREDICTION_ID, LABEL)
    return rows.unique(PREDICTION_ID, keep="first", maintain_order=True).join(
        labels, on=PREDICTION_ID, maintain_order="left"
    )


def known_in(world: World, model: str, window: Window) -> pl.DataFrame:
    """Return the predictions, shadows' too, whose labels became known in a window."""
    with world.control.transaction() as t:
        batches = t.batches(model, OUTCOMES, window)
        frames = [world.archive.read(batch.path, [PREDICTION_ID, LABEL, KNOWN_AT]) for batch in batches]
        if not frames:
            return _NOTHING
        known = pl.concat(frames).filter(pl.col(KNOWN_AT).is_between(window.start, window.end, closed="left"))
        newest = known.sort(KNOWN_AT, maintain_order=True).unique(PREDICTION_ID, keep="last", maintain_order=True)
        return join(world, t, model, newest)


def add_profiles(
    t: Transaction, spec: Spec, scale: Scale, profiles: Mapping[ProfileKey, Profile], now: Instant
) -> None:
    """Merge profiles into what is stored. Windows older than `FINE_FOR` are whole days, finer ones are not any more."""
    if not profiles:
        return
    coarse: dict[ProfileKey, Profile] = {}
    for key, profile in profiles.items():
        placed = key._replace(window=stored_window(key.window, now))
        coarse[placed] = coarse[placed] + profile if placed in coarse else profile
    span = Window(min(key.window.start for key in coarse), max(key.window.end for key in coarse))
    held = t.profiles(spec.model, scale.fingerprint, span)
    merged = {
        key: pack_profile(unpack_profile(held[key], scale) + profile if key in held else profile)
        for key, profile in coarse.items()
    }
    t.add_profiles(spec.model, scale.fingerprint, merged)


def merge_old_windows(world: World, spec: Spec, scale: Scale, now: Instant) -> None:
    """Merge the fine windows of the days that have become old since the last evaluation."""
    for day in Window(old_before(now - spec.evaluate_every), old_before(now)).tumbling(DAY):
        with world.control.transaction() as t:
            _merge_day(t, spec.model, scale, day)


def _merge_day(t: Transaction, model: str, scale: Scale, day: Window) -> None:
    held = t.profiles(model, scale.fingerprint, day)
    fine = [key for key in held if key.window != day]
    if not fine:
        return
    merged: dict[ProfileKey, Profile] = {}
    for key, packed in sorted(held.items()):
        whole, profile = key._replace(window=day), unpack_profile(packed, scale)
        merged[whole] = merged[whole] + profile if whole in merged else profile
    t.drop_profiles(model, scale.fingerprint, fine)
    t.add_profiles(model, scale.fingerprint, {key: pack_profile(profile) for key, profile in merged.items()})


def width_of(spec: Spec) -> Duration:
    """How wide the stored windows are: as the spec keeps columns, and never wider than it evaluates."""
    return min(spec.keep.columns, spec.evaluate_every, DAY)


def old_before(now: Instant) -> Instant:
    """Return the instant before which windows are whole days by now."""
    return align(now - FINE_FOR, DAY)


def stored_window(window: Window, now: Instant) -> Window:
    """Return the window in which something of this window is stored by now."""
    return Window.around(window.start, DAY) if window.start < old_before(now) else window


def is_ingested(world: World, model: str, kind: str, producer: str, sequence: int) -> bool:
    """Whether a batch is in."""
    batch_id = derive_id("batch", model, kind, producer, sequence)
    with world.control.transaction() as t:
        return t.batch(batch_id) is not None
