"""Causes: ranked hypotheses of what happened, each with evidence for and against.

A column is ranked by how far beyond its own healthy history both witnesses saw it; a recorded change by how shortly
before the onset it came, against how often changes come at all. A cause is a hypothesis: it says what speaks against it
too.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import msgspec

from killick.clock import DAY, format_duration, format_instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.checks.verdict import Verdict
    from killick.clock import Duration, Window
    from killick_client.events import Change

# A change is looked for up to a day before the onset: feeds are rolled out in hours, and a night may have no traffic.
BEFORE: Duration = DAY


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """A hypothesis: what it is, how strong, and what speaks for and against it."""

    kind: str
    what: str
    strength: float
    evidence_for: tuple[str, ...]
    evidence_against: tuple[str, ...] = ()


def rank_columns(verdicts: Sequence[Verdict], segment: tuple[tuple[str, str], ...]) -> list[tuple[str, float]]:
    """Rank a segment's columns by how much they moved against their own history; the surest first.

    The strength is the smaller of the witnesses' ratios of value to limit: above 1, all of them speak.
    """
    ratios: dict[str, list[float]] = {}
    for verdict in verdicts:
        if verdict.segment == segment and verdict.check == "drift.univariate" and verdict.column:
            known = verdict.value is not None and verdict.threshold
            ratios.setdefault(verdict.column, []).append(verdict.value / verdict.threshold if known else 0.0)  # type: ignore[operator]
    ranked = [(column, min(found)) for column, found in ratios.items()]
    return sorted(ranked, key=lambda pair: (-pair[1], pair[0]))


def preceding_changes(changes: Sequence[Change], onset: Window) -> list[tuple[Change, float]]:
    """Return the changes that came shortly before, or at, the onset, the likeliest first.

    The strength is minus the log of the chance that a change comes so near by accident, had they come evenly.
    """
    if not changes:
        return []
    span = max(max(change.at for change in changes) - min(change.at for change in changes), DAY)
    rate = len(changes) / span
    near = [change for change in changes if onset.start - BEFORE <= change.at <= onset.end]
    scored = [(change, -math.log1p(-math.exp(-rate * max(onset.end - change.at, 1)))) for change in near]
    return sorted(scored, key=lambda pair: (-pair[1], pair[0].at))


def name_causes(
    columns: Sequence[tuple[str, float]], changes: Sequence[tuple[Change, float]], onset: Window | None, where: str
) -> list[Cause]:
    """Put columns and changes together into ranked causes."""
    moved = [f"{column} moved {ratio:.1f} times as far as healthy windows do" for column, ratio in columns if ratio > 1]
    if not moved:
        return []
    began = "its beginning is unknown"
    if onset:
        began = f"began between {format_instant(onset.start)} and {format_instant(onset.end)}"
    local = f"only {where} moved; its neighbours did not"
    causes = [
        Cause(
            kind="change",
            what=f"{change.kind} {change.name}{f' {change.version}' if change.version else ''}",
            strength=strength,
            evidence_for=(f"came {_before(change, onset)} the onset", local, *moved),
            evidence_against=("a change at the same time is not yet its cause",),
        )
        for change, strength in changes
    ]
    unexplained = Cause(
        kind="data",
        what=f"the data of {where}: {', '.join(column for column, ratio in columns if ratio > 1)}",
        strength=0.0,
        evidence_for=(local, began, *moved),
        evidence_against=() if not causes else ("a recorded change came just before",),
    )
    return [*causes, unexplained]


def as_evidence(causes: Sequence[Cause]) -> tuple[dict[str, Any], ...]:
    """Return causes as JSON values, for an incident's record."""
    return tuple(msgspec.to_builtins(cause) for cause in causes)


def _before(change: Change, onset: Window | None) -> str:
    if onset is None:
        return "shortly before"
    gap = onset.end - change.at
    return f"at most {format_duration(gap)} before" if gap > 0 else "at"
