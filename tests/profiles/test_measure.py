"""Rows become profiles by version, role, segment and window: against a filter for each group."""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from killick.clock import HOUR, Window
from killick.engine.measure import WINDOWS_MAX, learn_reference, profile_batch, profile_labels, profile_table
from killick.errors import DataError
from killick.ports.control import ProfileKey
from killick.profiles.outcome_rows import Outcomes
from killick.profiles.profile import Profile, profile_outcomes, profile_rows
from killick.spec.document import Band, Label, Schema, Spec
from killick.telemetry.segments import EVERYTHING, REST, group_by

SPEC = Spec(
    "m",
    "binary",
    Schema(prediction_id="prediction_id", event_time="event_time", score="score", label=Label("label")),
    segments=(
        (Band("origin", "origin"),),
        (Band("haul", "distance", bins=(500.0,)),),
        (Band("origin", "origin"), Band("haul", "distance", bins=(500.0,))),
    ),
    evaluate_every=HOUR,
)


def arranged(rows: int, seed: int) -> pl.DataFrame:
    """Return rows of two versions over five hours."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "prediction_id": [f"p{at}" for at in range(rows)],
            "event_time": rng.integers(-2 * HOUR, 3 * HOUR, rows),
            "version": rng.choice(["v1", "v2"], rows),
            "role": rng.choice(["live", "canary"], rows),
            "origin": pl.Series(rng.choice(["JFK", "LGA", "x"], rows)).replace("x", None),
            "distance": rng.integers(0, 1000, rows).astype(float),
            "score": rng.random(rows),
            "label": rng.integers(0, 2, rows),
        },
        schema_overrides={"origin": pl.String, "version": pl.String, "role": pl.String},
    )


REFERENCE = learn_reference(arranged(500, 0), SPEC)
SCALE = REFERENCE.scale


def alone(rows: pl.DataFrame) -> tuple[Profile, Profile]:
    """Profile rows as one group: the features and scores, and the outcomes."""
    one = np.zeros(rows.height, np.int64)
    (features,) = profile_rows(SCALE, rows, one, 1)
    (outcomes,) = profile_outcomes(SCALE, Outcomes(labels=rows["label"], scores=rows["score"]), one, 1)
    return features, outcomes


def by_brute_force(table: pl.DataFrame) -> dict[ProfileKey, tuple[Profile, Profile]]:
    """Filter the table for every key that might occur."""
    found = {}
    starts = range(-2 * HOUR, 3 * HOUR, HOUR)
    for by in ((), *SPEC.segments):
        grouping = group_by(table, by)
        for code, segment in enumerate(grouping.segments):
            mine = table.filter(pl.Series(grouping.codes == code))
            for version, role, start in product(("v1", "v2"), ("live", "canary"), starts):
                inside = pl.col("event_time").is_between(start, start + HOUR, closed="left")
                rows = mine.filter((pl.col("version") == version) & (pl.col("role") == role) & inside)
                if rows.height:
                    found[ProfileKey(version, role, segment, Window(start, start + HOUR))] = alone(rows)
    return found


@given(st.integers(0, 80), st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_a_batch_is_profiled_as_if_each_group_were_alone(rows: int, seed: int) -> None:
    """Features by version, role, segment and window; the same keys, the same numbers, and no empty profile."""
    table = arranged(rows, seed)
    expected = by_brute_force(table)
    batch, labels = profile_batch(SCALE, table, SPEC, HOUR), profile_labels(SCALE, table, SPEC, HOUR)
    assert batch.keys() == labels.keys() == expected.keys()
    for key, (features, outcomes) in expected.items():
        assert batch[key] == features
        assert labels[key] == outcomes


def test_segments_of_a_grouping_add_up_to_everything() -> None:
    """No row is lost between segments, in any window."""
    batch = profile_batch(SCALE, arranged(300, 4), SPEC, HOUR)
    for key, profile in batch.items():
        if key.segment == EVERYTHING:
            for by in SPEC.segments:
                names = [band.name for band in by]
                parts = [
                    part
                    for other, part in batch.items()
                    if (other.version, other.role, other.window) == (key.version, key.role, key.window)
                    and [name for name, _ in other.segment] == names
                ]
                assert Profile.merge(SCALE, parts) == profile


def test_windows_of_a_reference_are_those_with_rows_oldest_first() -> None:
    """Each holds the segments that it has, and together they are the reference."""
    table = arranged(400, 5).filter(~pl.col("event_time").is_between(0, HOUR, closed="left"))
    windows = profile_table(SCALE, table, SPEC, HOUR).windows
    assert [healthy.window for healthy in windows] == [
        Window(start, start + HOUR) for start in (-2 * HOUR, -HOUR, HOUR, 2 * HOUR)
    ]
    for healthy in windows:
        inside = pl.col("event_time").is_between(healthy.window.start, healthy.window.end, closed="left")
        assert healthy.profiles[EVERYTHING] == sum(alone(table.filter(inside)), Profile.empty(SCALE))
    whole = Profile.merge(SCALE, [healthy.profiles[EVERYTHING] for healthy in windows])
    assert whole == sum(alone(table), Profile.empty(SCALE))


def test_a_reference_of_too_many_windows_is_refused() -> None:
    """Nobody looks at more; the message says how many there are."""
    table = arranged(WINDOWS_MAX + 1, 1).with_columns(event_time=pl.arange(WINDOWS_MAX + 1) * HOUR)
    with pytest.raises(DataError, match=f"reference: spans {WINDOWS_MAX + 1} windows"):
        profile_table(SCALE, table, SPEC, HOUR)


def test_a_reference_needs_rows_and_a_column() -> None:
    """What cannot be learned from is refused, not learned as nothing."""
    with pytest.raises(DataError, match="reference: holds no rows"):
        learn_reference(arranged(5, 1).clear(), SPEC)


@given(st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=10)
def test_batches_by_known_segments_add_up(rows: int, cut: int) -> None:
    """However rows are cut, the profiles of the same segments come out: those of the reference, and the rest."""
    table = arranged(rows, 7).with_columns(origin=pl.Series([f"v{at % 20}" for at in range(rows)], dtype=pl.String))
    known = [segment for segment in REFERENCE.segments if segment != (("origin", "LGA"),)] + [(("origin", "v3"),)]
    for profile in (profile_batch, profile_labels):
        whole = profile(SCALE, table, SPEC, HOUR, known)
        added: dict[ProfileKey, Profile] = {}
        for part in (table.head(cut), table.slice(cut)):
            for key, one in profile(SCALE, part, SPEC, HOUR, known).items():
                added[key] = added.get(key, Profile.empty(SCALE)) + one
        assert added == whole


def test_windows_by_known_segments_hold_no_others() -> None:
    """A reference's windows, grouped as somebody else's."""
    windows = profile_table(SCALE, arranged(200, 8), SPEC, HOUR, [EVERYTHING, (("origin", "JFK"),)]).windows
    assert {s for healthy in windows for s in healthy.profiles if len(s) == 1 and s[0][0] == "origin"} == {
        (("origin", "JFK"),),
        (("origin", REST),),
    }
