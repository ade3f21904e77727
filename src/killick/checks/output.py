"""`quality.output`: is what the model said possible in itself?

A score outside [0, 1], a score that is no number, a decision that does not follow from score and threshold, class
probabilities that do not sum to 1. Each such row is wrong whatever the reference holds, so nothing has to be tested:
the check fails above one row in a thousand, and warns of any below; that there is none says little of fewer than 50
rows. Only where the reference has the same fault is it a question of chance, and then it fails when the share is surely
higher, by more than one row in a thousand; else it warns: the spec may be wrong about the model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from killick.checks.distances import ROWS_MIN
from killick.checks.performance import UNDECIDED
from killick.checks.sharing import Draft
from killick.checks.verdict import Verdict
from killick.profiles.faults import SUM_REACH, Faults
from killick.stats.shares import share_p_value

if TYPE_CHECKING:
    from killick.checks.verdict import Status
    from killick.clock import Window
    from killick.profiles.census import Census

__all__ = ["OUTPUT", "judge_output"]

OUTPUT = "quality.output"
# Rounding and a stray retry make single rows; from one in a thousand on it is how the model is served.
SHARE_MAX = 0.001


class _Fault(NamedTuple):
    """One kind of fault: its metric, which counts it is of, and how to say it."""

    metric: str
    rows: str
    wrong: str
    words: str


_FAULTS = (
    _Fault("outside_rate", "scored", "outside", "of the scores lie outside [0, 1]"),
    _Fault("nan_rate", "present", "nan", "of the scores are no number"),
    _Fault(
        "decision_mismatch_rate", "decided", "mismatched", "of the decisions do not follow from score and threshold"
    ),
    _Fault("sum_rate", "summed", "off", f"of the rows have probabilities that miss 1 by more than {SUM_REACH:g}"),
)


def judge_output(reference: Census | None, current: Census, window: Window | None = None) -> list[Draft]:
    """Judge each kind of fault that the questions allow to see; none where no score was asked for.

    Args:
        reference: the census of the reference; None when there is none.
        current: of the rows to judge.
        window: their event time.
    """
    output = current.asked.output
    if output is None or not output.scores:
        return []
    asked = {
        "outside_rate": output.probability,
        "nan_rate": True,
        "decision_mismatch_rate": output.decision is not None and len(output.scores) == 1,
        "sum_rate": output.probability and len(output.scores) > 1,
    }
    column = output.scores[0] if len(output.scores) == 1 else None
    before = reference.faults if reference else Faults()
    decision = output.decision.column if output.decision else None
    undecided = output.decision is not None and output.decision.positive is None
    return [
        _undecided(fault, decision, window)
        if fault.wrong == "mismatched" and undecided
        else _judge(fault, decision if fault.wrong == "mismatched" else column, before, current.faults, window)
        for fault in _FAULTS
        if asked[fault.metric]
    ]


def _undecided(fault: _Fault, column: str | None, window: Window | None) -> Draft:
    verdict = Verdict(
        check=OUTPUT, metric=fault.metric, status="inconclusive", reason=UNDECIDED, column=column, window=window
    )
    return Draft(verdict)


def _judge(fault: _Fault, column: str | None, before: Faults, now: Faults, window: Window | None) -> Draft:
    rows, wrong = getattr(now, fault.rows), getattr(now, fault.wrong)
    rows_before, wrong_before = getattr(before, fault.rows), getattr(before, fault.wrong)
    usual = wrong_before / rows_before if rows_before > 0 else 0.0
    share = wrong / rows if rows > 0 else None
    status: Status = "inconclusive"
    reason = "no rows that can be asked"
    if share is not None:
        status = "ok" if not wrong else "fail" if share > SHARE_MAX else "warn"
        reason = f"{100 * share:.2f} % {fault.words} ({wrong:,} of {rows:,})"
    if usual and share is not None:
        status = "warn" if share > SHARE_MAX else "ok"
        reason = f"{reason}; {100 * usual:.2f} % in the reference"
        if share > SHARE_MAX:
            reason += ", so perhaps the spec does not say what the model does"
    if status == "ok" and rows < ROWS_MIN:
        status, reason = "inconclusive", f"{reason}; so few rows cannot tell more"
    verdict = Verdict(
        check=OUTPUT,
        metric=fault.metric,
        status=status,
        reason=reason,
        column=column,
        window=window,
        value=share,
        threshold=min(usual + SHARE_MAX, 1.0),
        effect=None if share is None else share - usual,
        direction="up" if share is not None and share > usual else None,
        n_reference=rows_before or None,
        n_current=rows,
    )
    if share is None or not usual:
        return Draft(verdict)
    if share <= usual + SHARE_MAX:
        return Draft(verdict, 1.0)
    return Draft(verdict, share_p_value(wrong_before, rows_before, wrong, rows))
