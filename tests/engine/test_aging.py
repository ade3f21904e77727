"""Old windows become days, small files large ones, and what is too old goes: nothing is counted otherwise."""

from dataclasses import replace

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from killick.clock import DAY, HOUR, MINUTE, Window, align
from killick.engine.aging import age_days, age_windows, compacting, expire, forget_answers
from killick.engine.recall import labelled_between
from killick.engine.receive import OUTCOMES, PREDICTIONS
from killick.engine.turns import FINE_FOR, Watched, read_turn, write_turn
from killick.profiles.codec import unpack_profile
from killick.profiles.profile import Profile
from killick.telemetry.columns import PREDICTION_ID
from killick.testing.faults import FaultPlan, faulty
from tests.engine.telemetry import MODEL, NOW, REFERENCE, SPEC, Post, compact, names, predictions


def total(post: Post) -> Profile:
    """All that is counted, without segments."""
    return Profile.merge(REFERENCE.scale, [profile for (segment, _), profile in post.counted().items() if not segment])


def test_windows_merge_into_days_when_the_models_own_time_has_left_them():
    """A model that sends a history of last year has fine windows of last year's newest days."""
    post = Post.in_memory()
    year_ago = align(NOW - 365 * DAY, DAY)
    post.predict(names(0, 20), at=year_ago)
    post.profile()
    assert {window.width for _, window in post.counted()} == {HOUR}
    post.predict(names(20, 40), at=year_ago + FINE_FOR + 2 * DAY)
    post.profile()
    before = total(post)
    post.age()
    assert total(post) == before
    widths = {window.start: window.width for (segment, window) in post.counted() if not segment}
    assert widths.pop(year_ago) == DAY
    assert set(widths.values()) == {HOUR}
    # What comes late for a day that is whole by now goes into the day.
    post.predict(names(40, 50), at=year_ago)
    post.profile()
    assert total(post).rows == 50
    assert {window.width for (_, window) in post.counted() if window.start < year_ago + DAY} == {DAY}


def test_signals_have_finer_windows_until_they_are_old():
    """By the minute: what a minute's predictions and labels were; a week later the columns' days say it."""
    post = Post.in_memory()
    spec = replace(SPEC, keep=replace(SPEC.keep, signals=MINUTE))
    post.watched = Watched(spec, REFERENCE.scale, REFERENCE.segments)
    post.predict(names(0, 50), at=align(NOW, DAY))
    post.turn_out({"loan-3": 1, "loan-4": 0})
    post.profile()

    def by_minute():
        with post.world.control.transaction() as t:
            return t.profiles(MODEL, REFERENCE.scale.signals.fingerprint, Window(0, 2**62))

    signals = {key: unpack_profile(body, REFERENCE.scale.signals) for key, body in by_minute().items()}
    assert {key.window.width for key in signals} == {MINUTE}
    together = Profile.merge(REFERENCE.scale.signals, signals.values())
    assert together.rows == 50
    assert (together.counts_of("(label delay)") == total(post).counts_of("(label delay)")).all()
    assert (together.counts_of("label") == total(post).counts_of("label")).all()
    before = total(post)
    age_windows(post.world, post.watched, NOW + FINE_FOR + 2 * DAY)
    assert by_minute() == {}
    assert total(post) == before
    post.predict(names(50, 60), at=align(NOW, DAY))
    post.profile()
    assert by_minute() == {}


def test_years_without_an_event_hold_nobody_up():
    """A first event of years ago leaves thousands of empty days: passed over in few transactions, nothing lost."""
    post = Post.in_memory()
    long_ago = align(NOW - 4_000 * DAY, DAY)
    post.predict(names(0, 10), at=long_ago)
    post.profile()
    post.predict(names(10, 20), at=align(NOW, DAY))
    post.profile()
    before = total(post)
    with post.world.control.transaction() as t:
        first, _ = read_turn(t, MODEL)
    age_windows(post.world, post.watched, NOW)
    with post.world.control.transaction() as t:
        last, _ = read_turn(t, MODEL)
    assert last.aged == align(NOW - FINE_FOR, DAY)
    assert last.number - first.number < 10
    assert total(post) == before
    widths = {window.start: window.width for segment, window in post.counted() if not segment}
    assert widths.pop(long_ago) == DAY
    assert set(widths.values()) == {HOUR}


