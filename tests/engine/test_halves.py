"""Requests and responses that were sent apart become predictions, each once, however they come and whoever dies."""

import json

import msgspec
import polars as pl
import pytest

from killick.clock import MINUTE
from killick.engine.halves import HALF_BYTES_MAX, PATIENCE, pair_halves, read_posted
from killick.engine.look import quarantined_of
from killick.engine.profiling import profile_pending
from killick.engine.receive import PREDICTIONS
from killick.engine.turns import Watched
from killick.errors import DataError, OutsideError
from killick.ports.control import Half
from killick.telemetry.columns import EVENT_TIME, PREDICTION_ID, SCORE, STATUS
from killick.testing.archive import MemoryArchive
from killick.testing.control import MemoryControl
from killick.testing.faults import FaultPlan, Killed, every_fault
from killick.testing.simulator import MODEL, bad_release
from killick.wire.values import KEY_MAX
from tests.engine.shop import LONG_AFTER, Shop
from tests.engine.survivors import Survivors

NOW = LONG_AFTER
KSERVE = {"ce-specversion": "1.0", "ce-source": "http://localhost:9081/", "ce-inferenceservicename": MODEL}
TYPES = {part: f"org.kubeflow.serving.inference.{part}" for part in ("request", "response")}
ROW = ["harbour", 57.5, 20.25, 7]


def half(name, part, body, at=NOW, **attributes):
    """A half as the server holds it."""
    headers = KSERVE | {"ce-id": name, "ce-type": TYPES[part]} | {f"ce-{key}": text for key, text in attributes.items()}
    ((held,),) = read_posted(
        headers, body if isinstance(body, bytes) else json.dumps(body).encode(), {MODEL}, at
    ).halves.values()
    return held


def asked(name, at=NOW, **attributes):
    """A request of one order."""
    return half(name, "request", {"instances": [ROW]}, at, **attributes)


def answered(name, score=0.25, at=NOW, **attributes):
    """Its response."""
    return half(name, "response", {"predictions": [score]}, at, **attributes)


def hold(world, *halves, model=MODEL):
    """Hold halves, as the server does before it answers."""
    with world.control.transaction() as t:
        t.hold(model, halves)


def pair(shop, now=NOW):
    """Pair what is held."""
    return pair_halves(shop.world, MODEL, shop.story.spec, shop.scale, now)


def rows(world, model=MODEL):
    """Every stored row."""
    with world.control.transaction() as t:
        batches = t.batches(model, PREDICTIONS)
    return pl.concat([world.archive.read(batch.path) for batch in batches], how="diagonal_relaxed")


def tallies(world, model=MODEL):
    """The model's totals."""
    with world.control.transaction() as t:
        return t.tallies(model)


def held(world, model=MODEL):
    """The ids of all that is held."""
    with world.control.transaction() as t:
        return [one.half_id for halves in t.halves(model, 2**62, 1_000) for one in halves]


# --------------------------------------------------------------------------------------------------- pairs


@pytest.mark.parametrize("turned", [False, True])
def test_a_request_and_a_response_are_a_prediction_in_either_order(turned):
    """Its features have the names of the reference, in its order."""
    shop = Shop.opened()
    halves = [asked("a"), answered("a")]
    hold(shop.world, *(reversed(halves) if turned else halves))
    assert pair(shop) == 1
    found = rows(shop.world).row(0, named=True)
    assert (found[PREDICTION_ID], found[SCORE], found[STATUS]) == ("a", 0.25, "ok")
    assert [found[name] for name in ("store", "temperature", "basket", "visits")] == ROW
    assert held(shop.world) == []
    assert pair(shop) == 0


def test_the_event_is_as_old_as_it_says_and_else_as_its_first_half():
    """Whenever it is paired."""
    shop = Shop.opened()
    hold(shop.world, asked("a", at=NOW - 2), answered("a", at=NOW - 1))
    hold(shop.world, asked("b", time="2031-03-04T00:00:00Z"), answered("b"))
    pair(shop)
    assert dict(rows(shop.world).select(PREDICTION_ID, EVENT_TIME).rows()) == {"a": NOW - 2, "b": 1_930_348_800_000_000}


def test_an_id_that_is_too_long_for_a_key_is_paired_all_the_same():
    """PostgreSQL has room for a few hundred characters, and a container may log under any id."""
    head = {"ce-specversion": "1.0", "ce-source": "s", "ce-inferenceservicename": MODEL}
    found = [
        read_posted(head | {"ce-id": f"{'a' * 499}{last}", "ce-type": TYPES[part]}, b"{}", {MODEL}, 5).halves[MODEL][0]
        for last in "bc"
        for part in ("request", "response")
    ]
    assert [one.half_id == found[0].half_id for one in found] == [True, True, False, False]
    assert max(len(one.half_id) for one in found) <= KEY_MAX


