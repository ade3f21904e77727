"""Readiness is found by trying: a transaction, a file; and whatever fails is named, and nothing else is said of it."""

import pytest

from killick.clock import SECOND
from killick.engine.open import apply_spec
from killick.engine.ready import look
from killick.engine.receive import OUTCOMES, Delivery, commit
from killick.testing.faults import FaultPlan, every_fault, faulty
from tests.engine.telemetry import MODEL, NOW, SPEC, Post, names, outcomes


@pytest.fixture
def post():
    """A world in which a model is watched, and who sends to it."""
    post = Post.in_memory()
    apply_spec(post.world, SPEC, NOW)
    return post


def test_a_world_that_works_is_ready_and_keeps_nothing_of_the_look(post):
    """No reason, nothing waits, and the file that it wrote is gone."""
    found = look(post.world.control, post.world.archive, NOW)
    assert (found.reasons, found.backlog_batches, found.lag_seconds) == ((), 0, {})
    assert post.world.archive.sweep(set(), spared_seconds=0) == []


def test_what_waits_is_counted_and_its_age_is_that_of_the_oldest(post):
    """Two batches came at NOW and a minute is past; once they are profiled nothing waits."""
    post.predict(names(0, 10))
    post.predict(names(10, 20))
    found = look(post.world.control, post.world.archive, NOW + 60 * SECOND)
    assert (found.backlog_batches, found.lag_seconds) == (2, {MODEL: 60.0})
    post.profile()
    assert look(post.world.control, post.world.archive, NOW).backlog_batches == 0


def test_a_clock_that_went_back_is_no_negative_lag(post):
    """What was written in the future has waited for no time."""
    post.predict(names(0, 10))
    assert look(post.world.control, post.world.archive, NOW - 60 * SECOND).lag_seconds == {MODEL: 0.0}


def test_every_call_that_fails_is_a_reason_and_no_error(post):
    """Whichever call of the two ports fails, before or after its effect: one of them is to blame, and it is said."""
    post.predict(names(0, 10))
    control, archive = post.world.control, post.world.archive
    counted = FaultPlan()
    look(faulty(control, counted), faulty(archive, counted), NOW)
    said = {
        look(faulty(control, plan), faulty(archive, plan), NOW).reasons
        for plan in every_fault(len(counted.calls), fault="error")
    }
    assert said == {("the control store does not answer",), ("the archive cannot be written",)}


def test_what_nobody_will_profile_is_no_backlog(post):
    """Outcomes of a model that has sent no prediction wait, and nobody is behind."""
    commit(post.world, [Delivery("labels-only", OUTCOMES, "host", 0, outcomes({"loan-1": 1}))], NOW)
    found = look(post.world.control, post.world.archive, NOW)
    assert (found.backlog_batches, found.lag_seconds) == (0, {})
