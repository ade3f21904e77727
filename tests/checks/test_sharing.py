"""The budget of a run: who gets how much of it, and what becomes of a verdict."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.checks.sharing import Draft, share_budget
from killick.checks.verdict import Verdict


@given(st.lists(st.floats(0, 1) | st.just(math.nan), max_size=30), st.floats(0.001, 0.5))
def test_a_test_fails_exactly_at_its_level(p_values: list[float], budget: float) -> None:
    """`levels` is the p-value at which a test fails in this run: the two ways to say it agree."""
    shared = share_budget(np.array(p_values), budget)

    assert shared.tests == sum(not math.isnan(p) for p in p_values)
    for p, level, status in zip(p_values, shared.levels.tolist(), shared.statuses, strict=True):
        if math.isnan(p):
            assert status == "inconclusive"
        elif p != pytest.approx(level, rel=1e-9):
            assert (status == "fail") == (p < level)


def test_what_only_the_lenient_rule_finds_is_a_warning() -> None:
    """Benjamini-Hochberg finds more than Holm, never less."""
    shared = share_budget(np.array([0.001, 0.012, 0.014, 0.9, 0.9]), 0.05)

    assert shared.statuses == ("fail", "fail", "fail", "ok", "ok") or "warn" in shared.statuses
    assert share_budget(np.array([0.02, 0.03, 0.9, 0.04]), 0.055).statuses == ("warn", "warn", "ok", "warn")


def test_a_missed_objective_stays_a_warning() -> None:
    """What an objective warned of is not made good by a reference that was no better."""
    verdict = Verdict(check="performance.realised", metric="log_loss", status="warn", reason="missed")
    shared = share_budget(np.array([1.0]), 0.05)

    assert Draft(verdict, 1.0).sealed(shared, 0).status == "warn"


def test_few_rows_find_or_do_not_know() -> None:
    """With too few rows a test can fail, but what it does not find is inconclusive, not fine."""
    verdict = Verdict(check="quality.missing", metric="missing_rate", status="fail", reason="5 % are missing")
    shared = share_budget(np.array([0.4, 1e-9]), 0.05)

    assert Draft(verdict, 0.4, few=True).sealed(shared, 0).status == "inconclusive"
    assert Draft(verdict, 1e-9, few=True).sealed(shared, 1).status == "fail"
