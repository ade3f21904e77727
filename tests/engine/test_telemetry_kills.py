"""Killed at any port call, with copies, late outcomes and corrections under way: everything is counted exactly once."""

from contextlib import suppress
from dataclasses import replace

import pytest

from killick.clock import DAY, HOUR
from killick.engine.profiling import profile_pending
from killick.engine.receive import OUTCOMES, PREDICTIONS, Delivery, commit
from killick.errors import OutsideError, StaleWrite
from killick.profiles.profile import Profile
from killick.testing.faults import FaultPlan, Killed, faulty
from tests.engine.telemetry import MODEL, NOW, Post, names, outcomes, predictions

# Outcomes before their predictions, copies of predictions under other sequences, corrections, shadows, an old row.
STORY = [
    Delivery(MODEL, OUTCOMES, "labels", 0, outcomes({"loan-0": 0, "loan-7": 1}, known_at=NOW + HOUR)),
    Delivery(MODEL, PREDICTIONS, "a", 0, predictions(names(0, 6))),
    Delivery(MODEL, PREDICTIONS, "b", 0, predictions(names(4, 10))),
    Delivery(MODEL, PREDICTIONS, "b", 1, predictions(names(0, 4), role="shadow", version="v2")),
    Delivery(MODEL, OUTCOMES, "labels", 1, outcomes({"loan-0": 1, "loan-5": 0}, known_at=NOW + 2 * HOUR)),
    Delivery(MODEL, PREDICTIONS, "a", 1, predictions(names(10, 13), at=NOW - 12 * DAY)),
    Delivery(MODEL, OUTCOMES, "labels", 2, outcomes({"loan-11": 1, "loan-5": 1, "nobody": 1}, known_at=NOW + HOUR)),
]


def live_through(world, watched, done: set[int]) -> None:
    """What a server does: take what comes, profile now and then, age. `done` are the deliveries that were answered."""
    for at, delivery in enumerate(STORY):
        if at not in done:
            commit(world, [delivery], NOW, attempt=len(done))
            done.add(at)
        if at % 2:
            with suppress(StaleWrite):
                profile_pending(world, watched, NOW)
    while profile_pending(world, watched, NOW).batches:
        pass
    Post(world, watched).age()


def summed(post: Post, role: str) -> Profile:
    """All that is counted of a role, over windows, without segments."""
    held = post.counted(role)
    return Profile.merge(post.watched.scale, [profile for (segment, _), profile in held.items() if not segment])


def expected() -> dict[str, Profile]:
    """The same rows, each once, with their latest labels, known when the first of each was, in one go."""
    post = Post.in_memory()
    post.predict(names(0, 10))
    post.predict(names(10, 13), at=NOW - 12 * DAY)
    post.predict(names(0, 4), role="shadow", version="v2")
    post.turn_out({"loan-0": 1, "loan-5": 0, "loan-7": 1, "loan-11": 1}, known_at=NOW + HOUR)
    post.profile()
    return {role: summed(post, role) for role in ("live", "shadow")}


def faulty_world(post: Post, plan: FaultPlan):
    """The post's world, failing by a plan."""
    return replace(post.world, control=faulty(post.world.control, plan), archive=faulty(post.world.archive, plan))


@pytest.mark.faults
@pytest.mark.parametrize("fault", ["kill", "error"])
def test_everything_is_counted_exactly_once(fault):
    """Every port call, before and after its effect: whoever starts again ends where nobody was killed."""
    right = expected()
    counting = FaultPlan()
    post = Post.in_memory()
    live_through(faulty_world(post, counting), post.watched, set())
    assert {role: summed(post, role) for role in right} == right
    assert len(counting.calls) > 100
    for number in range(1, len(counting.calls) + 1):
        for moment in ("before", "after"):
            plan = FaultPlan(kill_at=number, moment=moment, fault=fault)
            post, done = Post.in_memory(), set()
            with suppress(Killed, OutsideError):
                live_through(faulty_world(post, plan), post.watched, done)
            live_through(post.world, post.watched, done)
            assert {role: summed(post, role) for role in right} == right, plan
            with post.world.control.transaction() as t:
                assert t.tallies(MODEL)["predictions.counted"] == 17, plan
                assert t.pending() == [], plan
