"""The record: state, ledger and commands, written together or not at all.

A `Book` is one transaction seen by the engine: for one model, at one instant. Every move of a state table goes through
`Book.move`, which stores the new state, appends to the ledger why, and posts the commands that the table names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from killick.alerting.incidents import INCIDENT, Incident
from killick.errors import CallError, Mistake
from killick.identity import canonical_json, derive_id
from killick.ledger.chain import extend
from killick.ledger.entry import Fact
from killick.ports.control import Command
from killick.recovery.states import RECOVERY, Recovery
from killick.registry.aliases import Alias, Holding
from killick.registry.versions import Version
from killick.retraining.states import RETRAINING, Retraining
from killick.rollout.states import ROLLOUT, Rollout

if TYPE_CHECKING:
    from killick.automaton import Table
    from killick.clock import Instant
    from killick.ports.control import Transaction
    from killick_client.events import Change

AUTOMATA: dict[str, tuple[Table, type[Any]]] = {
    "incident": (INCIDENT, Incident),
    "rollout": (ROLLOUT, Rollout),
    "recovery": (RECOVERY, Recovery),
    "retraining": (RETRAINING, Retraining),
}
KILLICK = "killick"
Body = TypeVar("Body", Incident, Rollout, Recovery, Retraining)


class _Stored(msgspec.Struct, frozen=True):
    """How a machine lies in its document."""

    state: str
    since: int
    body: msgspec.Raw


class Errand(msgspec.Struct, frozen=True):
    """A command's body: which machine wants it, and in which state. One that has left the state wants it no more."""

    kind: str
    machine: str
    state: str


class Progress(msgspec.Struct, frozen=True):
    """How far a step has come that is taken once a window: the newest instant at which it was."""

    until: int


@dataclass(frozen=True, slots=True)
class Machine(Generic[Body]):
    """One running state table: an incident, a rollout, a recovery or a retraining job."""

    kind: str
    id: str
    state: str
    since: Instant
    body: Body
    revision: int

    @property
    def ended(self) -> bool:
        """Whether nothing leaves its state."""
        return self.state in AUTOMATA[self.kind][0].final

    def allows(self, event: str) -> bool:
        """Whether the event means anything in its state."""
        return AUTOMATA[self.kind][0].allows(self.state, event)


