"""Killed between any two steps, a replay that starts again ends in the state that it would have had.

Until a commit nothing has happened in a store, and the control battery holds every store to that: so the exhaustive
sweep kills after each call that changes the world (a commit, a file, a plan in force, a training run), which leaves
every state that a crash can leave. Calls between them are sampled. `KILLICK_SWEEP=all` tries every call of every
window, before and after its effect, which takes some minutes for each story.
"""

import os
import random
from dataclasses import dataclass
from itertools import pairwise

import polars as pl
import pytest

from killick.checks.reference import unpack_reference
from killick.clock import Window
from killick.engine.measure import profile_batch, profile_labels
from killick.errors import OutsideError
from killick.profiles.codec import unpack_profile
from killick.profiles.profile import Profile
from killick.telemetry.columns import KNOWN_AT, LABEL, PREDICTION_ID
from killick.testing import simulator
from killick.testing.faults import FaultPlan, Killed, every_fault
from killick.testing.simulator import MODEL
from tests.engine.survivors import EFFECTS, EVER, Survivors, live, scale_of

STORIES = ("unit_fault", "bad_release", "changed_minds")
EVERY_CALL = os.environ.get("KILLICK_SWEEP") == "all"
MACHINES = ("incident", "rollout", "recovery", "retraining", "plan")
# Of the calls that are not tried for certain, so many in each window.
SAMPLED = 2


@dataclass(frozen=True)
class Lived:
    """A window of a story that nothing disturbed: what was there before, the calls made, and what was there after."""

    end: int
    before: Survivors
    calls: list[str]
    after: Survivors
    scale: str
    in_force: object

    @property
    def is_busy(self) -> bool:
        """Whether a machine moved in it."""
        with self.before.control.transaction() as was, self.after.control.transaction() as now:
            return any(was.documents(kind, MODEL) != now.documents(kind, MODEL) for kind in MACHINES)


@pytest.fixture(scope="module", params=STORIES)
def told(request):
    """A story, window by window, as it goes when nobody disturbs it."""
    story = getattr(simulator, request.param)()
    return story, windows_of(story, story.history.window.end)


def windows_of(story: simulator.Story, last: int) -> list[Lived]:
    """The windows of a story until an instant."""
    every = story.spec.evaluate_every
    survivors, windows = Survivors.none(), []
    for end in range(simulator.BEGIN + every, last + every, every):
        before, plan = survivors.copy(), FaultPlan()
        world = survivors.start(story, plan)
        live(world, story, end)
        calls = list(plan.calls)
        in_force = world.traffic.in_force(MODEL)
        windows.append(Lived(end, before, calls, survivors.copy(), scale_of(survivors.control), in_force))
    return windows


def plans(lived: Lived, chance: random.Random, fault: str = "kill") -> list[FaultPlan]:
    """The faults to be tried in a window."""
    every = every_fault(len(lived.calls), fault=fault)
    if EVERY_CALL:
        return every
    effects = [plan for plan in every if lived.calls[plan.kill_at - 1] in EFFECTS and plan.moment == "after"]
    others = chance.sample(every, SAMPLED)
    return [*effects, *others] if lived.is_busy else [*chance.sample(effects, SAMPLED), *others]


@pytest.mark.faults
@pytest.mark.slow
def test_killed_anywhere_a_replay_ends_as_it_would_have(told):
    """State, ledger, outbox, manifest, profiles, verdicts, files and traffic, to the byte."""
    story, windows = told
    chance = random.Random(1)
    for lived in windows:
        sweep(story, lived, plans(lived, chance))


@pytest.mark.faults
def test_what_ends_in_a_window_lets_nothing_begin_in_the_same_one():
    """A canary was taken back, and an objective is missed: a retraining begins a window later, killed or not."""
    story = simulator.everything_at_once()
    windows = windows_of(story, simulator.day(9))
    ends, begins = windows[-2:]
    assert len(jobs(ends.after)) == 0 < len(jobs(begins.after))
    for lived in (ends, begins):
        sweep(story, lived, plans(lived, random.Random(5)))


def jobs(survivors: Survivors) -> list[object]:
    """The retraining jobs."""
    with survivors.control.transaction() as t:
        return t.documents("retraining", MODEL)


