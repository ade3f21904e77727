"""Run what is due: commands from the outbox, at least once each, under a key that makes a second time harmless.

A command is performed outside of any transaction; its result and the mark that it is done are one transaction. A crash
in between repeats the command, which must therefore find what it did before: a plan by its key, a manifest by its job.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from killick.engine.record import Book, Errand
from killick.engine.retrain import judge_challenger, refit, start_rollout, train
from killick.engine.steer import back_to, steer
from killick.errors import IllegalMove

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from killick.clock import Instant
    from killick.engine.record import Machine
    from killick.engine.world import World
    from killick.spec.document import Spec

# A command may post further ones, which are due at once. No chain of ours is longer than a handful.
ROUNDS_MAX = 20


def run_due(world: World, spec: Spec, now: Instant) -> None:
    """Perform every command that is due, and those that follow from it.

    Raises:
        OutsideError: the world did not do what was asked; what is left stays due.
    """
    for _ in range(ROUNDS_MAX):
        with world.control.transaction() as t:
            commands = t.due(spec.model, now)
        if not commands:
            return
        for command in commands:
            errand = msgspec.json.decode(command.body, type=Errand)
            with world.control.transaction() as t:
                machine = Book(t, spec.model, now).machine(errand.kind, errand.machine)
            if machine is None:
                message = f"command {command.key} is of {errand.machine}, which does not exist"
                raise IllegalMove(message)
            if machine.state == errand.state:
                PERFORMERS[command.name](world, spec, machine, command.key, now)
            else:
                _drop(world, command.key, now)
    message = f"{ROUNDS_MAX} rounds of commands did not end: a state table posts them in a circle"
    raise IllegalMove(message)


def _drop(world: World, key: str, now: Instant) -> None:
    """Leave a command undone whose machine has moved on: an abort came first, and has commands of its own."""
    with world.control.transaction() as t:
        t.finish(key, now)


def set_traffic(world: World, spec: Spec, machine: Machine[Any], key: str, now: Instant) -> None:
    """Apply the wanted plan, and tell the machine that asked, if it still waits for this."""
    plan = steer(world, spec, key, now)
    with world.control.transaction() as t:
        book = Book(t, spec.model, now)
        fresh = book.machine(machine.kind, machine.id)
        if fresh and fresh.state == machine.state and fresh.allows("applied"):
            if machine.kind == "rollout":
                _point_live(book, fresh)
            book.move(fresh, "applied", reason=f"traffic follows epoch {plan.epoch}", epoch=plan.epoch)
        t.finish(key, now)


def _point_live(book: Book, rollout: Machine[Any]) -> None:
    """The alias `live` follows traffic: to a promoted version, and back from one that is taken back."""
    if rollout.state == "promoting":
        book.point("live", rollout.body.version, f"promoted by {rollout.id}")
    elif rollout.state == "rolling_back" and book.alias("live").version == rollout.body.version:
        book.point("live", back_to(book, rollout.body), f"taken back by {rollout.id}")


PERFORMERS: Mapping[str, Callable[[World, Spec, Machine[Any], str, Instant], None]] = {
    "set_traffic": set_traffic,
    "train": train,
    "judge_challenger": judge_challenger,
    "refit": refit,
    "start_rollout": start_rollout,
}
