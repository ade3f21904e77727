"""What a round may meet: odd types, odd labels, thousands of versions, batches that cannot be profiled."""

from dataclasses import replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from killick.clock import DAY, HOUR, Window
from killick.engine.adopt import adopt
from killick.engine.aging import expire
from killick.engine.open import sweep
from killick.engine.profiling import ASIDE, profile_first, profile_pending
from killick.engine.recall import labelled_between
from killick.engine.receive import OUTCOMES, PREDICTIONS, Delivery, commit
from killick.engine.turns import OWNERS_MAX, Watched, read_turn
from killick.errors import StaleWrite
from killick.profiles.profile import Profile
from killick.spec.document import Band
from killick.telemetry.columns import KNOWN_AT, LABEL, VERSION
from killick.telemetry.segments import REST
from tests.engine.telemetry import MODEL, NOW, REFERENCE, SPEC, Post, names, outcomes, predictions


def total(post: Post) -> Profile:
    """All that is counted, without segments."""
    return Profile.merge(REFERENCE.scale, [one for (segment, _), one in post.counted().items() if not segment])


def tallies(post: Post) -> dict[str, int]:
    """The model's totals."""
    with post.world.control.transaction() as t:
        return t.tallies(MODEL)


@pytest.mark.parametrize("apart", [True, False])
def test_what_a_value_counts_as_does_not_depend_on_what_came_beside_it(apart):
    """A flag that is true in one batch and 1 in the next, a number that is text in one: in one round as in two."""
    post = Post.in_memory()
    batches = [
        predictions(names(0, 3)).with_columns(pl.Series("city", [True, False, True])),
        predictions(names(3, 6)).with_columns(pl.Series("city", [1, 0, 1])),
        predictions(names(6, 9)).with_columns(pl.Series("income", ["12", "much", "3.5"])),
    ]
    for rows in batches:
        post.send(PREDICTIONS, rows)
        if apart:
            post.profile()
    post.profile()
    counted = total(post)
    assert counted.rows == 9
    separate = Post.in_memory()
    for rows in batches:
        separate.send(PREDICTIONS, rows)
        separate.profile()
    assert (counted.counts == total(separate).counts).all()


# What one delivery may have in a column: of one type each, as the wire gives them.
COLUMNS = st.one_of(
    *(
        st.lists(st.none() | values, min_size=3, max_size=3)
        for values in (
            st.booleans(),
            st.sampled_from([0, 1, 2**53 + 1, 2**60 + 1]),
            st.sampled_from([0.0, 1.0, 0.1, 2.0**60]),
            st.sampled_from(["1", "1.0", "true", "Oslo"]),
            st.just([1.0, 2.0]),
        )
    )
)
# The first is a category, the second a number, by the third rows are grouped, and nobody asks for the last.
MEASURED = ("city", "income", "zone", "note")
ZONES = [(("zone", value),) for value in ("1", "1.0", "true", str(2**53 + 1), str(2**60), str(2**60 + 1))]


@settings(max_examples=25)
@given(st.lists(st.tuples(*[COLUMNS] * len(MEASURED)), min_size=1, max_size=5), st.data())
def test_however_deliveries_are_grouped_their_profiles_are_the_same(columns, data):
    """In commits as in rounds: whatever types they have, and which of them came together."""
    deliveries = [
        Delivery(
            MODEL,
            PREDICTIONS,
            "host",
            at,
            predictions(names(3 * at, 3 * at + 3)).with_columns(
                pl.Series(name, values) for name, values in zip(MEASURED, one, strict=True)
            ),
        )
        for at, one in enumerate(columns)
    ]
    watched = Watched(
        replace(SPEC, segments=((Band("zone", "zone"),),)), REFERENCE.scale, [*REFERENCE.profiles, *ZONES]
    )
    alone, grouped = Post.in_memory(), Post.in_memory()
    alone.watched = grouped.watched = watched
    for one in deliveries:
        commit(alone.world, [one], NOW)
        alone.profile()
    while deliveries:
        size = data.draw(st.integers(1, len(deliveries)))
        commit(grouped.world, deliveries[:size], NOW)
        deliveries = deliveries[size:]
        if data.draw(st.booleans()):
            grouped.profile()
    grouped.profile()
    assert grouped.counted() == alone.counted()


def test_a_model_is_adopted_whatever_types_it_has_sent():
    """What it learns of a value is what the value will count as: 1 is a category, however it was sent, and no 1.0."""
    post = Post.in_memory()
    for at, value in enumerate((1.0, "X9", True, [1.0, 2.0])):
        rows = predictions(names(300 * at, 300 * at + 300))
        post.send(PREDICTIONS, rows.with_columns(pl.Series("zone", [value] * rows.height)))
    watched = adopt(post.world, MODEL, None, NOW)
    assert watched is not None
    assert watched.scale["zone"].categories == ("1", "X9", "true")


def test_a_round_takes_a_thousand_batches_at_most():
    """Senders of one row at a time: each is a file, and each file costs more than its rows."""
    post = Post.in_memory()
    post.predict(names(0, 1))
    with post.world.control.transaction() as t:
        (first,) = t.pending(MODEL)
        for number in range(1_005):
            t.add_batch(replace(first, batch_id=f"batch-{number}", number=0))
    assert profile_pending(post.world, post.watched, NOW).batches == 1_000
    assert profile_pending(post.world, post.watched, NOW).batches == 6


