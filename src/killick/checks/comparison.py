"""Two tables: is the current one still like the reference? What `killick check` judges, from profiles alone.

Rooms of tests are asked one after the other: `drift.univariate` of every column (`checks/univariate.py`), the shares of
`quality.*` (`checks/surplus.py`), constant columns (`checks/constancy.py`), and what the caller brings along, such as
what labels say of the model. Each gives p-values first and its verdicts last, when the budget is shared.

The budget is the chance of any failure in a whole run on healthy data, 5 % by default. All tests of a run share it by
Holm's step-down, which keeps just that under every dependence: a verdict *fails* when its adjusted p-value is within
the budget. What only Benjamini-Hochberg finds at the same level is a *warning*: its promise is that one finding in
twenty is false. On data without drift both keep the budget, where unadjusted p-values would warn in two runs of three
on twenty columns. A reference that is shorter than eight times the current time span has no windows as wide as that;
what its narrower ones excuse, though the rows are sure, is a warning.

Sources: Holm (1979); Benjamini & Hochberg (1995); statistics.md 1.1, 1.6 and 1.8. False alarms and power are measured
in tests/checks/test_comparison.py and benchmarks/operating_characteristics.py, its cost in benchmarks/verdicts.py: five
thousand drift verdicts in 50 ms.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from killick.checks.constancy import CONSTANT, judge_constancy
from killick.checks.drift import CHECK
from killick.checks.sharing import share_apart
from killick.checks.surplus import always, judge_surpluses
from killick.checks.univariate import judge_columns
from killick.checks.usual import windows_like
from killick.checks.verdict import Verdict
from killick.checks.watched import pile
from killick.telemetry.segments import REST

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from killick.checks.reference import BySegment, Reference, SegmentKey
    from killick.checks.sharing import Draft
    from killick.checks.watched import Watched
    from killick.clock import Window

# The chance of any false failure in a run: what people take the level of a test to be.
BUDGET = 0.05


@dataclass(frozen=True, slots=True)
class Comparison:
    """How to compare.

    Attributes:
        watched: the columns to judge: features, score, decision, label.
        label: which of them is the label, whose missing values are labels that have not come yet.
        window: the event time of the current rows, where they have one.
        budget: the chance of any false failure in the run.
        wanted: whether a check is asked for, by its name. Only what is asked for costs budget.
        own: by the name of a band, the column whose values it takes as they are: in a segment all of them are one.
    """

    watched: tuple[Watched, ...]
    label: str | None = None
    window: Window | None = None
    budget: float = BUDGET
    wanted: Callable[[str], bool] = always
    own: Mapping[str, str] = field(default_factory=dict)

    def divided_by(self, column: str | None, segment: SegmentKey) -> bool:
        """Whether a segment is made of a single value of a column, of which nothing can be asked there."""
        return any(value != REST and self.own.get(band, "") == column for band, value in segment)


def compare(
    reference: Reference, current: BySegment, how: Comparison, others: Sequence[Draft] = ()
) -> tuple[list[Verdict], int]:
    """Judge current profiles against a reference; return the verdicts, and how many tests shared the budget.

    Args:
        reference: on the same scale.
        current: the profiles to judge, by segment. A segment that only one side has is said, not judged.
        how: what to judge, and the budget.
        others: verdicts from elsewhere that share the budget.
    """
    known = {segment: profile for segment, profile in current.items() if segment in reference.profiles}
    segments, scale = tuple(known), reference.scale
    sides = pile(scale, [reference.profiles[segment] for segment in segments]), pile(scale, list(known.values()))
    windows = windows_like(reference, how.window)
    features = tuple(watched for watched in how.watched if watched.column != how.label)
    drifting, varying = how.watched if how.wanted(CHECK) else (), features if how.wanted(CONSTANT) else ()
    drifts = judge_columns(drifting, reference, segments, sides, windows, how.label)
    shares = judge_surpluses(features, segments, sides, windows, how.budget, how.wanted)
    constants = judge_constancy(varying, segments, sides)
    rooms = (drifts, shares, constants)
    p_others = np.array([draft.p_value for draft in others])
    p_values = np.concatenate([*(room.p_values for room in rooms), p_others])
    by_rows = np.concatenate([drifts.by_rows, p_values[len(drifts.by_rows) :]])
    hold = np.zeros(len(drifts.p_values), np.bool_), np.zeros(len(constants.p_values), np.bool_)
    mild = np.concatenate([hold[0], shares.mild, hold[1], np.array([draft.mild for draft in others], np.bool_)])
    shared = share_apart(p_values, mild, how.budget, by_rows if windows.narrow or windows.why_none else p_values)
    verdicts: list[Verdict] = []
    at = 0
    for room in rooms:
        end = at + len(room.p_values)
        told = room.verdicts(shared.part(at, end), how.window)
        verdicts += [verdict for verdict in told if not how.divided_by(verdict.column, verdict.segment)]
        at = end
    verdicts += [draft.sealed(shared, at + index) for index, draft in enumerate(others)]
    lone = _one_sided(reference, current, how.window) if how.wanted(CHECK) else []
    return [*verdicts, *lone], shared.tests


def _one_sided(reference: Reference, current: BySegment, window: Window | None) -> list[Verdict]:
    """Say which segments only one of the sides has: nothing can be compared there."""
    then, now = reference.profiles, current
    lone = [(segment, "reference", 0, then[segment].rows) for segment in then if segment not in now]
    lone += [(segment, "current table", now[segment].rows, 0) for segment in now if segment not in then]
    return [
        Verdict(
            check=CHECK,
            metric="psi",
            segment=segment,
            window=window,
            status="inconclusive",
            reason=f"only the {side} has rows in this segment",
            n_reference=rows_then,
            n_current=rows_now,
        )
        for segment, side, rows_now, rows_then in lone
    ]
