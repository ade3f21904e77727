"""When a retraining job may begin, and on which rows."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.clock import DAY, HOUR
from killick.retraining.triggers import Situation, rows_for, why_not
from killick.spec.document import RetrainingPolicy

POLICY = RetrainingPolicy(run=("train",), rows=90 * DAY, holdout=28 * DAY, cooldown=28 * DAY)
NOW = 1_000 * DAY
QUIET = Situation(now=NOW, requested=(), job_runs=False, rollout_runs=False, live_trained_until=None)


def test_when_nothing_speaks_against_it_a_job_may_begin():
    """Of a live version of unknown age too."""
    assert why_not(POLICY, QUIET) == ""


@pytest.mark.parametrize(
    ("situation", "because"),
    [
        (replace(QUIET, job_runs=True), "another retraining job runs"),
        (replace(QUIET, rollout_runs=True), "a rollout is under way"),
        (replace(QUIET, requested=(NOW - 28 * DAY + 1,)), "is not 28d old"),
        (replace(QUIET, requested=(NOW - 200 * DAY, NOW - DAY)), "is not 28d old"),
        (replace(QUIET, live_trained_until=NOW - 59 * DAY + 1), "most of its rows"),
        (replace(QUIET, live_trained_until=NOW), "most of its rows"),
    ],
)
def test_each_thing_that_speaks_against_it_is_said(situation, because):
    """In words, for the ledger."""
    assert because in why_not(POLICY, situation)


@pytest.mark.parametrize(
    "situation",
    [
        replace(QUIET, requested=(NOW - 28 * DAY,)),
        replace(QUIET, live_trained_until=NOW - 59 * DAY),
        replace(QUIET, live_trained_until=NOW - 400 * DAY),
    ],
)
def test_at_its_border_it_speaks_no_more(situation):
    """A cool-down that is over, and half of the rows new."""
    assert why_not(POLICY, situation) == ""


@given(st.integers(2, 200), st.integers(1, 100), st.integers(0, 10_000))
def test_the_gate_judges_on_rows_that_nobody_was_trained_on(rows, holdout, now):
    """Training ends where the holdout begins; the holdout ends now, and is as long as the policy says."""
    policy = RetrainingPolicy(run=("train",), rows=(rows + holdout) * HOUR, holdout=holdout * HOUR)
    chosen = rows_for(policy, now)
    assert chosen.training.end == chosen.holdout.start
    assert chosen.holdout.end == now
    assert chosen.holdout.width == policy.holdout
    assert chosen.training.width + chosen.holdout.width == policy.rows
