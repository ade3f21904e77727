"""Abort wins every race: in whatever order things happen, what was stopped serves nobody, and traffic is as wanted."""

from contextlib import suppress
from dataclasses import replace

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from killick.clock import FOREVER, HOUR
from killick.engine.open import register_versions
from killick.engine.record import Book
from killick.engine.release import begin_rollout
from killick.engine.run import run_due
from killick.engine.steer import restore, steer, stored_plan, wanted
from killick.ledger.chain import verify
from killick.recovery.states import Recovery
from killick.registry.versions import Version
from killick.rollout.plan import make_plan
from killick.testing.archive import MemoryArchive
from killick.testing.control import MemoryControl
from killick.testing.faults import FaultPlan, Killed, faulty
from killick.testing.simulator import MODEL, STORES, Story, bad_release
from killick.testing.traffic import MemoryTraffic

STORY: Story = bad_release()
SPEC = STORY.spec
CANDIDATES = ("v2", "v3", "v4")
ROLLOUT_EVENTS = ("advance", "promote", "harm", "expire", "abort", "confirm")
RECOVERY_EVENTS = ("act", "recommend", "approve", "mended", "abort", "effective", "ineffective")


class Interrupted(MemoryTraffic):
    """Traffic during whose next change something else happens: before it has its effect, or after."""

    def __init__(self, before=None, after=None):
        super().__init__()
        self.before, self.after = before, after

    def apply(self, plan):
        """Put a plan in force, and be interrupted once."""
        before, self.before = self.before, None
        if before:
            before()
        super().apply(plan)
        after, self.after = self.after, None
        if after:
            after()


class Races(RuleBasedStateMachine):
    """Rollouts and recoveries of one model, moved by anybody at any time, with crashes in between."""

    @initialize()
    def open(self):
        """The shop as it is at first, with two more candidates in the registry."""
        self.control, self.now, self.settled = MemoryControl(), 1, True
        self.world = STORY.make_world(self.control, MemoryArchive())
        register_versions(self.world, SPEC, self.now, None)
        with self.control.transaction() as t:
            for name in CANDIDATES[1:]:
                Book(t, MODEL, self.now).register(Version(model=MODEL, name=name, loader="shop:v1"), "for a test")
        steer(self.world, SPEC, "first plan", self.now)
        self.epochs = [1]

    def machine_event(self, kind, which, events, event):
        """Give the which-th running machine an event, if it means anything there."""
        self.now += HOUR
        with self.control.transaction() as t:
            book = Book(t, MODEL, self.now)
            running = book.machines(kind, running=True)
            if not running:
                return
            machine = running[which % len(running)]
            event = events[event % len(events)]
            if not machine.allows(event):
                return
            body = machine.body
            if event in ("advance", "promote"):
                last = len(SPEC.rollout.steps) - 1
                body = msgspec.structs.replace(body, step=min(body.step + 1, last))
            book.move(machine, event, body, reason="a race")
        self.settled = False

    @rule(version=st.sampled_from(CANDIDATES))
    def release(self, version):
        """A version is put on its way."""
        self.now += HOUR
        with self.control.transaction() as t:
            begin_rollout(Book(t, MODEL, self.now), SPEC, version, "released", 0.2)
        self.settled = False

    @rule(store=st.sampled_from(STORES))
    def plan_recovery(self, store):
        """A fallback is wanted somewhere."""
        self.now += HOUR
        body = Recovery(
            incident="i",
            action="fallback",
            version="plain",
            mode="act",
            planned_at=self.now,
            segment=(("store", store),),
        )
        with self.control.transaction() as t:
            Book(t, MODEL, self.now).begin("recovery", f"recovery-{self.now}", body, "wanted")

    @rule(which=st.integers(0, 5), event=st.integers(0, 20))
    def move_a_rollout(self, which, event):
        """Evidence or a person moves a rollout."""
        self.machine_event("rollout", which, ROLLOUT_EVENTS, event)

    @rule(which=st.integers(0, 5), event=st.integers(0, 20))
    def move_a_recovery(self, which, event):
        """Evidence or a person moves a recovery."""
        self.machine_event("recovery", which, RECOVERY_EVENTS, event)

    @rule()
    def run(self):
        """What is due is done."""
        run_due(self.world, SPEC, self.now)
        self.settled = True

    @rule(number=st.integers(1, 40), moment=st.sampled_from(["before", "after"]))
    def crash(self, number, moment):
        """The process dies while it does what is due; the next one finds traffic empty."""
        plan = FaultPlan(number, moment)
        names = ("control", "archive", "tables", "models", "traffic", "trainer")
        dying = replace(self.world, **{name: faulty(getattr(self.world, name), plan) for name in names})
        with suppress(Killed):
            run_due(dying, SPEC, self.now)
        self.world = STORY.make_world(self.control, MemoryArchive())
        restore(self.world, SPEC, self.now)
        self.settled = False

    @precondition(lambda self: not self.settled)
    @rule(which=st.integers(0, 5), kind=st.sampled_from(["rollout", "recovery"]), late=st.booleans())
    def abort_while_it_is_applied(self, which, kind, late):
        """A person stops something while a plan is on its way to traffic."""

        def stop():
            self.machine_event(kind, which, ("abort",), 0)

        traffic = Interrupted(**{"after" if late else "before": stop})
        restored = self.world.traffic.in_force(MODEL)
        MemoryTraffic.apply(traffic, restored)
        self.world = replace(self.world, traffic=traffic)
        run_due(self.world, SPEC, self.now)
        traffic.before = traffic.after = None
        run_due(self.world, SPEC, self.now + HOUR)
        self.now += HOUR
        self.settled = True

    @invariant()
    def epochs_only_grow(self):
        """Fencing numbers never go back, whoever dies."""
        if not hasattr(self, "control"):
            return
        with self.control.transaction() as t:
            stored = stored_plan(Book(t, MODEL, self.now))
            verify(t.ledger())
        assert stored is not None
        assert stored.plan.epoch >= self.epochs[-1]
        self.epochs.append(stored.plan.epoch)

    @invariant()
    def when_all_is_done_traffic_is_as_wanted(self):
        """Nothing is due, the plan in force is the wanted one, and nobody is served by what was stopped."""
        if not getattr(self, "settled", False):
            return
        with self.control.transaction() as t:
            book = Book(t, MODEL, self.now)
            assert t.due(MODEL, FOREVER) == []
            plan = self.world.traffic.in_force(MODEL)
            assert plan == make_plan(MODEL, plan.epoch, wanted(book, SPEC), SPEC.segments)
            rollouts = {machine.body.version: machine.state for machine in book.machines("rollout")}
            stopped = {version for version, state in rollouts.items() if state in ("rolled_back", "withdrawn")}
            in_force = {m.body.segment for m in book.machines("recovery") if m.state in ("verifying", "holding")}
            live = book.alias("live").version
        served = {share.version for route in plan.routes for share in route.shares}
        assert not served & stopped
        assert {route.where[0].equals for route in plan.routes[:-1]} == {segment[0][1] for segment in in_force}
        assert live == plan.routes[-1].shares[-1].version
        assert live not in stopped


Races.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestRaces = Races.TestCase
