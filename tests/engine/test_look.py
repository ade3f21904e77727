"""What is said of a model's telemetry is what is in its profiles."""

from dataclasses import replace

import polars as pl
import pytest

from killick.checks.reference import pack_reference
from killick.clock import DAY, HOUR, Window
from killick.engine import look
from killick.engine.look import counted_in, maturity_of, telemetry_of
from killick.engine.receive import PREDICTIONS
from killick.errors import DataError
from killick.profiles.codec import unpack_profile
from killick.telemetry.columns import WEIGHT
from killick.testing.faults import FaultPlan, faulty
from tests.engine.telemetry import MODEL, NOW, REFERENCE, Post, names, predictions


@pytest.fixture
def post():
    """Ten days of a hundred predictions; the labels of each take a day, and nine of ten ever come."""
    post = Post.in_memory()
    with post.world.control.transaction() as t:
        t.put("reference", MODEL, "training", pack_reference(REFERENCE), revision=0)
    for day in range(10):
        ids = names(100 * day, 100 * day + 100)
        at = NOW - (10 - day) * DAY
        post.predict(ids, at=at)
        if day < 9:
            post.turn_out(dict.fromkeys(ids[:90], 1), known_at=at + DAY)
    post.profile()
    return post


def test_stored_profiles_are_told_by_version_segment_and_window(post):
    """Rows and labels of each; the packed profile only when it is asked for."""
    everything = [one for one in counted_in(post.world, MODEL) if not one.segment]
    assert sum(one.rows for one in everything) == 1000
    assert sum(one.labels for one in everything) == 810
    oslo = counted_in(post.world, MODEL, segment={"city": "Oslo"}, packed=True)
    assert 0 < sum(one.rows for one in oslo) < 1000
    assert all(one.packed for one in oslo)
    assert all(one.packed is None for one in everything)
    last_day = counted_in(post.world, MODEL, Window(NOW - DAY, NOW + DAY), segment={})
    assert sum(one.rows for one in last_day) == 100
    assert counted_in(post.world, MODEL, version="v9") == []
    assert counted_in(post.world, "nobody") == []
    assert len(counted_in(post.world, MODEL, segment={}, most=1_000)) == len(everything)
    with pytest.raises(DataError, match="ask for less time, or one segment"):
        counted_in(post.world, MODEL, segment={}, most=len(everything) - 1)


def test_no_profile_is_read_that_is_not_told(post):
    """Where too many are asked for they are only counted; of others than one version and segment nothing is read."""
    plan = FaultPlan()
    world = replace(post.world, control=faulty(post.world.control, plan))
    with pytest.raises(DataError):
        counted_in(world, MODEL, most=3)
    assert counted_in(world, MODEL, version="v9", segment={"city": "Oslo"}) == []
    assert [call for call in plan.calls if call.endswith("profiles")] == []
    assert counted_in(world, MODEL, version="v1", segment={"city": "Oslo"})
    assert len([call for call in plan.calls if call.endswith("profiles")]) == 1


def test_sampled_predictions_stand_for_all_there_were(post):
    """A tenth was kept, each with a weight of ten: so many labels are in, and so many predictions were made."""
    rows = predictions(names(5_000, 5_050)).with_columns(pl.lit(10.0).alias(WEIGHT))
    post.send(PREDICTIONS, rows)
    post.profile()
    told = [one for one in counted_in(post.world, MODEL) if not one.segment]
    assert sum(one.rows for one in told) == 1_050
    assert sum(one.stands_for for one in told) == 1_500


def test_a_window_knows_how_many_labels_it_should_have_by_now(post):
    """Old ones have what nine of ten give; the youngest is expected to have none yet, and nothing is missing."""
    told = maturity_of(post.world, MODEL, NOW)
    old = [one for one in told if one.end <= NOW - 3 * DAY]
    young = [one for one in told if one.start >= NOW - DAY]
    predictions = sum(one.predictions for one in old)
    assert predictions >= 600
    assert sum(one.labels for one in old) == 0.9 * predictions
    assert sum(one.expected for one in old) == pytest.approx(0.9 * predictions, rel=0.05)
    assert sum(one.predictions for one in young) == 100
    assert sum(one.labels for one in young) == 0
    assert sum(one.expected for one in young) < 40


def test_only_what_is_asked_for_is_unpacked(post, monkeypatch):
    """A year of segments would fill the memory: of one version or segment, and of the whole for the estimate."""
    unpacked = []
    monkeypatch.setattr(
        look, "unpack_profile", lambda body, scale: unpacked.append(body) or unpack_profile(body, scale)
    )
    everything = len(counted_in(post.world, MODEL))
    whole = [one for one in counted_in(post.world, MODEL) if not one.segment]
    for ask, expected in (
        (lambda: maturity_of(post.world, MODEL, NOW, Window(NOW - DAY, NOW + DAY)), len(whole)),
        (lambda: counted_in(post.world, MODEL, segment={}), len(whole)),
        (lambda: counted_in(post.world, MODEL, segment={"city": "Oslo"}), None),
        (lambda: counted_in(post.world, MODEL, version="nobody"), 0),
    ):
        unpacked.clear()
        found = ask()
        assert len(unpacked) == (len(found) if expected is None else expected) < everything


def test_a_window_older_than_what_was_seen_of_delays_expects_what_was_seen(post):
    """The oldest window, which nothing older can tell about: a number, and not nothing."""
    oldest = maturity_of(post.world, MODEL, NOW)[0]
    assert oldest.expected == pytest.approx(0.9 * oldest.predictions, rel=0.05)


def test_labels_that_fail_to_come_show_as_missing():
    """A feed of labels that has stopped: two days old, none in, and most expected."""
    post = Post.in_memory()
    with post.world.control.transaction() as t:
        t.put("reference", MODEL, "training", pack_reference(REFERENCE), revision=0)
    for day in range(10):
        ids = names(100 * day, 100 * day + 100)
        at = NOW - (10 - day) * DAY
        post.predict(ids, at=at)
        if day < 6:
            post.turn_out(dict.fromkeys(ids[:90], 1), known_at=at + 4 * HOUR)
    post.profile()
    stopped = [one for one in maturity_of(post.world, MODEL, NOW) if one.start >= NOW - 4 * DAY]
    assert sum(one.labels for one in stopped) == 0
    assert sum(one.expected for one in stopped) > 150


def test_totals_say_what_came_and_what_is_left(post):
    """Accepted, counted, and the newest event."""
    post.predict(names(0, 5))
    told = telemetry_of(post.world, MODEL)
    assert told.totals["predictions.accepted"] == 1005
    assert told.totals["predictions.counted"] == 1000
    assert told.pending == 5
    assert NOW - DAY < (told.newest or 0) <= NOW
