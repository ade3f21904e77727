"""The plan says who answers, and the router's assignment does as it says: shares, places, and who keeps what."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.engine.serve import assign_rows
from killick.rollout.plan import Wanted, can_be_routed, conditions, make_plan
from killick.spec.document import Band
from killick.telemetry.segments import MISSING, REST, group_by, where
from killick_client.assignment import Assignment, Route, Share, assign

STORES = ("harbour", "market", "station")
STORE, HAUL = Band("store", "store"), Band("haul", "distance", bins=(500.0, 1500.0))
SEGMENTS = ((STORE,), (HAUL,), (STORE, HAUL))

stores = st.sampled_from(STORES)
hauls = st.sampled_from(HAUL.labels)
places = (
    stores.map(lambda store: (("store", store),))
    | hauls.map(lambda haul: (("haul", haul),))
    | st.tuples(stores, hauls).map(lambda both: (("store", both[0]), ("haul", both[1])))
)
rows = st.fixed_dictionaries(
    {
        "store": st.none() | stores,
        "distance": st.none() | st.sampled_from([0.0, 499.9, 500.0, 1000.0, 1499.9, 1500.0, 9000.0]),
    }
)
entities = st.text(max_size=8)
wishes = st.builds(
    Wanted,
    live=st.just("v1"),
    fallbacks=st.lists(
        st.tuples(places, st.sampled_from(["plain", "plainer"])), max_size=4, unique_by=lambda f: f[0]
    ).map(tuple),
    canary=st.none() | st.tuples(st.just("v2"), st.floats(0.01, 1.0)),
    salt=st.sampled_from(["one", "other"]),
)


def is_in(row: dict, segment) -> bool:
    """Whether a row is in a segment, as segments are made of tables."""
    table = pl.DataFrame([row], schema={"store": pl.String, "distance": pl.Float64})
    return where(table, segment, SEGMENTS).height == 1


@given(wishes, rows, entities)
def test_who_answers_is_who_is_wanted_there(wanted, row, entity):
    """The narrowest fallback whose segment the row is in; else the canary or live, by the entity's share."""
    plan = make_plan("shop", 3, wanted, SEGMENTS)
    found = assign(plan, entity, row)
    there = [(place, version) for place, version in wanted.fallbacks if is_in(row, place)]
    if there:
        narrowest = max(len(place) for place, _ in there)
        assert found.role == "fallback"
        assert found.version in {version for place, version in there if len(place) == narrowest}
    elif found.role == "canary":
        assert wanted.canary is not None
        assert found.version == wanted.canary[0]
    else:
        assert found == Assignment("v1", "live")


@given(wishes)
def test_every_plan_has_a_route_for_everyone_and_shares_that_add_up(wanted):
    """Nobody is left without an answer."""
    plan = make_plan("shop", 7, wanted, SEGMENTS)
    assert (plan.epoch, plan.model, plan.salt) == (7, "shop", wanted.salt)
    assert plan.routes[-1].where == ()
    assert all(route.where for route in plan.routes[:-1])
    assert all(sum(share.share for share in route.shares) == pytest.approx(1.0) for route in plan.routes)
    lengths = [len(route.where) for route in plan.routes]
    assert lengths == sorted(lengths, reverse=True)


@given(st.floats(0.01, 1.0), st.floats(0.01, 1.0), st.lists(entities, max_size=50))
def test_a_share_that_grows_keeps_whom_it_had(one, other, who):
    """Those in a canary at the smaller share are in it at the larger."""
    small, large = (
        make_plan("shop", 1, Wanted("v1", canary=("v2", share), salt="v2"), ()) for share in sorted([one, other])
    )
    for entity in who:
        if assign(small, entity, {}).role == "canary":
            assert assign(large, entity, {}).role == "canary"


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25, 0.5])
def test_a_share_is_that_share_of_the_entities(share):
    """Of twenty thousand, within four standard errors."""
    plan = make_plan("shop", 1, Wanted("v1", canary=("v2", share), salt="v2"), ())
    found = sum(assign(plan, f"customer-{number}", {}).role == "canary" for number in range(20_000))
    assert abs(found / 20_000 - share) < 4 * (share * (1 - share) / 20_000) ** 0.5


def test_another_salt_draws_others():
    """Who was in the last canary is in the next by chance alone."""
    first, second = (make_plan("shop", 1, Wanted("v1", canary=("v2", 0.2), salt=salt), ()) for salt in ("v2", "v3"))
    who = [f"customer-{number}" for number in range(5_000)]
    both = sum(assign(first, one, {}).role == assign(second, one, {}).role == "canary" for one in who)
    assert both / 5_000 == pytest.approx(0.04, abs=0.012)


@given(wishes, st.lists(st.tuples(rows, entities), min_size=1, max_size=20))
def test_a_batch_is_assigned_as_each_of_its_rows(wanted, batch):
    """The engine's columns and the client's rows are one rule."""
    plan = make_plan("shop", 1, wanted, SEGMENTS)
    table = pl.DataFrame(
        [row | {"entity_id": entity, "prediction_id": str(number)} for number, (row, entity) in enumerate(batch)],
        schema={"store": pl.String, "distance": pl.Float64, "entity_id": pl.String, "prediction_id": pl.String},
    )
    found = assign_rows(plan, table).rows()
    assert found == [tuple(getattr(assign(plan, e, r), name) for name in ("version", "role")) for r, e in batch]


def test_a_row_without_an_entity_stands_for_itself():
    """Its own id is drawn."""
    plan = make_plan("shop", 1, Wanted("v1", canary=("v2", 0.5), salt="v2"), ())
    table = pl.DataFrame(
        {"entity_id": [None, "a"], "prediction_id": ["p", "q"]}, schema_overrides={"entity_id": pl.String}
    )
    assert assign_rows(plan, table)["version"].to_list() == [
        assign(plan, "p", {}).version,
        assign(plan, "a", {}).version,
    ]


@given(st.lists(rows, min_size=1, max_size=30))
def test_conditions_are_the_segments_of_the_tables(batch):
    """Whatever segment a table's row is grouped into, the conditions of that segment hold for it and no other."""
    table = pl.DataFrame(batch, schema={"store": pl.String, "distance": pl.Float64})
    for by in SEGMENTS:
        grouping = group_by(table, by)
        for row, code in zip(batch, grouping.codes, strict=True):
            for number, segment in enumerate(grouping.segments):
                if can_be_routed(segment):
                    holds = all(condition.holds(row) for condition in conditions(segment, SEGMENTS))
                    assert holds == (number == code), (row, segment)


@pytest.mark.parametrize("value", [MISSING, REST])
def test_what_is_missing_or_too_rare_cannot_be_told_apart(value):
    """No condition can be written for it."""
    assert not can_be_routed((("store", value),))
    assert not can_be_routed((("store", "market"), ("haul", value)))
    assert can_be_routed((("store", "market"),))
    assert can_be_routed(())


def test_a_plan_as_it_is_written():
    """Fallback first, then canary and live, live last."""
    wanted = Wanted("v1", ((((("store", "market"),)), "plain"),), ("v2", 0.05), ("v0",), "v2")
    plan = make_plan("shop", 4, wanted, SEGMENTS)
    assert plan.routes == (
        Route((Share("plain", "fallback", 1.0),), conditions((("store", "market"),), SEGMENTS)),
        Route((Share("v2", "canary", 0.05), Share("v1", "live", 0.95))),
    )
    assert plan.shadow == ("v0",)
    assert np.isclose(sum(share.share for share in plan.routes[1].shares), 1.0)
