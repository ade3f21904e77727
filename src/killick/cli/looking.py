"""`killick status`, `incidents`, `models`, `ledger verify` and `checks`: what is known, for a person or as JSON."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec
from rich.text import Text

from killick.checks.catalogue import CATALOGUE
from killick.checks.performance import CHECK as REALISED
from killick.cli.console import grid, must_be_store, out, say_json, toned
from killick.clock import format_duration, format_instant
from killick.engine.record import Book
from killick.engine.turns import read_turn
from killick.errors import Tampered
from killick.ledger.chain import verify
from killick.reports.words import counted, place
from killick.wiring import open_world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from killick.engine.record import Machine
    from killick.ports.control import Transaction

HOLDS, FAILS = 0, 1
# Of the versions that predicted; all of them are in the JSON.
_VERSIONS_SHOWN = 4
RUNNING = ("open", "acknowledged", "mitigating")


@contextmanager
def reading(store: Path) -> Iterator[Transaction]:
    """Open a store to look into it; one that is not there is not made.

    Raises:
        CallError: there is no store.
    """
    must_be_store(store, None)
    with open_world(store.parent, store).control.transaction() as t:
        yield t


def show_status(store: Path, *, as_json: bool) -> int:
    """Say how every model is."""
    with reading(store) as t:
        found = [_model_status(t, model) for model in t.models() if model]
    if as_json:
        say_json(found)
        return HOLDS
    console = out()
    if not found:
        console.print("No model has been seen yet.")
    for one in found:
        worst = one["open_incidents"]
        word = "open" if worst else "ok"
        said = f"{counted(len(worst), 'incident')} open" if worst else "no incident is open"
        console.print(toned(word, one["model"]), Text(said))
        table = grid()
        table.add_column(style="dim")
        table.add_column(overflow="fold")
        table.add_row("serves", Text(", ".join(f"{role} {name}" for role, name in one["serves"].items()) or "nothing"))
        if one["until"]:
            table.add_row("judged until", one["until"])
        if one["telemetry"]:
            table.add_row("telemetry", Text(_came(one["telemetry"])))
        for performance in one["performance"]:
            table.add_row(performance["metric"].replace("_", " "), Text(performance["reason"]))
        for incident in worst:
            table.add_row(toned(incident["state"]), Text(f"{incident['title']} (since {incident['opened_at']})"))
        console.print(table)
    return HOLDS


def show_incidents(store: Path, *, running: bool, as_json: bool) -> int:
    """List incidents, the newest first."""
    with reading(store) as t:
        found = [
            incident_values(model, machine)
            for model in t.models()
            for machine in Book(t, model, 0).machines("incident")
            if not running or machine.state in RUNNING
        ]
    found.sort(key=lambda one: one["opened_at"], reverse=True)
    if as_json:
        say_json(found)
        return HOLDS
    console = out()
    if not found:
        console.print("No incident is open." if running else "There has been no incident.")
        return HOLDS
    table = grid("opened", "severity", "state", "what")
    for one in found:
        said = Text(one["title"])
        if one["causes"]:
            said.append(f"\nlikely: {one['causes'][0]}", style="dim")
        if one["lasted"]:
            said.append(f"\nresolved after {one['lasted']}", style="dim")
        said.append(f"\n{one['id']}", style="dim")
        table.add_row(one["opened_at"].replace("T", " "), one["severity"], toned(one["state"]), said)
    table.columns[0].no_wrap = True
    console.print(table)
    return HOLDS


def show_models(store: Path, *, as_json: bool) -> int:
    """List models, versions and who was live."""
    with reading(store) as t:
        found = [_registered(t, model) for model in t.models() if model]
    if as_json:
        say_json(found)
        return HOLDS
    console = out()
    table = grid("model", "version", "role", "since", "trained until")
    for one in found:
        for version in one["versions"]:
            role = version["role"] or ""
            shown = toned("ok" if role == "live" else "", role)
            until = (version["trained_until"] or "")[:10]
            table.add_row(Text(one["model"]), Text(version["name"]), shown, (version["since"] or "")[:16], until)
    console.print(table if found else "No model has been seen yet.")
    return HOLDS


def verify_ledger(store: Path, head: str | None, *, as_json: bool) -> int:
    """Verify the ledger's chain."""
    with reading(store) as t:
        entries = t.ledger()
    newest = entries[-1].hash if entries else ""
    try:
        length = verify(entries, head)
    except Tampered as error:
        if not as_json:
            raise
        say_json({"holds": False, "entries": len(entries), "head": newest, "problem": str(error)})
        return FAILS
    if as_json:
        say_json({"holds": True, "entries": length, "head": newest, "problem": None})
        return HOLDS
    console = out()
    console.print(toned("ok", "OK"), Text(f"The ledger's {counted(length, 'entry', 'entries')} hold together."))
    if newest:
        console.print(Text(f"head {newest}"), soft_wrap=True)
        if head is None:
            console.print("Keep it somewhere else: with --head an end that was cut off shows too.", style="dim")
    return HOLDS


