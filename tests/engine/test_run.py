"""Commands are performed at least once; one whose machine has moved on is dropped, and an older epoch is refused."""

from dataclasses import replace

import msgspec
import pytest

from killick.clock import DAY, FOREVER
from killick.engine.operate import operate
from killick.engine.record import Book
from killick.engine.release import begin_rollout
from killick.engine.retrain import request_retraining
from killick.engine.run import run_due
from killick.engine.steer import restore, steer, stored_plan
from killick.errors import CallError, Fenced, OutsideError
from killick.testing.faults import FaultPlan, Killed, faulty
from killick.testing.simulator import BEGIN, MODEL, changed_minds
from killick.testing.traffic import MemoryTraffic
from killick.testing.trainer import MemoryTrainer
from tests.engine.shop import V1, Shop

NOON = BEGIN + DAY // 2


def release(shop: Shop, version: str, now: int = NOON):
    """Put a version on its way, without doing yet what follows."""
    with shop.world.control.transaction() as t:
        return begin_rollout(Book(t, MODEL, now), shop.story.spec, version, "released", 0.2)


def give(shop: Shop, machine, event: str, now: int):
    """Move a machine as evidence would, and do what follows."""
    with shop.world.control.transaction() as t:
        book = Book(t, MODEL, now)
        fresh = book.machine(machine.kind, machine.id)
        step = min(fresh.body.step + 1, 2) if event in ("advance", "promote") else fresh.body.step
        book.move(fresh, event, msgspec.structs.replace(fresh.body, step=step), reason="evidence")
    run_due(shop.world, shop.story.spec, now)


def promote(shop: Shop, version: str, now: int):
    """Take a version all the way to live, where it is watched."""
    machine = release(shop, version, now)
    run_due(shop.world, shop.story.spec, now)
    give(shop, machine, "promote", now)
    return machine


def served(shop: Shop) -> set[str]:
    """Who answers anybody."""
    plan = shop.world.traffic.in_force(MODEL)
    return {share.version for route in plan.routes for share in route.shares}


def test_a_command_whose_machine_was_aborted_meanwhile_is_dropped():
    """The process dies with the canary's plan applied and not yet told; a person aborts; the next one serves nobody."""
    shop = Shop.opened()
    spec, world = shop.story.spec, shop.world
    machine = release(shop, "v2")
    dying = replace(world, traffic=faulty(world.traffic, FaultPlan(1, "after")))
    with pytest.raises(Killed):
        run_due(dying, spec, NOON)
    assert "v2" in served(shop)
    with world.control.transaction() as t:
        book = Book(t, MODEL, NOON + 1)
        book.move(book.machine("rollout", machine.id), "abort", reason="second thoughts")

    shop.world = replace(world, traffic=MemoryTraffic())
    restore(shop.world, spec, NOON + 1)
    run_due(shop.world, spec, NOON + 1)
    put_back, *after = shop.world.traffic.applied
    assert any(share.version == "v2" for share in put_back.routes[-1].shares)
    assert [[share.version for share in plan.routes[-1].shares] for plan in after] == [["v1"]]
    with world.control.transaction() as t:
        assert Book(t, MODEL, NOON).machine("rollout", machine.id).state == "rolled_back"
        assert t.due(MODEL, FOREVER) == []


def test_a_rollback_goes_past_a_version_that_was_stopped_since():
    """v3 replaced v2, then v2 was found harmful: when v3 is taken back too, it is v1 that serves."""
    shop = Shop.opened()
    spec = shop.story.spec
    second = promote(shop, "v2", NOON)
    third = promote(shop, "plain", NOON + 1)
    assert served(shop) == {"plain"}
    operate(shop.world, spec, second.id, "abort", actor="ana", reason="harm was found late", now=NOON + 2)
    assert served(shop) == {"plain"}
    operate(shop.world, spec, third.id, "abort", actor="ana", reason="this one too", now=NOON + 3)
    assert served(shop) == {"v1"}
    with shop.world.control.transaction() as t:
        alias = Book(t, MODEL, NOON).alias("live")
    assert [holding.version for holding in alias.holdings] == ["v1", "v2", "plain", "v1"]


def test_a_version_under_way_or_live_is_not_put_on_its_way_again():
    """Whoever releases it twice gets the rollout that runs."""
    shop = Shop.opened()
    first = release(shop, "v2")
    assert release(shop, "v2", NOON + 1).id == first.id
    assert release(shop, "v1", NOON + 1) is None


def test_the_plan_of_an_older_epoch_is_refused():
    """Two hosts steer: the slower one's plan comes after the faster one's, and finds the fence."""
    shop = Shop.opened()
    old = shop.world.traffic.in_force(MODEL)
    steer(shop.world, shop.story.spec, "somebody", NOON)
    new = shop.world.traffic.in_force(MODEL)
    assert new.epoch == old.epoch + 1
    with pytest.raises(Fenced, match=f"epoch {old.epoch} comes after epoch {new.epoch}"):
        shop.world.traffic.apply(old)
    with pytest.raises(Fenced):
        shop.world.traffic.apply(msgspec.structs.replace(new, salt="another"))
    shop.world.traffic.apply(new)
    assert shop.world.traffic.in_force(MODEL) == new


