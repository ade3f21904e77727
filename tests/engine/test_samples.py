"""Profiles that were made apart are compared by samples: quiet when nothing moved, and honest about what they say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from killick.engine.check import check_profiles, learn
from killick.engine.samples import SAMPLED_ROWS
from killick.errors import CallError
from killick.ports.tables import FrameSource
from killick.profiles.census import SAMPLE_ROWS, Questions, take_census
from killick.spec.load import parse_spec

if TYPE_CHECKING:
    from killick.engine.table_profile import TableProfile

SPEC = parse_spec("killick: 1\nmodel: m\ntask: binary\nschema: {}\n")
KINDS_OF_ROWS = 60_000
WORLD = np.random.default_rng(99)
SIZE, COLOUR = WORLD.normal(size=KINDS_OF_ROWS + 1), WORLD.choice(list("xyz"), KINDS_OF_ROWS + 1)


def visits(seed: int, rows: int, exponent: float = 1.2) -> pl.DataFrame:
    """Visits of users, of whom a few come all the time (Zipf): each row says what its user is like."""
    users = np.minimum(np.random.default_rng(seed).zipf(exponent, rows), KINDS_OF_ROWS)
    return pl.DataFrame({"size": SIZE[users], "colour": COLOUR[users]})


def apart(table: pl.DataFrame) -> TableProfile:
    """A profile by a fit of its own."""
    return learn(FrameSource(table, name="t"), SPEC)


def compared(current: pl.DataFrame, reference: pl.DataFrame) -> list[tuple[str, str | None]]:
    """What fails when both are profiled apart."""
    report = check_profiles(apart(current), apart(reference))
    return [(verdict.check, verdict.column) for verdict in report.verdicts if verdict.status == "fail"]


def sizes(seed: int, rows: int) -> pl.DataFrame:
    """Rows that are all different."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame({"size": rng.normal(size=rows), "colour": rng.choice(list("xyz"), rows)})


@pytest.mark.parametrize(("before", "now"), [(200_000, 30_000), (30_000, 30_000), (5_000, 5_000)])
def test_rows_that_repeat_raise_no_false_alarm(before: int, now: int) -> None:
    """Of forty comparisons in which nothing moved at most six fail: seven would, of a true 5 %, once in two hundred."""
    assert apart(visits(0, before)).census.is_whole == (before == 5_000)
    failed = sum(bool(compared(visits(2 * run, now), visits(2 * run + 1, before))) for run in range(40))
    assert failed <= 6


def test_rows_that_differ_raise_no_false_alarm() -> None:
    """Without repeats nothing is cut: the small table is compared with all its rows."""
    failed = sum(bool(compared(sizes(2 * run, 3_000), sizes(2 * run + 1, 40_000))) for run in range(20))
    assert failed <= 4
    told = check_profiles(apart(sizes(0, 3_000)), apart(sizes(1, 40_000))).verdicts[0]
    assert (told.n_reference, told.n_current) == (SAMPLE_ROWS, 3_000)


def test_what_moved_is_found_in_rows_that_repeat() -> None:
    """A sample of users is enough to see that they all are larger, or that other ones come more often."""
    larger = visits(1, 30_000).with_columns(pl.col("size") + 0.5)
    assert ("drift.univariate", "size") in compared(larger, visits(2, 200_000))
    loyal = visits(3, 30_000, exponent=1.5)
    assert ("drift.univariate", "size") in compared(loyal, visits(2, 200_000))


def test_below_one_threshold_both_samples_hold_the_same_kinds_of_rows() -> None:
    """Why they can be compared: what is in one and in the table of the other is in the sample of the other."""
    asked = Questions(row=("size", "colour"))
    before, now = visits(1, 200_000), visits(2, 30_000)
    one, other = (take_census(table, asked) for table in (before, now))
    below = min(one.sample_theta, other.sample_theta)
    held, others = one.sample_rows(below), other.sample_rows(below)

    assert held.join(now, on=["size", "colour"], how="semi").unique().height > 0
    assert held.join(now, on=["size", "colour"], how="semi").join(others, on=["size", "colour"], how="anti").is_empty()
    assert (
        others.join(before, on=["size", "colour"], how="semi").join(held, on=["size", "colour"], how="anti").is_empty()
    )
    # Each as often as it came.
    assert held.height == before.join(held.unique(), on=["size", "colour"], how="semi").height


@given(rows=st.integers(10, 500), most=st.integers(1, 2_000))
@settings(max_examples=20)
def test_a_sample_of_many_rows_is_drawn_down_the_same_way_each_time(rows: int, most: int) -> None:
    """About so many, each kind of row by its share, and never another draw."""
    table = pl.DataFrame({"x": np.arange(rows) % 3}).sort("x")
    census = take_census(table, Questions(row=("x",)))
    drawn = census.sample_rows(most=most)

    assert drawn.equals(census.sample_rows(most=most))
    assert drawn.height <= rows
    assert abs(drawn.height - min(most, rows)) <= 6 * most**0.5
    if most >= rows:
        assert drawn.sort("x").equals(table)


