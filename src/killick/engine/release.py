"""Release a version: through growing shares, judged on every new label, to live or back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import polars as pl

from killick.alerting.incidents import Incident
from killick.checks.performance import CHECK, LABELS_MIN
from killick.clock import DAY, Window, format_duration
from killick.engine.compare import compare_versions
from killick.engine.ingest import known_in, labelled_between
from killick.engine.record import Book, Machine
from killick.identity import derive_id
from killick.rollout.judge import Evidence, Stratum
from killick.rollout.states import CANARY_STATES, Rollout
from killick.stats.sequential import EProcess, odds_ratio_margin
from killick.telemetry.columns import EVENT_TIME, LABEL, ROLE, SCORE, VERSION
from killick.telemetry.segments import group_by

if TYPE_CHECKING:
    from killick.clock import Instant
    from killick.engine.world import World
    from killick.spec.document import Spec

# How long a promoted version is watched beside the one before it: four weeks, looked at once, when they are over.
VERIFY_FOR = 28 * DAY
ALPHA_VERIFY = 0.05
# What error rate to assume before live has any labels: the margin must be fixed before the comparison begins.
BASE_RATE = 0.25
# How many windows of live's error rate the margin is set against.
RECENT = 28


def begin_rollout(book: Book, spec: Spec, version: str, reason: str, base_rate: float) -> Machine[Rollout] | None:
    """Put a registered version on its way. One that is under way already, or live, is left alone.

    A canary of another version is superseded: two of them could not be told apart by what they do to the same users.
    """
    live = book.alias("live").version or ""
    running = book.machines("rollout", running=True)
    under_way = [machine for machine in running if machine.body.version == version]
    if under_way:
        return under_way[-1]
    if version == live:
        return None
    for machine in running:
        if machine.state in CANARY_STATES:
            body = msgspec.structs.replace(machine.body, ended_at=book.now)
            book.move(machine, "abort", body, reason=f"superseded by {version}")
    key = derive_id("rollout", spec.model, version, book.now)
    guardrail = spec.rollout.guardrails[0]
    margin = odds_ratio_margin(base_rate, guardrail.worse_by) or 1.0 + guardrail.worse_by
    evidence = Evidence.none(margin)
    body = Rollout(
        version=version,
        against=live,
        began_at=book.now,
        step_at=book.now,
        judged_until=book.now,
        salt=version,
        harm=evidence.harm.log_sums,
        safe=evidence.safe.log_sums,
        evidence={"margin": margin, "metric": guardrail.metric, "worse_by": guardrail.worse_by, "base_rate": base_rate},
    )
    machine = book.begin("rollout", key, body, reason, **body.evidence)
    if machine.state != "planned":
        return machine
    share = spec.rollout.steps[0]
    return book.move(machine, "begin", reason=f"{version} begins with {share:.0%} of entities".replace("%", " %"))


def base_rate_of(book: Book, spec: Spec) -> float:
    """Return the error rate that live has had lately: what a canary's margin is set against before it begins."""
    known = [
        v
        for v in book.transaction.verdicts(spec.model, check=CHECK)
        if v.metric == "error_rate" and not v.segment and not v.version
    ]
    rates = [v.value for v in known[-RECENT:] if v.value is not None]
    return sum(rates) / len(rates) if rates else BASE_RATE


def watch_rollouts(world: World, spec: Spec, now: Instant) -> None:
    """Judge every running rollout on the labels that came since it was last judged, and move it."""
    with world.control.transaction() as t:
        running = Book(t, spec.model, now).machines("rollout", running=True)
    for machine in running:
        if machine.state == "watching" and machine.body.judged_until < now:
            _watch_canary(world, spec, machine, now)
        elif machine.state == "verifying" and now >= machine.since + VERIFY_FOR:
            _verify_promotion(world, spec, machine, now)


def evidence_of(rollout: Rollout) -> Evidence:
    """Return what the judge knows of a rollout."""
    margin = rollout.evidence["margin"]
    return Evidence(margin, EProcess(rollout.harm), EProcess(rollout.safe), rollout.canary, rollout.live)


def _watch_canary(world: World, spec: Spec, machine: Machine[Rollout], now: Instant) -> None:
    rollout = machine.body
    new = known_in(world, spec.model, Window(rollout.judged_until, now))
    evidence = evidence_of(rollout).add(strata(new, rollout, spec))
    grown = msgspec.structs.replace(
        rollout,
        harm=evidence.harm.log_sums,
        safe=evidence.safe.log_sums,
        canary=evidence.canary,
        live=evidence.live,
        judged_until=now,
        touched=touched(world, spec, rollout, now),
    )
    with world.control.transaction() as t:
        book = Book(t, spec.model, now)
        fresh = book.machine("rollout", machine.id)
        if fresh is None or fresh.revision != machine.revision:
            return
        _decide(book, spec, fresh, grown, evidence)


def _decide(book: Book, spec: Spec, machine: Machine[Rollout], grown: Rollout, evidence: Evidence) -> None:
    """Harm first; then promotion, which needs safety; then the next step, which needs time and labels."""
    now, answer = book.now, evidence.answer
    last_step = grown.step == len(spec.rollout.steps) - 2
    held = now >= grown.step_at + spec.rollout.hold and evidence.canary[1] >= LABELS_MIN
    if answer == "harm" and _acts_on_harm(spec):
        _stop(book, machine, _harm_incident(book, grown, machine.id, evidence), evidence)
    elif answer == "safe" and last_step and held:
        body = msgspec.structs.replace(grown, step=grown.step + 1, step_at=now)
        book.move(machine, "promote", body, reason=f"safe: {evidence.words}", answer=answer)
    elif now >= grown.began_at + spec.rollout.patience:
        body = msgspec.structs.replace(grown, ended_at=now)
        waited = format_duration(spec.rollout.patience)
        book.move(
            machine,
            "expire",
            body,
            reason=f"neither harm nor safety was shown in {waited}: {evidence.words}",
            answer=answer,
        )
    elif answer == "harm":
        book.update(machine, _harm_incident(book, grown, machine.id, evidence))
    elif held and not last_step:
        body = msgspec.structs.replace(grown, step=grown.step + 1, step_at=now)
        share = spec.rollout.steps[body.step]
        book.move(
            machine, "advance", body, reason=f"on to {share:.0%}: {evidence.words}".replace("%", " %"), answer=answer
        )
    else:
        book.update(machine, grown)