class Book:
    """A transaction of the engine: for one model, at one instant, in somebody's name.

    Args:
        transaction: the store's transaction, begun and ended by the caller.
        model: the model that everything written is about.
        now: the instant that everything written happened at.
        actor: who acts: Killick, or the person who asked.
    """

    def __init__(self, transaction: Transaction, model: str, now: Instant, actor: str = KILLICK) -> None:
        self.transaction = transaction
        self.model = model
        self.now = now
        self.actor = actor

    def note(self, action: str, subject: str, reason: str, **evidence: Any) -> None:  # noqa: ANN401 - any JSON values
        """Append a fact to the ledger."""
        fact = Fact(
            at=self.now,
            model=self.model,
            actor=self.actor,
            action=action,
            subject=subject,
            reason=reason,
            evidence=msgspec.to_builtins(evidence),
        )
        self.transaction.append(extend(self.transaction.ledger_head(), fact))

    def progress(self, step: str) -> Instant:
        """Return the newest instant at which a step was taken; 0 when it never was."""
        document = self.transaction.get("progress", self.model, step)
        return msgspec.json.decode(document.body, type=Progress).until if document else 0

    def once(self, step: str) -> bool:
        """Take a step at this instant; False when it was taken before: then what it would find is its own work."""
        document = self.transaction.get("progress", self.model, step)
        if self.progress(step) >= self.now:
            return False
        body = msgspec.json.encode(Progress(self.now))
        self.transaction.put("progress", self.model, step, body, revision=document.revision if document else 0)
        return True

    def begin(self, kind: str, key: str, body: Body, reason: str, **evidence: Any) -> Machine[Body]:  # noqa: ANN401
        """Start a machine; one that was started before under this key is returned as it is now."""
        known: Machine[Body] | None = self.machine(kind, key)
        if known:
            return known
        machine = Machine(kind, key, AUTOMATA[kind][0].start, self.now, body, 0)
        self._put(machine)
        self.note(f"begin {kind}", key, reason, **evidence)
        return Machine(kind, key, machine.state, self.now, body, 1)

    def move(
        self,
        machine: Machine[Body],
        event: str,
        body: Body | None = None,
        *,
        reason: str,
        **evidence: Any,  # noqa: ANN401 - any JSON values
    ) -> Machine[Body]:
        """Move a machine on an event, with what is now known of it; the ledger tells why.

        Raises:
            IllegalMove: its table has no such move; nothing is written.
        """
        table, _ = AUTOMATA[machine.kind]
        move = table.move(machine.state, event)
        moved = Machine(machine.kind, machine.id, move.to, self.now, body or machine.body, machine.revision)
        self._put(moved)
        self.note(f"{event} {machine.kind}", machine.id, reason, **{"from": machine.state, "to": move.to} | evidence)
        revision = machine.revision + 1
        for command in move.commands:
            errand = msgspec.json.encode(Errand(machine.kind, machine.id, move.to))
            self.transaction.post(Command(f"{machine.id}/{revision}/{command}", self.model, command, errand, self.now))
        return Machine(moved.kind, moved.id, moved.state, moved.since, moved.body, revision)

    def update(self, machine: Machine[Body], body: Body) -> Machine[Body]:
        """Store what is now known of a machine whose state does not change: evidence that grows is no move."""
        grown = Machine(machine.kind, machine.id, machine.state, machine.since, body, machine.revision)
        self._put(grown)
        return Machine(grown.kind, grown.id, grown.state, grown.since, body, machine.revision + 1)

    def machine(self, kind: str, key: str) -> Machine[Any] | None:
        """Return a machine by its key."""
        document = self.transaction.get(kind, self.model, key)
        return _machine(kind, key, document.body, document.revision) if document else None

    def machines(self, kind: str, *, running: bool = False) -> list[Machine[Any]]:
        """Return all machines of a kind, oldest first; with `running`, those that have not ended."""
        found = [_machine(kind, d.key, d.body, d.revision) for d in self.transaction.documents(kind, self.model)]
        began = {"incident": "opened_at", "rollout": "began_at", "recovery": "planned_at", "retraining": "requested_at"}
        found.sort(key=lambda machine: (getattr(machine.body, began[kind]), machine.id))
        return [machine for machine in found if not (running and machine.ended)]

    def register(self, version: Version, reason: str) -> None:
        """Put a version into the registry.

        Raises:
            CallError: another version has this name; versions are immutable.
        """
        known = self.version(version.name)
        if known is None:
            self.transaction.put("version", self.model, version.name, msgspec.json.encode(version), revision=0)
            self.note("register version", version.name, reason, metrics=version.metrics, lineage=version.lineage)
        elif (known.loader, known.artifact) != (version.loader, version.artifact):
            problem = f"is registered with loader {known.loader!r}; a version is immutable"
            hint = "give the new one a name of its own"
            raise CallError(Mistake(f"versions.{version.name}", problem, value=version.loader, hint=hint))

    def version(self, name: str) -> Version | None:
        """Return a version of the registry."""
        document = self.transaction.get("version", self.model, name)
        return msgspec.json.decode(document.body, type=Version) if document else None

    def versions(self) -> list[Version]:
        """Return all versions, in order of registration."""
        documents = self.transaction.documents("version", self.model)
        return sorted(
            (msgspec.json.decode(d.body, type=Version) for d in documents), key=lambda v: (v.registered_at, v.name)
        )

    def alias(self, name: str) -> Alias:
        """Return an alias with its history; one that was never set is empty."""
        document = self.transaction.get("alias", self.model, name)
        return msgspec.json.decode(document.body, type=Alias) if document else Alias(name=name)

    def point(self, name: str, version: str, reason: str) -> None:
        """Point an alias at a version, from now on."""
        document = self.transaction.get("alias", self.model, name)
        alias = msgspec.json.decode(document.body, type=Alias) if document else Alias(name=name)
        moved = alias.moved(Holding(version=version, since=self.now, actor=self.actor, reason=reason))
        if moved != alias:
            revision = document.revision if document else 0
            self.transaction.put("alias", self.model, name, msgspec.json.encode(moved), revision=revision)
            self.note("point alias", name, reason, version=version, before=alias.version)

    def _put(self, machine: Machine[Any]) -> None:
        stored = _Stored(machine.state, machine.since, msgspec.Raw(canonical_json(machine.body)))
        self.transaction.put(
            machine.kind, self.model, machine.id, msgspec.json.encode(stored), revision=machine.revision
        )


def record_change(book: Book, change: Change) -> bool:
    """Record that something happened in the world; False when it was recorded before."""
    key = derive_id("change", change.at, change.kind, change.name, change.version)
    if book.transaction.get("change", book.model, key):
        return False
    book.transaction.put("change", book.model, key, msgspec.json.encode(change), revision=0)
    book.note("record change", key, change.note or f"{change.kind} {change.name}", change=change)
    return True


def _machine(kind: str, key: str, body: bytes, revision: int) -> Machine[Any]:
    stored = msgspec.json.decode(body, type=_Stored)
    return Machine(
        kind, key, stored.state, stored.since, msgspec.json.decode(stored.body, type=AUTOMATA[kind][1]), revision
    )
