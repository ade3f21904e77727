"""`killick forget`: a person's rows go from every file."""

from __future__ import annotations

import secrets
from dataclasses import asdict
from typing import TYPE_CHECKING

from killick.cli.console import must_be_store, out, person, say_json
from killick.engine.forget import forget
from killick.reports.words import counted
from killick.wiring import open_world, system_clock

if TYPE_CHECKING:
    from pathlib import Path

HOLDS = 0


def forget_entity(store: Path, control: str | None, entity_id: str, by: str | None, *, as_json: bool) -> int:
    """Forget an entity, and say what went."""
    must_be_store(store, control)
    world = open_world(store.parent, store, control)
    # Nobody keeps the salt: without it no id can be tried against what the ledger says.
    gone = forget(world, entity_id, actor=by or person(), now=system_clock().now(), salt=secrets.token_bytes(32))
    if as_json:
        say_json(asdict(gone))
    elif gone.rows:
        said = (
            f"{counted(gone.rows, 'row')} of {counted(gone.models, 'model')} removed from {counted(gone.files, 'file')}"
        )
        out().print(f"{said}. What was counted stays counted, and labels that come later are dropped.")
        out().print("Predictions that a client still holds in its spool come again.")
    else:
        out().print("No row of this entity was found. That it was asked for is in the ledger.")
    return HOLDS
