"""`killick replay`: a history lived through again, told as it happens."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from killick.api import load_spec
from killick.checks.rivals import parse_rules
from killick.cli.console import CONTROL, grid, out, say_json, toned
from killick.cli.looking import RUNNING, incident_values
from killick.clock import format_instant
from killick.engine.narration import moment, tell_since
from killick.engine.record import Book
from killick.engine.replay import read_history, replay
from killick.engine.rivalry import KILLICK, rival
from killick.errors import CallError, Mistake, OutsideError
from killick.reports.words import counted
from killick.wiring import open_world

if TYPE_CHECKING:
    from rich.console import Console

    from killick.engine.narration import Line
    from killick.engine.world import World
    from killick.spec.document import Spec
    from killick.telemetry.history import History

HOLDS, FAILS = 0, 1
STORE = "store"
NUMBERS = ("alarms", "judged", "windows", "columns", "in incidents")


def replay_path(
    history: str,
    spec_path: Path,
    store: Path | None,
    html: Path | None,
    compare: str | None,
    *,
    fresh: bool,
    as_json: bool,
) -> int:
    """Replay a history, tell it, and return the exit code: 1 when an incident is not resolved at its end."""
    rules = parse_rules(compare) if compare is not None else ()
    spec = load_spec(spec_path)
    place = store or spec_path.parent / STORE
    if fresh:
        _forget(place)
    world = open_world(spec_path.parent, place)
    rows = read_history(world, spec, history if "://" in history else str(Path(history).resolve()))
    console = out()
    lived = _live(world, spec, rows, None if as_json else console)
    found = _summary(world, spec, lived)
    if rules:
        found["compare"] = msgspec.to_builtins(rival(world, spec, rules))
    if html:
        _write_page(world, spec, html, rows.window.end)
    if as_json:
        say_json(found)
    else:
        _tell_end(console, found, html, place)
        if rules:
            _tell_rivals(console, found["compare"])
    return FAILS if any(one["state"] in RUNNING for one in found["incidents"]) else HOLDS


def _live(world: World, spec: Spec, rows: History, console: Console | None) -> dict[str, int]:
    """Live through the windows that are left; sentences go to the console as they become true."""
    lived = dict.fromkeys(("windows", "predictions", "outcomes", "duplicates", "unmatched"), 0)
    with world.control.transaction() as t:
        told = len(t.ledger())
    if told and console:
        console.print(
            f"The store knows {counted(told, 'ledger entry', 'ledger entries')}: going on from there.", style="dim"
        )
    span = max(rows.window.width, 1)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    quiet = console is None or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        task = progress.add_task("replaying", total=span)
        for one in replay(world, spec, rows):
            lived["windows"] += 1
            lived["predictions"] += one.predictions
            lived["outcomes"] += one.outcomes
            lived["duplicates"] += one.duplicates
            lived["unmatched"] += one.unmatched
            done = min(max(one.window.end - rows.window.start, 0), span)
            progress.update(task, completed=done, description=moment(one.window.end))
            if console:
                lines, told = tell_since(world, spec.model, told)
                for line in lines:
                    console.print(_hung(line))
    return lived


def _hung(line: Line) -> Table:
    """A sentence with its time before it; what does not fit goes on below, not under the time."""
    table = Table.grid(padding=(0, 2))
    table.add_column(width=12, justify="right", style="dim", no_wrap=True)
    table.add_column(overflow="fold", style=line.tone)
    table.add_row(moment(line.at), Text(line.text))
    return table


def _summary(world: World, spec: Spec, lived: dict[str, int]) -> dict[str, Any]:
    with world.control.transaction() as t:
        book = Book(t, spec.model, 0)
        entries = t.ledger()
        incidents = [incident_values(spec.model, machine) for machine in book.machines("incident")]
        live = book.alias("live")
    return {
        "schema": "killick.replay/1",
        "model": spec.model,
        "spec_hash": spec.fingerprint,
        **lived,
        "incidents": incidents,
        "live": [{"version": h.version, "since": format_instant(h.since), "reason": h.reason} for h in live.holdings],
        "ledger": {"entries": len(entries), "head": entries[-1].hash if entries else None},
    }


def _tell_end(console: Console, found: dict[str, Any], html: Path | None, store: Path) -> None:
    """The end: how much was lived through, every incident in a line, and the head of the ledger."""
    if found["windows"]:
        windows, rows = counted(found["windows"], "window"), counted(found["predictions"], "prediction")
        console.print(f"\n{windows} lived through: {rows}, {counted(found['outcomes'], 'outcome')}.")
        if found["duplicates"]:
            console.print(f"{counted(found['duplicates'], 'prediction')} came twice and were counted once.")
        if found["unmatched"]:
            console.print(f"{counted(found['unmatched'], 'outcome')} met no prediction.")
    else:
        console.print("Nothing is left to replay: the store has lived through all of it (--fresh begins anew).")
    incidents = found["incidents"]
    console.print(f"{counted(len(incidents), 'incident')}." if incidents else "No incident.")
    if incidents:
        table = grid("opened", "severity", "state", "lasted", "what")
        for one in incidents:
            when = one["opened_at"].replace("T", " ")
            table.add_row(when, one["severity"], toned(one["state"]), one["lasted"] or "", Text(one["title"]))
        table.columns[0].no_wrap = True
        console.print(table)
    end = grid()
    end.add_column(style="dim")
    end.add_column(overflow="fold")
    end.add_row("live", Text(" -> ".join(holding["version"] for holding in found["live"]) or "nothing"))
    end.add_row("store", Text(str(store)))
    if html:
        end.add_row("report", Text(str(html)))
    end.add_row(
        "ledger", Text(f"{counted(found['ledger']['entries'], 'entry', 'entries')}, head {found['ledger']['head']}")
    )
    console.print(end)


def _tell_rivals(console: Console, found: dict[str, Any]) -> None:
    """What each rule would have said, a line each, and Killick's own lines below."""
    columns, windows = found["columns"], found["windows"]
    console.print(
        f"\nWhat other rules would have said of {counted(columns, 'column')} in {counted(windows, 'window')}:"
    )
    table = grid("rule", *NUMBERS, right=NUMBERS)
    for one in found["tallies"]:
        name = "Killick's failed checks" if one["rule"] == KILLICK else one["rule"]
        numbers = (one[key] for key in ("alarms", "judged", "windows", "columns", "during_incidents"))
        table.add_row(Text(name), *(f"{number:,}" for number in numbers))
    console.print(table)
    covered = f"{found['incident_windows']:,} of {counted(windows, 'window')}"
    console.print(f"Incidents that Killick opened: {found['incidents']}, covering {covered}.")


def _write_page(world: World, spec: Spec, path: Path, now: int) -> None:
    from killick.engine.chronicle import chronicle
    from killick.reports.replay import replay_html

    with world.control.transaction() as t:
        entries = t.ledger()
    until = max(now, entries[-1].fact.at if entries else 0)
    try:
        path.write_text(replay_html(chronicle(world, spec, until)), encoding="utf-8")
    except OSError as error:
        raise OutsideError(f"{path} could not be written: {error.strerror or error}") from error


def _forget(store: Path) -> None:
    """Remove what Killick keeps in a store, and nothing else that lies there."""
    if not store.exists():
        return
    if not (store / CONTROL).is_file() and any(store.iterdir()):
        raise CallError(
            Mistake(str(store), "is no store of Killick's, so it is not removed", hint="name another folder")
        )
    for path in (*store.glob(f"{CONTROL}*"), store / "telemetry", store / "jobs"):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
