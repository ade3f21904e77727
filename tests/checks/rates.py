"""How often a check fails over many runs, and whether that is surely more than was promised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from killick.checks.sharing import share_budget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from killick.checks.sharing import Draft
    from killick.checks.verdict import Verdict

BUDGET = 0.05


def sealed(drafts: Sequence[Draft]) -> list[Verdict]:
    """Share the budget over the drafts of one check."""
    shared = share_budget(np.array([draft.p_value for draft in drafts], dtype=float), BUDGET)
    return [draft.sealed(shared, at) for at, draft in enumerate(drafts)]


def failed(drafts: Sequence[Draft]) -> set[str | None]:
    """The columns that fail."""
    return {verdict.column for verdict in sealed(drafts) if verdict.status == "fail"}


def surely_more_than_promised(run: Callable[[np.random.Generator], Sequence[Draft]], runs: int, seed: int) -> str:
    """Say how often a healthy world fails when the 99.9 % lower limit of that is above the budget; else nothing."""
    alarms = sum(bool(failed(run(np.random.default_rng([seed, at])))) for at in range(runs))
    low = stats.beta.ppf(0.001, alarms, runs - alarms + 1) if alarms else 0.0
    return f"{alarms} of {runs} runs failed" if low > BUDGET else ""
