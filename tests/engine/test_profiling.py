"""What comes in is counted once: copies of batches, of rows and of outcomes change nothing; corrections correct."""

from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from killick.checks.performance import labels_of, measure
from killick.clock import DAY, HOUR, Window
from killick.engine.recall import known_in, labelled_between
from killick.engine.turns import OWNERS_MAX
from killick.profiles.codec import unpack_profile
from killick.telemetry.columns import LABEL, PREDICTION_ID, ROLE, VERSION
from killick.telemetry.segments import REST
from killick.testing.simulator import MODEL
from tests.engine.shop import LONG_AFTER, Shop
from tests.engine.survivors import EVER
from tests.engine.telemetry import NOW, Post, names


def ids(rows: pl.DataFrame) -> list[str]:
    """The predictions' ids."""
    return rows[PREDICTION_ID].to_list()


def test_the_same_batch_again_is_not_looked_at():
    """A producer that never heard the answer sends once more, under the same number."""
    shop = Shop.opened()
    rows = shop.orders(40)
    assert shop.predict(rows, sequence=7) == 0
    before = shop.counted()
    assert shop.predict(rows, sequence=7) == 0
    assert shop.counted() == before
    assert before.rows == 40


@pytest.mark.parametrize("again", [0, 20])
def test_a_second_copy_of_a_prediction_is_a_duplicate_and_is_counted_once(again):
    """In the same batch or in a later one, with its label as without."""
    shop, once = Shop.opened(), Shop.opened()
    rows, more = shop.orders(20), shop.orders(20, start=20)
    once.predict(pl.concat([rows, more]))
    if again:
        assert shop.predict(rows) == 0
        assert shop.predict(pl.concat([more, rows])) == 20
    else:
        assert shop.predict(pl.concat([rows, more, rows])) == 20
    labels = {key: number % 2 for number, key in enumerate(ids(rows) + ids(more))}
    for one in (shop, once):
        assert one.turn_out(labels) == 0
    assert shop.counted() == once.counted()
    assert labels_of(shop.counted()) == 40


def test_an_outcome_of_nothing_known_is_told_and_counted_nowhere():
    """It may be of another model, or of a prediction that never came."""
    shop = Shop.opened()
    rows = shop.orders(10)
    shop.predict(rows)
    assert shop.turn_out({ids(rows)[0]: 1, "nobody": 0, "no one": 1}) == 2
    assert labels_of(shop.counted()) == 1


