"""Adopt a model: learn its scale from what it sends, where nobody has named a reference.

The first thousand predictions become the reference. Whoever has a spec and a training table should name them: what is
adopted was never shown to be healthy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from killick.checks.reference import pack_reference
from killick.clock import HOUR
from killick.engine.measure import learn_scale, profile_table
from killick.engine.open import apply_spec, stored_reference
from killick.engine.profiling import predictions_of
from killick.engine.receive import PREDICTIONS
from killick.engine.record import Book
from killick.engine.turns import Watched
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
    import polars as pl

    from killick.clock import Instant
    from killick.engine.world import World
    from killick.ports.control import Batch

# Twenty bins of fifty rows each: their shares are then known to a seventh of themselves.
ROWS_WANTED = 1_000
# A model that is seldom asked is watched too: after an hour with what a bin of five rows can say.
ROWS_MIN, PATIENCE = 100, HOUR


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
    # Without windows: the first thousand rows are no history of healthy ones.
    reference = profile_table(learn_scale(rows, found), rows, found)
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
