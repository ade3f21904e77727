"""A person who asks to be forgotten is in no file any more, and what was counted stays counted."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import msgspec
import polars as pl
import pytest

from killick.adapters.control import open_control
from killick.clock import HOUR
from killick.engine.aging import expire
from killick.engine.forget import forget
from killick.engine.identities import FORGOTTEN, FORGOTTEN_IDS, OUTCOME_IDS, PREDICTION_IDS, Identities, keys_of
from killick.engine.joining import LABEL_SCHEMA, prediction_schema
from killick.engine.profiling import ASIDE, profile_pending, set_aside
from killick.engine.receive import OUTCOMES, PREDICTIONS, Delivery, Receipt, commit
from killick.errors import OutsideError, StaleWrite
from killick.ledger.chain import verify
from killick.ports.control import Half, Quarantined
from killick.telemetry.columns import ENTITY_ID, EVENT_TIME, SCORE
from killick.telemetry.quarantine import Rejected
from killick.testing.faults import FaultPlan, faulty
from tests.engine.telemetry import MODEL, NOW, SPEC, Post, compact, names, predictions

WHO = "anna.schmidt@example.org"


def of(entity: str, ids: list[str], **options) -> pl.DataFrame:
    """Predictions about somebody."""
    return predictions(ids, **options).with_columns(pl.lit(entity).alias(ENTITY_ID))


@pytest.fixture
def post(tmp_path):
    """Anna's predictions among others', answered and shadowed, with outcomes, some not profiled yet."""
    post = Post.on_disk(tmp_path)
    post.send(PREDICTIONS, pl.concat([of(WHO, ["anna-1", "anna-2"]), of("bob", ["bob-1"])]))
    post.send(PREDICTIONS, of(WHO, ["anna-1"], role="shadow", version="v2"))
    post.turn_out({"anna-1": 1, "bob-1": 0})
    post.profile()
    post.send(PREDICTIONS, pl.concat([of(WHO, ["anna-3"]), of("bob", ["bob-2"])]))
    post.turn_out({"anna-3": 1})
    return post


def files_with(folder, *needles: str) -> list[str]:
    """The files under a folder that hold any of these texts, in the tables they are or as bytes."""
    found = []
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_bytes()
            if path.suffix == ".parquet":
                text += str(pl.read_parquet(path).rows()).encode()
            found += [path.name] if any(needle.encode() in text for needle in needles) else []
    return found


def test_a_person_is_in_no_file_any_more(post, tmp_path):
    """Rows, outcomes, shadows, what was pending; the database and its journal; the ledger does not name them."""
    with post.world.control.transaction() as t:
        t.quarantine(MODEL, [Quarantined(NOW, f"bad value {WHO}".encode())], keep=9)
    assert files_with(tmp_path, WHO, "anna-")
    gone = forget(post.world, WHO, actor="dpo", now=NOW, salt=b"random")
    assert (gone.models, gone.rows) == (1, 6)
    assert files_with(tmp_path, WHO, "anna-") == []
    with post.world.control.transaction() as t:
        assert t.quarantined(MODEL, 9) == []
        assert WHO not in str(t.ledger())
        assert "anna-" not in str(t.ledger())


def test_who_reads_the_store_all_the_while_is_told_of(post, tmp_path):
    """His snapshot keeps the journal from being emptied, and so what was removed in it: it is asked for again later."""
    with post.world.control.transaction() as t:
        t.quarantine(MODEL, [Quarantined(NOW, f"bad value {WHO}".encode())], keep=9)
    world = replace(post.world, control=open_control(tmp_path / "control.sqlite", patience_seconds=0.1))
    with closing(sqlite3.connect(tmp_path / "control.sqlite", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM quarantine").fetchone()
        with pytest.raises(OutsideError, match="its log still holds what was removed"):
            forget(world, WHO, actor="dpo", now=NOW, salt=b"random")
    assert files_with(tmp_path, WHO) == ["control.sqlite-wal"]
    forget(world, WHO, actor="dpo", now=NOW, salt=b"other")
    assert files_with(tmp_path, WHO) == []


def test_what_was_counted_stays_counted_and_the_ledger_verifies(post):
    """Who asked, when, and how many rows it were."""
    before = {key: profile.rows for key, profile in post.counted().items()}
    forget(post.world, WHO, actor="dpo", now=NOW, salt=b"random")
    assert {key: profile.rows for key, profile in post.counted().items()} == before
    with post.world.control.transaction() as t:
        fact = t.ledger()[-1].fact
        verify(t.ledger())
    assert (fact.action, fact.actor, fact.evidence["rows"]) == ("forget", "dpo", 6)
    assert fact.subject.startswith("entity-")


def test_everybody_elses_rows_are_as_they_were(post):
    """Bob's predictions and outcomes, profiled and pending."""
    forget(post.world, WHO, actor="dpo", now=NOW, salt=b"random")
    post.profile()
    with post.world.control.transaction() as t:
        held = {kind: t.batches(MODEL, kind) for kind in (PREDICTIONS, "shadows", OUTCOMES)}
    rows = {kind: [post.world.archive.read(batch.path) for batch in batches] for kind, batches in held.items()}
    assert sorted(pl.concat(rows[PREDICTIONS], how="diagonal")["prediction_id"]) == ["bob-1", "bob-2"]
    assert pl.concat(rows[OUTCOMES], how="diagonal")["prediction_id"].to_list() == ["bob-1"]
    assert rows["shadows"] == []


