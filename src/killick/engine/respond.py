"""Respond: verdicts become incidents, incidents are diagnosed, playbooks are run.

This file is the whole answer to "what may this system do by itself?". It decides nothing: what a verdict is worth
stands in `alerting`, why it happened in `diagnosis`, what may be done in `recovery`, and each move in a state table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from killick.alerting.alerts import Feed, are_missing, data_faults
from killick.alerting.incidents import Incident
from killick.alerting.objectives import FAMILY, kept_again
from killick.clock import Window
from killick.engine.compare import columns_used, compare_versions
from killick.engine.diagnose import diagnose
from killick.engine.recall import labelled_between
from killick.engine.record import Book, Machine
from killick.engine.retrain import request_retraining
from killick.identity import derive_id
from killick.recovery.plan import CLEAN_WINDOWS, Step, clean, decide, verify
from killick.recovery.states import RECOVERY, Recovery
from killick.rollout.plan import can_be_routed
from killick.telemetry.segments import describe, where

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any

    from killick.checks.verdict import Verdict
    from killick.clock import Instant
    from killick.engine.compare import Gain
    from killick.engine.evaluate import Calibration
    from killick.engine.world import World
    from killick.ports.control import Transaction
    from killick.spec.document import Objective, Playbook, Spec

# What a playbook asks of people. Until notifiers come, the ledger and the report are where they read it.
PEOPLE_DO = ("page", "review", "hold")


def respond(world: World, spec: Spec, calibration: Calibration, window: Window, now: Instant) -> None:
    """Do about a window's verdicts what the spec allows. Asked again about the same window, it decides nothing anew."""
    with world.control.transaction() as t:
        recent = [_verdicts(t, spec, window.shifted(-k * window.width)) for k in range(CLEAN_WINDOWS)]
        promises = [
            verdict
            for objective in spec.objectives
            for verdict in t.verdicts(spec.model, Window.trailing(now, objective.window), f"{FAMILY}{objective.name}")
            if verdict.window == Window.trailing(now, objective.window)
        ]
    with world.control.transaction() as t:
        book = Book(t, spec.model, now)
        if book.once("respond"):
            open_data_faults(book, spec, calibration, recent)
            open_missed_objectives(book, spec, promises)
            clear_data_faults(book, feed_of(spec, calibration), recent)
            run_playbooks(book, spec)
    advance_recoveries(world, spec, now)


def feed_of(spec: Spec, calibration: Calibration) -> Feed:
    """Return which verdicts are about the data that comes in."""
    score = calibration.reference.scale.score
    declared = frozenset(name for name, known in spec.features.override.items() if known.range)
    return Feed(score.column if score else None, declared)


def open_data_faults(book: Book, spec: Spec, calibration: Calibration, recent: Sequence[Sequence[Verdict]]) -> None:
    """Open an incident for each segment whose data is faulty, diagnosed; one that is open already is seen again."""
    running = {m.body.segment: m for m in book.machines("incident", running=True) if m.body.kind == "data_fault"}
    feed = feed_of(spec, calibration)
    yesterday = feed.testified(recent[1])
    for segment, columns in data_faults(recent[0], recent[1], feed).items():
        known = running.get(segment)
        if known and known.state in ("open", "acknowledged", "mitigating"):
            if known.body.last_seen < book.now:
                book.update(known, msgspec.structs.replace(known.body, last_seen=book.now))
            continue
        onset, causes = diagnose(book.transaction, spec, calibration, recent[0], segment, columns, book.now)
        named = ", ".join(columns)
        said = f"no longer {'look' if len(columns) > 1 else 'looks'} like the feed"
        if are_missing(columns, segment, recent[0]):
            said = f"{'are' if len(columns) > 1 else 'is'} missing too often"
        title = f"{describe(segment)}: {named} {said}"
        windows = 2 if yesterday.get(segment, set()).intersection(columns) else 1
        incident = Incident(
            kind="data_fault",
            title=title,
            severity="ticket",
            opened_at=book.now,
            segment=segment,
            columns=columns,
            onset=onset,
            began=onset.start if onset else book.now - windows * spec.evaluate_every,
            last_seen=book.now,
            causes=causes,
        )
        key = derive_id("incident", spec.model, "data_fault", segment, book.now)
        book.begin("incident", key, incident, title, causes=[cause["what"] for cause in causes], onset=onset)