def test_a_corrected_label_replaces_the_one_that_was_counted():
    """One subtraction and one addition: as if the first had never been said. The same label again changes nothing."""
    shop, once = Shop.opened(), Shop.opened()
    rows = shop.orders(30)
    for one in (shop, once):
        one.predict(rows)
    wrong = dict.fromkeys(ids(rows), 0)
    right = {key: number % 2 for number, key in enumerate(ids(rows))}
    once.turn_out(right)
    shop.turn_out(wrong)
    shop.turn_out(right, at=LONG_AFTER - HOUR // 2)
    shop.turn_out(right, at=LONG_AFTER - HOUR // 4)
    found, expected = shop.counted(), once.counted()
    assert (found.counts == expected.counts).all()
    assert measure(found, "log_loss").value == pytest.approx(measure(expected, "log_loss").value)
    assert labels_of(found) == 30


def test_how_long_labels_take_is_told_by_the_first_of_each():
    """Sent again every night, corrected after a week, in any order: each is in since it was first known."""
    early, late = {"loan-1": 0, "loan-2": 1}, {"loan-1": 1, "loan-2": 1}
    post, once, shuffled = Post.in_memory(), Post.in_memory(), Post.in_memory()
    for one in (post, once, shuffled):
        one.predict(names(0, 5))
    once.turn_out(late)
    told = [(early, NOW + 5 * HOUR), (late, NOW + 29 * HOUR), (late, NOW + 7 * DAY)]
    for sender, those in ((post, told), (shuffled, told[::-1])):
        for labels, at in those:
            sender.turn_out(labels, known_at=at)
            sender.profile()
    once.profile()
    assert post.counted() == once.counted() == shuffled.counted()


def test_a_corrected_label_among_more_segments_than_are_told_apart():
    """What is rare in one batch is common in the next: by known segments, each row is in one and the same."""
    shop, once = Shop.opened(), Shop.opened()
    rows = shop.orders(250).with_columns(store=pl.Series([f"s{at:03}" for at in range(250)]))
    known = [(), *((("store", f"s{at:03}"),) for at in range(3))]
    for one in (shop, once):
        one.predict(rows, segments=known)
    right = {key: number % 2 for number, key in enumerate(ids(rows))}
    once.turn_out(right, segments=known)
    shop.turn_out(dict.fromkeys(right, 0), segments=known)
    shop.turn_out(right, at=LONG_AFTER - HOUR // 2, segments=known)
    found, expected = shop.by_segment(), once.by_segment()
    assert found == expected
    assert set(found) == {*known, (("store", REST),)}
    assert found[(("store", REST),)].rows == 247


def test_a_correction_in_a_segment_of_its_own_is_no_crash():
    """A caller that knows no segments: 201 labels hide one of a store that the correction alone then shows."""
    shop = Shop.opened()
    rows = shop.orders(250).with_columns(store=pl.Series([f"s{at:03}" for at in range(250)]))
    shop.predict(rows)
    shop.turn_out({ids(rows)[-1]: 0})
    shop.turn_out(dict.fromkeys(ids(rows), 1), at=LONG_AFTER - HOUR // 2)
    assert labels_of(shop.counted()) == 250


@settings(max_examples=15)
@given(st.lists(st.lists(st.tuples(st.integers(0, 11), st.integers(0, 1)), max_size=6), max_size=6))
def test_whatever_labels_come_in_whatever_order_the_last_one_counts(batches):
    """Labels come late, twice, and contradict each other."""
    shop, once = Shop.opened(), Shop.opened()
    rows = shop.orders(12)
    for one in (shop, once):
        one.predict(rows)
    last: dict[str, int] = {}
    for number, batch in enumerate(batches):
        labels = {ids(rows)[place]: label for place, label in batch}
        last |= labels
        shop.turn_out(labels, at=LONG_AFTER - HOUR + number)
    once.turn_out(last)
    assert (shop.counted().counts == once.counted().counts).all()
    held = labelled_between(shop.world, MODEL, EVER, known_by=LONG_AFTER)
    assert dict(held.select(PREDICTION_ID, LABEL).iter_rows()) == last


def test_an_outcome_told_twice_in_a_window_is_one_label_for_the_judge():
    """A canary is not judged twice on the same order."""
    shop = Shop.opened()
    rows = shop.orders(10)
    shop.predict(rows)
    shop.turn_out(dict.fromkeys(ids(rows), 0), at=LONG_AFTER - 2 * HOUR)
    shop.turn_out(dict.fromkeys(ids(rows), 1), at=LONG_AFTER - HOUR)
    known = known_in(shop.world, shop.story.spec, Window(LONG_AFTER - 3 * HOUR, LONG_AFTER))
    assert known[LABEL].to_list() == [1] * 10


def test_labels_are_those_that_were_known_by_then():
    """Asked again later about the same instant, the answer is the same."""
    shop = Shop.opened()
    rows = shop.orders(10)
    shop.predict(rows)
    shop.turn_out(dict.fromkeys(ids(rows)[:5], 0), at=LONG_AFTER - 3 * HOUR)
    then = labelled_between(shop.world, MODEL, EVER, known_by=LONG_AFTER - 2 * HOUR)
    shop.turn_out(dict.fromkeys(ids(rows), 1), at=LONG_AFTER - HOUR)
    assert labelled_between(shop.world, MODEL, EVER, known_by=LONG_AFTER - 2 * HOUR).equals(then)
    assert then[LABEL].to_list() == [0] * 5


def test_shadows_have_the_identities_of_those_that_were_answered():
    """They are no duplicates, answer nobody, and get the same labels."""
    shop = Shop.opened()
    rows = shop.orders(20)
    along = rows.with_columns(pl.lit("v2").alias(VERSION), pl.lit("shadow").alias(ROLE))
    assert shop.predict(along) == 0
    assert shop.predict(rows) == 0
    shop.turn_out(dict.fromkeys(ids(rows), 1))
    assert shop.counted().rows == 20
    known = known_in(shop.world, shop.story.spec, Window(0, LONG_AFTER))
    assert sorted(known[ROLE].to_list()) == ["live"] * 20 + ["shadow"] * 20


@pytest.mark.parametrize("size", [1, 7, 40])
def test_however_rows_are_cut_into_batches_the_profile_is_the_same(size):
    """Profiles add up."""
    shop, once = Shop.opened(), Shop.opened()
    rows = shop.orders(40)
    once.predict(rows)
    for start in range(0, 40, size):
        shop.predict(rows.slice(start, size))
    assert (shop.counted().counts == once.counted().counts).all()
    assert shop.counted().sums == pytest.approx(once.counted().sums)


def test_shadows_that_came_first_are_counted_in_their_own_segments():
    """They are told apart after those who were answered; the rows have to follow."""
    one, once = Post.in_memory(), Post.in_memory()
    for post in (one, once):
        post.predict(names(0, 20), role="shadow", version="v2")
        if post is once:
            post.profile()
        post.predict(names(20, 60))
        post.profile()
    for role in ("live", "shadow"):
        assert one.counted(role) == once.counted(role)


def test_of_two_labels_of_one_time_the_one_that_came_later_counts():
    """A service that was started again counts its deliveries from 0: its correction is the later word all the same."""
    shop = Shop.opened()
    shop.predict(shop.orders(1))
    (key,) = ids(shop.orders(1))
    shop.turn_out({key: 1}, sequence=7, now=LONG_AFTER)
    shop.turn_out({key: 0}, sequence=0, now=LONG_AFTER + 1)
    held = labelled_between(shop.world, MODEL, EVER, known_by=LONG_AFTER)
    assert held[LABEL].to_list() == [0]
    assert measure(shop.counted(), "error_rate").value in (0.0, 1.0)
    assert labels_of(shop.counted()) == 1


def test_ids_that_are_taken_for_versions_are_one_version_after_a_thousand():
    """Everything is counted, by role; who had a profile of its own keeps it; a later round finds the same rest."""
    shop = Shop.opened()
    rows = shop.orders(1_200).with_columns(pl.Series(VERSION, [f"request-{number}" for number in range(1_200)]))
    shop.predict(rows[:1_100])
    shop.predict(rows[1_100:].with_columns(pl.lit("canary").alias(ROLE)))
    shop.predict(rows[:1].with_columns(pl.lit("again").alias(PREDICTION_ID)))
    labels = dict.fromkeys([*ids(rows), "again"], 1)
    assert shop.turn_out(labels) == 0
    scale = shop.scale
    with shop.world.control.transaction() as t:
        held = t.profiles(MODEL, scale.fingerprint, EVER)
    whole = {key: unpack_profile(body, scale) for key, body in held.items() if not key.segment}
    counts = Counter()
    for key, profile in whole.items():
        counts[key.version, key.role] += profile.rows
        assert labels_of(profile) == profile.rows
    assert len(counts) == OWNERS_MAX + 2
    assert counts[REST, "live"] == counts[REST, "canary"] == 100
    assert counts["request-0", "live"] == 2
    assert counts.total() == 1_201
