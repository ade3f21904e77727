"""What to do about an incident: playbook and world in, one decision with its reason out.

What changes what is live is done only when the version that would serve instead is shown to be better on current
traffic, by the loss of the objective (DESIGN D9). That is asked after every window, so the comparison is one that may
be looked at as often as one likes: the fallback is put in wrongly for at most one incident in twenty, however long it
lasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from killick.alerting.alerts import Feed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.checks.verdict import Verdict

# Over all the times that one incident is looked at.
ALPHA_BETTER = 0.05
# Fog, a holiday or a calm day hides a fault for a day; two whole windows in a row did not in 174 trials (decision
# 0005).
CLEAN_WINDOWS = 2


class Compared(Protocol):
    """How a version compared with another on the same rows."""

    @property
    def words(self) -> str:
        """Say it."""
        ...

    def better_at_any_time(self, alpha: float) -> bool:
        """Whether it is better, however often this is asked."""
        ...

    def worse_at_any_time(self, alpha: float) -> bool:
        """Whether it is worse, however often this is asked."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be done now about a recovery, and why."""

    event: str | None
    reason: str


def decide(mode: str, gain: Compared, *, routable: bool, looks_at: Sequence[str] = ()) -> Step:
    """Decide whether a planned recovery may go ahead.

    Args:
        mode: what the playbook allows: observe, recommend or act.
        gain: the version that would serve, against the one that does, on the incident's rows.
        routable: whether the incident's rows can be told apart when they come.
        looks_at: the incident's columns that the version would look at too.
    """
    if looks_at:
        return Step(None, f"the version that would serve looks at {', '.join(looks_at)} too, so it would not help")
    if not routable:
        return Step(
            None, "its rows cannot be told apart when they come, so nothing narrower than everything could be done"
        )
    if not gain.better_at_any_time(ALPHA_BETTER):
        return Step(None, f"not shown to be better yet: {gain.words}")
    if mode == "act":
        return Step("act", f"shown to be better: {gain.words}")
    if mode == "recommend":
        return Step("recommend", f"would be better, a person decides: {gain.words}")
    return Step(None, f"would act, but only observes: {gain.words}")


def verify(gain: Compared) -> Step:
    """Decide whether a recovery that was applied helps."""
    if gain.better_at_any_time(ALPHA_BETTER):
        return Step("effective", f"it helps: {gain.words}")
    if gain.worse_at_any_time(ALPHA_BETTER):
        return Step("ineffective", f"it does harm: {gain.words}")
    return Step(None, f"whether it helps is not known yet: {gain.words}")


def clean(
    verdicts: Sequence[Verdict], columns: Sequence[str], segment: tuple[tuple[str, str], ...], feed: Feed | None = None
) -> bool:
    """Whether a window shows the incident's columns healthy: each could be judged, and nothing testifies against it."""
    feed = feed or Feed()
    mine = [verdict for verdict in verdicts if verdict.segment == segment and feed.is_told_by(verdict)]
    return all(_holds([verdict for verdict in mine if verdict.column == column]) for column in columns)


def _holds(verdicts: Sequence[Verdict]) -> bool:
    """Whether a column is healthy by all that is said of it.

    Its own past is four healthy weeks, and a fault that lasts for eleven has none left: then what else is said decides
    alone, and a neighbour that speaks is enough to keep it open.
    """
    past = [verdict.status for verdict in verdicts if verdict.reference == "trailing"]
    beside = [verdict.status for verdict in verdicts if verdict.reference != "trailing"]
    if beside and "inconclusive" in past:
        return all(status == "ok" for status in beside)
    said = past + beside
    return bool(said) and not {"fail", "inconclusive"} & set(said)
