"""Tables add up: batches in any split and order are the table, what was subtracted is gone, other fits are refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import killick
from killick.adapters.tables import FileTables
from killick.engine.check import check_profiles, judge, learn
from killick.engine.table_profile import TableProfile, measure_source
from killick.errors import CallError
from killick.ports.tables import FrameSource
from killick.spec.load import parse_spec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from killick.checks.verdict import Verdict

ROWS = 1_200
SPEC = parse_spec(
    "killick: 1\nmodel: m\ntask: binary\n"
    "schema: {prediction_id: id, event_time: at, score: s, decision: d, label: y, kpis: {cost: {better: lower}}}\n"
    "segments: [site, [site, kind]]\n"
)


def table(seed: int, rows: int = ROWS) -> pl.DataFrame:
    """Rows with a column of every kind, a part of every sort, and gaps."""
    rng = np.random.default_rng(seed)
    score, start = rng.uniform(size=rows), datetime(2024, 1, 1, tzinfo=UTC)
    return pl.DataFrame(
        {
            "id": np.arange(rows) + seed * 10**6,
            "at": [start + timedelta(minutes=20 * row) for row in range(rows)],
            "x": rng.normal(size=rows),
            "whole": rng.integers(0, 40, rows),
            "kind": rng.choice(["a", "b", "c"], rows),
            "site": rng.choice(["p", "q"], rows),
            "note": [" ".join(words) for words in rng.choice(["red", "green", "blue", "black", "white"], (rows, 3))],
            "place": pl.Series(rng.normal(size=(rows, 3)), dtype=pl.Array(pl.Float64, 3)),
            "s": score,
            "d": score > 0.5,
            "y": rng.uniform(size=rows) < score,
            "cost": rng.gamma(2.0, 3.0, rows),
        }
    ).with_columns(x=pl.when(pl.int_range(pl.len()) % 17 > 0).then("x"))


REFERENCE = learn(FrameSource(table(1), name="reference"), SPEC)
TABLE = table(2)


def measured(rows: pl.DataFrame, *, by: TableProfile = REFERENCE) -> TableProfile:
    """The profile of rows, with its windows."""
    return measure_source(FrameSource(rows, name="current"), by.fit, windows=True)


WHOLE = measured(TABLE)


def say_the_same(these: Sequence[Verdict], those: Sequence[Verdict]) -> None:
    """Assert that verdicts are the same, but for their order and the last digits of a sum."""
    one, other = ({(v.check, v.metric, v.column, v.segment): v for v in verdicts} for verdicts in (these, those))
    assert len(these) == len(those) == len(one)
    assert {key: (v.status, v.n_current) for key, v in one.items()} == {
        key: (v.status, v.n_current) for key, v in other.items()
    }
    for key, verdict in one.items():
        # Second moments are products of float32; nothing else differs before the ninth digit.
        expected = other[key].value
        assert (verdict.value is None) == (expected is None), key
        assert expected is None or verdict.value == pytest.approx(expected, rel=1e-5, abs=1e-7), key


def are_the_same(one: TableProfile, other: TableProfile) -> None:
    """Assert that two profiles hold the same: counts exactly, sums to rounding."""
    pairs = [(one.by_segment, other.by_segment)]
    assert [held.window for held in one.windows] == [held.window for held in other.windows]
    pairs += [(a.profiles, b.profiles) for a, b in zip(one.windows, other.windows, strict=True)]
    for these, those in pairs:
        assert set(these) == set(those)
        for segment, profile in these.items():
            assert np.array_equal(profile.counts, those[segment].counts)
            np.testing.assert_allclose(profile.sums, those[segment].sums, rtol=1e-9, atol=1e-7)
    assert one.census is not None
    assert other.census is not None
    assert one.census.rows == other.census.rows
    assert one.census.sample_rows().equals(other.census.sample_rows())


@settings(max_examples=12)
@given(cuts=st.lists(st.integers(0, ROWS), max_size=5), seed=st.integers(0, 99))
def test_batches_add_up_to_the_table(cuts: list[int], seed: int) -> None:
    """Any split, empty batches too, in any order: the same counts, windows, census, extent and verdicts."""
    edges = [0, *sorted(cuts), ROWS]
    parts = [measured(TABLE[a:b]) for a, b in pairwise(edges)]
    order = np.random.default_rng(seed).permutation(len(parts))

    total = parts[order[0]]
    for at in order[1:]:
        total = total + parts[at]

    are_the_same(total, WHOLE)
    assert total.extent == WHOLE.extent
    say_the_same(judge(total, REFERENCE)[0], judge(WHOLE, REFERENCE)[0])


def test_what_is_subtracted_is_gone() -> None:
    """A week that turns out to be spoilt is taken out again, and what stays is judged as if it had never been there."""
    rest, spoilt = measured(TABLE[:800]), measured(TABLE[800:].with_columns(pl.col("x") + 9, kind=pl.lit("zz")))

    left = rest + spoilt - spoilt

    for segment, profile in rest.by_segment.items():
        assert np.array_equal(left.by_segment[segment].counts, profile.counts)
        np.testing.assert_allclose(left.by_segment[segment].sums, profile.sums, rtol=1e-9, atol=1e-7)
    assert left.rows == 800
    statuses = [(v.check, v.metric, v.column, v.segment, v.status) for v in judge(left, REFERENCE)[0]]
    expected = [(v.check, v.metric, v.column, v.segment, v.status) for v in judge(rest, REFERENCE)[0]]
    assert [one for one in statuses if one not in expected] == []
    assert "fail" in {v.status for v in judge(rest + spoilt, REFERENCE)[0]}


def test_what_is_not_in_there_cannot_be_subtracted() -> None:
    """More rows than there are, or a segment that is not there, are a mistake and no negative count."""
    with pytest.raises(CallError, match="cannot be subtracted"):
        _ = measured(TABLE[:100]) - measured(TABLE)


@pytest.mark.parametrize("other", ["rows", "spec", "census"])
def test_profiles_of_other_fits_do_not_add_up(other: str) -> None:
    """Another reference, another spec, or no census: one message that says what to do."""
    spec = parse_spec("killick: 1\nmodel: m\ntask: binary\nschema: {score: s}\n") if other == "spec" else SPEC
    rows = table(3) if other == "rows" else table(1)
    strange = learn(FrameSource(rows, name="reference"), spec, census=other != "census")

    for attempt in (lambda: REFERENCE + strange, lambda: REFERENCE - strange):
        with pytest.raises(CallError, match="made by another reference") as refused:
            attempt()
        assert len(refused.value.mistakes) == 1


class Slow:
    """A table in memory that comes in small batches, as one that is larger than memory does."""

    def __init__(self, rows: pl.DataFrame, batch: int) -> None:
        self.rows, self.batch = rows, batch
        self.name, self.schema = "slow", rows.schema

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield a few rows at a time."""
        yield from (self.rows if columns is None else self.rows.select(columns)).iter_slices(self.batch)

    def sample(self, rows: int) -> pl.DataFrame:
        """The whole table: what is learned does not depend on batches then."""
        assert rows >= self.rows.height
        return self.rows

    def size(self) -> int | None:
        """Unknown, as of a stream."""
        return None