def test_halves_that_come_twice_are_one_prediction():
    """While they wait, and after they were paired: then as duplicates."""
    shop = Shop.opened()
    for _ in range(2):
        hold(shop.world, asked("a"), asked("a"), answered("a"), answered("a", score=0.75))
        assert pair(shop) == 1
    done = profile_pending(shop.world, Watched(shop.story.spec, shop.scale, ()), NOW)
    assert (done.rows, done.duplicates) == (2, 1)
    assert rows(shop.world)[SCORE].to_list() == [0.25, 0.25]


def test_two_containers_of_one_service_are_not_mixed_up():
    """A transformer and its predictor may log under one id, and were asked different things."""
    shop = Shop.opened()
    hold(shop.world, asked("a", component="transformer"), answered("a", component="predictor"))
    assert pair(shop) == 0
    hold(shop.world, asked("a", component="predictor"))
    assert pair(shop) == 1
    assert len(held(shop.world)) == 1


def test_a_model_of_which_nothing_is_known_is_paired_too():
    """Its columns have no names yet; that they get them later is for the reference to say."""
    shop = Shop.opened()
    hold(shop.world, asked("a"), answered("a"), model="new")
    assert pair_halves(shop.world, "new", None, None, NOW) == 1
    assert rows(shop.world, "new").row(0, named=True)["instances_1"] == 57.5


# --------------------------------------------------------------------------------------------------- lone halves


def test_a_request_that_nobody_answered_is_a_prediction_without_an_answer():
    """After five minutes, and not before."""
    shop = Shop.opened()
    hold(shop.world, asked("a", at=NOW - PATIENCE), asked("b", at=NOW - PATIENCE - 1))
    assert PATIENCE == 5 * MINUTE
    assert pair(shop) == 1
    found = rows(shop.world)
    assert found.select(PREDICTION_ID, SCORE, STATUS).rows() == [("b", None, "no response")]
    assert held(shop.world) == ["a"]
    assert "halves.unmatched" not in tallies(shop.world)


def test_a_response_to_nothing_is_counted_as_that():
    """It says nothing that could be watched."""
    shop = Shop.opened()
    hold(shop.world, answered("a", at=NOW - 2 * PATIENCE), answered("b", at=NOW - 1))
    assert pair(shop) == 1
    assert tallies(shop.world) == {"halves.unmatched": 1}
    assert held(shop.world) == ["b"]


def test_a_response_that_comes_too_late_changes_nothing():
    """The request has been counted without it."""
    shop = Shop.opened()
    hold(shop.world, asked("a", at=NOW - 2 * PATIENCE))
    pair(shop)
    hold(shop.world, answered("a"))
    assert pair(shop, NOW + 2 * PATIENCE) == 1
    assert rows(shop.world).height == 1
    assert tallies(shop.world)["halves.unmatched"] == 1


# --------------------------------------------------------------------------------------------------- what is refused


def test_what_cannot_be_read_is_quarantined_and_the_rest_stands():
    """With the id by which the operator finds it: by the readers of bodies, and by the wire's door."""
    shop = Shop.opened()
    hold(shop.world, half("bad", "request", b"{"), answered("bad"))
    hold(shop.world, half("odd", "request", {"instances": [["x", [], {}, 1]]}), answered("odd"))
    hold(shop.world, half("old", "request", {"instances": [ROW]}, time="1815-06-18T00:00:00Z"), answered("old"))
    hold(shop.world, asked("good"), answered("good"))
    assert pair(shop) == 4
    assert rows(shop.world)[PREDICTION_ID].to_list() == ["good"]
    with shop.world.control.transaction() as t:
        told = [msgspec.json.decode(row.body) for row in t.quarantined(MODEL, 9)]
    assert {one["reason"].rpartition("(")[2] for one in told} == {"request bad)", "request odd)", "request old)"}
    assert tallies(shop.world) == {"predictions.accepted": 1, "predictions.quarantined": 3}
    assert held(shop.world) == []


def test_a_response_that_cannot_be_read_leaves_the_features():
    """And says so in the status."""
    shop = Shop.opened()
    hold(shop.world, asked("a"), half("a", "response", b"<html>"))
    pair(shop)
    assert rows(shop.world)[STATUS].to_list() == ["unreadable response"]


def test_a_half_that_a_later_release_wrote_stops_nobody():
    """It is alone in its misfortune, and nothing of what it holds is repeated."""
    shop = Shop.opened()
    hold(shop.world, asked("a"), answered("a"))
    hold(shop.world, Half("b", "request", NOW, b"\xc1"), answered("b"))
    hold(shop.world, asked("c"), answered("c"))
    assert pair(shop) == 3
    assert sorted(rows(shop.world)[PREDICTION_ID].to_list()) == ["a", "c"]
    assert held(shop.world) == []
    assert tallies(shop.world)["predictions.quarantined"] == 1
    assert [one["reason"] for one in quarantined_of(shop.world, MODEL)] == ["cannot be read: DecodeError (request b)"]


def test_exchanges_that_are_too_much_for_one_body_go_in_one_by_one():
    """Each has columns of its own: somebody takes ids for names."""
    shop = Shop.opened()
    for name in range(22):
        odd = {"instances": [{f"{name}-{at}": at} for at in range(100)]}
        hold(shop.world, half(str(name), "request", odd), half(str(name), "response", {"predictions": [0.5] * 100}))
    total = 0
    while done := pair(shop):
        total += done
    assert total == 22
    assert held(shop.world) == []
    with shop.world.control.transaction() as t:
        assert sum(batch.rows for batch in t.batches(MODEL, PREDICTIONS)) == 2_200


