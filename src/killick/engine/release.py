"""Release a version: through growing shares, judged on every new label, to live or back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import polars as pl

from killick.alerting.incidents import Incident
from killick.checks.performance import LABELS_MIN, labels_of, wrong_of
from killick.checks.reference import unpack_reference
from killick.clock import DAY, Window, format_duration
from killick.engine.compare import compare_versions
from killick.engine.recall import known_in, labelled_between
from killick.engine.record import Book, Machine
from killick.engine.serve import failed
from killick.identity import derive_id
from killick.profiles.codec import unpack_profile
from killick.profiles.profile import Profile
from killick.rollout.judge import Evidence, Stratum
from killick.rollout.states import CANARY_STATES, Rollout
from killick.stats.sequential import EProcess, odds_ratio_margin
from killick.telemetry.columns import ENTITY_ID, EVENT_TIME, LABEL, PREDICTION_ID, ROLE, SCORE, VERSION
from killick.telemetry.segments import group_by
from killick_client.assignment import point

if TYPE_CHECKING:
    from killick.clock import Instant
    from killick.engine.world import World
    from killick.spec.document import Spec

# How long a promoted version is watched beside the one before it: four weeks, looked at once, when they are over.
VERIFY_FOR = 28 * DAY
ALPHA_VERIFY = 0.05
_UNIT = "unit of the comparison"
# How much of live's past the margin is set against.
RECENT = 28 * DAY


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
    margin = margin_of(base_rate, guardrail.worse_by)
    evidence = Evidence.none(margin)
    _, labels = known_lately(book, spec)
    known = {"margin": margin, "metric": guardrail.metric, "worse_by": guardrail.worse_by, "base_rate": base_rate}
    if labels < LABELS_MIN:
        known["caveat"] = f"live's error rate is known from {labels} labels only, {LABELS_MIN} are needed"
    body = Rollout(
        version=version,
        against=live,
        began_at=book.now,
        step_at=book.now,
        judged_until=book.now,
        salt=version,
        harm=evidence.harm.log_sums,
        safe=evidence.safe.log_sums,
        evidence=known,
    )
    machine = book.begin("rollout", key, body, reason, **body.evidence)
    if machine.state != "planned":
        return machine
    share = spec.rollout.steps[0]
    return book.move(machine, "begin", reason=f"{version} begins with {share:.0%} of entities".replace("%", " %"))


def margin_of(base_rate: float, worse_by: float) -> float:
    """Return the odds ratio that is too much, at live's error rate.

    Beyond a half the odds ratio of the same absolute worsening grows without bound; the strictest one is kept.

    Raises:
        ValueError: one of them is no rate.
    """
    margin = odds_ratio_margin(min(base_rate, (1.0 - worse_by) / 2), worse_by)
    if margin is None:
        message = f"an error rate of {base_rate} and a margin of {worse_by} leave no odds ratio"
        raise ValueError(message)
    return margin


def base_rate_of(book: Book, spec: Spec) -> float:
    """Return the error rate that answers have had lately: what a canary's margin is set against before it begins.

    It is smoothed: without a single label it is a half, where a margin is strictest.
    """
    wrong, labels = known_lately(book, spec)
    return (wrong + 1) / (labels + 2)


def known_lately(book: Book, spec: Spec) -> tuple[int, int]:
    """Return how many decisions of the last four weeks were wrong, of how many that are labelled by now."""
    document = book.transaction.get("reference", spec.model, "training")
    if document is None:
        return 0, 0
    scale = unpack_reference(document.body).scale
    held = book.transaction.profiles(spec.model, scale.fingerprint, Window.trailing(book.now, RECENT))
    answered = (packed for key, packed in held.items() if not key.segment and key.role != "shadow")
    profile = Profile.merge(scale, [unpack_profile(packed, scale) for packed in answered])
    return wrong_of(profile), labels_of(profile)


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
    new = decisions(known_in(world, spec, Window(rollout.judged_until, now)), rollout)
    before = decisions(known_in(world, spec, Window(rollout.step_at, rollout.judged_until)), rollout)
    evidence = evidence_of(rollout).add(strata(first_decisions(new, before, rollout, spec), rollout, spec))
    grown = msgspec.structs.replace(
        rollout,
        harm=evidence.harm.log_sums,
        safe=evidence.safe.log_sums,
        canary=evidence.canary,
        live=evidence.live,
        labelled=rollout.labelled + int((new[VERSION] == rollout.version).sum()),
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
    """Harm first; then promotion, which needs safety; then the next step, which needs time, labels and both arms."""
    now, answer = book.now, evidence.answer
    last_step = grown.step == len(spec.rollout.steps) - 2
    held = now >= grown.step_at + spec.rollout.hold and grown.labelled >= LABELS_MIN
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
    elif held and not last_step and answer != "blind":
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


def decisions(labelled: pl.DataFrame, rollout: Rollout) -> pl.DataFrame:
    """Return the labelled decisions of either arm since the step began; rows that the canary failed at are its own."""
    rows = labelled.filter(pl.col(EVENT_TIME) >= rollout.step_at)
    failures = rows.filter(failed(rollout.version))
    arms = (pl.col(VERSION) == rollout.version) & (pl.col(ROLE) == "canary")
    arms |= (pl.col(VERSION) == rollout.against) & (pl.col(ROLE) == "live")
    answers = rows.filter(arms).join(failures, on=PREDICTION_ID, how="anti", maintain_order="left")
    return pl.concat([answers, failures])


def first_decisions(new: pl.DataFrame, before: pl.DataFrame, rollout: Rollout, spec: Spec) -> pl.DataFrame:
    """Return one row for each entity that is judged now: its first labelled decision in this step of the rollout.

    An entity keeps its version (assignment is sticky), so its decisions are one unit and not many. Each step draws anew
    among those that live served until then: for these the arm is as random as on the first day, whatever they have
    shown. Those that the canary had before are left out, for theirs is not. So in the whole life of a rollout an entity
    counts once a step, and once altogether as the canary's. A row without an entity stands for itself.
    """
    drawn_before = spec.rollout.steps[rollout.step - 1] if rollout.step else 0.0
    fresh = _entities(new).join(_entities(before), on=_UNIT, how="anti", maintain_order="left")
    first = fresh.sort(EVENT_TIME, PREDICTION_ID).unique(_UNIT, keep="first", maintain_order=True)
    drawn = [point(rollout.salt, unit) >= drawn_before for unit in first[_UNIT]]
    return first.filter(pl.Series(drawn, dtype=pl.Boolean)).drop(_UNIT)


def _entities(rows: pl.DataFrame) -> pl.DataFrame:
    """Name each row's unit: whom the traffic plan assigned."""
    ids = pl.col(PREDICTION_ID)
    unit = pl.col(ENTITY_ID).fill_null(ids) if ENTITY_ID in rows.columns else ids
    return rows.with_columns(unit.cast(pl.String).alias(_UNIT))


