"""Gather the chronicle of a model from the control store: what a page, or a person who asks later, is told.

Reads only, in short transactions, so that a running engine waits for none of them longer than a few tenths of a second.
Measured on 275 days of flights (70,000 verdicts, 83 ledger entries): 1.0 s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from killick.alerting.objectives import FAMILY
from killick.checks import drift, performance
from killick.clock import Window
from killick.engine.receive import OUTCOMES, PREDICTIONS
from killick.engine.record import AUTOMATA, Book
from killick.reports.chronicle import Budget, Chronicle, DriftRow, Moved, Point, Promise, Series, Told
from killick_client.events import Change

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.checks.verdict import Status, Verdict
    from killick.clock import Instant
    from killick.engine.world import World
    from killick.ports.control import Transaction
    from killick.reports.words import Segment
    from killick.spec.document import Objective, Spec

PERFORMANCE = ("log_loss", "error_rate")
# Two years of days; older windows are left out, and counted.
WINDOWS_MAX = 800
# A page of more is not read: the newest are told, the others counted.
MACHINES_MAX = 200
ENTRIES_MAX = 5_000
# A value against a limit of nothing is infinitely far beyond it; no picture needs more than this.
STRENGTH_MAX = 100.0
LOUD_FIRST: tuple[Status, ...] = ("error", "fail", "warn", "ok")
_ALIASES = ("live", "fallback")


def chronicle(world: World, spec: Spec, now: Instant) -> Chronicle:
    """Return what a model lived through until now."""
    control, model = world.control, spec.model
    with control.transaction() as t:
        story = _story(Book(t, model, now), now)
        batches = [
            [batch for batch in t.batches(model, kind) if batch.window.start < now] for kind in (PREDICTIONS, OUTCOMES)
        ]
        said = {o.name: t.verdicts(model, check=f"{FAMILY}{o.name}") for o in spec.objectives}
    with control.transaction() as t:
        answered = _known(t, model, performance.CHECK, now)
    with control.transaction() as t:
        moved = _known(t, model, drift.CHECK, now)
    seen = sorted({verdict.window for verdict in (*answered, *moved) if verdict.window})
    kept = seen[-WINDOWS_MAX:]
    first = min((window.start for window in kept), default=now)
    story["omitted"] |= {"windows": len(seen) - len(kept)} if len(seen) > len(kept) else {}
    return Chronicle(
        model=model,
        spec_hash=spec.fingerprint,
        span=Window(first, max(now, first)),
        budget=Budget(spec.false_alarms.rota, spec.false_alarms.budget, spec.false_alarms.per),
        predictions=sum(batch.rows for batch in batches[0]),
        outcomes=sum(batch.rows for batch in batches[1]),
        promises=tuple(_promise(objective, said[objective.name], first, now) for objective in spec.objectives),
        performance=_performance([v for v in answered if v.window in set(kept)]),
        drift=_drift([v for v in moved if v.window in set(kept)]),
        **story,
    )


def _story(book: Book, now: Instant) -> dict[str, Any]:
    """Return the state tables, the registry, the changes and the ledger."""
    t, omitted = book.transaction, {}
    told = {}
    for kind, name in (
        ("incident", "incidents"),
        ("recovery", "recoveries"),
        ("rollout", "rollouts"),
        ("retraining", "retrainings"),
    ):
        meaning = AUTOMATA[kind][0].meaning
        machines = book.machines(kind)
        if len(machines) > MACHINES_MAX:
            omitted[name] = len(machines) - MACHINES_MAX
        told[name] = tuple(
            Told(m.id, m.state, meaning.get(m.state, ""), m.since, m.body) for m in machines[-MACHINES_MAX:]
        )
    changes = [
        msgspec.json.decode(document.body, type=Change)
        for document in (*t.documents("change", book.model), *t.documents("change", ""))
    ]
    ledger = t.ledger()
    entries = [entry for entry in ledger if entry.fact.model == book.model and entry.fact.at <= now]
    if len(entries) > ENTRIES_MAX:
        omitted["ledger entries"] = len(entries) - ENTRIES_MAX
    return told | {
        "aliases": tuple(alias for name in _ALIASES if (alias := book.alias(name)).holdings),
        "versions": tuple(book.versions()),
        "changes": tuple(sorted(changes, key=lambda change: change.at))[-MACHINES_MAX:],
        "entries": tuple(entries[-ENTRIES_MAX:]),
        "ledger_length": len(ledger),
        "ledger_head": ledger[-1].hash if ledger else "",
        "omitted": omitted,
    }


def _known(t: Transaction, model: str, check: str, now: Instant) -> list[Verdict]:
    return [verdict for verdict in t.verdicts(model, check=check) if verdict.window and verdict.window.end <= now]


def _promise(objective: Objective, verdicts: Sequence[Verdict], first: Instant, now: Instant) -> Promise:
    at_most = objective.at_most is not None
    points = tuple(
        _point(verdict, verdict.window) for verdict in verdicts if verdict.window and first < verdict.window.end <= now
    )
    bound = objective.at_most if at_most else objective.at_least
    return Promise(objective.name, objective.sli, bound, at_most, points)


def _performance(verdicts: Sequence[Verdict]) -> tuple[Series, ...]:
    """Return the series of what was answered by all versions together, overall first."""
    found: dict[tuple[str, Segment], list[Point]] = {}
    for verdict in verdicts:
        if verdict.metric in PERFORMANCE and verdict.version is None and verdict.window:
            found.setdefault((verdict.metric, verdict.segment), []).append(_point(verdict, verdict.window))
    order = sorted(found, key=lambda key: (PERFORMANCE.index(key[0]), key[1]))
    return tuple(Series(metric, segment, tuple(found[metric, segment])) for metric, segment in order)


def _drift(verdicts: Sequence[Verdict]) -> tuple[DriftRow, ...]:
    """Put the witnesses of each column, segment and window together."""
    found: dict[tuple[Segment, str], dict[Window, list[Verdict]]] = {}
    for verdict in verdicts:
        if verdict.column and verdict.window:
            found.setdefault((verdict.segment, verdict.column), {}).setdefault(verdict.window, []).append(verdict)
    return tuple(
        DriftRow(column, segment, tuple(_moved(window, heard) for window, heard in sorted(windows.items())))
        for (segment, column), windows in sorted(found.items())
    )


def _moved(window: Window, heard: Sequence[Verdict]) -> Moved:
    ratios = [ratio for verdict in heard if (ratio := strength(verdict)) is not None]
    silent = len(ratios) < len(heard)
    return Moved(
        window=window,
        strength=max(ratios, default=None),
        agreed=None if silent or not ratios else min(ratios),
        status=_loudest([verdict.status for verdict in heard]),
    )


def strength(verdict: Verdict) -> float | None:
    """Return how far beyond its limit a verdict's value is: 1 is the limit; None, it could not be judged."""
    if verdict.value is None or verdict.threshold is None or verdict.status in ("inconclusive", "error"):
        return None
    if verdict.threshold <= 0.0:
        return STRENGTH_MAX if verdict.value > verdict.threshold else 0.0
    return min(verdict.value / verdict.threshold, STRENGTH_MAX)


def _loudest(statuses: Sequence[Status]) -> Status:
    return next((s for s in LOUD_FIRST if s in statuses), "inconclusive")


def _point(verdict: Verdict, window: Window) -> Point:
    return Point(window, verdict.value, verdict.interval, verdict.n_current, verdict.status)
