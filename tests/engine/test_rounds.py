"""What a round may meet: odd types, odd labels, thousands of versions, batches that cannot be profiled."""

import polars as pl
import pytest

from killick.clock import DAY, HOUR
from killick.engine.aging import expire
from killick.engine.profiling import profile_first, profile_pending
from killick.engine.receive import OUTCOMES, PREDICTIONS
from killick.engine.turns import OWNERS_MAX, read_turn
from killick.errors import StaleWrite
from killick.profiles.profile import Profile
from killick.telemetry.columns import KNOWN_AT, LABEL, VERSION
from killick.telemetry.segments import REST
from tests.engine.telemetry import MODEL, NOW, REFERENCE, Post, names, outcomes, predictions


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