def test_aging_again_changes_nothing():
    """It is due once a day, and asked once a minute."""
    post = Post.in_memory()
    post.predict(names(0, 10), at=NOW - 20 * DAY)
    post.predict(names(10, 20))
    post.profile()
    post.age()
    with post.world.control.transaction() as t:
        before = (read_turn(t, MODEL), t.batches(MODEL, PREDICTIONS))
    post.age()
    with post.world.control.transaction() as t:
        assert (read_turn(t, MODEL), t.batches(MODEL, PREDICTIONS)) == before


def test_small_files_of_an_hour_become_one_with_every_row_in_the_order_of_commit(tmp_path):
    """The first copy of a prediction stays the first; old files go when they are swept, and nobody misses them."""
    post = Post.on_disk(tmp_path)
    for number in range(5):
        post.predict([f"loan-{number}", "copy"], version=f"v{number}", spread=HOUR)
    post.profile()
    before = total(post)
    assert compact(post.world, MODEL, PREDICTIONS, NOW + 9 * HOUR) == 5
    with post.world.control.transaction() as t:
        (merged,) = t.batches(MODEL, PREDICTIONS)
        known = t.paths()
    rows = post.world.archive.read(merged.path)
    assert rows[PREDICTION_ID].to_list() == [key for number in range(5) for key in (f"loan-{number}", "copy")]
    assert (merged.rows, merged.pending) == (10, False)
    assert len(post.world.archive.sweep(known)) == 5
    post.turn_out({"copy": 1, "loan-3": 0})
    post.profile()
    assert total(post).rows == before.rows == 6


def test_an_hour_that_is_not_over_waits_until_it_has_many_files(tmp_path):
    """Merging each new file with the last would write every row again and again."""
    post = Post.on_disk(tmp_path)
    for number in range(15):
        post.predict([f"loan-{number}"], spread=HOUR)
    post.profile()
    assert compact(post.world, MODEL, PREDICTIONS, NOW) == 0
    post.predict(["loan-15"], spread=HOUR)
    assert compact(post.world, MODEL, PREDICTIONS, NOW) == 0  # the newest is not profiled yet
    post.profile()
    assert compact(post.world, MODEL, PREDICTIONS, NOW) == 16


def test_what_the_spec_no_longer_keeps_goes_rows_identities_and_profiles(tmp_path):
    """And what is kept, stays. A prediction that is sent again after that is a new one."""
    post = Post.on_disk(tmp_path)
    watched = Watched(replace(SPEC, keep=replace(SPEC.keep, days=30)), REFERENCE.scale, REFERENCE.segments)
    post.predict(names(0, 10), at=NOW - 60 * DAY)
    post.predict(names(10, 20))
    post.profile()
    post.age(watched)
    assert total(post).rows == 10
    with post.world.control.transaction() as t:
        assert sum(batch.rows for batch in t.batches(MODEL, PREDICTIONS)) == 10
        known = t.paths()
    assert len(post.world.archive.sweep(known)) == 1
    expire(post.world, MODEL, NOW + DAY)
    assert post.counted() == {}
    with post.world.control.transaction() as t:
        assert t.paths() == set()


def test_a_history_is_not_too_old_because_it_is_history():
    """Age is counted back from the newest event of the model, not from today."""
    post = Post.in_memory()
    post.predict(names(0, 10), at=NOW - 3_000 * DAY)
    post.profile()
    post.age()
    assert total(post).rows == 10


def test_answers_to_old_deliveries_are_forgotten_and_their_sequences_are_not():
    """Sent again after a month, a delivery still leaves no second row."""
    post = Post.in_memory()
    post.predict(names(0, 3), producer="host", sequence=4)
    forget_answers(post.world, NOW + 30 * DAY)
    again = post.predict(names(0, 3), producer="host", sequence=4)
    assert (again.duplicate, again.accepted) == (True, 0)
    assert post.predict(names(3, 4), producer="host", sequence=5).accepted == 1