def test_the_report_says_what_was_compared_and_what_the_tables_are() -> None:
    """True rows and times of the tables; and in words how many rows the verdicts stand on."""
    start = datetime(2024, 1, 1, tzinfo=UTC)
    spec = parse_spec("killick: 1\nmodel: m\ntask: binary\nschema: {event_time: at, prediction_id: id}\n")
    before, now = (
        learn(
            FrameSource(
                sizes(seed, rows).with_columns(
                    id=pl.int_range(pl.len()), at=pl.lit(start) + pl.int_range(pl.len()) * timedelta(minutes=5)
                ),
                name="t",
            ),
            spec,
        )
        for seed, rows in ((1, 9_000), (2, 5_000))
    )
    report = check_profiles(now, before)

    assert (report.reference, report.current) == (before.extent, now.extent)
    assert report.spec_hash == spec.fingerprint
    told = [verdict for verdict in report.verdicts if verdict.metric == SAMPLED_ROWS]
    assert [(v.check, v.status, v.n_reference, v.n_current) for v in told] == [
        ("quality.schema", "ok", SAMPLE_ROWS, SAMPLE_ROWS)
    ]
    assert "4,096 of 9,000 rows of the reference, 4,096 of 5,000 rows of the current table" in told[0].reason
    assert "killick profile CURRENT --reference" in told[0].reason
    assert "rows repeat" not in told[0].reason
    assert "rows repeat" in check_profiles(apart(visits(1, 30_000)), apart(visits(2, 90_000))).verdicts[0].reason
    # Of ids and repeats the censuses know all rows.
    ids = next(verdict for verdict in report.verdicts if verdict.metric == "duplicate_id_rate")
    assert (ids.column, ids.status, ids.n_reference, ids.n_current) == ("id", "ok", 9_000, 5_000)
    assert report.status == "ok"


def test_rows_that_came_twice_are_found_although_a_sample_is_of_distinct_ones() -> None:
    """A client that sends everything twice: all rows are judged, not those of the sample."""
    once = sizes(2, 30_000)
    report = check_profiles(apart(pl.concat([once, once])), apart(sizes(1, 60_000)))
    found = next(verdict for verdict in report.verdicts if verdict.check == "quality.duplicates")
    assert (found.status, found.n_current) == ("fail", 60_000)


def test_rows_that_repeat_and_were_hashed_by_other_columns_are_not_compared() -> None:
    """One more column, and other rows are kept: their difference would be chance, so that the answer is what to do."""
    with pytest.raises(CallError, match=r"its rows repeat: the samples cannot be compared.*killick profile CURRENT"):
        check_profiles(apart(visits(1, 90_000).with_columns(more=pl.lit("m"))), apart(visits(2, 90_000)))
    # Rows that hardly repeat are compared all the same.
    more = check_profiles(apart(sizes(1, 9_000).with_columns(more=pl.lit("m"))), apart(sizes(2, 9_000)))
    assert [(v.metric, v.column) for v in more.verdicts if v.status in ("warn", "fail")] == [("columns_extra", "more")]


def test_columns_in_another_order_are_the_same_rows() -> None:
    """Rows that repeat are hashed by name; that the order changed is told as of any two tables."""
    report = check_profiles(apart(visits(1, 30_000).select("colour", "size")), apart(visits(2, 90_000)))
    assert [(v.metric, v.status) for v in report.verdicts if v.status in ("warn", "fail")] == [
        ("columns_reordered", "warn")
    ]


def test_segments_by_a_column_that_is_no_feature_are_kept() -> None:
    """The model must not look at it, and is watched by it: made apart, too."""
    spec = parse_spec(
        "killick: 1\nmodel: m\ntask: binary\nschema: {kpis: {cost: {better: lower}}}\n"
        "features: {exclude: [site]}\nsegments: [site]\n"
    )
    before, now = (
        learn(
            FrameSource(
                sizes(seed, 6_000).with_columns(
                    site=pl.Series(["p", "q"] * 3_000), cost=np.random.default_rng(seed).gamma(2.0, size=6_000)
                ),
                name="t",
            ),
            spec,
        )
        for seed in (1, 2)
    )
    verdicts = check_profiles(now, before).verdicts

    assert {v.segment for v in verdicts if v.check == "drift.univariate"} == {(), (("site", "p"),), (("site", "q"),)}
    assert {v.segment for v in verdicts if v.check == "business.cost"} >= {()}
    assert "fail" not in {v.status for v in verdicts}
    assert "site" not in {v.column for v in verdicts}