def open_missed_objectives(book: Book, spec: Spec, promises: Sequence[Verdict]) -> None:
    """Open an incident for each objective that is missed, and clear it when it is kept again."""
    running = {m.body.subject: m for m in book.machines("incident", running=True) if m.body.kind == "objective_missed"}
    objectives: dict[str, Objective] = {objective.name: objective for objective in spec.objectives}
    for verdict in promises:
        objective = objectives[verdict.check.removeprefix(FAMILY)]
        known = running.get(objective.name)
        alive = known is not None and known.allows("clear")
        if verdict.status == "fail" and not alive:
            title = f"objective {objective.name} is missed: {verdict.reason}"
            incident = Incident(
                kind="objective_missed",
                title=title,
                severity=objective.severity,
                opened_at=book.now,
                began=book.now - spec.evaluate_every,
                subject=objective.name,
                last_seen=book.now,
                evidence={"value": verdict.value, "threshold": verdict.threshold, "labels": verdict.n_current},
            )
            key = derive_id("incident", spec.model, "objective_missed", objective.name, book.now)
            book.begin("incident", key, incident, title)
        elif alive and known and kept_again(verdict, objective):
            clear_incident(book, known, book.now, verdict.reason)


def clear_data_faults(book: Book, feed: Feed, recent: Sequence[Sequence[Verdict]]) -> None:
    """Clear the data faults whose columns were healthy in every recent window, and take their recoveries back."""
    for incident in book.machines("incident", running=True):
        body = incident.body
        if body.kind != "data_fault" or not incident.allows("clear") or body.opened_at >= book.now:
            continue
        if all(clean(verdicts, body.columns, body.segment, feed) for verdicts in recent):
            like = "like the neighbours" if body.segment else "as usual"
            said = f"{', '.join(body.columns)} were {like} again in {CLEAN_WINDOWS} windows running"
            clear_incident(book, incident, _first_start(recent), said)


def clear_incident(book: Book, incident: Machine[Incident], ended: Instant, reason: str) -> Machine[Incident]:
    """Clear an incident, and end what was begun because of it."""
    body = msgspec.structs.replace(incident.body, resolved_at=ended)
    cleared = book.move(incident, "clear", body, reason=reason)
    # What is in force may be why an objective is kept again, and stays; what was only planned has lost its reason.
    states: Collection[str] = RECOVERY.states if body.kind == "data_fault" else ("planned", "recommended")
    for recovery in book.machines("recovery", running=True):
        if recovery.body.incident == incident.id and recovery.state in states and recovery.allows("mended"):
            move_recovery(book, recovery, "mended", recovery.body, reason=reason)
    return cleared


def move_recovery(
    book: Book,
    recovery: Machine[Recovery],
    event: str,
    body: Recovery,
    *,
    reason: str,
    **evidence: Any,  # noqa: ANN401 - any JSON values
) -> Machine[Recovery]:
    """Move a recovery, by evidence or by a person; its incident follows."""
    incident = book.machine("incident", body.incident)
    to = RECOVERY.move(recovery.state, event).to
    if to == "acting":
        body = msgspec.structs.replace(body, acted_at=book.now)
        if incident and incident.allows("mitigate"):
            book.move(incident, "mitigate", reason=f"{body.action} to {body.version} for {describe(body.segment)}")
    elif event == "ineffective" and incident and incident.allows("relapse"):
        book.move(incident, "relapse", reason=reason)
    if (to == "undoing" or to in RECOVERY.final) and body.ended_at is None:
        body = msgspec.structs.replace(body, ended_at=book.now)
    return book.move(recovery, event, body, reason=reason, **evidence)