def test_files_are_merged_with_those_of_their_types():
    """A feature that was a number becomes a text: `1` must not become `1.0`. What comes later is missing before."""
    post = Post.in_memory()
    for name in "abcd":
        rows = predictions([name], spread=HOUR)
        changed = rows.with_columns(pl.lit("1").alias("income"), pl.lit(1).alias("new"))
        post.send(PREDICTIONS, changed if name in "bd" else rows)
    later = predictions(["e"], spread=HOUR).with_columns(pl.lit(0.5).alias("new"))
    post.send(PREDICTIONS, later)
    post.profile()
    assert compact(post.world, MODEL, PREDICTIONS, NOW + 9 * HOUR) == 5
    with post.world.control.transaction() as t:
        numbers, texts = sorted(t.batches(MODEL, PREDICTIONS), key=lambda batch: batch.number)
    held = post.world.archive.read(numbers.path)
    assert held[PREDICTION_ID].to_list() == ["a", "c", "e"]
    assert held["new"].to_list() == [None, None, 0.5]
    held = post.world.archive.read(texts.path)
    assert held[PREDICTION_ID].to_list() == ["b", "d"]
    assert held["income"].to_list() == ["1", "1"]


def test_a_pair_of_two_types_stays_apart_and_what_is_too_old_goes_all_the_same():
    """A feature that was a list once and a text later."""
    post = Post.in_memory()
    post.predict(names(0, 9), at=NOW - 200 * DAY)
    post.send(PREDICTIONS, predictions(["a"], at=NOW - 9 * HOUR, spread=1).with_columns(pl.lit("much").alias("new")))
    listed = pl.Series("new", [[1.0, 2.0]])
    post.send(PREDICTIONS, predictions(["b"], at=NOW - 9 * HOUR, spread=1).with_columns(listed))
    post.predict(["c"])
    with post.world.control.transaction() as t:
        t.settle([batch.batch_id for batch in t.pending()])
        turn, revision = read_turn(t, MODEL)
        write_turn(t, MODEL, msgspec.structs.replace(turn, number=1, newest=NOW, aged=align(NOW, DAY)), revision)
    post.age()
    with post.world.control.transaction() as t:
        assert sorted(batch.rows for batch in t.batches(MODEL, PREDICTIONS)) == [1, 1, 1]


def test_a_file_of_another_hour_between_two_keeps_them_apart():
    """It may hold a copy of what the later one holds, and was first; so may one that is not profiled yet."""
    post = Post.in_memory()
    for version, at in (("v1", NOW), ("v2", NOW + 2 * HOUR), ("v3", NOW), ("v4", NOW)):
        post.predict(["copy"], version=version, at=at, spread=1)
    post.profile()
    assert compact(post.world, MODEL, PREDICTIONS, NOW + 9 * HOUR) == 2
    with post.world.control.transaction() as t:
        held = sorted(t.batches(MODEL, PREDICTIONS), key=lambda batch: batch.number)
    versions = [post.world.archive.read(batch.path)["version"].to_list() for batch in held]
    assert versions == [["v1"], ["v2"], ["v3", "v4"]]


@pytest.mark.parametrize("kind", [PREDICTIONS, OUTCOMES])
def test_hours_that_alternate_are_merged(kind):
    """A late row in every other group: nothing that lies between holds a copy of anything."""
    post = Post.in_memory()
    for number in range(20):
        at = NOW - number % 2 * HOUR
        if kind == PREDICTIONS:
            post.predict(names(2 * number, 2 * number + 2), at=at, spread=1)
        else:
            post.turn_out({f"loan-{number}": 1}, known_at=at)
    post.profile()
    assert compact(post.world, MODEL, kind, NOW + 9 * HOUR) == 20
    with post.world.control.transaction() as t:
        assert len(t.batches(MODEL, kind)) == 2


