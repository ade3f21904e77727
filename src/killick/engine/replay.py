"""Replay: a history lived through again by the same engine that runs live.

Time goes by in the spec's windows. In each, predictions come in and are answered as the plan in force says; then what
became known in it (outcomes, changes) comes in; then the window is judged, and answered for. Nothing reads later rows.
What happens at the end of a window is in force from the next one on.

Every step is idempotent and the window is marked when all of them are done, so a replay that was killed anywhere goes
on where it stopped and ends in the same state.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from killick.clock import Window, align, parse_instant
from killick.engine.aging import age_windows
from killick.engine.evaluate import calibrate, evaluate
from killick.engine.open import open_model, sweep
from killick.engine.profiling import Round, profile_pending
from killick.engine.receive import OUTCOMES, PREDICTIONS, Delivery, commit
from killick.engine.record import Book, record_change
from killick.engine.release import base_rate_of, begin_rollout, finish_canary_incidents, watch_rollouts
from killick.engine.respond import respond
from killick.engine.retrain import request_retraining
from killick.engine.run import run_due
from killick.engine.serve import RECORDED, serve
from killick.engine.steer import restore
from killick.engine.turns import Watched
from killick.errors import CallError, DataError, Mistake, did_you_mean
from killick.telemetry.columns import EVENT_TIME, PREDICTION_ID, ROLE, SCORE, VERSION
from killick.telemetry.door import arrange
from killick.telemetry.history import History
from killick_client.events import Change

if TYPE_CHECKING:
    from collections.abc import Iterator

    from killick.clock import Instant
    from killick.engine.evaluate import Calibration
    from killick.engine.world import World
    from killick.spec.document import Spec

PRODUCER = "replay"


@dataclass(frozen=True, slots=True)
class Lived:
    """A window that was lived through: what came in, copies that were not counted, outcomes of no known prediction."""

    window: Window
    predictions: int
    outcomes: int
    duplicates: int = 0
    unmatched: int = 0


def read_history(world: World, spec: Spec, path: str) -> History:
    """Read the rows and the changes that a replay goes through.

    Raises:
        DataError: something that a replay needs is missing.
    """
    table = world.tables.read(path)
    needed = {PREDICTION_ID, EVENT_TIME} | (set() if spec.versions else {SCORE})
    arranged = arrange(table, spec, name=path, needed=frozenset(needed))
    changes = read_changes(world.tables.text(spec.changes), spec.changes) if spec.changes else ()
    return History.of(arranged, changes)


def read_changes(text: str, name: str) -> tuple[Change, ...]:
    """Read recorded changes: one JSON object a line, `at` in ISO 8601 or microseconds.

    Raises:
        DataError: lines that are no changes; all of them are named.
    """
    changes, mistakes = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            raw = msgspec.json.decode(line)
            if isinstance(raw, dict) and isinstance(raw.get("at"), str):
                raw["at"] = parse_instant(raw["at"])
            changes.append(msgspec.convert(raw, Change))
        except (msgspec.MsgspecError, ValueError) as error:
            hint = 'write {"at": "2013-05-10T05:00Z", "kind": "pipeline", "name": "weather-feed", "version": "2.1"}'
            mistakes.append(Mistake(name, f"is no change: {error}", value=line, line=number, hint=hint))
    if mistakes:
        raise DataError(*mistakes)
    return tuple(changes)


def replay(world: World, spec: Spec, history: History) -> Iterator[Lived]:
    """Live through a history, window by window; each is yielded when it is done."""
    start = align(history.window.start, spec.evaluate_every)
    calibration = calibrate(open_model(world, spec, start), spec)
    sweep(world)
    _check_changes(spec, history)
    done = reached(world, spec)
    # What a person asked for since, and what a crash left undone, comes before the next prediction is answered.
    run_due(world, spec, max(done, start))
    for window in Window(start, history.window.end).tumbling(spec.evaluate_every):
        if window.end > done:
            yield live_through(world, spec, calibration, history, window)


def live_through(world: World, spec: Spec, calibration: Calibration, history: History, window: Window) -> Lived:
    """Live through one window."""
    now, reference = window.end, calibration.reference
    watched = Watched(spec, reference.scale, reference.segments)
    sequence = window.start // spec.evaluate_every
    predictions, outcomes = history.predictions_in(window), history.outcomes_in(window)
    # Once they were answered the plan may have moved on: asked again, others would answer and score along.
    if not _is_in(world, spec, sequence):
        # The stored plan is the authority: a person may have aborted something from another process.
        restore(world, spec, now)
        answered = pl.concat(answer(world, spec, predictions), how="diagonal_relaxed")
        commit(world, [Delivery(spec.model, PREDICTIONS, PRODUCER, sequence, answered)], now)
    commit(world, [Delivery(spec.model, OUTCOMES, PRODUCER, sequence, outcomes)], now)
    counted = _profile(world, watched, now)
    for change in history.changes_in(window):
        live_with(world, spec, change, now)
    evaluate(world, spec, calibration, window, now)
    watch_rollouts(world, spec, now)
    respond(world, spec, calibration, window, now)
    run_due(world, spec, now)
    _close(world, spec, now)
    age_windows(world, watched, now)
    with world.control.transaction() as t:
        Book(t, spec.model, now).once(PRODUCER)
    return Lived(window, predictions.height, outcomes.height, counted.duplicates, counted.unmatched)


def _is_in(world: World, spec: Spec, sequence: int) -> bool:
    with world.control.transaction() as t:
        return t.answer(spec.model, PREDICTIONS, PRODUCER, sequence) is not None


def _profile(world: World, watched: Watched, now: Instant) -> Round:
    """Profile all that is pending, and return what came of it."""
    total = Round()
    while (done := profile_pending(world, watched, now)).batches:
        total = total + done
    return total


def answer(world: World, spec: Spec, predictions: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the window's predictions as they were answered, and what shadows said.

    With loadable versions the plan in force decides who answers; a bare history was answered by whoever it says.
    """
    if not spec.versions:
        version = pl.col(VERSION) if VERSION in predictions.columns else pl.lit(RECORDED).alias(VERSION)
        answered = predictions.with_columns(version, pl.lit("live").alias(ROLE))
        return answered, answered.clear()
    plan = world.traffic.in_force(spec.model)
    if plan is None:
        raise CallError(Mistake(spec.model, "has no traffic plan in force", hint="open the model first"))
    with world.control.transaction() as t:
        versions = {version.name: version for version in Book(t, spec.model, 0).versions()}
    return serve(world, plan, versions, predictions, spec.features)


