"""The story of an incident: what it was, where and since when, what was done about it, and how it ended, in words.

A chronicle says which machines answered which incident; their own recorded words say why. Nothing is concluded here
that the ledger does not say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from killick.reports.words import counted, day, figure, lasting, listed, moment, place, span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from killick.alerting.incidents import Incident
    from killick.clock import Instant, Window
    from killick.ledger.entry import Entry
    from killick.recovery.states import Recovery
    from killick.reports.chronicle import Chronicle, Told
    from killick.retraining.states import Retraining
    from killick.rollout.states import Rollout

KINDS = {
    "data_fault": "data fault",
    "objective_missed": "objective missed",
    "canary_harm": "harmful canary",
    "drift": "drift",
}
RUNNING = ("open", "acknowledged")
ENTRIES_MAX = 60
EVIDENCE_MAX = 12


@dataclass(frozen=True, slots=True)
class Story:
    """An incident as a page tells it: `number` is its place in the chronicle, `entries` what the ledger says of it."""

    number: int
    told: Told[Incident]
    kind: str
    where: str
    began: str
    noticed: str
    cause: str
    done: tuple[str, ...]
    ended: str
    tone: str
    figures: tuple[tuple[str, str], ...]
    entries: tuple[Entry, ...]

    @property
    def spoiled(self) -> Window:
        """The time that it spoiled."""
        return self.told.body.spoiled


def stories(chronicle: Chronicle) -> tuple[Story, ...]:
    """Tell every incident, oldest first."""
    return tuple(_story(chronicle, number, told) for number, told in enumerate(chronicle.incidents, start=1))


def _story(chronicle: Chronicle, number: int, told: Told[Incident]) -> Story:
    body = told.body
    answers = _answers(chronicle, told.id)
    entries = _entries(chronicle.entries, {told.id, *answers})
    return Story(
        number=number,
        told=told,
        kind=KINDS.get(body.kind, body.kind.replace("_", " ")),
        where=body.subject if body.subject and not body.segment else place(body.segment),
        began=_began(body),
        noticed=_noticed(body),
        cause=_cause(body),
        done=tuple(_done(chronicle, told.id)) or ("no action",),
        ended=_ended(told),
        tone="open" if told.state in RUNNING else "limited" if told.state == "mitigating" else "over",
        figures=tuple(_figures(chronicle, told))[:EVIDENCE_MAX],
        entries=entries[:ENTRIES_MAX],
    )


def _answers(chronicle: Chronicle, incident: str) -> set[str]:
    """Return the ids of the machines that answered an incident, or, for a harmful canary, made it."""
    answers: list[Told[Recovery] | Told[Retraining] | Told[Rollout]]
    answers = [*chronicle.recoveries, *chronicle.retrainings, *chronicle.rollouts]
    return {told.id for told in answers if told.body.incident == incident}


def _entries(entries: Iterable[Entry], ids: set[str]) -> tuple[Entry, ...]:
    """Return the entries about any of these: as their subject, or as who asked."""
    return tuple(
        entry for entry in entries if entry.fact.subject in ids or any(one in entry.fact.reason for one in ids)
    )


def _began(incident: Incident) -> str:
    onset = incident.onset
    if onset is None:
        return moment(incident.opened_at)
    return span(onset) if onset.width > 1 else moment(onset.start)


def _noticed(incident: Incident) -> str:
    if incident.onset is None:
        return "its onset is not in the data"
    return f"noticed {lasting(max(incident.opened_at - incident.onset.start, 0))} after"


def _cause(incident: Incident) -> str:
    """Return the likeliest cause; a canary's harm is its own, and the judge's words say how it showed."""
    if incident.causes:
        return str(incident.causes[0].get("what", ""))
    if incident.kind == "canary_harm":
        return f"{incident.subject} itself: {str(incident.evidence.get('words', '')).partition(';')[0]}".rstrip(": ")
    return ""


def _ended(told: Told[Incident]) -> str:
    body = told.body
    if body.resolved_at is None:
        return f"not yet: {told.meaning or told.state}"
    began = body.onset.start if body.onset else body.opened_at
    if body.resolved_at <= began:
        return f"{day(body.resolved_at)}, at once"
    return f"{moment(body.resolved_at)}, after {lasting(body.resolved_at - began)}"


def _done(chronicle: Chronicle, incident: str) -> Iterable[str]:
    """Yield what was done about an incident, a sentence for each act."""
    if any(entry.fact.action == "page" and entry.fact.subject == incident for entry in chronicle.entries):
        yield f"{chronicle.budget.rota} was called"
    for told in chronicle.recoveries:
        body = told.body
        if body.incident != incident:
            continue
        what = f"{body.action} to {body.version}"
        if body.acted_at is not None:
            until = f", taken back {day(body.ended_at)}" if body.ended_at is not None else ", still in force"
            yield f"{what} on {day(body.acted_at)}{until}"
        elif told.state == "recommended":
            yield f"{what} is recommended; a person is asked"
        else:
            why = body.evidence.get("planned", {}).get("words", "")
            yield f"{what} held back{f': {why}' if why else ''}"
    for job in chronicle.retrainings:
        if job.body.incident == incident:
            yield _retrained(job.state, job.body.challenger, job.body.evidence, job.meaning)
    for rollout in chronicle.rollouts:
        if rollout.body.incident == incident:
            ended = rollout.body.ended_at
            yield f"{rollout.body.version} taken back{f' on {day(ended)}' if ended is not None else ''}"


def _retrained(state: str, challenger: str, evidence: dict[str, Any], meaning: str) -> str:
    gain = evidence.get("gain", {})
    numbers = ""
    if {"loss_better", "loss_than"} <= set(gain):
        numbers = f" (log loss {figure(gain['loss_better'])} against {figure(gain['loss_than'])} of live)"
    if state == "released":
        return f"retrained: {challenger} passed the gate{numbers} and went out"
    if state == "refused":
        return f"retrained, and the gate refused {challenger}{numbers}"
    return f"retraining {challenger}: {meaning or state}"


def _figures(chronicle: Chronicle, told: Told[Incident]) -> Iterable[tuple[str, str]]:
    """Yield the numbers that an incident rests on, each under its name."""
    body = told.body
    if body.columns:
        yield "columns", listed(body.columns, 10)
    for name, value in sorted(body.evidence.items(), key=lambda item: _order(item[0])):
        yield _NAMES.get(name, name.replace("_", " ")), figure(value) if isinstance(value, int | float) else str(value)
    for recovery in chronicle.recoveries:
        if recovery.body.incident == told.id:
            for step, seen in recovery.body.evidence.items():
                if isinstance(seen, dict) and "words" in seen:
                    yield f"{recovery.body.action}, {_STEPS.get(step, step)}", str(seen["words"])
    for job in chronicle.retrainings:
        if job.body.incident == told.id:
            yield "retraining", f"{job.body.challenger}, {counted(job.body.rows, 'row')}: {job.meaning or job.state}"


# What the engine's evidence is called on a page, in the order in which it is read.
_NAMES = {
    "value": "value",
    "threshold": "allowed",
    "labels": "labels",
    "touched": "predictions touched",
    "words": "the judge",
    "harm": "evidence of harm",
}
_STEPS = {"planned": "before it acts", "verifying": "while it is verified"}


def _order(name: str) -> tuple[int, str]:
    known = list(_NAMES)
    return (known.index(name) if name in known else len(known), name)


def causes(incident: Incident, most: int = 4) -> list[tuple[str, list[str], list[str]]]:
    """Return the likeliest causes, with what speaks for and against each; nothing is said twice."""
    told: set[str] = set()
    found = []
    for cause in incident.causes[:most]:
        speaks_for = [str(one) for one in cause.get("evidence_for", ()) if str(one) not in told]
        told.update(speaks_for)
        found.append((str(cause.get("what", "")), speaks_for, [str(one) for one in cause.get("evidence_against", ())]))
    return found


def acts(chronicle: Chronicle) -> list[tuple[Instant, str]]:
    """Return what changed who answers, oldest first: a line for each, as the badges of the timeline tell it."""
    found: list[tuple[Instant, str]] = []
    for told in chronicle.recoveries:
        body = told.body
        there = f" {'at ' if body.segment else ''}{place(body.segment)}"
        if body.acted_at is not None:
            found.append((body.acted_at, f"{body.action} to {body.version}{there}"))
            if body.ended_at is not None:
                found.append((body.ended_at, f"{body.version} taken back{there}: the cause is gone"))
    for rollout in chronicle.rollouts:
        found += _rollout_acts(chronicle, rollout.id, rollout.body.version, rollout.body.began_at)
    for job in chronicle.retrainings:
        if job.state == "refused":
            found.append((job.body.ended_at or job.since, f"{job.body.challenger} refused by the gate"))
    return sorted(found)


def _rollout_acts(chronicle: Chronicle, rollout: str, version: str, began: Instant) -> list[tuple[Instant, str]]:
    said = {
        "promote rollout": f"{version} becomes live",
        "harm rollout": f"{version} does harm: taken back",
        "expire rollout": f"{version} shows neither harm nor safety: taken back",
        "abort rollout": f"{version} is aborted",
    }
    found = [(began, f"{version} goes out as a canary")]
    facts = (entry.fact for entry in chronicle.entries if entry.fact.subject == rollout)
    return found + [(fact.at, said[fact.action]) for fact in facts if fact.action in said]


def account(chronicle: Chronicle, told: Sequence[Story]) -> str:
    """Say in a few sentences what a span of time came to."""
    kinds: dict[str, int] = {}
    for story in told:
        kinds[story.kind] = kinds.get(story.kind, 0) + 1
    if not told:
        return f"Nothing happened to {chronicle.model} in {lasting(chronicle.span.width)}."
    plural = {"objective missed": "objectives missed", "drift": "drifts"}
    parts = [counted(n, kind, plural.get(kind, "")) for kind, n in sorted(kinds.items(), key=lambda item: -item[1])]
    open_now = sum(story.tone != "over" for story in told)
    left = "all are over" if not open_now else f"{open_now} {'is' if open_now == 1 else 'are'} open at the end"
    return (
        f"In {lasting(chronicle.span.width)}, {chronicle.model} had {counted(len(told), 'incident')}: "
        f"{listed(parts)}; {left}."
    )
