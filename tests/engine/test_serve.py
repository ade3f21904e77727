"""Users are answered whatever a new version does, and a version sees its features alone."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from killick.clock import DAY, Window
from killick.engine.compare import columns_used, compare_versions
from killick.engine.record import Book
from killick.engine.replay import replay
from killick.engine.retrain import training_rows
from killick.engine.serve import failed, serve
from killick.errors import KillickError, OutsideError
from killick.rollout.plan import Wanted, make_plan
from killick.spec.document import Features
from killick.telemetry.columns import LABEL, PREDICTION_ID
from killick.testing.models import MemoryModels
from killick.testing.simulator import BEGIN, LOADERS, MODEL, bad_release, changed_minds
from tests.engine.shop import Shop


def breaking(*names: str) -> MemoryModels:
    """The shop's versions, of which some raise whenever they are asked."""

    def broken():
        def score(columns):
            raise OutsideError("no such column: basket_v2")

        return score

    return MemoryModels(LOADERS | {f"shop:{name}": broken for name in names})


def served(shop: Shop, wanted: Wanted, **options):
    """Two hundred orders, answered as a plan says, as they came; and what was said of them besides."""
    orders = shop.story.history.predictions.head(200)
    with shop.world.control.transaction() as t:
        versions = {version.name: version for version in Book(t, MODEL, BEGIN).versions()}
    plan = make_plan(MODEL, 2, wanted, shop.story.spec.segments)
    return orders, *serve(shop.world, plan, versions, orders, **options)


def test_where_a_canary_fails_live_answers_and_the_failure_is_written_down():
    """Every order gets live's score; the canary's rows are there again, without any."""
    shop = Shop.opened()
    _, whole, _ = served(shop, Wanted("v1"))
    _, mixed, _ = served(shop, Wanted("v1", canary=("v2", 0.25)))
    shop.world = replace(shop.world, models=breaking("v2"))
    orders, answered, along = served(shop, Wanted("v1", canary=("v2", 0.25)))
    assert answered.equals(whole)
    assert answered[PREDICTION_ID].equals(orders[PREDICTION_ID])
    assert along.filter(failed("v2")).height == along.height > 0
    assert set(along[PREDICTION_ID]) == set(mixed.filter(version="v2")[PREDICTION_ID])


def test_a_version_that_says_nan_has_answered():
    """Only what failed has no score at all: a NaN is a bad answer, and no failure."""
    rows = pl.DataFrame({"version": ["v2", "v2", "v1"], "role": ["shadow"] * 3, "score": [None, np.nan, None]})
    assert rows.select(failed("v2")).to_series().to_list() == [True, False, False]


def test_a_shadow_that_fails_is_left_out():
    """It answers nobody, so nobody waits for it; the others go on."""
    shop = Shop.opened()
    shop.world = replace(shop.world, models=breaking("v2"))
    orders, answered, along = served(shop, Wanted("v1", shadow=("v2", "plain")))
    assert answered.height == along.height == orders.height
    assert set(along["version"]) == {"plain"}


def test_live_that_fails_is_not_hidden():
    """Nobody is left who could answer."""
    shop = Shop.opened()
    shop.world = replace(shop.world, models=breaking("v1"))
    with pytest.raises(KillickError, match="basket_v2"):
        served(shop, Wanted("v1", canary=("plain", 0.25)))


def test_a_canary_that_raises_is_rolled_back_and_the_replay_goes_on():
    """What it could not decide, it decided wrongly; live answered all of it."""
    story = bad_release()
    shop = Shop.opened(story)
    world = replace(shop.world, models=breaking("v2"))
    assert sum(lived.predictions for lived in replay(world, story.spec, story.history)) == 1800
    with world.control.transaction() as t:
        (rollout,) = Book(t, MODEL, BEGIN).machines("rollout")
        answered = [world.archive.read(batch.path) for batch in t.batches(MODEL, "predictions")]
    assert rollout.state == "rolled_back"
    assert rollout.body.touched == 0
    assert rollout.body.canary[0] == rollout.body.canary[1] > 0
    assert set(pl.concat(answered)["version"]) == {"v1"}


def test_versions_that_cannot_score_are_compared_in_words():
    """Neither better nor worse: it is not known, and why not."""
    shop = Shop.opened()
    shop.world = replace(shop.world, models=breaking("v2"))
    rows = shop.orders(100).with_columns(pl.lit(1).alias(LABEL))
    gain = compare_versions(shop.world, shop.story.spec, rows, better="v2", than="v1", now=BEGIN)
    assert not gain.known
    assert "basket_v2" in gain.words
    assert columns_used(shop.world, shop.story.spec, "v2", rows, ("basket",), BEGIN) == ("basket",)


def test_a_version_never_sees_a_column_that_only_segments_use():
    """Rows are watched by it, and that is all: not in serving, not in a comparison, not in training."""
    shop = Shop.opened(changed_minds())
    seen = set()

    def curious():
        def score(columns):
            seen.update(columns)
            return np.full(len(columns["basket"]), 0.5)

        return score

    shop.world = replace(shop.world, models=MemoryModels({f"shop:{name}": curious for name in ("v1", "v2")}))
    blind = Features(exclude=("store",))
    spec = replace(shop.story.spec, features=blind)
    orders, _, _ = served(shop, Wanted("v1", shadow=("v2",)), watched=blind)
    labelled = orders.with_columns(pl.lit(1).alias(LABEL))
    compare_versions(shop.world, spec, labelled, better="v2", than="v1", now=BEGIN)
    columns_used(shop.world, spec, "v1", labelled, ("basket",), BEGIN)
    assert seen == {"temperature", "basket", "visits"}
    assert "store" in orders.columns
    assert "store" not in training_rows(shop.world, spec, Window(BEGIN - 10 * DAY, BEGIN)).columns
