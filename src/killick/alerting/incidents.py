"""Incidents: problems that have a life. Their state table, and what is known of one.

    open -> acknowledged -> mitigating -> resolved -> reviewed
What was put in to limit the harm and does not is taken out again, and the incident is open once more. A problem that
comes back after it was resolved is a new incident.
"""

from __future__ import annotations

from typing import Any

import msgspec

from killick.automaton import Move, Table
from killick.clock import FOREVER, Instant, Window
from killick.spec.document import Severity  # noqa: TC001 - msgspec reads the annotations

INCIDENT = Table(
    kind="incident",
    start="open",
    moves={
        ("open", "acknowledge"): Move("acknowledged"),
        ("open", "mitigate"): Move("mitigating"),
        ("open", "clear"): Move("resolved"),
        ("acknowledged", "mitigate"): Move("mitigating"),
        ("acknowledged", "clear"): Move("resolved"),
        ("mitigating", "relapse"): Move("open"),
        ("mitigating", "clear"): Move("resolved"),
        ("resolved", "review"): Move("reviewed"),
    },
    meaning={
        "open": "somebody or something should act",
        "acknowledged": "a person has taken it",
        "mitigating": "an action is in force that limits the harm",
        "resolved": "the cause is gone, or the harm is",
        "reviewed": "a person has looked back on it and signed",
    },
)


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an incident. `kind` is what playbooks name; `segment` is where it is, `()` being everywhere.

    `onset` bounds when it began, as far as the data tell; `began` is its start, or that of the first window that
    testified. `causes` are the diagnosis, the likeliest first.
    """

    kind: str
    title: str
    severity: Severity
    opened_at: Instant
    segment: tuple[tuple[str, str], ...] = ()
    columns: tuple[str, ...] = ()
    subject: str = ""
    onset: Window | None = None
    began: Instant | None = None
    last_seen: Instant = 0
    resolved_at: Instant | None = None
    causes: tuple[dict[str, Any], ...] = ()
    evidence: dict[str, Any] = {}

    @property
    def spoiled(self) -> Window:
        """The event time that the incident spoiled: from its beginning to its end, or for ever while it lasts."""
        opened = self.opened_at if self.began is None else self.began
        began = self.onset.start if self.onset else opened
        return Window(began, self.resolved_at if self.resolved_at is not None else FOREVER)

    def covers(self, window: Window) -> bool:
        """Whether the window overlaps what the incident spoiled: such data is not healthy."""
        return window.start < self.spoiled.end and self.spoiled.start < window.end
