"""The false-alarm budget of a run, shared over all its tests.

Holm's step-down decides what fails: whatever the tests have to do with one another, the chance of any false failure is
at most the budget. Benjamini-Hochberg at the same level decides what else is worth a warning: one finding in twenty of
such may be false, and on data where nothing changed the chance of any is the budget again. Tests that take for granted
what need not hold warn at most, and share a budget of their own. A NaN is a test that was not made: it costs nothing,
and its verdict is inconclusive.

Sources: Holm (1979), Scandinavian Journal of Statistics 6; Benjamini & Hochberg (1995), JRSS B 57.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from killick.stats.multiplicity import benjamini_hochberg, holm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from killick.checks.verdict import Status, Verdict
    from killick.profiles.cells import Floats


_STATUSES: tuple[Status, ...] = ("ok", "warn", "fail", "inconclusive")


@dataclass(frozen=True, slots=True)
class Shared:
    """What each test got out of the budget, in the order of the tests.

    `levels` is the p-value at which the test fails in this run: Holm's own for what failed, and for the others the one
    at which it stopped.
    """

    adjusted: Floats
    statuses: tuple[Status, ...]
    levels: Floats
    tests: int

    def part(self, start: int, end: int) -> Shared:
        """Return what some of the tests got."""
        return Shared(self.adjusted[start:end], self.statuses[start:end], self.levels[start:end], self.tests)


@dataclass(frozen=True, slots=True)
class Draft:
    """A verdict that waits for its share: its status and adjusted p-value are still to come. NaN: it was no test.

    `few` says that there are too few rows for anything but a finding: what is not found is then not known. `mild` says
    that it warns at most: its test takes for granted what need not hold, or nobody said which way is bad.
    """

    verdict: Verdict
    p_value: float = math.nan
    few: bool = False
    mild: bool = False

    def sealed(self, shared: Shared, at: int) -> Verdict:
        """Return the verdict as it stands now that the budget is shared."""
        if np.isnan(self.p_value):
            return self.verdict
        status, reason = shared.statuses[at], self.verdict.reason
        if status == "fail" and self.mild:
            status = "warn"
        if status == "ok" and self.verdict.status == "warn":
            # What missed an objective stays a warning, however good the reference was.
            status = "warn"
        found = status in ("fail", "warn")
        # A number is beyond its limit exactly where it was worth a test; the rest were given a p-value of 1.
        if not found and self.p_value < 1.0:
            reason = f"{reason}; so few rows leave it to chance"
            status = "inconclusive" if self.few else status
        return msgspec.structs.replace(
            self.verdict,
            status=status,
            reason=reason,
            direction=self.verdict.direction if found else None,
            p_value=self.p_value,
            p_adjusted=float(shared.adjusted[at]),
        )


def share_budget(p_values: Floats, budget: float, for_warnings: Floats | None = None) -> Shared:
    """Share a budget over tests.

    Args:
        p_values: in [0, 1], NaN for a test that was not made, `[tests]`.
        budget: the chance of any false failure.
        for_warnings: the p-values that warnings go by, where these are others; none is larger.

    >>> shared = share_budget(np.array([0.001, 0.02, 0.6, float("nan")]), 0.05)
    >>> shared.statuses, shared.tests, shared.levels.round(4).tolist()
    (('fail', 'fail', 'ok', 'inconclusive'), 3, [0.0167, 0.025, 0.05, nan])
    """
    if not len(p_values):
        return Shared(np.empty(0), (), np.empty(0), 0)
    made = ~np.isnan(p_values)
    strict, lenient = holm(p_values), benjamini_hochberg(p_values if for_warnings is None else for_warnings)
    tests, failed = int(made.sum()), strict <= budget
    rank = np.argsort(np.argsort(np.where(made, p_values, np.inf), kind="stable"), kind="stable")
    left = np.where(failed, tests - rank, max(tests - int(failed.sum()), 1))
    found = np.where(failed, 2, np.where(lenient <= budget, 1, 0))
    statuses = tuple(_STATUSES[at] for at in np.where(made, found, 3).tolist())
    return Shared(strict, statuses, np.where(made, budget / left, np.nan), tests)


def share_apart(p_values: Floats, mild: NDArray[np.bool_], budget: float, for_warnings: Floats) -> Shared:
    """Share a budget over tests that hold, and another as large over those that take for granted what need not hold.

    These warn at most; but their false findings must not make it easier for others to be found.

    Args:
        p_values: as in `share_budget`.
        mild: which of them take something for granted, `[tests]`.
        budget: the chance of any false failure.
        for_warnings: as in `share_budget`.
    """
    nothing = np.full(len(p_values), np.nan)
    strict = share_budget(np.where(mild, nothing, p_values), budget, np.where(mild, nothing, for_warnings))
    if not mild.any():
        return strict
    apart = share_budget(np.where(mild, p_values, nothing), budget, np.where(mild, for_warnings, nothing))
    statuses = tuple(
        lenient if is_mild else status
        for status, lenient, is_mild in zip(strict.statuses, apart.statuses, mild.tolist(), strict=True)
    )
    return Shared(
        np.where(mild, apart.adjusted, strict.adjusted),
        statuses,
        np.where(mild, apart.levels, strict.levels),
        strict.tests + apart.tests,
    )