def run_playbooks(book: Book, spec: Spec) -> None:
    """Begin, for each open incident, what its playbook wants done. What has begun is not begun again."""
    for incident in book.machines("incident", running=True):
        playbook = spec.playbook(incident.body.kind)
        if playbook is None or not incident.allows("clear"):
            continue
        _tell_people(book, spec, incident, playbook)
        for action in playbook.do:
            if action in ("fallback", "rollback") and incident.body.kind != "canary_harm":
                _plan_recovery(book, incident, action, playbook.mode)
            elif action == "retrain":
                request_retraining(book, spec, incident.body.title, mode=playbook.mode, incident=incident.id)


def advance_recoveries(world: World, spec: Spec, now: Instant) -> None:
    """Look again at every recovery that waits for evidence: before it acts, and while it is verified."""
    with world.control.transaction() as t:
        waiting = [m for m in Book(t, spec.model, now).machines("recovery", running=True) if m.body.judged_until < now]
    for recovery in waiting:
        if recovery.state in ("planned", "verifying"):
            _look(world, spec, recovery, now)


def _look(world: World, spec: Spec, recovery: Machine[Recovery], now: Instant) -> None:
    body, planned = recovery.body, recovery.state == "planned"
    with world.control.transaction() as t:
        book = Book(t, spec.model, now)
        incident, live = book.machine("incident", body.incident), book.alias("live").version or ""
    began = recovery.since if incident is None or not planned else incident.body.spoiled.start
    rows = where(labelled_between(world, spec.model, Window(began, now), now), body.segment, spec.segments)
    gain = compare_versions(world, spec, rows, better=body.version, than=live, now=now)
    if gain.problem:
        # A version that cannot answer is no remedy, and no reason to stop watching.
        step = Step(None, gain.words)
    elif planned:
        faulty = incident.body.columns if incident else ()
        looks_at = columns_used(world, spec, body.version, rows, faulty, now)
        step = decide(body.mode, gain, routable=can_be_routed(body.segment), looks_at=looks_at)
    else:
        step = verify(gain)
    with world.control.transaction() as t:
        book = Book(t, spec.model, now)
        fresh = book.machine("recovery", recovery.id)
        if fresh is None or fresh.revision != recovery.revision:
            return
        _take(book, fresh, step.event, step.reason, gain)


def _tell_people(book: Book, spec: Spec, incident: Machine[Incident], playbook: Playbook) -> None:
    """Record once, for each action that is a person's, who is asked to do what."""
    told = incident.body.evidence.get("told", [])
    new = [action for action in playbook.do if action in PEOPLE_DO and action not in told]
    for action in new:
        book.note(
            action, incident.id, f"{spec.false_alarms.rota}: {incident.body.title}", severity=incident.body.severity
        )
    if new:
        evidence = incident.body.evidence | {"told": [*told, *new]}
        book.update(incident, msgspec.structs.replace(incident.body, evidence=evidence))


def _take(book: Book, recovery: Machine[Recovery], event: str | None, reason: str, gain: Gain) -> None:
    """Store what a look found; act on it where it says so."""
    seen = {"words": reason, **gain.as_evidence()}
    body = msgspec.structs.replace(
        recovery.body, judged_until=book.now, evidence=recovery.body.evidence | {recovery.state: seen}
    )
    if event is None:
        book.update(recovery, body)
        return
    move_recovery(book, recovery, event, body, reason=reason, **seen)


def _plan_recovery(book: Book, incident: Machine[Incident], action: str, mode: str) -> None:
    alias = book.alias("fallback").version if action == "fallback" else book.alias("live").previous
    if alias is None:
        return
    key = derive_id("recovery", incident.id, action)
    body = Recovery(
        incident=incident.id,
        action=action,
        version=alias,
        mode=mode,
        planned_at=book.now,
        segment=incident.body.segment,
    )
    book.begin("recovery", key, body, f"{action} to {alias} is wanted for {describe(body.segment)}", mode=mode)


def _verdicts(t: Transaction, spec: Spec, window: Window) -> list[Verdict]:
    return [verdict for verdict in t.verdicts(spec.model, window) if verdict.window == window]


def _first_start(recent: Sequence[Sequence[Verdict]]) -> Instant:
    """The start of the oldest of the recent windows."""
    return min(verdict.window.start for verdicts in recent for verdict in verdicts if verdict.window)
