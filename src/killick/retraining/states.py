"""The state table of a retraining job: from a reason, through the operator's own command and a gate, to a challenger.

The command runs in its own process and may take hours; nothing waits for it but this state. It runs twice: first
without the newest rows, on which the gate judges what it made; then, when that was surely better, on all rows, for the
challenger that goes out must know the newest (decision 0007). What the gate refuses is kept, with the numbers that
refused it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from killick.automaton import Move, Table
from killick.clock import Instant  # noqa: TC001 - msgspec reads the annotations

RETRAINING = Table(
    kind="retraining",
    start="requested",
    moves={
        ("requested", "begin"): Move("training", ("train",)),
        ("requested", "recommend"): Move("recommended"),
        ("requested", "abort"): Move("aborted"),
        ("recommended", "approve"): Move("training", ("train",)),
        ("recommended", "abort"): Move("aborted"),
        ("training", "trained"): Move("gating", ("judge_challenger",)),
        ("training", "failed"): Move("failed"),
        ("training", "abort"): Move("aborted"),
        ("gating", "accept"): Move("refitting", ("refit",)),
        ("gating", "refuse"): Move("refused"),
        ("gating", "abort"): Move("aborted"),
        ("refitting", "refitted"): Move("accepted", ("start_rollout",)),
        ("refitting", "failed"): Move("failed"),
        ("refitting", "abort"): Move("aborted"),
        ("accepted", "released"): Move("released"),
        ("accepted", "abort"): Move("aborted"),
        # What comes back from a command after an abort finds the job ended, and changes nothing.
        ("aborted", "trained"): Move("aborted"),
        ("aborted", "failed"): Move("aborted"),
        ("aborted", "accept"): Move("aborted"),
        ("aborted", "refuse"): Move("aborted"),
        ("aborted", "refitted"): Move("aborted"),
        ("aborted", "released"): Move("aborted"),
    },
    meaning={
        "requested": "there is a reason to train",
        "recommended": "a person is asked",
        "training": "the operator's command runs, on all but the newest rows",
        "gating": "what it made is compared with live on the newest rows, which neither was trained on",
        "refitting": "it was surely better; the command runs again, on all rows",
        "accepted": "the challenger is there; its rollout is about to begin",
        "released": "its rollout has begun and goes its own way",
        "refused": "it was not surely better",
        "failed": "the command did not give a usable challenger",
        "aborted": "a person or a newer job stopped it",
    },
)


class Retraining(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a retraining job."""

    reason: str
    requested_at: Instant
    challenger: str
    trained_from: Instant
    trained_until: Instant
    incident: str | None = None
    rows: int = 0
    ended_at: Instant | None = None
    evidence: dict[str, Any] = {}
