"""Look whether the world takes what would be written to it, and how far the profiles are behind. Changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from killick.clock import SECOND
from killick.errors import OutsideError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.clock import Instant
    from killick.ports.archive import Archive
    from killick.ports.control import Control


@dataclass(frozen=True, slots=True)
class Found:
    """What a look found: why nothing can be stored, if so; and what waits to be profiled, for how long, by model.

    What a model has sent of which too little is known to watch it waits for nobody.
    """

    reasons: tuple[str, ...] = ()
    backlog_batches: int = 0
    lag_seconds: Mapping[str, float] = field(default_factory=dict)


def look(control: Control, archive: Archive, now: Instant) -> Found:
    """Ask the store, and write a small file to the archive and remove it. The reasons tell nothing about the machine.

    Cost: one transaction, and of each model that has batches pending a look at the first; one durable file.
    """
    reasons: list[str] = []
    waiting: dict[str, int] = {}
    oldest: dict[str, Instant] = {}
    try:
        with control.transaction() as t:
            waiting = {model: number for model, number in t.waiting().items() if t.get("spec", model, "applied")}
            oldest = {model: t.pending(model, rows=1)[0].written_at for model in waiting}
    except OutsideError:
        reasons.append("the control store does not answer")
    try:
        try_archive(archive, now)
    except OutsideError:
        reasons.append("the archive cannot be written")
    return Found(
        tuple(reasons), sum(waiting.values()), {model: max(0, now - at) / SECOND for model, at in oldest.items()}
    )


def try_archive(archive: Archive, now: Instant) -> None:
    """Write a small file and remove it.

    Raises:
        OutsideError: the archive takes none.
    """
    archive.remove(archive.write_run("", "readiness", "probe", np.array([[now]])))
