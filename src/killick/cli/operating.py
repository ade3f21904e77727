"""`killick approve`, `abort`, `acknowledge`, `clear`: what a person says to a running machine, in the person's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from killick.api import load_spec
from killick.cli.console import out
from killick.engine.operate import operate
from killick.engine.replay import reached
from killick.engine.steer import restore
from killick.wiring import open_world

if TYPE_CHECKING:
    from pathlib import Path

HOLDS = 0


def give(event: str, key: str, spec_path: Path, store: Path | None, *, actor: str, reason: str) -> int:
    """Give a machine an event, and say what came of it.

    A replayed store lives in its history's time: what is said now happens at the instant that the replay has reached.
    """
    spec = load_spec(spec_path)
    world = open_world(spec_path.parent, store or spec_path.parent / "store")
    now = reached(world, spec)
    restore(world, spec, now)
    moved = operate(world, spec, key, event, actor=actor, reason=reason, now=now)
    out().print(f"{moved.kind} {moved.id} is {moved.state}")
    return HOLDS