def show_checks(*, as_json: bool) -> int:
    """List the catalogue."""
    if as_json:
        say_json([msgspec.to_builtins(entry) for entry in CATALOGUE])
        return HOLDS
    table = grid("check", "asks", "metrics", "applies")
    for entry in CATALOGUE:
        table.add_row(Text(entry.name), Text(entry.meaning), Text(", ".join(entry.metrics)), Text(entry.applies))
    table.columns[0].no_wrap = True
    out().print(table)
    return HOLDS


def _model_status(t: Transaction, model: str) -> dict[str, Any]:
    book = Book(t, model, 0)
    verdicts = [v for v in t.verdicts(model, check=REALISED) if v.window and not v.segment and not v.version]
    newest = max((v.window.end for v in verdicts if v.window), default=None)
    roles = {role: book.alias(role).version for role in ("live", "fallback")}
    rollouts = [machine.body.version for machine in book.machines("rollout", running=True)]
    serves = {role: name for role, name in roles.items() if name} | ({"canary": rollouts[-1]} if rollouts else {})
    return {
        "model": model,
        "serves": serves,
        "until": format_instant(newest) if newest is not None else None,
        "telemetry": _telemetry(t, model),
        "performance": [
            {"metric": v.metric, "value": v.value, "status": v.status, "reason": v.reason}
            for v in verdicts
            if v.window and v.window.end == newest
        ],
        "open_incidents": [
            incident_values(model, machine) for machine in book.machines("incident") if machine.state in RUNNING
        ],
    }


def _telemetry(t: Transaction, model: str) -> dict[str, Any] | None:
    """Return what came in of a model, if anything did."""
    totals, (turn, _) = t.tallies(model), read_turn(t, model)
    if not totals:
        return None
    labels = totals.get("labels.gained", 0) - totals.get("labels.lost", 0)
    return {
        "counted": totals.get("predictions.counted", 0),
        "waiting": sum(batch.rows for batch in t.pending(model)),
        "labels": labels,
        "duplicates": totals.get("predictions.duplicates", 0),
        "quarantined": sum(number for name, number in totals.items() if name.endswith(".quarantined")),
        "newest": format_instant(turn.newest) if turn.newest > 0 else None,
        "versions": [f"{version} ({role})" for version, role in turn.owners],
    }


def _came(telemetry: dict[str, Any]) -> str:
    """Write what came in as a sentence."""
    versions = telemetry["versions"][:_VERSIONS_SHOWN]
    more = len(telemetry["versions"]) - len(versions)
    by = f" of {', '.join(versions)}{f' and {more} more' if more else ''}" if versions else ""
    until = f", the newest of {telemetry['newest']}" if telemetry["newest"] else ""
    said = [f"{counted(telemetry['counted'], 'prediction')}{by} counted{until}", counted(telemetry["labels"], "label")]
    others = (
        ("waiting", "row waits", "rows wait"),
        ("duplicates", "duplicate", ""),
        ("quarantined", "row refused", "rows refused"),
    )
    said += [counted(telemetry[name], one, many) for name, one, many in others if telemetry[name]]
    return "; ".join(said)


def incident_values(model: str, machine: Machine[Any]) -> dict[str, Any]:
    """Return what is known of an incident as JSON values."""
    body = machine.body
    ended = body.resolved_at
    began = body.onset.start if body.onset else body.opened_at
    return {
        "id": machine.id,
        "model": model,
        "kind": body.kind,
        "title": body.title,
        "severity": body.severity,
        "state": machine.state,
        "segment": dict(body.segment),
        "where": place(body.segment),
        "columns": list(body.columns),
        "opened_at": format_instant(body.opened_at),
        "resolved_at": None if ended is None else format_instant(ended),
        "lasted": None if ended is None else format_duration(max(ended - began, 0)),
        "causes": [cause.get("what", "") for cause in body.causes],
    }


def _registered(t: Transaction, model: str) -> dict[str, Any]:
    book = Book(t, model, 0)
    aliases = {role: book.alias(role) for role in ("live", "fallback")}
    known = {version.name: version for version in book.versions()}
    # A history without loadable versions was answered by whoever it says: a name, and nothing else.
    held = [holding.version for alias in aliases.values() for holding in alias.holdings]
    versions = []
    for name in dict.fromkeys([*known, *held]):
        version = known.get(name)
        role = next((role for role, alias in aliases.items() if alias.version == name), None)
        since = [h.since for alias in aliases.values() for h in alias.holdings if h.version == name]
        until = version.trained_until if version else None
        versions.append(
            {
                "name": name,
                "role": role,
                "since": format_instant(since[-1]) if since else None,
                "trained_until": None if until is None else format_instant(until),
                "metrics": version.metrics if version else {},
            }
        )
    history = [
        {"version": h.version, "since": format_instant(h.since), "actor": h.actor, "reason": h.reason}
        for h in aliases["live"].holdings
    ]
    return {"model": model, "versions": versions, "live": history}
