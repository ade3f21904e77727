"""Two versions on the same rows: an hour or a day is one piece of evidence, and columns that matter are found."""

import numpy as np
import polars as pl
import pytest

from killick.clock import DAY, HOUR
from killick.engine.compare import CLUSTERS_MIN, Gain, cluster_width, columns_used, compare_versions
from killick.stats.paired import PairedImprovement
from killick.telemetry.columns import EVENT_TIME, LABEL
from killick.testing.simulator import BEGIN
from tests.engine.shop import Shop

FEATURES = ("store", "temperature", "basket", "visits")


def labelled(shop: Shop, number: int = 900) -> pl.DataFrame:
    """Orders with their labels."""
    rows = shop.orders(number)
    return rows.join(shop.story.history.outcomes.select("prediction_id", LABEL), on="prediction_id")


def compare(shop: Shop, rows: pl.DataFrame, better: str, than: str) -> Gain:
    """Compare two versions on rows."""
    return compare_versions(shop.world, shop.story.spec, rows, better=better, than=than, now=BEGIN)


def test_the_gain_is_the_difference_of_the_losses():
    """By the definition of log loss, written out."""
    shop = Shop.opened()
    rows = labelled(shop)
    gain = compare(shop, rows, "v1", "v2")
    odds = rows["score"].to_numpy()
    loss = -np.where(rows[LABEL] == 1, np.log(odds), np.log1p(-odds)).mean()
    assert gain.loss_better == pytest.approx(loss)
    assert gain.paired.mean == pytest.approx(gain.loss_than - gain.loss_better)
    assert gain.surely_better(0.05)
    assert gain.better_at_any_time(0.05)
    back = compare(shop, rows, "v2", "v1")
    assert back.paired.mean == pytest.approx(-gain.paired.mean)
    assert back.surely_worse(0.05)
    assert back.worse_at_any_time(0.05)


def test_rows_of_one_hour_are_one_piece_of_evidence():
    """The same rows told ten times over say no more than once."""
    shop = Shop.opened()
    rows = labelled(shop)
    once, often = compare(shop, rows, "v1", "v2"), compare(shop, pl.concat([rows] * 10), "v1", "v2")
    hours = rows.select((pl.col(EVENT_TIME) // HOUR).n_unique()).item()
    assert once.paired.clusters == often.paired.clusters == hours
    assert often.paired.standard_error == pytest.approx(once.paired.standard_error)


def test_days_are_the_clusters_as_soon_as_there_are_enough_of_them():
    """Twenty; with fewer, hours have to do."""
    days = np.arange(CLUSTERS_MIN) * DAY
    assert cluster_width(days) == DAY
    assert cluster_width(days[:-1]) == HOUR


def test_with_fewer_clusters_than_twenty_nothing_is_shown():
    """However large the difference is."""
    few = PairedImprovement(mean=1.0, standard_error=1e-6, clusters=CLUSTERS_MIN - 1, rows=10_000)
    enough = PairedImprovement(mean=1.0, standard_error=1e-6, clusters=CLUSTERS_MIN, rows=10_000)
    for paired, answer in ((few, False), (enough, True)):
        gain = Gain("a", "b", 10_000, 0.1, 1.1, paired)
        assert gain.surely_better(0.05) is answer
        assert gain.better_at_any_time(0.05) is answer
        assert not gain.surely_worse(0.05)
        assert ("20 are needed" in gain.words) is not answer


def test_a_version_compared_with_itself_shows_nothing():
    """No spread, no gain, and no claim."""
    shop = Shop.opened()
    gain = compare(shop, labelled(shop), "v1", "v1")
    assert gain.paired is None
    assert not any((gain.surely_better(0.05), gain.surely_worse(0.05), gain.worse_at_any_time(0.05)))
    assert "cannot be compared" in gain.words


def test_what_cannot_be_loaded_cannot_be_compared():
    """It is said, not guessed."""
    shop = Shop.opened()
    gain = compare(shop, labelled(shop), "v1", "recorded")
    assert gain.as_evidence()["gain"] is None
    assert compare(shop, labelled(shop).clear(), "v1", "v2").rows == 0


@pytest.mark.parametrize(
    ("version", "used"), [("v1", ("temperature", "basket", "visits")), ("plain", ("basket", "visits"))]
)
def test_the_columns_that_a_version_looks_at_are_found(version, used):
    """By putting each in reverse order: the fallback does not look at the temperature."""
    shop = Shop.opened()
    assert columns_used(shop.world, shop.story.spec, version, shop.orders(50), FEATURES, BEGIN) == used


def test_of_a_version_that_nobody_knows_no_column_is_used():
    """There is nothing to ask."""
    shop = Shop.opened()
    assert columns_used(shop.world, shop.story.spec, "v9", shop.orders(50), FEATURES, BEGIN) == ()


def test_a_stuck_column_is_seen_to_be_used():
    """All values alike are the same reversed; without them the score is another."""
    shop = Shop.opened()
    rows = shop.orders(50)
    stuck = rows.with_columns(pl.lit(rows["temperature"][0]).alias("temperature"))
    assert "temperature" in columns_used(shop.world, shop.story.spec, "v1", stuck, ("temperature",), BEGIN)