def _acts_on_harm(spec: Spec) -> bool:
    """Whether a harmful canary is stopped without asking: yes, unless a playbook leaves that to a person."""
    playbook = spec.playbook("canary_harm")
    return playbook is None or playbook.mode == "act"


def _harm_incident(book: Book, grown: Rollout, rollout_id: str, evidence: Evidence) -> Rollout:
    """Open a harmful canary's incident, once, and return the rollout that names it."""
    key = derive_id("incident", book.model, "canary_harm", rollout_id)
    title = f"canary {grown.version} does harm; it has answered {grown.touched} predictions"
    incident = Incident(
        kind="canary_harm",
        title=title,
        severity="ticket",
        opened_at=book.now,
        subject=grown.version,
        last_seen=book.now,
        onset=Window(grown.began_at, book.now),
        evidence={"words": evidence.words, "touched": grown.touched, "harm": evidence.harm.evidence},
    )
    book.begin("incident", key, incident, title, words=evidence.words)
    return msgspec.structs.replace(grown, incident=key)


def _stop(book: Book, machine: Machine[Rollout], grown: Rollout, evidence: Evidence) -> None:
    """Take a harmful canary back."""
    opened = book.machine("incident", grown.incident or "")
    if opened and opened.allows("mitigate"):
        book.move(opened, "mitigate", reason=f"{grown.version} is rolled back")
    body = msgspec.structs.replace(grown, ended_at=book.now)
    book.move(machine, "harm", body, reason=evidence.words, answer="harm", touched=grown.touched)


def strata(labelled: pl.DataFrame, rollout: Rollout, spec: Spec) -> list[Stratum]:
    """Return the 2 x 2 tables of newly labelled predictions since the rollout began, by the spec's first grouping."""
    arms = {rollout.version: "canary", rollout.against: "live"}
    rows = labelled.filter(
        (pl.col(EVENT_TIME) >= rollout.began_at)
        & pl.col(ROLE).is_in(["canary", "live"])
        & pl.col(VERSION).is_in(list(arms))
    )
    if rows.is_empty():
        return []
    wrong = (rows[SCORE] > spec.schema.decision_threshold).cast(pl.Int64) != rows[LABEL]
    grouping = group_by(rows, spec.segments[0] if spec.segments else ())
    table = pl.DataFrame(
        {"stratum": grouping.codes, "canary": rows[VERSION] == rollout.version, "wrong": wrong.cast(pl.Int64)}
    )
    counts = table.group_by("stratum").agg(
        canary_wrong=pl.col("wrong").filter(pl.col("canary")).sum(),
        canary=pl.col("canary").sum().cast(pl.Int64),
        live_wrong=pl.col("wrong").filter(~pl.col("canary")).sum(),
        live=(~pl.col("canary")).sum().cast(pl.Int64),
    )
    return [Stratum(**row) for row in counts.sort("stratum").drop("stratum").to_dicts()]


def touched(world: World, spec: Spec, rollout: Rollout, now: Instant) -> int:
    """Return how many predictions the canary has answered."""
    with world.control.transaction() as t:
        batches = t.batches(spec.model, "predictions", Window(rollout.began_at, now))
    frames = [world.archive.read(batch.path, [VERSION, ROLE, EVENT_TIME]) for batch in batches]
    return sum(
        frame.filter(
            (pl.col(VERSION) == rollout.version) & (pl.col(ROLE) == "canary") & (pl.col(EVENT_TIME) >= rollout.began_at)
        ).height
        for frame in frames
    )


def _verify_promotion(world: World, spec: Spec, machine: Machine[Rollout], now: Instant) -> None:
    """Look once, when the watch is over: is the promoted version better than the one before it, on the same rows?"""
    rollout = machine.body
    rows = labelled_between(world, spec.model, Window(machine.since, now), now)
    gain = compare_versions(world, spec, rows, better=rollout.version, than=rollout.against, now=now)
    with world.control.transaction() as t:
        book = Book(t, spec.model, now)
        fresh = book.machine("rollout", machine.id)
        if fresh is None or fresh.state != "verifying":
            return
        body = msgspec.structs.replace(rollout, ended_at=now, evidence=rollout.evidence | {"gain": gain.as_evidence()})
        if gain.surely_worse(ALPHA_VERIFY):
            book.move(fresh, "harm", body, reason=f"worse than {rollout.against} on the same rows: {gain.words}")
        else:
            book.move(fresh, "confirm", body, reason=f"the watch is over: {gain.words}")


def finish_canary_incidents(book: Book) -> None:
    """Clear the incident of a canary that has been taken back."""
    rolled_back = {machine.body.incident for machine in book.machines("rollout") if machine.state == "rolled_back"}
    for incident in book.machines("incident", running=True):
        if incident.id in rolled_back and incident.allows("clear"):
            body = msgspec.structs.replace(incident.body, resolved_at=book.now)
            book.move(incident, "clear", body, reason="the canary serves nobody any more")