def test_who_changes_profiles_makes_a_round_begin_anew():
    """What a round puts is a sum that it made before its transaction: nothing else may have stood there meanwhile."""
    post = Post.in_memory()
    # Batches and identities that reach until today are kept, the profiles of their oldest windows are not.
    for first in (0, 5):
        post.profile()
        old = predictions(names(first, first + 4), at=NOW - 90 * DAY)
        post.send(PREDICTIONS, pl.concat([old, predictions(names(first + 4, first + 5))]))
    control = post.world.control

    class Overtaken:
        """Lets somebody expire what is old when a round has read the profiles, and is about to add to them."""

        begun = 0

        def transaction(self):
            self.begun += 1
            if self.begun == 3:
                expire(post.world, MODEL, NOW - 80 * DAY)
            return control.transaction()

    with pytest.raises(StaleWrite):
        profile_pending(replace(post.world, control=Overtaken()), post.watched, NOW)
    assert total(post).rows == 1
    post.profile()
    assert total(post).rows == 1 + 5


def test_what_nobody_measures_may_be_of_any_type():
    """A list in one batch and a text in the next are one round."""
    post = Post.in_memory()
    for at, note in enumerate(["much", [1.0, 2.0]] * 3):
        post.send(PREDICTIONS, predictions(names(at, at + 1)).with_columns(pl.Series("note", [note])))
    assert profile_pending(post.world, post.watched, NOW).batches == 6


def test_labels_that_are_none_of_the_task_are_told():
    """They are in the files, and in no profile; their number is a total of its own."""
    post = Post.in_memory()
    post.predict(names(0, 3))
    odd = outcomes(dict.fromkeys(names(0, 3), 1)).with_columns(pl.Series(LABEL, ["1", "perhaps", "0"]))
    post.send(OUTCOMES, odd)
    post.profile()
    assert tallies(post)["labels.unusable"] == 1
    assert tallies(post)["labels.gained"] == 2


def test_versions_without_end_count_together():
    """A build number as the version: the first thousand are told apart, the rest is one."""
    post = Post.in_memory()
    rows = predictions(names(0, OWNERS_MAX + 50))
    versions = pl.Series(VERSION, [f"build-{number}" for number in range(rows.height)])
    post.send(PREDICTIONS, rows.with_columns(versions))
    post.profile()
    post.send(PREDICTIONS, predictions(["later"]).with_columns(pl.lit("yet another").alias(VERSION)))
    post.profile()
    assert total(post).rows == OWNERS_MAX + 51
    with post.world.control.transaction() as t:
        turn, _ = read_turn(t, MODEL)
    assert len(turn.owners) == OWNERS_MAX + 1
    assert turn.owners[-1] == (REST, "live")


def test_a_label_is_remembered_as_long_as_its_prediction():
    """However long ago it says that it was known: after retention it is still the one that was counted."""
    post = Post.in_memory()
    post.predict(names(0, 1))
    ancient = outcomes({"loan-0": 1}).with_columns(pl.lit(5, pl.Int64).alias(KNOWN_AT))
    for _ in range(2):
        post.send(OUTCOMES, ancient)
        post.profile()
        expire(post.world, MODEL, NOW - 90 * DAY)
    assert int(total(post).counts_of("(label delay)").sum()) == 1


def test_the_batch_that_fails_is_set_aside_and_no_other(tmp_path):
    """Two workers fail at the same damaged file: one sets it aside, the other leaves the next one alone."""
    post = Post.on_disk(tmp_path)
    post.predict(names(0, 3))
    post.predict(names(3, 6))
    with post.world.control.transaction() as t:
        first, second = t.pending(MODEL)
    file = tmp_path / "telemetry" / first.path
    pl.DataFrame({"prediction_id": ["x"], "event_time": ["no time"]}).write_parquet(file)
    with pytest.raises(pl.exceptions.PolarsError):
        profile_pending(post.world, post.watched, NOW)
    assert profile_first(post.world, post.watched, NOW).batches == 1
    assert tallies(post)["batches.set_aside"] == 1
    with post.world.control.transaction() as t:
        assert [batch.batch_id for batch in t.pending(MODEL)] == [second.batch_id]
        with pytest.raises(StaleWrite):
            t.settle([first.batch_id])
    assert post.profile().batches == 1
    assert total(post).rows == 3
    # Nobody takes it for what was counted, and its file stays.
    assert labelled_between(post.world, MODEL, Window(0, 2**62), known_by=2**62).height == 0
    with post.world.control.transaction() as t:
        assert [batch.path for batch in t.batches(MODEL, ASIDE[PREDICTIONS])] == [first.path]
    sweep(post.world, at_once=True)
    assert file.exists()
    expire(post.world, MODEL, NOW + DAY)
    sweep(post.world, at_once=True)
    assert not file.exists()


def test_a_history_of_months_is_counted_by_the_day():
    """Hours of what is old would be merged at once, and thousands of them held in memory until then."""
    post = Post.in_memory()
    for day in range(60):
        post.predict(names(10 * day, 10 * day + 10), at=NOW - (60 - day) * DAY, spread=DAY)
    post.profile()
    widths = [window.width for segment, window in post.counted() if not segment]
    assert widths.count(DAY) >= 51
    assert set(widths) == {DAY, HOUR}
    assert total(post).rows == 600