sent = st.tuples(
    st.lists(st.integers(0, 6), max_size=3),
    st.integers(0, 5),
    st.sampled_from(["v1", "v2"]),
    st.sampled_from([None, True, 1, "one"]),
    st.booleans(),
)


@settings(max_examples=60)
@given(st.lists(sent, max_size=12))
def test_merging_changes_nothing_that_is_recalled(history):
    """Copies in other hours, versions and types, in one batch and in several, profiled at once or later."""
    merged, apart = Post.in_memory(), Post.in_memory()
    for post in (merged, apart):
        post.turn_out({f"loan-{number}": number % 2 for number in range(7)})
        for numbers, half_hours, version, note, is_profiled in history:
            ids = [f"loan-{number}" for number in numbers]
            rows = predictions(ids, version=version, at=NOW - half_hours * HOUR // 2, spread=1)
            post.send(PREDICTIONS, rows.with_columns(pl.Series("note", [note] * len(ids))))
            if is_profiled:
                post.profile()
            if post is merged:
                compact(post.world, MODEL, PREDICTIONS, NOW + 9 * HOUR)
        post.profile()
    compact(merged.world, MODEL, PREDICTIONS, NOW + 9 * HOUR)
    assert recalled(merged) == recalled(apart)
    assert total(merged) == total(apart)


def test_files_that_may_not_lie_together_are_read_once():
    """A flag beside a number stays apart for good, and a process that has seen it does not look again."""
    post = Post.in_memory()
    for at, note in enumerate([True, 1]):
        post.send(PREDICTIONS, predictions(names(at, at + 1), spread=1).with_columns(pl.Series("note", [note])))
    post.profile()
    plan, apart = FaultPlan(), set()
    world = replace(post.world, archive=faulty(post.world.archive, plan))
    for _ in range(3):
        assert sum(compacting(world, MODEL, PREDICTIONS, NOW + 9 * HOUR, apart=apart)) == 0
    assert plan.calls.count("read") == 2


def test_a_model_whose_labels_came_first_has_no_days_yet():
    """It has no time before its first prediction, and its days would be counted from the beginning of all."""
    post = Post.in_memory()
    post.turn_out({"loan-0": 1})
    post.profile()
    assert not age_days(post.world, post.watched, NOW)


def recalled(post: Post) -> list[tuple]:
    """What is read back of each prediction: its time, version and label."""
    held = labelled_between(post.world, MODEL, Window(0, 2**62), known_by=2**62)
    return sorted(held.select(PREDICTION_ID, "event_time", "version", "label").rows())


def test_a_large_file_is_not_written_again_for_a_few_late_rows():
    """They are merged among themselves, and with it when they are half as many."""
    post = Post.in_memory()
    sizes = []
    first = 0
    for rows in (8, 1, 1, 1, 1):
        post.predict(names(first, first + rows), spread=1)
        first += rows
        post.profile()
        compact(post.world, MODEL, PREDICTIONS, NOW + 9 * HOUR)
        with post.world.control.transaction() as t:
            sizes.append([batch.rows for batch in sorted(t.batches(MODEL, PREDICTIONS), key=lambda it: it.number)])
    assert sizes == [[8], [8, 1], [8, 2], [8, 3], [12]]


def test_wide_files_are_merged_in_smaller_groups(monkeypatch):
    """A merged file is bounded by the numbers in it, too."""
    post = Post.in_memory()
    for number in range(4):
        post.predict([f"loan-{number}"], spread=1)
    post.profile()
    width = predictions(["a"]).width
    monkeypatch.setattr("killick.engine.aging._MERGED_CELLS_MAX", 4 * width)
    post.predict(names(4, 8), spread=1)
    post.profile()
    assert compact(post.world, MODEL, PREDICTIONS, NOW + 9 * HOUR) == 4
    with post.world.control.transaction() as t:
        assert sorted(batch.rows for batch in t.batches(MODEL, PREDICTIONS)) == [4, 4]
