"""What matters first: the one order in which the page, the notebook, Markdown and the terminal tell verdicts.

By status, the worst first. Among equals, what is certain before what is likely: a missing column, a changed type or an
impossible output is a fact; then a loss in performance, which is what all the rest is watched for; then a changed
relation of score and label, which no retraining on old rows mends; then drift, the farthest beyond its threshold first;
then shares. What is so everywhere is told before what is so in one segment: it concerns more rows. When the score is
off, every feature's relation to the label changes with it; of a feature it therefore stands with drift, or the column
that broke would be one among all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from killick.reports.words import finite

if TYPE_CHECKING:
    from collections.abc import Iterable

    from killick.checks.verdict import Status, Verdict
    from killick.reports.words import Segment

# From what must be read to what need not be: an unknown matters more than what is known to hold.
BY_STATUS: tuple[Status, ...] = ("error", "fail", "warn", "inconclusive", "ok")
LOUD: tuple[Status, ...] = ("error", "fail", "warn")
# Faults that need no statistics: who sees one knows what to mend.
CERTAIN = ("quality.schema", "quality.type", "quality.output", "quality.duplicates")
PERFORMANCE = ("performance.", "business.")
CONCEPT = "drift.concept"
DRIFT = "drift."
# Ten thousand times a threshold says no more than a hundred times, and an infinite ratio cannot be sorted with others.
_MARGIN_MAX = 1e4


def importance(verdict: Verdict) -> tuple[int, int, bool, float, str, Segment]:
    """Return a key that sorts verdicts by how much they matter, the most important first.

    >>> from killick.checks.verdict import Verdict
    >>> small, large = (
    ...     Verdict(check="drift.univariate", metric="psi", status="fail", reason="", value=value, threshold=0.1)
    ...     for value in (0.2, 9.0)
    ... )
    >>> sorted([small, large], key=importance)[0].value
    9.0
    """
    # Of what holds, the nearest to its threshold comes first. A drift that warns is below the threshold that windows
    # set, which is another for each column: there the largest comes first.
    warned = verdict.status == "warn" and verdict.check.startswith(DRIFT)
    far = finite(verdict.value) or 0.0 if warned else margin(verdict)
    return (
        BY_STATUS.index(verdict.status),
        family(verdict),
        verdict.segment != (),
        -far if verdict.status in LOUD else far,
        verdict.column or "",
        verdict.segment,
    )


def family(verdict: Verdict) -> int:
    """Return the rank of what a check is about: 0 certain faults, 1 performance, 2 concept, 3 drift, 4 the rest."""
    if verdict.check in CERTAIN:
        return 0
    if verdict.check.startswith(PERFORMANCE):
        return 1
    if verdict.check == CONCEPT and not verdict.column:
        return 2
    return 3 if verdict.check.startswith(DRIFT) else 4


def margin(verdict: Verdict) -> float:
    """Return how far a value is from its threshold, in thresholds; 0 where one of the two is missing.

    >>> from killick.checks.verdict import Verdict
    >>> margin(Verdict(check="drift.univariate", metric="psi", status="fail", reason="", value=0.3, threshold=0.1))
    2.0
    """
    value, threshold = finite(verdict.value), finite(verdict.threshold)
    if value is None or threshold is None:
        return 0.0
    beyond = abs(value - threshold)
    return round(min(beyond / abs(threshold) if threshold else beyond * _MARGIN_MAX, _MARGIN_MAX), 9)


def by_importance(verdicts: Iterable[Verdict]) -> list[Verdict]:
    """Return verdicts, the most important first."""
    return sorted(verdicts, key=importance)
