"""Runs hold what was counted: all of it, and nothing else, however they were merged."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from killick.clock import Window
from killick.engine import identities as module
from killick.engine.identities import KEY, PREDICTION_IDS, Identities, keys_of
from killick.engine.joining import OWNER, prediction_schema
from killick.spec.document import Band, Schema, Spec
from killick.telemetry.columns import EVENT_TIME, SCORE
from killick.testing.archive import MemoryArchive
from killick.testing.control import MemoryControl
from killick.testing.simulator import bad_release

SPEC = Spec(model="m", task="binary", schema=Schema(), segments=((Band("store", "store"),),))
SCHEMA = prediction_schema(SPEC)


def rows_of(keys: list[int], owner: int = 0) -> pl.DataFrame:
    """One row a key, of values that only it has."""
    return pl.DataFrame(
        {KEY: keys, EVENT_TIME: [-key for key in keys], OWNER: [owner] * len(keys), SCORE: [key / 7 for key in keys]},
        schema={name: SCHEMA[name] for name in (KEY, EVENT_TIME, OWNER, SCORE)},
    ).with_columns((pl.col(KEY) % 5).cast(pl.UInt16).alias("segment 0"))


def remembered(world, parts: list[pl.DataFrame]) -> Identities:
    """Remember parts one after the other, as rounds do."""
    for number, rows in enumerate(parts):
        with world.control.transaction() as t:
            known = Identities(PREDICTION_IDS, tuple(t.batches("m", PREDICTION_IDS)))
        gone, came = known.extended(world, "m", rows, Window(number, number + 1), 0, str(number))
        with world.control.transaction() as t:
            t.replace_batches(gone, came)
    with world.control.transaction() as t:
        return Identities(PREDICTION_IDS, tuple(t.batches("m", PREDICTION_IDS)))


@pytest.fixture
def world():
    """A world in memory."""
    return bad_release().make_world(MemoryControl(), MemoryArchive())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 40), max_size=12), max_size=8), st.lists(st.integers(0, 45), max_size=12))
def test_what_was_counted_is_found_every_time_it_was(parts, asked):
    """As a list of everything would find it."""
    world = bad_release().make_world(MemoryControl(), MemoryArchive())
    frames = [rows_of(sorted(part), owner) for owner, part in enumerate(parts)]
    known = remembered(world, frames)
    found = known.find(world, pl.Series(KEY, asked, dtype=pl.UInt64), SCHEMA)
    everything = pl.concat([pl.DataFrame(schema=SCHEMA), *frames])
    expected = everything.filter(pl.col(KEY).is_in(asked))
    assert found.sort(KEY, OWNER).equals(expected.sort(KEY, OWNER))


def test_runs_are_merged_with_their_equals(world):
    """A thousand rounds leave a handful of runs, and the window of a run spans its rounds."""
    known = remembered(world, [rows_of([number]) for number in range(100)])
    assert sum(run.rows for run in known.runs) == 100
    assert len(known.runs) <= 7
    assert {run.window.start for run in known.runs} >= {0}
    assert max(run.window.end for run in known.runs) == 100


def test_a_run_that_is_large_is_left_alone(world, monkeypatch):
    """Merging it would hold a round up; what is new goes into runs of its own."""
    monkeypatch.setattr(module, "_RUN_ROWS_MAX", 8)
    known = remembered(world, [rows_of([number]) for number in range(40)])
    assert max(run.rows for run in known.runs) == 8
    assert sorted(known.find(world, pl.Series(KEY, range(40), dtype=pl.UInt64), SCHEMA)[KEY]) == list(range(40))


def test_numbers_come_back_to_the_last_bit(world):
    """Negative times, the largest key, a score that is missing or tiny."""
    rows = pl.DataFrame(
        {
            KEY: [0, 2**64 - 1],
            EVENT_TIME: [-(2**62), 2**62],
            OWNER: [0, 65_535],
            SCORE: [5e-324, None],
            "segment 0": [0, 9],
        },
        schema=SCHEMA,
    )
    known = remembered(world, [rows])
    found = known.find(world, rows[KEY], SCHEMA).sort(KEY)
    assert found.drop(SCORE).equals(rows.drop(SCORE))
    assert found[SCORE][0] == 5e-324
    assert np.isnan(found[SCORE][1])


def test_keys_are_the_same_everywhere():
    """RFC 7693's BLAKE2b of the text in UTF-8: a key written today is found in ten years."""
    assert keys_of(pl.Series(["flight-1", "é", ""])).to_list() == [
        10284663267614295964,
        int.from_bytes(__import__("hashlib").blake2b("é".encode(), digest_size=8).digest(), "little"),
        int.from_bytes(__import__("hashlib").blake2b(b"", digest_size=8).digest(), "little"),
    ]
