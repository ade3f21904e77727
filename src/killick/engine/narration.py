"""Narration: what the ledger says, told as sentences while it happens. It reads, and decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from killick.clock import to_datetime
from killick.engine.record import Book
from killick.telemetry.segments import describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from killick.clock import Instant, Window
    from killick.engine.world import World
    from killick.ledger.entry import Entry, Fact


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence of the story: when, how it should look, and what it says."""

    at: Instant
    tone: str
    text: str


def tell_since(world: World, model: str, told: int) -> tuple[list[Line], int]:
    """Return the sentences for ledger entries after the first `told`, and how many there are now."""
    with world.control.transaction() as t:
        head = t.ledger_head()
        if (head.sequence if head else 0) == told:
            return [], told
        entries = t.ledger()
        book = Book(t, model, 0)
        lines = [line for entry in entries[told:] for line in _tell(book, entry)]
    return lines, len(entries)


def _tell(book: Book, entry: Entry) -> Iterator[Line]:
    fact = entry.fact
    if fact.model != book.model:
        return
    teller = _TELLERS.get(fact.action)
    if teller:
        tone, text = teller(book, fact)
        yield Line(fact.at, tone, text)


def _incident(book: Book, fact: Fact) -> tuple[str, str]:
    machine = book.machine("incident", fact.subject)
    body = machine.body if machine else None
    text = f"incident: {fact.reason}"
    if body and body.onset and body.kind == "data_fault":
        text += f"; it began {interval(body.onset)}"
    causes = [cause for cause in (body.causes if body else ()) if cause["kind"] == "change"]
    if causes:
        text += f"; recorded just before: {causes[0]['what']}"
    return "red", text


def _change(book: Book, fact: Fact) -> tuple[str, str]:
    del book
    change = fact.evidence["change"]
    version = f" {change['version']}" if change.get("version") else ""
    return "dim", f"recorded: {change['kind']} {change['name']}{version} ({fact.reason})"


def _recovery(verb: str) -> Any:  # noqa: ANN401 - a teller
    def tell(book: Book, fact: Fact) -> tuple[str, str]:
        machine = book.machine("recovery", fact.subject)
        where = describe(machine.body.segment) if machine else "?"
        version = machine.body.version if machine else "?"
        return "yellow", verb.format(where=where, version=version, reason=fact.reason)

    return tell


def _mended(book: Book, fact: Fact) -> tuple[str, str]:
    machine = book.machine("recovery", fact.subject)
    if machine is None or machine.body.acted_at is None:
        return "dim", "the fallback was never needed"
    return "green", f"{describe(machine.body.segment)} returns from {machine.body.version}: {fact.reason}"


def _rollout(tone: str, verb: str) -> Any:  # noqa: ANN401 - a teller
    def tell(book: Book, fact: Fact) -> tuple[str, str]:
        machine = book.machine("rollout", fact.subject)
        version = machine.body.version if machine else "?"
        touched = machine.body.touched if machine else 0
        return tone, verb.format(version=version, reason=fact.reason, touched=touched)

    return tell


def _plain(tone: str, verb: str) -> Any:  # noqa: ANN401 - a teller
    def tell(book: Book, fact: Fact) -> tuple[str, str]:
        del book
        return tone, verb.format(reason=fact.reason)

    return tell


def interval(window: Window) -> str:
    """Say when something lies between two instants.

    >>> from killick.clock import HOUR, Window
    >>> interval(Window(0, 5 * HOUR))
    'between 1 Jan 00:00 and 1 Jan 05:00 UTC'
    """
    return f"between {moment(window.start)} and {moment(window.end)} UTC"


def moment(instant: Instant) -> str:
    """Write an instant for a reader: day, month, hour and minute.

    >>> moment(0)
    '1 Jan 00:00'
    """
    when = to_datetime(instant)
    return f"{when.day} {when:%b %H:%M}"


_TELLERS: dict[str, Any] = {
    "begin incident": _incident,
    "clear incident": _plain("green", "resolved: {reason}"),
    "record change": _change,
    "begin recovery": _plain("yellow", "{reason}; it waits for evidence"),
    "act recovery": _recovery("only {where} falls back to {version}: {reason}"),
    "effective recovery": _recovery("the fallback of {where} is verified: {reason}"),
    "ineffective recovery": _recovery("the fallback of {where} is taken back: {reason}"),
    "mended recovery": _mended,
    "advance rollout": _rollout("cyan", "canary {version} goes {reason}"),
    "harm rollout": _rollout("red", "{version} is rolled back, {touched} predictions were touched: {reason}"),
    "expire rollout": _rollout("yellow", "{version} is taken back: {reason}"),
    "promote rollout": _rollout("green", "{version} is promoted, and the version before it scores along: {reason}"),
    "confirm rollout": _rollout("green", "{version} stays: {reason}"),
    "withhold retraining": _plain("yellow", "no retraining: {reason}"),
    "trained retraining": _plain("cyan", "{reason}, without the newest four weeks"),
    "accept retraining": _plain("green", "the gate accepts: {reason}"),
    "refuse retraining": _plain("yellow", "the gate refuses: {reason}"),
    "refitted retraining": _plain("cyan", "{reason}, the newest included"),
    "failed retraining": _plain("red", "training failed: {reason}"),
}