def sweep(story: simulator.Story, lived: Lived, faults: list[FaultPlan]) -> None:
    """Kill the process that lives through a window as each plan says, start again, and compare."""
    expected = lived.after.remember(lived.scale)
    for plan in faults:
        survivors = lived.before.copy()
        with pytest.raises(Killed):
            live(survivors.start(story, plan), story, lived.end)
        world = survivors.start(story)
        live(world, story, lived.end)
        assert survivors.remember(lived.scale) == expected, plan
        assert world.traffic.in_force(MODEL) == lived.in_force, plan


@pytest.mark.faults
@pytest.mark.slow
def test_what_the_world_refuses_once_is_done_when_it_is_asked_again(told):
    """Any call may fail: the error reaches whoever runs the replay, and the same process goes on where it stopped."""
    story, windows = told
    chance = random.Random(2)
    for lived in windows:
        expected = lived.after.remember(lived.scale)
        for plan in chance.sample(every_fault(len(lived.calls), fault="error"), 4 * SAMPLED):
            if lived.calls[plan.kill_at - 1] in {"train", "load"}:
                continue  # the operator's command or version fails then, and is answered for: test_retrain, test_serve
            survivors = lived.before.copy()
            world = survivors.start(story, plan)
            with pytest.raises(OutsideError, match="injected"):
                live(world, story, lived.end)
            live(world, story, lived.end)
            assert survivors.remember(lived.scale) == expected, plan
            assert world.traffic.in_force(MODEL) == lived.in_force, plan


@pytest.mark.faults
def test_killed_again_and_again_it_still_arrives(told):
    """Each start is killed within a hundred and fifty calls: no window is lived through in one piece for long."""
    story, windows = told
    chance = random.Random(3)
    survivors, deaths = Survivors.none(), 0
    while True:
        plan = FaultPlan(chance.randrange(20, 150), chance.choice(["before", "after"]))
        try:
            live(survivors.start(story, plan), story, windows[-1].end)
        except Killed:
            deaths += 1
        else:
            break
        assert deaths < 10_000
    assert deaths > len(windows) / 2
    last = windows[-1]
    assert survivors.remember(last.scale) == last.after.remember(last.scale)
    assert all(runs == 1 for runs in survivors.trainer.runs.values())


def test_nothing_is_left_to_do_after_any_window(told):
    """No command stays in the outbox when a window is over, and traffic is what the stored plan says."""
    _, windows = told
    for lived in windows:
        assert lived.after.remember(lived.scale)["due"] == []
    epochs = [lived.in_force.epoch for lived in windows]
    assert all(one <= next_one for one, next_one in pairwise(epochs))


def test_each_prediction_is_counted_exactly_once(told):
    """All the stored profiles together are the profile of all rows at once, and of all their labels."""
    story, windows = told
    last = windows[-1]
    world = last.after.copy().start(story)
    with world.control.transaction() as t:
        reference = unpack_reference(t.get("reference", MODEL, "training").body)
        held = t.profiles(MODEL, last.scale, EVER)
        batches = t.batches(MODEL, "predictions")
    answered = [unpack_profile(packed, reference.scale) for key, packed in held.items() if key[1:3] in WHOLE]
    rows = pl.concat([world.archive.read(batch.path) for batch in batches], how="diagonal")
    labels = story.history.outcomes_in(Window(0, last.end)).select(PREDICTION_ID, LABEL, KNOWN_AT)
    rows = rows.join(labels, on=PREDICTION_ID, how="left", maintain_order="left")
    at_once = [
        *profile_batch(reference.scale, rows, story.spec).values(),
        *profile_labels(reference.scale, rows.drop_nulls(LABEL), story.spec).values(),
    ]
    segments = len(story.spec.segments)
    together = Profile.merge(reference.scale, answered)
    expected = Profile.merge(reference.scale, at_once)
    assert rows.height == story.history.predictions.height == sum(batch.rows for batch in batches)
    assert together.rows == rows.height
    # Every row is in the whole and in one segment of each grouping.
    assert expected.rows == rows.height * (1 + segments)
    assert (together.counts * (1 + segments) == expected.counts).all()


WHOLE = {(role, ()) for role in ("live", "canary", "fallback")}
