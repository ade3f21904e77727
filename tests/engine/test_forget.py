"""A person who asks to be forgotten is in no file any more, and what was counted stays counted."""

import polars as pl
import pytest

from killick.clock import HOUR
from killick.engine.aging import compact
from killick.engine.forget import forget
from killick.engine.receive import OUTCOMES, PREDICTIONS
from killick.ledger.chain import verify
from killick.ports.control import Quarantined
from killick.telemetry.columns import ENTITY_ID
from tests.engine.telemetry import MODEL, NOW, Post, names, predictions

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
    assert files_with(tmp_path / "telemetry", WHO, "anna-") == []
    with post.world.control.transaction() as t:
        assert t.quarantined(MODEL, 9) == []
        assert WHO not in str(t.ledger())
        assert "anna-" not in str(t.ledger())


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


def test_a_label_that_comes_after_all_is_no_way_back(post):
    """The identity is known as counted; the label is counted, and no row of theirs is there."""
    forget(post.world, WHO, actor="dpo", now=NOW, salt=b"random")
    post.turn_out({"anna-2": 1})
    post.profile()
    compact(post.world, MODEL, PREDICTIONS, NOW + 9 * HOUR)
    with post.world.control.transaction() as t:
        batches = t.batches(MODEL, PREDICTIONS)
    assert all("anna-2" not in post.world.archive.read(batch.path)["prediction_id"] for batch in batches)


def test_an_unknown_person_changes_nothing(post):
    """It is noted that it was asked for."""
    gone = forget(post.world, "nobody", actor="dpo", now=NOW, salt=b"random")
    assert gone.rows == 0
    assert sorted(names(0, 1)) == ["loan-0"]
