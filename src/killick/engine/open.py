"""Open a model: learn its reference, register its versions, apply the first plan. Opening again changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import polars as pl

from killick.checks.reference import Reference, pack_reference, unpack_reference
from killick.clock import Window, format_instant
from killick.engine.measure import learn_reference
from killick.engine.record import Book
from killick.engine.serve import RECORDED, score
from killick.engine.steer import restore, steer
from killick.errors import CallError, Mistake
from killick.identity import fingerprint
from killick.registry.versions import Version
from killick.telemetry.columns import EVENT_TIME, LABEL, SCORE
from killick.telemetry.door import arrange

if TYPE_CHECKING:
    from collections.abc import Iterator

    from killick.clock import Instant
    from killick.engine.world import World
    from killick.spec.document import Spec


# Who has read a file's name in the manifest reads the file within the hour; a backup is made within one, too.
_READ_FOR_SECONDS = 3600.0
# No commit takes so long, waiting for its turn included: a file that is older and in no manifest will never be.
_ON_ITS_WAY_SECONDS = 600.0
# The removal of a file is fsynced: some milliseconds each.
_REMOVED_AT_ONCE = 50


def open_model(world: World, spec: Spec, now: Instant) -> Reference:
    """Return the model's reference, and see to it that versions, aliases and traffic are as the spec says at first.

    Raises:
        CallError: the store holds this model as another reference, schema or segmentation measured it.
    """
    apply_spec(world, spec, now)
    reference = stored_reference(world, spec)
    if reference is None:
        table = arranged_reference(world, spec)
        register_versions(world, spec, now, _newest(table))
        reference = learn_reference(_scored(world, spec, table, now), spec)
        reference = _first_to_learn(world, spec, reference, now)
    else:
        register_versions(world, spec, now, reference.span.end if reference.span else None)
    _first_plan(world, spec, now)
    return reference


class Applied(msgspec.Struct, frozen=True):
    """Which spec a store was last opened with, and by which part of it everything in the store is measured."""

    spec: str
    measures: str


def apply_spec(world: World, spec: Spec, now: Instant) -> None:
    """Take note of the spec. Policies may change from one opening to the next; what measures may not.

    Raises:
        CallError: reference, schema, features, segments or windows are others than those the store was made with.
    """
    parts = (spec.reference, spec.schema, spec.features, spec.segments, spec.evaluate_every, spec.keep.columns)
    applied = Applied(spec.fingerprint, fingerprint(msgspec.to_builtins(parts)))
    with world.control.transaction() as t:
        book = Book(t, spec.model, now)
        document = t.get("spec", spec.model, "applied")
        before = msgspec.json.decode(document.body, type=Applied) if document else None
        # A start that failed before anything was learned binds nobody.
        is_measured = t.get("reference", spec.model, "training") is not None
        if before and is_measured and before.measures != applied.measures:
            problem = "names another reference, schema, features, segments or windows than the store was made with"
            hint = "put them back, or name another store (--store); a replay may begin anew (--fresh)"
            raise CallError(Mistake(spec.model, problem, value=applied.spec[:12], hint=hint))
        if before != applied:
            t.put(
                "spec",
                spec.model,
                "applied",
                msgspec.json.encode(applied),
                revision=document.revision if document else 0,
            )
            book.note("apply spec", spec.model, "changed" if before else "first seen", fingerprint=spec.fingerprint)


def sweep(world: World, *, at_once: bool = False) -> list[str]:
    """Remove files that left the manifest an hour ago, and those that never came into it and are too old for it.

    Args:
        world: where they are.
        at_once: remove it however lately it left the manifest, whoever may be reading it, and spare what may still
            come into it for ten minutes only.

    Returns:
        the paths of what was removed.
    """
    return sorted(path for some in sweeping(world, at_once=at_once) for path in some)


def sweeping(world: World, *, at_once: bool = False) -> Iterator[list[str]]:
    """Sweep by pieces, so that nobody has to wait for all of it; yield the paths of what each has removed."""
    with world.control.transaction() as t:
        known, left = t.paths(), set(t.removed())
        due = left if at_once else set(t.removed(_READ_FOR_SECONDS))
    noted = sorted(due)
    for first in range(0, len(noted), _REMOVED_AT_ONCE):
        some = noted[first : first + _REMOVED_AT_ONCE]
        gone = [path for path in some if path not in known]
        for path in gone:
            world.archive.remove(path)
        with world.control.transaction() as t:
            t.forget_removed(some)
        yield gone
    yield world.archive.sweep(known | left, spared_seconds=_ON_ITS_WAY_SECONDS if at_once else None)


def stored_reference(world: World, spec: Spec) -> Reference | None:
    """Return the reference that was learned before."""
    with world.control.transaction() as t:
        document = t.get("reference", spec.model, "training")
    return unpack_reference(document.body) if document else None


def arranged_reference(world: World, spec: Spec) -> pl.DataFrame:
    """Read and arrange the reference that the spec names."""
    if spec.reference is None:
        raise CallError(
            Mistake("reference.data", "is not in the spec, and is needed here", hint="name the training rows")
        )
    return arrange(world.tables.read(spec.reference), spec, name=spec.reference)


def reference_rows(world: World, spec: Spec, window: Window, before: Instant) -> pl.DataFrame:
    """Return the labelled reference rows of a window that are older than what telemetry has."""
    table = arranged_reference(world, spec)
    if EVENT_TIME not in table.columns or LABEL not in table.columns:
        return table.clear()
    inside = (pl.col(EVENT_TIME) >= window.start) & (pl.col(EVENT_TIME) < min(window.end, before))
    return table.filter(inside & pl.col(LABEL).is_not_null())


def _first_to_learn(world: World, spec: Spec, learned: Reference, now: Instant) -> Reference:
    """Store a reference that was learned; return the one that stands, where another process was faster."""
    with world.control.transaction() as t:
        document = t.get("reference", spec.model, "training")
        if document:
            return unpack_reference(document.body)
        t.put("reference", spec.model, "training", pack_reference(learned), revision=0)
        span = learned.span
        said = f"learned from {spec.reference}" + (f", {format_instant(span.start)} on" if span else "")
        Book(t, spec.model, now).note("learn reference", "training", said, scale=learned.scale.fingerprint)
    return learned


def register_versions(world: World, spec: Spec, now: Instant, trained_until: Instant | None) -> None:
    """Register the spec's versions, and point `live` and `fallback` where nothing points yet."""
    with world.control.transaction() as t:
        book = Book(t, spec.model, now)
        sources = spec.versions
        for source in sources:
            version = Version(
                model=spec.model,
                name=source.name,
                loader=source.loader,
                artifact=source.artifact,
                registered_at=now,
                trained_until=trained_until,
            )
            book.register(version, "named by the spec")
        live = next(
            (source.name for source in sources if source.role == "live"), sources[0].name if sources else RECORDED
        )
        fallback = next((source.name for source in sources if source.role == "fallback"), None)
        if book.alias("live").version is None:
            book.point("live", live, "named by the spec")
        if fallback and book.alias("fallback").version is None:
            book.point("fallback", fallback, "named by the spec")


def _scored(world: World, spec: Spec, table: pl.DataFrame, now: Instant) -> pl.DataFrame:
    """Give the reference rows the live version's scores, where the table has none and the version can be loaded."""
    if SCORE in table.columns or not spec.versions:
        return table
    with world.control.transaction() as t:
        book = Book(t, spec.model, now)
        live = book.version(book.alias("live").version or "")
    return table.with_columns(pl.Series(SCORE, score(world, live, table, spec.features))) if live else table


def _newest(table: pl.DataFrame) -> Instant | None:
    """The instant after the newest row, where rows have times."""
    return int(table[EVENT_TIME].max()) + 1 if EVENT_TIME in table.columns and table.height else None  # type: ignore[arg-type]


def _first_plan(world: World, spec: Spec, now: Instant) -> None:
    with world.control.transaction() as t:
        planned = t.get("plan", spec.model, "plan") is not None
    if planned:
        restore(world, spec, now)
    elif spec.versions:
        steer(world, spec, "first plan", now)