def test_the_same_command_again_takes_no_new_epoch():
    """Asked by the same command, the plan is the same; by another one it is the next."""
    shop = Shop.opened()
    first = steer(shop.world, shop.story.spec, "a command", NOON)
    assert steer(shop.world, shop.story.spec, "a command", NOON + 1) == first
    assert steer(shop.world, shop.story.spec, "another", NOON + 1).epoch == first.epoch + 1


def test_after_a_restart_traffic_is_as_it_was_stored():
    """Traffic in a process dies with it."""
    shop = Shop.opened()
    steer(shop.world, shop.story.spec, "a command", NOON)
    world = replace(shop.world, traffic=MemoryTraffic())
    restore(world, shop.story.spec, NOON)
    restore(world, shop.story.spec, NOON)
    with world.control.transaction() as t:
        stored = stored_plan(Book(t, MODEL, NOON))
    assert world.traffic.applied == [stored.plan]


def test_what_a_person_may_not_say_is_refused_with_what_they_may():
    """Evidence is not a person's to give, and an ended machine takes nothing more."""
    shop = Shop.opened()
    machine = release(shop, "v2")
    with pytest.raises(CallError, match="abort"):
        operate(shop.world, shop.story.spec, machine.id, "harm", actor="ana", reason="a feeling", now=NOON)
    operate(shop.world, shop.story.spec, machine.id[:12], "abort", actor="ana", reason="no", now=NOON)
    with pytest.raises(CallError, match="nothing is left to be done"):
        operate(shop.world, shop.story.spec, machine.id, "abort", actor="ana", reason="no", now=NOON)
    with pytest.raises(CallError, match="is not known"):
        operate(shop.world, shop.story.spec, "rollout-7", "abort", actor="ana", reason="no", now=NOON)


# ------------------------------------------------------------------------------------------------ retraining


def requested(shop: Shop, now: int = NOON):
    """A job that has been begun, whose command is due."""
    with shop.world.control.transaction() as t:
        return request_retraining(Book(t, MODEL, now, actor="ana"), shop.story.spec, "asked for", mode="act")


def states(shop: Shop) -> list[str]:
    """The jobs' states, and who is registered."""
    with shop.world.control.transaction() as t:
        book = Book(t, MODEL, NOON)
        return [job.state for job in book.machines("retraining")], [version.name for version in book.versions()]


def test_an_aborted_job_is_never_trained_and_bars_no_other():
    """The command that was due is dropped, and the next request is a job of its own."""
    shop = Shop.opened(changed_minds())
    job = requested(shop)
    with shop.world.control.transaction() as t:
        book = Book(t, MODEL, NOON)
        book.move(book.machine("retraining", job.id), "abort", reason="not today")
    run_due(shop.world, shop.story.spec, NOON)
    assert not shop.world.trainer.runs
    assert requested(shop, NOON + 5 * DAY).state == "training"
    assert states(shop)[0] == ["aborted", "training"]


def test_what_is_trained_after_an_abort_comes_too_late():
    """The ledger tells that it came; nothing is registered, nothing is released, and the job stays as it ended."""
    shop = Shop.opened(changed_minds())
    job = requested(shop)
    make = shop.world.trainer._make

    def slow(request, rows):
        operate(shop.world, shop.story.spec, job.id, "abort", actor="ana", reason="too slow", now=NOON)
        return make(request, rows)

    world = replace(shop.world, trainer=MemoryTrainer(slow))
    run_due(world, shop.story.spec, NOON)
    jobs, versions = states(shop)
    assert jobs == ["aborted"]
    assert not [name for name in versions if name.startswith("challenger")]
    with shop.world.control.transaction() as t:
        assert "came too late" in t.ledger()[-1].fact.reason
        assert t.due(MODEL, FOREVER) == []


def test_a_command_that_fails_ends_its_job_and_nothing_else():
    """The operator's script breaks: the job has failed, in words, and the engine goes on."""
    shop = Shop.opened(changed_minds())
    requested(shop)

    def broken(request, rows):
        raise ValueError("no such column")

    world = replace(shop.world, trainer=MemoryTrainer(broken))
    run_due(world, shop.story.spec, NOON)
    with world.control.transaction() as t:
        assert "no such column" in t.ledger()[-1].fact.reason
    assert states(shop)[0] == ["failed"]


def test_a_loader_that_fails_is_the_worlds_fault():
    """An OutsideError: trying again may help."""
    shop = Shop.opened()
    with pytest.raises(OutsideError, match="there is no loader 'shop:v9'"):
        shop.world.models.load(msgspec.structs.replace(V1, loader="shop:v9"))
    with pytest.raises(OutsideError, match="failed"):
        shop.world.models.load(msgspec.structs.replace(V1, name="x", loader="shop:fitted", artifact="{"))