def test_a_turn_is_bounded_and_the_rest_has_the_next():
    """However much is held."""
    shop = Shop.opened()
    hold(shop.world, *(asked(str(at)) for at in range(1_500)), *(answered(str(at)) for at in range(1_500)))
    assert pair(shop) == 1_000
    assert pair(shop) == 500
    assert rows(shop.world)[PREDICTION_ID].n_unique() == 1_500


# --------------------------------------------------------------------------------------------------- at the door


def posted(names, body=b"{}", known=(), **attributes):
    """Read an event of a service and a model."""
    service, model = names
    headers = KSERVE | {
        "ce-id": "a",
        "ce-type": TYPES["request"],
        "ce-inferenceservicename": service,
        "ce-modelid": model,
    }
    return read_posted(headers | attributes, body, known, NOW)


def test_a_half_is_held_for_the_first_of_its_names_that_is_known():
    """For the first of all where none is: whoever admits models decides."""
    assert list(posted(("iris", "iris-2"), known={"iris-2"}).halves) == ["iris-2"]
    assert list(posted(("iris", "iris-2"), known={"iris-2", "iris"}).halves) == ["iris"]
    assert list(posted(("iris", "iris-2")).halves) == ["iris"]


def test_what_nobody_can_be_asked_about_is_refused():
    """Without a name the request is; a body that is a picture is told to whoever looks after its model."""
    with pytest.raises(DataError, match="nobody knows whose"):
        posted((" ", ""))
    found = posted(("iris", ""), b"x" * (HALF_BYTES_MAX + 1))
    ((model, (refused,)),) = found.refused.items()
    assert (model, refused.field, found.halves, found.rejected) == ("iris", "data", {}, [])
    assert "more than 1,048,576" in refused.reason


def test_of_a_batch_the_good_events_are_held_and_the_others_named():
    """By their place in it."""
    good = {"specversion": "1.0", "id": "a", "source": "s", "type": TYPES["request"], "data": {}} | {
        "inferenceservicename": MODEL
    }
    events = [7, good, good | {"inferenceservicename": ""}, good | {"id": "b"}]
    found = read_posted({"content-type": "application/cloudevents-batch+json"}, json.dumps(events).encode(), {MODEL}, 5)
    assert [(one.half_id, one.at) for one in found.halves[MODEL]] == [("a", 5), ("b", 5)]
    assert [one.index for one in found.rejected] == [0, 2]


# --------------------------------------------------------------------------------------------------- crashes


def begun() -> Survivors:
    """Halves of every kind are held by a store that was opened before."""
    shop = Shop.opened()
    hold(shop.world, asked("a"), asked("b"), answered("b"), answered("a"), asked("c", at=NOW - 2 * PATIENCE))
    hold(shop.world, answered("d", at=NOW - 2 * PATIENCE), half("e", "request", b"{"), answered("e"), asked("f"))
    return Survivors(shop.world.control, shop.world.archive, shop.world.trainer)


def go_on(world, story, scale):
    """What a worker does."""
    pair_halves(world, MODEL, story.spec, scale, NOW)
    profile_pending(world, Watched(story.spec, scale, ()), NOW)


@pytest.mark.faults
@pytest.mark.parametrize("fault", ["kill", "error"])
def test_killed_anywhere_every_prediction_is_counted_once(fault):
    """And no half is lost: what nothing disturbs leaves the same."""
    story, before = bad_release(), begun()
    scale = Shop(story, before.start(story)).scale

    def left(survivors):
        world = survivors.start(story)
        return Shop(story, world).counted(), tallies(world), sorted(rows(world)[PREDICTION_ID]), held(world)

    undisturbed, counted = before.copy(), FaultPlan()
    go_on(undisturbed.start(story, counted), story, scale)
    expected = left(undisturbed)
    assert (expected[0].rows, expected[2], expected[3]) == (3, ["a", "b", "c"], ["f"])
    for plan in every_fault(len(counted.calls), fault=fault):
        survivors = before.copy()
        with pytest.raises((Killed, OutsideError)):
            go_on(survivors.start(story, plan), story, scale)
        go_on(survivors.start(story), story, scale)
        assert left(survivors) == expected, plan


def test_of_two_workers_at_the_same_time_one_pairs():
    """The other finds that it has been done."""
    shop = Shop.opened()
    hold(shop.world, asked("a"), answered("a"))
    archive = shop.world.archive

    class Slow(MemoryArchive):
        """While this worker writes its file, the other one is done."""

        def write(self, *arguments):
            pair(shop)
            return archive.write(*arguments)

    rival = Shop(shop.story, shop.story.make_world(shop.world.control, Slow()))
    assert pair_halves(rival.world, MODEL, shop.story.spec, shop.scale, NOW) == 0
    assert rows(shop.world).height == 1
    assert isinstance(shop.world.control, MemoryControl)
