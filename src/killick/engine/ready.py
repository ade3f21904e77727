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
    """What a look found: why nothing can be stored, if so; and what waits to be profiled, for how long, by model."""

    reasons: tuple[str, ...] = ()
    backlog_batches: int = 0
    lag_seconds: Mapping[str, float] = field(default_factory=dict)


def look(control: Control, archive: Archive, now: Instant) -> Found:
    """Ask the store, and write a small file to the archive and remove it. The reasons tell nothing about the machine.

    Cost: one transaction, one durable file.
    """
    reasons, backlog = [], 0
    oldest: dict[str, Instant] = {}
    try:
        with control.transaction() as t:
            pending = t.pending()
    except OutsideError:
        reasons.append("the control store does not answer")
    else:
        backlog = len(pending)
        for batch in pending:
            oldest[batch.model] = min(batch.written_at, oldest.get(batch.model, batch.written_at))
    try:
        archive.remove(archive.write_run("", "readiness", "probe", np.array([[now]])))
    except OutsideError:
        reasons.append("the archive cannot be written")
    return Found(tuple(reasons), backlog, {model: max(0, now - at) / SECOND for model, at in oldest.items()})
