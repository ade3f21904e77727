"""Operate: what a person does to a running machine: approve, abort, acknowledge, review. Moves like any other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from killick.engine.record import AUTOMATA, Book, Machine
from killick.engine.respond import clear_incident, move_recovery
from killick.engine.run import run_due
from killick.errors import CallError, Mistake, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.clock import Instant
    from killick.engine.world import World
    from killick.spec.document import Spec

PEOPLE_MAY: Mapping[str, tuple[str, ...]] = {
    "incident": ("acknowledge", "clear", "review"),
    "rollout": ("abort",),
    "recovery": ("approve", "abort"),
    "retraining": ("approve", "abort"),
}
"""Which events of each state table are a person's to give. The others follow from evidence."""


def operate(world: World, spec: Spec, key: str, event: str, *, actor: str, reason: str, now: Instant) -> Machine[Any]:
    """Give a machine an event in a person's name, and do what follows.

    Args:
        world: where it runs.
        spec: of which model.
        key: the machine's id, or enough of its beginning to be the only one.
        event: what the person says.
        actor: who says it.
        reason: why; it goes into the ledger.
        now: when.

    Raises:
        CallError: there is no such machine, or the event is not a person's to give or means nothing in its state.
    """
    with world.control.transaction() as t:
        book = Book(t, spec.model, now, actor=actor)
        machine = _find(book, key)
        allowed = [known for known in PEOPLE_MAY[machine.kind] if machine.allows(known)]
        if event not in allowed:
            problem = f"cannot be given to a {machine.kind} that is {machine.state}"
            hint = did_you_mean(event, allowed) if allowed else "nothing is left to be done about it"
            raise CallError(Mistake("event", problem, value=event, hint=hint))
        moved = _move(book, machine, event, reason)
    run_due(world, spec, now)
    return moved


def _move(book: Book, machine: Machine[Any], event: str, reason: str) -> Machine[Any]:
    """Move a machine as evidence would have moved it: what follows for others follows here too."""
    if machine.kind == "incident" and event == "clear":
        return clear_incident(book, machine, book.now, reason)
    if machine.kind == "recovery":
        return move_recovery(book, machine, event, machine.body, reason=reason)
    body = machine.body
    if event == "abort" and body.ended_at is None:
        body = msgspec.structs.replace(body, ended_at=book.now)
    return book.move(machine, event, body, reason=reason)


def _find(book: Book, key: str) -> Machine[Any]:
    machines = [machine for kind in AUTOMATA for machine in book.machines(kind)]
    found = [machine for machine in machines if machine.id.startswith(key)]
    if len(found) != 1:
        problem = "is not known" if not found else f"could be any of {len(found)}"
        hint = (
            did_you_mean(key, [machine.id for machine in machines])
            if machines
            else f"nothing has happened to {book.model} yet"
        )
        raise CallError(Mistake("id", problem, value=key, hint=hint))
    return found[0]