def strata(units: pl.DataFrame, rollout: Rollout, spec: Spec) -> list[Stratum]:
    """Return the 2 x 2 tables of newly judged entities, by the spec's first grouping.

    Rows of one table must be independent given its margins, so there is one for each entity (`first_decisions`). What
    is no probability (a null, a NaN, a 1.5) decides nothing, and that is wrong.
    """
    if units.is_empty():
        return []
    score, threshold = pl.col(SCORE), spec.schema.decision_threshold
    right = score.is_between(0.0, 1.0) & ((score > threshold).cast(pl.Int64) == pl.col(LABEL))
    grouping = group_by(units, spec.segments[0] if spec.segments else ())
    table = units.select(
        pl.Series("stratum", grouping.codes),
        canary=pl.col(VERSION) == rollout.version,
        wrong=(~right.fill_null(value=False)).cast(pl.Int64),
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
    """Look once, when the watch is over: is the promoted version better than the one before it, on the same rows?

    Where that cannot be known, wait as long again; then let it be, and say plainly that nothing was verified.
    """
    rollout = machine.body
    rows = labelled_between(world, spec.model, Window(machine.since, now), now)
    gain = compare_versions(world, spec, rows, better=rollout.version, than=rollout.against, now=now)
    if not gain.known and now < machine.since + 2 * VERIFY_FOR:
        return
    with world.control.transaction() as t:
        book = Book(t, spec.model, now)
        fresh = book.machine("rollout", machine.id)
        if fresh is None or fresh.state != "verifying":
            return
        body = msgspec.structs.replace(rollout, ended_at=now, evidence=rollout.evidence | {"gain": gain.as_evidence()})
        if gain.surely_worse(ALPHA_VERIFY):
            book.move(fresh, "harm", body, reason=f"worse than {rollout.against} on the same rows: {gain.words}")
        else:
            said = "the watch is over" if gain.known else "the watch is over, and it was NOT verified"
            book.move(fresh, "confirm", body, reason=f"{said}: {gain.words}")


def finish_canary_incidents(book: Book) -> None:
    """Clear the incident of a canary that has been taken back."""
    rolled_back = {machine.body.incident for machine in book.machines("rollout") if machine.state == "rolled_back"}
    for incident in book.machines("incident", running=True):
        if incident.id in rolled_back and incident.allows("clear"):
            body = msgspec.structs.replace(incident.body, resolved_at=book.now)
            book.move(incident, "clear", body, reason="the canary serves nobody any more")
