"""The state table of a recovery: one run of a playbook's action that changes what serves, from plan to verified result.

A fallback in a segment is the shape: it is planned, shown to be better, applied, verified, kept while the cause
lasts, and taken back when it is mended. What would change what is live and could not be shown to be better stays
planned, and is looked at again after every window; `recommended` waits for a person.
"""

from __future__ import annotations

from typing import Any

import msgspec

from killick.automaton import Move, Table
from killick.clock import Instant  # noqa: TC001 - msgspec reads the annotations

_UNDO = Move("undoing", ("set_traffic",))

RECOVERY = Table(
    kind="recovery",
    start="planned",
    moves={
        ("planned", "act"): Move("acting", ("set_traffic",)),
        ("planned", "recommend"): Move("recommended"),
        ("planned", "approve"): Move("acting", ("set_traffic",)),
        ("planned", "mended"): Move("unneeded"),
        ("planned", "abort"): Move("unneeded"),
        ("recommended", "approve"): Move("acting", ("set_traffic",)),
        ("recommended", "mended"): Move("unneeded"),
        ("recommended", "abort"): Move("unneeded"),
        ("acting", "applied"): Move("verifying"),
        ("acting", "mended"): _UNDO,
        ("acting", "abort"): _UNDO,
        ("verifying", "effective"): Move("holding"),
        ("verifying", "ineffective"): _UNDO,
        ("verifying", "mended"): _UNDO,
        ("verifying", "abort"): _UNDO,
        ("holding", "mended"): _UNDO,
        ("holding", "abort"): _UNDO,
        ("undoing", "applied"): Move("closed"),
        ("undoing", "abort"): Move("undoing"),
    },
    meaning={
        "planned": "wanted, and not yet shown to be better on current traffic",
        "recommended": "a person is asked",
        "acting": "about to be applied",
        "verifying": "applied; whether it helps is being measured",
        "holding": "it helps, and is kept while the cause lasts",
        "undoing": "about to be taken back",
        "closed": "taken back; what was live serves again",
        "unneeded": "the cause went away, or a person said no, before anything was changed",
    },
)
IN_FORCE = frozenset({"acting", "verifying", "holding"})


class Recovery(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a recovery: the incident it answers, the version it puts in, and where."""

    incident: str
    action: str
    version: str
    mode: str
    planned_at: Instant
    segment: tuple[tuple[str, str], ...] = ()
    acted_at: Instant | None = None
    ended_at: Instant | None = None
    judged_until: Instant = 0
    evidence: dict[str, Any] = {}
