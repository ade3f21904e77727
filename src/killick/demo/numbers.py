"""The story's numbers, measured after it from what was recorded: nothing here is written down beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from killick.checks.distances import stability
from killick.checks.performance import measure
from killick.clock import WEEK, Window
from killick.engine.measure import profile_labels, profile_table
from killick.engine.open import stored_reference
from killick.engine.recall import labelled_between
from killick.engine.record import Book
from killick.engine.serve import score
from killick.profiles.profile import Profile
from killick.telemetry.columns import ROLE, SCORE, VERSION
from killick.telemetry.segments import where

if TYPE_CHECKING:
    from killick.checks.reference import SegmentKey
    from killick.engine.world import World
    from killick.spec.document import Spec


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a version was on some rows."""

    version: str
    rows: int
    log_loss: float
    roc_auc: float


def quality(world: World, spec: Spec, version: str, window: Window, segment: SegmentKey) -> Quality | None:
    """Return how good a version would have been on the labelled rows of a window and segment."""
    reference = stored_reference(world, spec)
    rows = where(labelled_between(world, spec.model, window, known_by=window.end + WEEK), segment, spec.segments)
    with world.control.transaction() as t:
        known = Book(t, spec.model, 0).version(version)
    if reference is None or known is None or rows.is_empty():
        return None
    scored = rows.with_columns(
        pl.Series(SCORE, score(world, known, rows, spec.features)),
        pl.lit(version).alias(VERSION),
        pl.lit("shadow").alias(ROLE),
    )
    held = profile_labels(reference.scale, scored, spec)
    whole = Profile.merge(reference.scale, (profile for key, profile in held.items() if not key.segment))
    loss, auc = measure(whole, "log_loss").value, measure(whole, "roc_auc").value
    return Quality(version, rows.height, loss, auc) if loss is not None and auc is not None else None


def drift_from_training(world: World, spec: Spec, window: Window, segment: SegmentKey, column: str) -> float | None:
    """Return PSI of a segment's column in a window against training: what a monitor with one fixed reference sees."""
    reference = stored_reference(world, spec)
    with world.control.transaction() as t:
        batches = t.batches(spec.model, "predictions", window)
    if reference is None or not batches:
        return None
    logged = pl.concat([world.archive.read(batch.path) for batch in batches], how="diagonal")
    rows = where(logged, segment, spec.segments)
    current = profile_table(reference.scale, rows, spec).profiles[()]
    return float(stability(column, [reference.profiles[segment]], [current]).excess[0])