def test_forgetting_again_finds_nothing_more(post):
    """Nobody is forgotten twice; each time it was asked for stands in the ledger."""
    forget(post.world, WHO, actor="dpo", now=NOW, salt=b"random")
    again = forget(post.world, WHO, actor="dpo", now=NOW, salt=b"other")
    assert (again.models, again.rows, again.files) == (0, 0, 0)


def label_rows(post) -> list[str]:
    """Of which predictions there is a row of an outcome."""
    with post.world.control.transaction() as t:
        batches = t.batches(MODEL, OUTCOMES)
    rows = [post.world.archive.read(batch.path)["prediction_id"] for batch in batches]
    return sorted(one for ids in rows for one in ids)


def labels_counted(post) -> int:
    """How many labels the profiles hold, of whichever version."""
    with post.world.control.transaction() as t:
        held = t.tallies(MODEL)
    return held["labels.gained"] - held.get("labels.lost", 0)


def test_a_label_that_comes_late_is_dropped_when_it_is_taken(post, tmp_path):
    """A first one, a correction, and that of a prediction that was never counted; the others' are as ever."""
    forget(post.world, WHO, actor="dpo", now=NOW, salt=b"random")
    counted = labels_counted(post)
    post.turn_out({"anna-1": 0, "anna-2": 1, "anna-3": 1, "bob-2": 1}, known_at=NOW + 9 * HOUR)
    post.turn_out({"anna-2": 0}, known_at=NOW + 10 * HOUR)
    post.profile()
    assert label_rows(post) == ["bob-1", "bob-2"]
    assert labels_counted(post) == counted + 1
    assert files_with(tmp_path / "telemetry", WHO, "anna-") == []
    with post.world.control.transaction() as t:
        # Twice when they were asked for, and four that came late.
        assert t.tallies(MODEL)["outcomes.forgotten"] == 2 + 4
        assert t.pending() == []


def test_a_label_that_came_while_nobody_counted_goes_when_asked_again(post):
    """Whoever else it is that is forgotten."""
    forget(post.world, WHO, actor="dpo", now=NOW, salt=b"random")
    post.turn_out({"anna-2": 1}, known_at=NOW + 9 * HOUR)
    assert forget(post.world, "nobody", actor="dpo", now=NOW, salt=b"other").rows == 1
    assert label_rows(post) == ["bob-1"]


def found_of(post, kind: str, ids: list[str]) -> pl.DataFrame:
    """What is remembered of predictions."""
    with post.world.control.transaction() as t:
        known = Identities(kind, tuple(t.batches(MODEL, kind)))
    schema = prediction_schema(SPEC) if kind == PREDICTION_IDS else LABEL_SCHEMA
    return known.find(post.world, keys_of(pl.Series(ids)), schema)


def test_of_counted_predictions_the_key_and_the_version_stay(post):
    """No time, no score, no segment and no label, however often runs are merged; of the others all."""
    post.profile()
    bobs = found_of(post, PREDICTION_IDS, ["bob-1", "bob-2"])
    forget(post.world, WHO, actor="dpo", now=NOW, salt=b"random")
    post.send(PREDICTIONS, of("bob", ["bob-3"]))
    post.profile()
    held = found_of(post, PREDICTION_IDS, ["anna-1", "anna-2", "anna-3"])
    assert held.height == 4  # a shadow's too
    assert held.select(EVENT_TIME, SCORE, "segment 0").unique().rows() == [(FORGOTTEN, 0.0, 0)]
    assert found_of(post, OUTCOME_IDS, ["anna-1", "anna-3"]).is_empty()
    assert found_of(post, PREDICTION_IDS, ["bob-1", "bob-2"]).equals(bobs)
    assert found_of(post, OUTCOME_IDS, ["bob-1"]).height == 1


