"""Nothing odd in a table hides a real fault, makes one up, or costs the rest of the report."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
import pytest

import killick
from killick.errors import DataError
from killick.spec.load import parse_spec

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from killick import Report

ROWS = 5_000
ABSURD = 1e12


def world(seed: int, rows: int = ROWS, *, shift: float = 0.0) -> pl.DataFrame:
    """A number that may be shifted, another one, and a category."""
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "moved": rng.normal(size=rows) + shift,
            "calm": rng.gamma(2.0, 3.0, rows),
            "kind": rng.choice(["a", "b", "c"], rows, p=[0.6, 0.3, 0.1]),
        }
    )


def found(report: Report, check: str = "*") -> set[str | None]:
    """The columns that fail or warn, in one check or in any."""
    return {v.column for v in report.verdicts if v.status in ("fail", "warn") and check in ("*", v.check)}


def with_absurd(table: pl.DataFrame) -> pl.DataFrame:
    """The same with one value of 1e12 in each numeric column."""
    first = pl.int_range(pl.len()) == 0
    return table.with_columns(pl.when(first).then(ABSURD).otherwise(pl.col(c)).alias(c) for c in ("moved", "calm"))


SIDES: dict[str, tuple[Callable[[pl.DataFrame], pl.DataFrame], Callable[[pl.DataFrame], pl.DataFrame]]] = {
    "in the current table": (with_absurd, lambda table: table),
    "in the reference": (lambda table: table, with_absurd),
    "in both": (with_absurd, with_absurd),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("method", ["psi", "ks", "js", "hellinger", "wasserstein", "tv", "chi2", "g"])
def test_one_absurd_value_neither_hides_a_shift_nor_makes_one(side: str, method: str) -> None:
    """Peers' bins and distances follow the outlier: a shift of one spread is then called no drift, or all is drift."""
    spoil_current, spoil_reference = SIDES[side]
    spec = parse_spec(f"killick: 1\nmodel: m\ntask: binary\nschema: {{}}\ndrift: {{numeric: {method}}}\n")
    current, reference = spoil_current(world(2, shift=1.0)), spoil_reference(world(1))

    report = killick.check(current, reference=reference, spec=spec)

    assert found(report, "drift.univariate") == {"moved"}


def test_a_surge_of_missing_values_is_drift() -> None:
    """Sixty percent turned to null, or to NaN, is found as missing and as drift, and only there."""
    for nothing in (None, float("nan")):
        gone = pl.int_range(pl.len()) % 5 < 3
        holes = world(2).with_columns(pl.when(gone).then(nothing).otherwise(pl.col("calm")).alias("calm"))

        report = killick.check(holes, reference=world(1))

        assert found(report, "quality.missing") == {"calm"}
        assert found(report, "drift.univariate") == {"calm"}
        assert found(report) == {"calm"}


def test_every_width_of_number_is_a_number() -> None:
    """Integers of eight to 64 bits, both floats and decimals are compared like any number, and a shift is found."""
    rng = np.random.default_rng(3)
    whole = rng.integers(0, 100, ROWS)
    types = [pl.Int8, pl.UInt8, pl.Int16, pl.UInt16, pl.Int32, pl.UInt32, pl.Int64, pl.UInt64, pl.Float32, pl.Float64]
    table = pl.DataFrame({str(dtype): pl.Series(whole).cast(dtype) for dtype in types}).with_columns(
        pl.Series("Decimal", [Decimal(int(n)) / 4 for n in whole])
    )

    assert killick.check(table, reference=table).status == "ok"
    moved = table.select(pl.all().exclude("Decimal") // 2, pl.col("Decimal") / 2)
    assert found(killick.check(moved, reference=table), "drift.univariate") == set(table.columns)


def test_ids_of_64_bits_stay_apart() -> None:
    """Two ids that differ in the last bit are one float: as ids they must not be called duplicates."""
    ids = pl.Series("prediction_id", np.arange(ROWS) + 2**62)
    table = world(1).with_columns(ids)

    report = killick.check(table, reference=table)

    told = [v for v in report.verdicts if v.metric == "duplicate_id_rate"]
    assert [(v.status, v.value) for v in told] == [("ok", 0.0)]


def test_kinds_that_cannot_be_watched_say_so_and_stop_nothing() -> None:
    """A struct and a list of texts are inconclusive; the drift beside them is found."""
    odd = {"box": pl.struct("calm"), "words": pl.concat_list("kind")}
    current = world(2, shift=1.0).with_columns(**odd)

    spec = parse_spec("killick: 1\nmodel: m\ntask: binary\nschema: {}\n")
    report = killick.check(current, reference=world(1).with_columns(**odd), spec=spec)

    unknown = {v.column for v in report.verdicts if v.status == "inconclusive" and v.check == "drift.univariate"}
    assert unknown == {"box", "words"}
    assert "moved" in found(report, "drift.univariate")


def test_text_times_and_embeddings_are_watched() -> None:
    """A text that became another language, a feed that stalls and an embedding that turns are each found."""

    def stream(seed: int, *, words: str, lag: int, turn: float) -> pl.DataFrame:
        rng = np.random.default_rng(seed)
        event = np.sort(rng.integers(0, 10**6, ROWS))
        said = rng.choice(words.split(), (ROWS, 6))
        pictures = rng.normal(size=(ROWS, 8))
        pictures[:, 0] += turn
        return pl.DataFrame(
            {
                "event_time": pl.from_epoch(pl.Series(event), time_unit="s"),
                "fed_at": pl.from_epoch(pl.Series(event - lag - rng.integers(0, 600, ROWS)), time_unit="s"),
                "review": [" ".join(line) for line in said],
                "picture": pl.Series(pictures, dtype=pl.Array(pl.Float64, 8)),
                "calm": rng.normal(size=ROWS),
            }
        )

    english = "the room was clean and quiet but breakfast cold staff kind view great"
    reference = stream(1, words=english, lag=0, turn=0.0)
    quiet = killick.check(stream(2, words=english, lag=0, turn=0.0), reference=reference)
    loud = killick.check(stream(3, words="das zimmer war sauber und ruhig", lag=3_600, turn=2.0), reference=reference)

    assert quiet.status == "ok", quiet.headline
    assert found(loud, "drift.univariate") == {"fed_at", "review", "picture"}


def test_a_truncated_file_is_one_message(tmp_path: Path) -> None:
    """Half a Parquet file is no table: exit code 2, and nothing half read."""
    whole, half = tmp_path / "whole.parquet", tmp_path / "half.parquet"
    world(1).write_parquet(whole)
    half.write_bytes(whole.read_bytes()[:-2_000])

    with pytest.raises(DataError, match=r"half\.parquet") as refused:
        killick.check(half, reference=whole)
    assert len(refused.value.mistakes) == 1


def test_a_ragged_csv_is_one_message(tmp_path: Path) -> None:
    """A line with a field too many says where the table stops being one."""
    ragged = tmp_path / "ragged.csv"
    ragged.write_text("moved,calm,kind\n1.0,2.0,a\n1.0,2.0,a,b\n")

    with pytest.raises(DataError, match=r"ragged\.csv"):
        killick.check(ragged, reference=world(1))
