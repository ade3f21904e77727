"""Objectives: does the service keep what was promised, over a trailing window?

An objective is missed only when its whole 95 % interval is beyond the promise, so that a handful of labels cannot miss
it by chance; and it is not judged before half of its window has labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from killick.checks.performance import LABELS_MIN, bound, measure, surely_missed
from killick.checks.verdict import Verdict

if TYPE_CHECKING:
    from killick.checks.verdict import Status
    from killick.clock import Duration, Window
    from killick.profiles.profile import Profile
    from killick.spec.document import Objective

FAMILY = "objective."


def judge_objective(objective: Objective, answered: Profile, window: Window, covered: Duration) -> Verdict:
    """Judge an objective over its trailing window.

    Args:
        objective: what was promised.
        answered: the profile of everything answered in the window, with the labels known by now.
        window: the trailing window.
        covered: how much of the window has predictions at all.
    """
    found = measure(answered, objective.sli)
    status: Status = "fail" if surely_missed(found, objective) else "ok"
    promised = "at most" if objective.at_most is not None else "at least"
    if found.value is None or found.labels < LABELS_MIN or covered * 2 < objective.window:
        status = "inconclusive"
        reason = f"{found.labels} labels in {covered / objective.window:.0%} of the window; half of it is needed"
    else:
        word = "misses" if status == "fail" else "keeps"
        reason = f"{objective.sli} {found.value:.3f} {word} {promised} {bound(objective):g} over {found.labels} labels"
    return Verdict(
        check=f"{FAMILY}{objective.name}",
        metric=objective.sli,
        window=window,
        status=status,
        severity=objective.severity if status == "fail" else "digest",
        reason=reason.replace("%", " %"),
        value=found.value,
        interval=found.interval,
        threshold=bound(objective),
        n_current=found.labels,
    )


def kept_again(verdict: Verdict, objective: Objective) -> bool:
    """Whether a missed objective is kept again: the value itself, not merely its interval's better end."""
    return verdict.value is not None and verdict.status == "ok" and objective.holds(verdict.value)
