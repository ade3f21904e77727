"""Whom the canary's judge counts, what it makes of them, and what a rollout does while nothing is known."""

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from killick.clock import DAY
from killick.engine.record import Book
from killick.engine.release import (
    VERIFY_FOR,
    base_rate_of,
    begin_rollout,
    first_decisions,
    margin_of,
    strata,
    watch_rollouts,
)
from killick.engine.run import run_due
from killick.rollout.judge import Evidence, Stratum
from killick.rollout.states import Rollout
from killick.stats.sequential import odds_ratio_margin
from killick.testing.simulator import BEGIN, MODEL, make_spec
from killick_client.assignment import point
from tests.engine.shop import Shop
from tests.engine.test_run import NOON, promote

SPEC = replace(make_spec(), segments=())
SALT = "v2"


def rollout_at(step: int) -> Rollout:
    """A rollout in one of its steps."""
    return Rollout(version="v2", against="v1", began_at=0, step=step, salt=SALT)


def rows(entities, *, day: int = 0, score=0.9, label: int = 1, share: float = 0.2) -> pl.DataFrame:
    """A labelled decision of each entity, answered as sticky assignment says."""
    canary = [point(SALT, entity or f"p{day}-{at}") < share for at, entity in enumerate(entities)]
    return pl.DataFrame(
        {
            "prediction_id": [f"p{day}-{at}" for at in range(len(entities))],
            "entity_id": pl.Series(entities, dtype=pl.String),
            "event_time": [day * DAY + at for at in range(len(entities))],
            "version": ["v2" if one else "v1" for one in canary],
            "role": ["canary" if one else "live" for one in canary],
            "score": pl.Series([score] * len(entities), dtype=pl.Float64),
            "label": [label] * len(entities),
        }
    )


# ------------------------------------------------------------------------------------------------ the unit


def test_an_entity_is_judged_by_its_first_labelled_decision():
    """Of many in one batch, and in a later batch no more; who has no entity stands for themselves."""
    new = rows(["ann", "ann", "bob", None, None])
    first = first_decisions(new, new.clear(), rollout_at(0), SPEC)
    assert first["prediction_id"].to_list() == ["p0-0", "p0-2", "p0-3", "p0-4"]
    later = first_decisions(rows(["ann", "cem", None], day=1), new, rollout_at(0), SPEC)
    assert later["prediction_id"].to_list() == ["p1-1", "p1-2"]


def test_in_a_further_step_only_those_are_judged_whom_live_had_before():
    """They are drawn anew; the canary's own were drawn long ago."""
    everybody = [f"c{one}" for one in range(400)]
    new = rows(everybody, share=0.5)
    judged = first_decisions(new, new.clear(), rollout_at(1), SPEC)
    assert judged["entity_id"].to_list() == [one for one in everybody if point(SALT, one) >= 0.2]
    assert {"v1", "v2"} == set(judged["version"])


def test_what_is_no_probability_is_a_wrong_decision():
    """A missing score, a NaN (which Polars takes as larger than any number) and a 1.5."""
    for score in (None, math.nan, 1.5, -0.1, math.inf):
        assert [(table.canary_wrong, table.live_wrong) for table in judged_all(score)] == [(3, 7)]
    assert [(table.canary_wrong, table.live_wrong) for table in judged_all(0.9)] == [(0, 0)]


def judged_all(score) -> list[Stratum]:
    """Three decisions of the canary and seven of live, all of one score, all of which turned out positive."""
    versions = pl.Series("version", ["v2"] * 3 + ["v1"] * 7)
    return strata(rows(["one"] * 10, score=score).with_columns(versions), rollout_at(0), SPEC)


def lived(seed: int, *, by_entity: bool) -> str:
    """A canary that is live itself: 1,000 entities, three decisions a day, some of them hard ones; four weeks."""
    chance = np.random.default_rng(seed)
    names = [f"{seed}-{one}" for one in range(1000)]
    wrong_at = 1 / (1 + np.exp(-(math.log(0.25) + chance.standard_normal(1000))))
    canary = np.array([point(SALT, name) < 0.05 for name in names])
    spec = replace(SPEC, rollout=replace(SPEC.rollout, steps=(0.05, 0.25, 1.0)))
    evidence, before = Evidence.none(odds_ratio_margin(0.25, 0.05)), None
    for day in range(28):
        who = chance.permutation(np.repeat(np.arange(1000), 3))
        new = pl.DataFrame(
            {
                "prediction_id": [f"{day}-{at}" for at in range(3000)],
                "entity_id": [names[one] for one in who],
                "event_time": np.arange(day * 3000, (day + 1) * 3000),
                "version": np.where(canary[who], "v2", "v1"),
                "score": np.where(chance.random(3000) < wrong_at[who], 0.1, 0.9),
                "label": np.ones(3000, dtype=np.int64),
            }
        )
        before = new.clear() if before is None else before
        units = first_decisions(new, before, rollout_at(0), spec) if by_entity else new
        before = pl.concat([before, new.select(before.columns)])
        evidence = evidence.add(strata(units, rollout_at(0), spec))
        if evidence.answer == "harm":
            break
    return evidence.answer