def live_with(world: World, spec: Spec, change: Change, now: Instant) -> None:
    """Record a change once; a release is put on its way, a request to retrain is answered."""
    with world.control.transaction() as t:
        book = Book(t, spec.model, now, actor=change.name if change.kind == "retrain" else "killick")
        if not record_change(book, change):
            return
        if change.kind == "release" and change.version:
            begin_rollout(
                book, spec, change.version, change.note or f"{change.version} was released", base_rate_of(book, spec)
            )
        elif change.kind == "retrain":
            request_retraining(book, spec, change.note or f"{change.name} asked for it", mode="act")


def _close(world: World, spec: Spec, now: Instant) -> None:
    with world.control.transaction() as t:
        finish_canary_incidents(Book(t, spec.model, now))


def _check_changes(spec: Spec, history: History) -> None:
    """A release of a version that nobody knows is a mistake of the history, found before anything is lived through."""
    names = [source.name for source in spec.versions]
    unknown = [c for c in history.changes if c.kind == "release" and c.version not in names]
    if unknown:
        mistakes = [
            Mistake(
                spec.changes or "changes",
                "releases a version that the spec does not name",
                value=c.version,
                hint=did_you_mean(str(c.version), names),
            )
            for c in unknown
        ]
        raise DataError(*mistakes)


def reached(world: World, spec: Spec) -> Instant:
    """Return the instant that a replay has reached: the end of the last window that was wholly done."""
    with world.control.transaction() as t:
        return Book(t, spec.model, 0).progress(PRODUCER)
