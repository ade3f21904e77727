"""Repeated rows, repeated ids and distinct values: quiet on every healthy table, and the faults are found."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from killick.checks.integrity import judge_cardinality, judge_duplicates
from killick.profiles.census import Questions, take_census
from tests.checks.rates import failed, sealed, surely_more_than_promised

ASKED = Questions(row=("user", "word"), identity="id", values=("user", "word", "rare", "real"))
WORDS = np.array([f"w{k}" for k in range(20)])


def healthy(rng: np.random.Generator, rows: int) -> pl.DataFrame:
    """Rows that repeat one another, by heavy-tailed users: the commonest makes up a tenth of all."""
    rank = np.arange(1, 5_001) ** -1.1
    return pl.DataFrame(
        {
            "user": rng.choice(5_000, rows, p=rank / rank.sum()),
            "word": rng.choice(WORDS, rows),
            "rare": rng.choice(list("abcdefgh"), rows, p=[0.93, *[0.01] * 7]),
            "real": rng.normal(size=rows),
            "id": rng.permutation(rows) + int(rng.integers(1 << 40)),
        }
    )


def paired(rng: np.random.Generator, rows: int) -> pl.DataFrame:
    """Rows of which one in twelve was sent twice, and so are their ids."""
    at = rng.permutation(np.repeat(np.arange(rows), np.where(rng.uniform(size=rows) < 1 / 12, 2, 1)))[:rows]
    return healthy(rng, rows).with_columns(word=pl.Series(rng.uniform(size=rows)))[at]


def clumped(rng: np.random.Generator, rows: int) -> pl.DataFrame:
    """Rows of which one in a hundred was sent nine times, one after the other."""
    at = np.repeat(np.arange(rows), np.where(rng.uniform(size=rows) < 0.01, 9, 1))[:rows]
    return healthy(rng, rows).with_columns(word=pl.Series(rng.uniform(size=rows)))[at]


@pytest.mark.statistics
@pytest.mark.parametrize(("before", "now"), [(50, 5_000), (200, 200), (1_000, 50), (5_000, 200), (1_000, 1_000)])
@pytest.mark.parametrize("world", [healthy, paired, clumped])
def test_equal_worlds_of_any_size_fail_no_more_often_than_promised(world, before: int, now: int) -> None:
    """Each check alone, at 5 %: whatever repeats, and however many rows are on either side."""
    for check in (judge_duplicates, judge_cardinality):

        def run(rng: np.random.Generator, check=check) -> list:
            return check(*(take_census(world(rng, rows), ASKED) for rows in (before, now)))

        assert not surely_more_than_promised(run, runs=40, seed=1)


def judged(check, before: pl.DataFrame, now: pl.DataFrame) -> dict:
    """Return the sealed verdicts by column."""
    drafts = check(take_census(before, ASKED), take_census(now, ASKED))
    return {verdict.column: verdict for verdict in sealed(drafts)}


@pytest.fixture
def rng() -> np.random.Generator:
    """A seed of its own for each test."""
    return np.random.default_rng(7)


def test_a_batch_that_was_sent_twice_is_found(rng: np.random.Generator) -> None:
    """By its rows and by its ids, at fewer rows than the reference has; the reason says how many."""
    unique = healthy(rng, 4_000).with_columns(word=pl.Series(rng.uniform(size=4_000).astype(str)))
    twice = pl.concat([unique[:500], unique[450:500]])
    found = judged(judge_duplicates, unique, twice)
    assert {v.status for v in found.values()} == {"fail"}
    assert found[None].reason == "9.09 % of 550 rows repeat another row, where up to 0.00 % is usual"
    assert found["id"].metric == "duplicate_id_rate"
    assert found["id"].value == pytest.approx(50 / 550)
    assert found["id"].threshold == pytest.approx(0.001)


def test_more_rows_repeat_more_and_that_is_no_fault(rng: np.random.Generator) -> None:
    """A thousand rows of two hundred kinds repeat four of five; a hundred repeat one of five."""
    kinds = pl.DataFrame(
        {"user": rng.integers(0, 200, 1_000), "word": "w", "rare": "a", "real": 0.0, "id": range(1_000)}
    )
    other = kinds.with_columns(user=pl.Series(rng.integers(0, 200, 1_000)))
    found = judged(judge_duplicates, kinds[:100], other)[None]
    assert found.status == "ok"
    assert abs(found.effect) < 0.08
    assert "% of all 1,000" in found.reason


def test_a_client_that_sends_twice_is_found_beside_a_smaller_reference(rng: np.random.Generator) -> None:
    """Thinned out to a third, few of its rows would meet; of rows that never repeat it is known that none should."""
    unique = paired(rng, 20_000).unique("id")
    before = take_census(unique[:5_000], ASKED)
    assert not failed(judge_duplicates(before, take_census(unique[5_000:], ASKED)))
    assert failed(judge_duplicates(before, take_census(paired(rng, 15_000), ASKED))) == {None, "id"}


def test_one_row_that_is_repeated_a_hundred_thousand_times_is_found(rng: np.random.Generator) -> None:
    """More distinct rows than the sketch keeps, and this one is not kept: the number of distinct rows knows of it."""
    rows = pl.DataFrame({"user": rng.permutation(300_000)}).with_columns(word=pl.lit("w"))
    asked = Questions(row=("user", "word"))
    before = take_census(rows, asked)
    for default in range(1, 10):
        stuck = rows.with_columns(user=pl.when(pl.int_range(pl.len()) < 30_000).then(-default).otherwise("user"))
        now = take_census(stuck, asked)
        if now.repeats.counts.max() == 1:
            break
    assert now.repeats.counts.max() == 1
    assert failed(judge_duplicates(before, now)) == {None}
    assert not failed(judge_duplicates(now, now))


def test_a_single_row_against_many_is_not_known(rng: np.random.Generator) -> None:
    """Nor is a table without rows: both are inconclusive, and say why."""
    rows = healthy(rng, 500)
    assert judged(judge_duplicates, rows, rows[:1])[None].status == "inconclusive"
    empty = judged(judge_duplicates, rows, rows[:0])[None]
    assert empty.status == "inconclusive"
    assert "nothing to compare" in empty.reason
    assert {v.status for v in judged(judge_cardinality, rows, rows[:0]).values()} == {"inconclusive"}


def test_nothing_is_said_of_what_was_not_asked() -> None:
    """No ids, no verdict about ids."""
    census = take_census(pl.DataFrame({"x": [1]}), Questions(values=("x",)))
    assert judge_duplicates(census, census) == []


def test_a_source_that_is_lost_and_one_that_is_new_are_found(rng: np.random.Generator) -> None:
    """Two thirds of the users gone, or five times as many words; a column whose values all differ is not judged."""
    before = healthy(rng, 3_000)
    fewer = healthy(rng, 1_000).with_columns(user=pl.col("user") % 40)
    found = judged(judge_cardinality, before, fewer)
    assert (found["user"].status, found["user"].direction) == ("fail", "down")
    assert found["word"].status == "ok"
    assert "real" not in found
    more = healthy(rng, 1_000).with_columns(word=pl.Series([f"v{k}" for k in rng.integers(0, 100, 1_000)]))
    found = judged(judge_cardinality, before, more)
    assert (found["word"].status, found["word"].direction) == ("fail", "up")
    assert found["word"].reason == "100 distinct values in 1,000 rows, where the reference has 20"


def test_fewer_values_in_a_shorter_time_are_no_finding(rng: np.random.Generator) -> None:
    """A day of a month of dates; more values than in the month still are one."""
    asked = Questions(values=("day",))
    month, day, year = (take_census(pl.DataFrame({"day": rng.integers(0, days, 500)}), asked) for days in (30, 1, 365))
    assert failed(judge_cardinality(month, day)) == {"day"}
    (excused,) = sealed(judge_cardinality(month, day, narrower=True))
    assert excused.status == "ok"
    assert excused.reason.endswith("where the reference has 30, as can be expected of rows from a shorter time")
    assert failed(judge_cardinality(month, year, narrower=True)) == {"day"}


def test_ids_rounded_by_a_float_lose_their_difference(rng: np.random.Generator) -> None:
    """64-bit ids that went through float32: all values differed before, and now sixty share one."""
    before = pl.DataFrame({"id": np.arange(1_000) + 10**9})
    rounded = before.with_columns(pl.col("id").cast(pl.Float32).cast(pl.Int64))
    asked = Questions(identity="id", values=("id",))
    assert failed(judge_duplicates(take_census(before, asked), take_census(rounded, asked))) == {"id"}
    assert failed(judge_cardinality(take_census(before, asked), take_census(rounded, asked))) == {"id"}