def test_what_is_sent_again_of_them_is_not_counted_again(post):
    """A copy of a row from a spool that was left lying; and a label after the keys have expired."""
    post.profile()
    forget(post.world, WHO, actor="dpo", now=NOW, salt=b"random")
    before = {key: profile.rows for key, profile in post.counted().items()}
    labels = labels_counted(post)
    with post.world.control.transaction() as t:
        t.replace_batches([batch.batch_id for batch in t.batches(MODEL, FORGOTTEN_IDS)])
    post.send(PREDICTIONS, of(WHO, ["anna-1"]))
    post.turn_out({"anna-1": 0}, known_at=NOW + 9 * HOUR)
    assert post.profile().duplicates == 1
    assert {key: profile.rows for key, profile in post.counted().items()} == before
    assert labels_counted(post) == labels


def test_the_keys_are_kept_as_long_as_anything(post):
    """So many days after somebody was forgotten, and not a day longer."""
    forget(post.world, WHO, actor="dpo", now=NOW, salt=b"random")
    for before, runs in ((NOW, 1), (NOW + 1, 0)):
        expire(post.world, MODEL, before)
        with post.world.control.transaction() as t:
            assert len(t.batches(MODEL, FORGOTTEN_IDS)) == runs


def test_rows_of_their_predictions_that_name_nobody_go_too(tmp_path):
    """A shadow's, with and without the column; what somebody else was predicted under the same id stays."""
    post = Post.on_disk(tmp_path)
    post.send(PREDICTIONS, of(WHO, ["anna-1"]))
    post.send(PREDICTIONS, predictions(["anna-1"], role="shadow", version="v2"))
    nobody = predictions(["anna-1", "loan-1"], role="shadow", version="v3")
    post.send(PREDICTIONS, nobody.with_columns(pl.lit(None, pl.String).alias(ENTITY_ID)))
    post.send(PREDICTIONS, of("bob", ["anna-1"], role="shadow", version="v4"))
    forget(post.world, WHO, actor="dpo", now=NOW, salt=b"random")
    with post.world.control.transaction() as t:
        batches = [batch for kind in (PREDICTIONS, "shadows") for batch in t.batches(MODEL, kind)]
    rows = pl.concat([post.world.archive.read(batch.path) for batch in batches])
    assert sorted(rows.select("prediction_id", "version").rows()) == [("anna-1", "v4"), ("loan-1", "v3")]


def test_what_was_set_aside_is_gone_through_and_one_that_cannot_be_read_stops_nobody(tmp_path):
    """Rows that could not be counted are somebody's too; a file that nobody can read is told in the docs."""
    post = Post.on_disk(tmp_path)
    for ids in (["anna-1"], ["anna-2"], ["anna-3"]):
        post.send(PREDICTIONS, of(WHO, ids))
    with post.world.control.transaction() as t:
        first, second, _ = t.pending(MODEL)
        for batch in (first, second):
            set_aside(t, batch, "for a test", NOW)
    (tmp_path / "telemetry" / second.path).write_bytes(b"damaged")
    assert forget(post.world, WHO, actor="dpo", now=NOW, salt=b"random").rows == 2
    with post.world.control.transaction() as t:
        assert [batch.path for batch in t.batches(MODEL, ASIDE[PREDICTIONS])] == [second.path]
        assert t.batches(MODEL, PREDICTIONS) == []


def test_an_unknown_person_changes_nothing(post):
    """It is noted that it was asked for."""
    gone = forget(post.world, "nobody", actor="dpo", now=NOW, salt=b"random")
    assert gone.rows == 0
    assert sorted(names(0, 1)) == ["loan-0"]


class Meeting:
    """An archive in which something happens at the first write of a file, or of a run."""

    def __init__(self, archive, happens, at):
        self._archive = archive
        self._happens = [happens]
        self._at = at

    def __getattr__(self, name):
        found = getattr(self._archive, name)

        def write(*about):
            """Write, and let happen what does."""
            path = found(*about)
            while self._happens:
                self._happens.pop()()
            return path

        return write if name == self._at else found


def meeting(post, happens, at="write"):
    """The world, in which something happens while the first file is written."""
    return replace(post.world, archive=Meeting(post.world.archive, happens, at))


def test_a_round_that_is_overtaken_counts_nothing_of_them(post):
    """It has read their rows and labels, and has to begin anew."""
    world = meeting(post, lambda: forget(post.world, WHO, actor="", now=NOW, salt=b"1"), "write_run")
    with pytest.raises(StaleWrite):
        profile_pending(world, post.watched, NOW)
    post.profile()
    assert found_of(post, OUTCOME_IDS, ["anna-1", "anna-3"]).is_empty()
    assert found_of(post, PREDICTION_IDS, ["anna-3"]).is_empty()
    assert sum(profile.rows for (segment, _), profile in post.counted().items() if not segment) == 4