def test_a_table_in_batches_is_judged_as_one_in_memory() -> None:
    """A reference and a current table that come 97 rows at a time give the report of the two in memory."""
    moved = TABLE.with_columns(pl.col("x") + 0.5)
    told: list[int] = []

    known = learn(Slow(table(1), 97), SPEC, tell=told.append)
    report = check_profiles(measure_source(Slow(moved, 97), known.fit), known)

    whole = killick.check(moved, table(1), SPEC)
    say_the_same(report.verdicts, whole.verdicts)
    assert (report.current, report.reference) == (whole.current, whole.reference)
    assert sum(told) == ROWS
    assert "x" in {v.column for v in report.verdicts if v.status == "fail"}


def test_a_file_in_batches_is_judged_as_the_table(tmp_path: Path) -> None:
    """More rows than a batch holds; bins that were learned from a sample of them say the same."""
    rng, rows = np.random.default_rng(5), 530_000

    def large(shift: float) -> pl.DataFrame:
        return pl.DataFrame({"x": rng.normal(shift, 1, rows), "kind": rng.choice(["a", "b", "c"], rows)})

    before, now = large(0.0), large(0.5)
    before.write_parquet(tmp_path / "before.parquet")
    now.write_parquet(tmp_path / "now.parquet")
    sources = {name: FileTables(tmp_path).open(f"{name}.parquet") for name in ("before", "now")}
    assert len(list(sources["now"].batches())) > 1

    spec = parse_spec("killick: 1\nmodel: m\ntask: binary\nschema: {}\n")
    known = learn(sources["before"], spec)
    report, whole = check_profiles(measure_source(sources["now"], known.fit), known), killick.check(now, before, spec)

    statuses = [[(v.check, v.column, v.status, v.n_current) for v in one.verdicts] for one in (report, whole)]
    assert statuses[0] == statuses[1]
    assert report.current.rows == rows
    assert {v.column for v in report.verdicts if v.status == "fail"} == {"x"}


def test_a_reference_keeps_its_windows_and_a_current_table_does_not() -> None:
    """The windows say how far healthy rows stray; together they hold every row, each once."""
    assert len(REFERENCE.windows) >= 16
    assert sum(held.profiles[()].rows for held in REFERENCE.windows if () in held.profiles) == ROWS
    assert all(a.window.end <= b.window.start for a, b in pairwise(REFERENCE.windows))
    assert measure_source(FrameSource(TABLE, name="current"), REFERENCE.fit).windows == ()


def test_a_segment_that_one_side_lacks_costs_no_other_verdict() -> None:
    """A new site is named, a site without rows is inconclusive, and the sites that both have are judged as ever."""
    new = TABLE.with_columns(site=pl.when(pl.col("site") == "p").then(pl.lit("new")).otherwise("site"))

    verdicts = judge(measured(new), REFERENCE)[0]

    by_site = {site: {v.status for v in verdicts if v.segment == (("site", site),)} for site in ("p", "q", "new")}
    assert by_site["p"] <= {"inconclusive"}
    assert "ok" in by_site["q"]
    assert "fail" in {v.status for v in verdicts if v.column == "site"}
    unknown = [v for v in verdicts if v.metric == "unknown_segments" or v.segment == (("site", "new"),)]
    assert "fail" not in {v.status for v in unknown}