@pytest.mark.slow
@pytest.mark.statistics
def test_entities_that_differ_do_not_make_a_healthy_canary_harmful():
    """Counted by rows, one in six was stopped; by entities at most one in a hundred may be."""
    stopped = [sum(lived(seed, by_entity=by) == "harm" for seed in range(60)) for by in (False, True)]
    assert stopped[0] >= 4
    # With a true rate of 1 %, three or more of 60 have a chance of 2 %.
    assert stopped[1] <= 2


# ------------------------------------------------------------------------------------------------ the rollout


def begun(shop: Shop, now: int = BEGIN):
    """A canary that serves its first share."""
    with shop.world.control.transaction() as t:
        book = Book(t, MODEL, now)
        machine = begin_rollout(book, shop.story.spec, "v2", "released", base_rate_of(book, shop.story.spec))
    run_due(shop.world, shop.story.spec, now)
    return machine


def now_of(shop: Shop, machine):
    """A machine as it is now."""
    with shop.world.control.transaction() as t:
        return Book(t, MODEL, BEGIN).machine(machine.kind, machine.id)


def test_the_share_does_not_grow_while_the_judge_is_blind():
    """A hundred labels of the canary, none of live: nothing was compared."""
    shop = Shop.opened()
    machine = begun(shop)
    orders = shop.orders(100).with_columns(pl.lit("v2").alias("version"), pl.lit("canary").alias("role"))
    shop.predict(orders)
    shop.turn_out(dict.fromkeys(orders["prediction_id"], 1), at=BEGIN + DAY)
    watch_rollouts(shop.world, shop.story.spec, BEGIN + 2 * DAY)
    watched = now_of(shop, machine)
    assert (watched.state, watched.body.step) == ("watching", 0)
    assert watched.body.labelled == 100


def test_an_entity_is_judged_once_however_often_the_judge_looks():
    """The second day's labels of the same customers change nothing but what is known of the canary's labels."""
    shop = Shop.opened()
    machine = begun(shop)
    spec = replace(shop.story.spec, rollout=replace(shop.story.spec.rollout, hold=20 * DAY))
    for day in range(2):
        orders = shop.orders(100, start=100 * day)
        customers = [f"c{one}" for one in range(100)]
        orders = orders.with_columns(pl.Series("entity_id", customers))
        canary = pl.Series([point("v2", one) < 0.2 for one in customers])
        shop.predict(
            orders.with_columns(
                pl.select(pl.when(canary).then(pl.lit("v2")).otherwise(pl.lit("v1")).alias("version")).to_series(),
                pl.select(pl.when(canary).then(pl.lit("canary")).otherwise(pl.lit("live")).alias("role")).to_series(),
            )
        )
        shop.turn_out(dict.fromkeys(orders["prediction_id"], 1), at=BEGIN + (day + 1) * DAY)
        watch_rollouts(shop.world, spec, BEGIN + (day + 1) * DAY + 1)
        body = now_of(shop, machine).body
        assert body.canary[1] + body.live[1] == 100
        assert body.labelled == (day + 1) * canary.sum()


def test_the_margin_is_set_against_what_is_labelled_by_now():
    """Labels that came after their window count too; with few of them the rollout says so."""
    shop = Shop.opened()
    spec = shop.story.spec
    assert base_rate(shop, BEGIN + 2 * DAY) == 0.5
    orders = shop.orders(300)
    shop.predict(orders)
    decided = (orders["score"] > 0.5).cast(int)
    labels = [label if at >= 30 else 1 - label for at, label in enumerate(decided.to_list())]
    shop.turn_out(dict(zip(orders["prediction_id"], labels, strict=True)), at=BEGIN + 3 * DAY)
    assert base_rate(shop, BEGIN + 4 * DAY) == pytest.approx(31 / 302)
    assert "caveat" not in begun(shop, BEGIN + 4 * DAY).body.evidence
    fresh = begun(Shop.opened()).body.evidence
    assert "0 labels only" in fresh["caveat"]
    assert fresh["margin"] == margin_of(0.5, spec.rollout.guardrails[0].worse_by)


def base_rate(shop: Shop, now: int) -> float:
    """Live's error rate, as it is known at an instant."""
    with shop.world.control.transaction() as t:
        return base_rate_of(Book(t, MODEL, now), shop.story.spec)


def test_no_error_rate_leaves_the_canary_without_a_margin():
    """Where live is nearly always wrong the strictest odds ratio is kept, and it is one."""
    assert margin_of(0.2, 0.1) == odds_ratio_margin(0.2, 0.1)
    assert margin_of(0.98, 0.1) == margin_of(0.45, 0.1) == min(margin_of(rate / 100, 0.1) for rate in range(1, 100))
    with pytest.raises(ValueError, match="no odds ratio"):
        margin_of(0.0, 0.1)


def test_a_promotion_that_cannot_be_verified_waits_and_then_says_so():
    """Not a single label in four weeks: four more; and what is confirmed then is not called verified."""
    shop = Shop.opened()
    machine = promote(shop, "v2", NOON)
    watch_rollouts(shop.world, shop.story.spec, NOON + VERIFY_FOR)
    assert now_of(shop, machine).state == "verifying"
    watch_rollouts(shop.world, shop.story.spec, NOON + 2 * VERIFY_FOR)
    assert now_of(shop, machine).state == "promoted"
    with shop.world.control.transaction() as t:
        assert "it was NOT verified: v2 and v1 cannot be compared yet" in t.ledger()[-1].fact.reason
