"""What to do about an incident: playbook and world in, one decision with its reason out.

What changes what is live is done only when the version that would serve instead is shown to be no worse on current
traffic, by the loss of the objective (DESIGN D9). That is looked at after every window, so its level is spent over the
looks: the fallback is put in wrongly for at most one healthy incident in twenty, however long it is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from killick.stats.looks import level_at_look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.checks.verdict import Verdict

# Over all looks at one incident.
ALPHA_NO_WORSE = 0.05
# Fog, a holiday or a calm day hides a fault for a day; two whole windows in a row did not in 174 trials (decision 0005).
CLEAN_WINDOWS = 2

Decision: TypeAlias = Literal["act", "recommend", "wait"]


class Compared(Protocol):
    """How a version compared with another on the same rows."""

    @property
    def words(self) -> str:
        """Say it."""
        ...

    def surely_better(self, alpha: float) -> bool:
        """Whether it was better with its whole lower bound."""
        ...

    def surely_worse(self, alpha: float) -> bool:
        """Whether it was worse with its whole upper bound."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done now about a recovery, and why."""

    event: str | None
    reason: str


def decide(mode: str, gain: Compared, look: int, *, routable: bool) -> Step:
    """Decide whether a planned recovery may go ahead.

    Args:
        mode: what the playbook allows: observe, recommend or act.
        gain: the version that would serve, against the one that does, on the incident's rows.
        look: how often this was asked before, plus one.
        routable: whether the incident's rows can be told apart when they come.
    """
    if not routable:
        return Step(None, "its rows cannot be told apart when they come, so nothing narrower than everything could be done")
    if not gain.surely_better(level_at_look(ALPHA_NO_WORSE, look)):
        return Step(None, f"not shown to be no worse (look {look}): {gain.words}")
    if mode == "act":
        return Step("act", f"shown to be better: {gain.words}")
    if mode == "recommend":
        return Step("recommend", f"would be better, a person decides: {gain.words}")
    return Step(None, f"would act, but only observes: {gain.words}")


def verify(gain: Compared, look: int) -> Step:
    """Decide whether a recovery that was applied helps."""
    level = level_at_look(ALPHA_NO_WORSE, look)
    if gain.surely_better(level):
        return Step("effective", f"it helps: {gain.words}")
    if gain.surely_worse(level):
        return Step("ineffective", f"it does harm: {gain.words}")
    return Step(None, f"whether it helps is not known yet (look {look}): {gain.words}")


def clean(verdicts: Sequence[Verdict], columns: Sequence[str], segment: tuple[tuple[str, str], ...]) -> bool:
    """Whether a window shows the incident's columns healthy: each could be judged, and in none all witnesses spoke."""
    mine = [v for v in verdicts if v.check == "drift.univariate" and v.segment == segment and v.column in columns]
    judged = {v.column for v in mine if v.status != "inconclusive"}
    return judged == set(columns) and all(v.status not in ("fail", "inconclusive") for v in mine)
