"""The state table of a rollout: one version on its way, through growing shares, to all or back.

`set_traffic` makes the traffic plan that all states together ask for, and applies it; `applied` is its answer. A harm
wins over everything that was about to happen, and `abort` is reachable from every state that is not an end.
"""

from __future__ import annotations

from typing import Any

import msgspec

from killick.automaton import Move, Table
from killick.clock import Instant  # noqa: TC001 - msgspec reads the annotations

_BACK = Move("rolling_back", ("set_traffic",))

ROLLOUT = Table(
    kind="rollout",
    start="planned",
    moves={
        ("planned", "begin"): Move("stepping", ("set_traffic",)),
        ("planned", "abort"): Move("withdrawn"),
        ("stepping", "applied"): Move("watching"),
        ("stepping", "harm"): _BACK,
        ("stepping", "abort"): _BACK,
        ("watching", "advance"): Move("stepping", ("set_traffic",)),
        ("watching", "promote"): Move("promoting", ("set_traffic",)),
        ("watching", "harm"): _BACK,
        ("watching", "expire"): _BACK,
        ("watching", "abort"): _BACK,
        ("promoting", "applied"): Move("verifying"),
        ("promoting", "harm"): _BACK,
        ("promoting", "abort"): _BACK,
        ("verifying", "confirm"): Move("promoted", ("set_traffic",)),
        ("verifying", "harm"): _BACK,
        ("verifying", "abort"): _BACK,
        ("rolling_back", "applied"): Move("rolled_back"),
        # Already on its way back: a second harm or abort finds nothing left to stop.
        ("rolling_back", "harm"): Move("rolling_back"),
        ("rolling_back", "abort"): Move("rolling_back"),
    },
    meaning={
        "planned": "the version is registered, nobody is served by it",
        "stepping": "its share is about to grow",
        "watching": "it serves its share, and the judge looks on",
        "promoting": "it is about to become live",
        "verifying": "it is live; the version before it scores along, so that the gain is paired",
        "promoted": "it is live, and the comparison is closed",
        "rolling_back": "its share is about to become nothing",
        "rolled_back": "it serves nobody",
        "withdrawn": "it never served anybody",
    },
)
CANARY_STATES = frozenset({"stepping", "watching"})
STOPPED_STATES = frozenset({"rolling_back", "rolled_back"})
LIVE_STATES = frozenset({"promoting", "verifying", "promoted"})


class Rollout(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a rollout. `step` indexes the spec's shares; the two processes hold the judge's evidence."""

    version: str
    against: str
    began_at: Instant
    step: int = 0
    step_at: Instant = 0
    salt: str = ""
    harm: tuple[float, ...] = ()
    safe: tuple[float, ...] = ()
    judged_until: Instant = 0
    # Counts of the comparison so far: wrong decisions and judged entities of either arm.
    canary: tuple[int, int] = (0, 0)
    live: tuple[int, int] = (0, 0)
    # Labelled decisions of the canary in all, further ones of the same entities too: what a step waits for.
    labelled: int = 0
    touched: int = 0
    ended_at: Instant | None = None
    incident: str | None = None
    evidence: dict[str, Any] = {}
