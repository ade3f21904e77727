"""When to retrain, and on which rows.

A job is not begun while another runs, while a rollout is under way (its outcome may be the cure), within the cool-down
after the last one, or while most of its rows would be those that live was trained on. Rows are those whose labels were
known when the newest rows, kept for the gate, begin; rows that an incident spoiled are left out, or the fault would be
learned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from killick.clock import Window, format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.clock import Instant
    from killick.spec.document import RetrainingPolicy


# A challenger that saw mostly what live saw is mostly live again, and differs from it by luck.
NEW_MIN = 0.5


@dataclass(frozen=True, slots=True)
class Rows:
    """Which rows a job gets: those of `training`, labelled by its end, and those of `holdout` for the gate."""

    training: Window
    holdout: Window


def rows_for(policy: RetrainingPolicy, now: Instant) -> Rows:
    """Return the rows of a job that begins now.

    >>> from killick.clock import DAY
    >>> from killick.spec.document import RetrainingPolicy
    >>> rows = rows_for(RetrainingPolicy(run=("train",), rows=90 * DAY, holdout=28 * DAY), now=100 * DAY)
    >>> rows.training == Window(10 * DAY, 72 * DAY), rows.holdout == Window(72 * DAY, 100 * DAY)
    (True, True)
    """
    border = now - policy.holdout
    return Rows(Window(now - policy.rows, border), Window(border, now))


@dataclass(frozen=True, slots=True)
class Situation:
    """What speaks for or against a job now."""

    now: Instant
    requested: Sequence[Instant]
    job_runs: bool
    rollout_runs: bool
    live_trained_until: Instant | None


def why_not(policy: RetrainingPolicy, situation: Situation) -> str:
    """Say why no job may begin now; nothing when one may."""
    now = situation.now
    if situation.job_runs:
        return "another retraining job runs"
    if situation.rollout_runs:
        return "a rollout is under way"
    last = max(situation.requested, default=None)
    if last is not None and now < last + policy.cooldown:
        return f"the last job is not {format_duration(policy.cooldown)} old"
    training = rows_for(policy, now).training
    seen = (situation.live_trained_until or training.start) - training.start
    if seen > NEW_MIN * training.width:
        return "most of its rows would be those that live was trained on"
    return ""
