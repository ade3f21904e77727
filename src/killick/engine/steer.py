"""Steer traffic: the plan that all running machines together want, and how it is applied.

The wanted plan is a function of stored state, so whoever asks after a crash gets the same one. A plan's epoch is taken
in the transaction that stores it; the actuator refuses an older one. Only then does the machine that asked learn
`applied`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from killick.engine.record import Book
from killick.recovery.states import IN_FORCE
from killick.rollout.plan import Wanted, make_plan
from killick.rollout.states import CANARY_STATES, STOPPED_STATES
from killick_client.assignment import TrafficPlan  # noqa: TC001 - msgspec reads the annotation

if TYPE_CHECKING:
    from killick.clock import Instant
    from killick.engine.world import World
    from killick.rollout.states import Rollout
    from killick.spec.document import Spec


class StoredPlan(msgspec.Struct, frozen=True):
    """The plan in force, and the command that asked for it: asked again, that command gets the same plan."""

    plan: TrafficPlan
    asked_by: str


def stored_plan(book: Book) -> StoredPlan | None:
    """Return the newest plan that was stored."""
    document = book.transaction.get("plan", book.model, "plan")
    return msgspec.json.decode(document.body, type=StoredPlan) if document else None


def steer(world: World, spec: Spec, asked_by: str, now: Instant) -> TrafficPlan:
    """Store the wanted plan under a new epoch, and apply it.

    Raises:
        Fenced: somebody applied a newer plan meanwhile.
        OutsideError: it could not be applied; asking again is safe.
    """
    with world.control.transaction() as t:
        book = Book(t, spec.model, now)
        before = t.get("plan", spec.model, "plan")
        stored = stored_plan(book)
        if stored is None or stored.asked_by != asked_by:
            plan = make_plan(spec.model, stored.plan.epoch + 1 if stored else 1, wanted(book, spec), spec.segments)
            stored = StoredPlan(plan, asked_by)
            t.put("plan", spec.model, "plan", msgspec.json.encode(stored), revision=before.revision if before else 0)
            book.note("plan traffic", f"epoch {plan.epoch}", f"asked by {asked_by}", plan=plan)
    world.traffic.apply(stored.plan)
    return stored.plan


def restore(world: World, spec: Spec, now: Instant) -> None:
    """Bring traffic to the stored plan: after a restart, or when somebody moved it."""
    with world.control.transaction() as t:
        stored = stored_plan(Book(t, spec.model, now))
    if stored and world.traffic.in_force(spec.model) != stored.plan:
        world.traffic.apply(stored.plan)


def wanted(book: Book, spec: Spec) -> Wanted:
    """Return what all running machines together want of traffic. The alias says who is live until that changes."""
    pointed = book.alias("live").version or ""
    live, canary, shadow, salt = pointed, None, [], ""
    for machine in book.machines("rollout"):
        rollout = machine.body
        if machine.state in CANARY_STATES:
            canary, salt = (rollout.version, spec.rollout.steps[rollout.step]), rollout.salt
        elif machine.state == "promoting":
            live, shadow = rollout.version, [rollout.against]
        elif machine.state == "verifying":
            shadow = [rollout.against]
        elif machine.state == "rolling_back" and rollout.version == pointed:
            live = back_to(book, rollout)
    fallbacks = [
        (machine.body.segment, machine.body.version)
        for machine in book.machines("recovery")
        if machine.state in IN_FORCE
    ]
    return Wanted(live, tuple(fallbacks), canary, tuple(shadow), salt or spec.model)


def back_to(book: Book, rollout: Rollout) -> str:
    """Return who serves when a rollout is taken back: the version before it, or before one that was stopped since."""
    stopped: dict[str, str] = {}
    for machine in book.machines("rollout"):
        stopped.pop(machine.body.version, None)
        if machine.state in STOPPED_STATES:
            stopped[machine.body.version] = machine.body.against
    version = rollout.against
    while version in stopped:
        version = stopped.pop(version)
    return version
