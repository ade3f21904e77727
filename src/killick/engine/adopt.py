"""Adopt a model: learn its scale from what it sends, where nobody has named a reference.

The first thousand predictions become the reference. Whoever has a spec and a training table should name them: what is
adopted was never shown to be healthy.

These rows are people who were just asked about, and a reference is kept and shown to whoever may read. So a category or
a segment that fewer than five rows share is not told from others, and of each number the four lowest and the four
highest values are rounded outward: the range still holds them, and nobody's own value is its end.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import polars as pl

from killick.checks.reference import Reference, pack_reference
from killick.clock import HOUR
from killick.engine.measure import group_rows, learn_scale, profile_table
from killick.engine.open import apply_spec, stored_reference
from killick.engine.profiling import predictions_of
from killick.engine.receive import PREDICTIONS
from killick.engine.record import Book
from killick.engine.turns import Watched
from killick.profiles.categorical import CategoricalScale, category_counts
from killick.profiles.numeric import LARGEST, NumericScale
from killick.spec.document import Label, Schema, Spec
from killick.spec.load import parse_spec, sealed
from killick.spec.write import write_spec
from killick.telemetry.columns import (
    CLASS_SCORE,
    ENTITY_ID,
    EVENT_TIME,
    KNOWN_AT,
    LABEL,
    PREDICTION_ID,
    SCORE,
    TOLD,
    VERSION,
)

if TYPE_CHECKING:
    from killick.clock import Instant
    from killick.engine.world import World
    from killick.ports.control import Batch
    from killick.profiles.scale import ColumnScale

# Twenty bins of fifty rows each: their shares are then known to a seventh of themselves.
ROWS_WANTED = 1_000
# A model that is seldom asked is watched too: after an hour with what a bin of five rows can say.
ROWS_MIN, PATIENCE = 100, HOUR
# What fewer rows have in common may be one person's; five is where most who publish tables of people begin.
_ROWS_SHARED = 5


def adopt(world: World, model: str, spec: Spec | None, now: Instant) -> Watched | None:
    """Return how a model without a reference is watched: as before, or by what it has sent; None while that is little.

    Args:
        world: where its telemetry is.
        model: its name.
        spec: what the operator says of it, if anything.
        now: the present.

    Raises:
        CallError: the spec measures otherwise than what is stored was measured.
    """
    with world.control.transaction() as t:
        document = t.get("spec", model, "adopted")
    spec = spec or (parse_spec(document.body.decode(), source=f"{model} (adopted)") if document else None)
    reference = stored_reference(world, spec) if spec else None
    if spec and reference:
        apply_spec(world, spec, now)
        return Watched(spec, reference.scale, reference.segments)
    with world.control.transaction() as t:
        # Outcomes wait for their predictions, however many they are: they are not looked at.
        sent = sorted(t.batches(model, PREDICTIONS), key=lambda batch: batch.number)
    batches = [batch for batch in sent if batch.pending]
    if not _enough(batches, now):
        return None
    rows = predictions_of(world, _first(batches))
    rows = rows.drop(*TOLD, *(name for name in rows.columns if name.startswith(CLASS_SCORE)), strict=False)
    found = spec or _spec_of(rows, model)
    reference = _learned(rows, found)
    apply_spec(world, found, now)
    with world.control.transaction() as t:
        t.put("spec", model, "adopted", write_spec(found, {}).encode(), revision=document.revision if document else 0)
        t.put("reference", model, "training", pack_reference(reference), revision=0)
        why = f"learned from the first {rows.height} predictions, for no reference was named"
        Book(t, model, now).note("learn reference", "training", why, scale=reference.scale.fingerprint)
    return Watched(found, reference.scale, reference.segments)


def _enough(batches: list[Batch], now: Instant) -> bool:
    rows = sum(batch.rows for batch in batches)
    waited = now - min((batch.written_at for batch in batches), default=now)
    return rows >= ROWS_WANTED or (rows >= ROWS_MIN and waited >= PATIENCE)


def _first(batches: list[Batch]) -> list[Batch]:
    """The first batches, in the order of commit, until there are rows enough."""
    taken: list[Batch] = []
    for batch in batches:
        taken.append(batch)
        if sum(one.rows for one in taken) >= ROWS_WANTED:
            break
    return taken


def _learned(rows: pl.DataFrame, spec: Spec) -> Reference:
    """Learn a reference in which no single row's value is to be seen.

    Without windows: the first thousand rows are no history of healthy ones.
    """
    numeric = [part.column for part in learn_scale(rows, spec).columns if isinstance(part, NumericScale)]
    rows = rows.with_columns(_rounded(rows[column]) for column in numeric)
    scale = learn_scale(rows, spec)
    scale = replace(scale, columns=tuple(_shared(part, rows) for part in scale.columns))
    segments = [
        segment
        for grouping in group_rows(rows, spec)
        for segment, count in zip(grouping.segments, np.bincount(grouping.codes), strict=True)
        if count >= _ROWS_SHARED
    ]
    return profile_table(scale, rows, spec, segments=segments)


def _shared(part: ColumnScale, rows: pl.DataFrame) -> ColumnScale:
    """Leave of a column's categories those that rows share; the others count together."""
    if not isinstance(part, CategoricalScale):
        return part
    counts = dict(category_counts(rows[part.column]).iter_rows())
    return msgspec.structs.replace(part, categories=tuple(c for c in part.categories if counts[c] >= _ROWS_SHARED))


def _rounded(values: pl.Series) -> pl.Series:
    """Round the lowest and the highest values outward, to the next power of two away from the middle one.

    >>> _rounded(pl.Series([*range(100), 987654])).sort().tail(6).to_list()
    [95.0, 96.0, 114.0, 114.0, 114.0, 1048626.0]
    """
    numbers = values.cast(pl.Float64, strict=False)
    usable = numbers.abs() <= LARGEST
    known = numbers.filter(usable).sort()
    if len(known) < 2 * _ROWS_SHARED:
        return pl.Series(values.name, [None] * len(values), dtype=pl.Float64)
    middle = known[len(known) // 2]
    is_shared = numbers.is_between(known[_ROWS_SHARED - 1], known[-_ROWS_SHARED])
    single = (usable & ~is_shared).fill_null(value=False).arg_true()
    away = numbers.gather(single).to_numpy() - middle
    far = np.abs(away)
    # A flag stays what it is: by being one away from the others nobody is known.
    return numbers.scatter(single, middle + np.sign(away) * np.where(far == 1, 1, np.exp2(np.floor(np.log2(far)) + 1)))


def _spec_of(rows: pl.DataFrame, model: str) -> Spec:
    """Return what can be said of a model by its predictions alone: a score outside [0, 1] is no probability."""
    scores = rows[SCORE].drop_nulls().drop_nans()
    schema = Schema(
        prediction_id=PREDICTION_ID,
        event_time=EVENT_TIME,
        entity_id=ENTITY_ID if ENTITY_ID in rows.columns and rows[ENTITY_ID].count() else None,
        score=SCORE if len(scores) else None,
        version=VERSION,
        label=Label(LABEL, known_at=KNOWN_AT),
    )
    is_probability = bool(scores.is_between(0, 1).all())
    return sealed(Spec(model=model, task="binary" if is_probability else "regression", schema=schema))