def test_runs_that_are_merged_meanwhile_are_looked_at_again(post):
    """What a round has written out of the runs that were read."""
    post.profile()
    post.send(PREDICTIONS, of("bob", names(0, 9)))
    forget(meeting(post, post.profile, "write_run"), WHO, actor="", now=NOW, salt=b"1")
    assert found_of(post, PREDICTION_IDS, ["anna-1"])[EVENT_TIME].to_list() == [FORGOTTEN] * 2
    assert found_of(post, OUTCOME_IDS, ["anna-1", "anna-3"]).is_empty()


def test_what_they_were_in_before_it_was_merged_goes_at_once(post, tmp_path):
    """However young the files are: nobody waits an hour to be forgotten."""
    post.profile()
    assert compact(post.world, MODEL, PREDICTIONS, NOW + 9 * HOUR)
    forget(post.world, WHO, actor="dpo", now=NOW, salt=b"random")
    assert files_with(tmp_path / "telemetry", WHO, "anna-") == []
    with post.world.control.transaction() as t:
        assert t.removed() == []


def test_a_merge_that_is_overtaken_leaves_no_file(post, tmp_path):
    """It has read their rows, and comes too late: what it wrote is removed by who wrote it."""
    post.profile()
    world = meeting(post, lambda: forget(post.world, WHO, actor="dpo", now=NOW, salt=b"random"))
    assert compact(world, MODEL, PREDICTIONS, NOW + 9 * HOUR) == 0
    assert files_with(tmp_path / "telemetry", WHO, "anna-") == []


def test_who_fails_in_the_midst_of_it_can_ask_again(tmp_path):
    """At whichever call of the archive: the second time what is left is found, outcomes and runs included."""
    for number in range(1, 60):
        post = Post.on_disk(tmp_path / str(number))
        post.send(PREDICTIONS, pl.concat([of(WHO, ["anna-1"]), of("bob", ["bob-1"])]))
        post.turn_out({"anna-1": 1, "bob-1": 0})
        post.profile()
        plan = FaultPlan(number, "before", "error")
        try:
            forget(replace(post.world, archive=faulty(post.world.archive, plan)), WHO, actor="", now=NOW, salt=b"1")
        except OutsideError:
            forget(post.world, WHO, actor="", now=NOW, salt=b"2")
        assert files_with(tmp_path / str(number) / "telemetry", WHO, "anna-") == []
        assert found_of(post, PREDICTION_IDS, ["anna-1"])[EVENT_TIME].to_list() == [FORGOTTEN]
        assert found_of(post, OUTCOME_IDS, ["anna-1"]).is_empty()
        post.turn_out({"anna-1": 0}, known_at=NOW + 9 * HOUR)
        post.profile()
        assert label_rows(post) == ["bob-1"]
        assert labels_counted(post) == 2
        if not plan.struck:
            assert number > 10
            return
    raise AssertionError


def test_values_that_were_refused_or_wait_go_for_everybody(tmp_path):
    """Where no row of theirs was found: answers, the quarantine, and halves; sequences are known as before."""
    post = Post.on_disk(tmp_path)
    bad = Rejected(0, "score", f"is no number (found {WHO!r})")
    rows = of("bob", ["bob-1"])
    delivery = Delivery(MODEL, PREDICTIONS, "host", 1, rows, (bad,), 1)
    commit(post.world, [delivery], NOW)
    with post.world.control.transaction() as t:
        t.hold("other", [Half(f"{at}", "request", NOW, WHO.encode()) for at in range(3)])
    forget(post.world, WHO, actor="dpo", now=NOW, salt=b"random")
    (again,) = commit(post.world, [delivery], NOW)
    assert again == Receipt(1, (), duplicate=True)
    with post.world.control.transaction() as t:
        assert t.quarantined(MODEL, 9) == []
        assert t.holding() == []
        assert t.tallies("other") == {"halves.forgotten": 3}


def test_an_answer_without_refused_rows_is_not_looked_at():
    """The longest one is shorter than any that names a row."""
    bare = msgspec.json.encode(Receipt(10**12))
    assert len(msgspec.json.encode(Receipt(0, (Rejected(0, "", ""),)))) > len(bare)


def test_two_who_forget_at_once_write_files_of_their_own(post):
    """Whoever is later takes its own file away, and not the other's."""
    world = meeting(post, lambda: forget(post.world, "bob", actor="", now=NOW, salt=b"2"))
    forget(world, WHO, actor="", now=NOW, salt=b"1")
    with post.world.control.transaction() as t:
        held = [batch for kind in (PREDICTIONS, "shadows", OUTCOMES) for batch in t.batches(MODEL, kind)]
    assert held == []


def test_a_batch_that_was_profiled_meanwhile_is_not_pending_again(post):
    """It would be counted twice, or looked up for nothing."""
    forget(meeting(post, post.profile), WHO, actor="", now=NOW, salt=b"1")
    with post.world.control.transaction() as t:
        assert t.pending() == []
    assert sum(profile.rows for (segment, _), profile in post.counted().items() if not segment) == 5
