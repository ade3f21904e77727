"""The census keeps the laws of a profile, and its bytes come back whole or are refused by name."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from killick.errors import DataError
from killick.profiles.census import SAMPLE_ROWS, Census, Questions, take_census
from killick.profiles.census_codec import pack_census, unpack_census
from killick.profiles.faults import Output
from killick.profiles.outcome_rows import Decision
from killick.profiles.residuals import Outcome
from killick.profiles.scale import fit_scale
from killick.testing.laws import frames, parts

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

KINDS = {"real": "numeric", "whole": "numeric", "text": "categorical", "constant": "numeric", "nothing": "numeric"}


def questions(reference: pl.DataFrame) -> Questions:
    """Ask everything of the columns of the laws' schema."""
    scale = fit_scale(reference, KINDS, score="score")
    return Questions(
        row=("real", "whole", "text", "flag"),
        identity="whole",
        values=("text", "real", "flag"),
        numeric=tuple(part for part in scale.features if KINDS[part.column] == "numeric"),
        binned=scale.columns,
        outcome=Outcome("label", "binary", score="score"),
        output=Output(("score",), decision=Decision("flag", "true")),
    )


@given(reference=frames(), tables=parts(), chance=st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_any_split_in_any_order_is_the_census_of_all_rows(
    reference: pl.DataFrame, tables: list[pl.DataFrame], chance: Random
) -> None:
    """And the census of no rows is the unit."""
    asked = questions(reference)
    whole = take_census(pl.concat(tables), asked)
    made = [take_census(table, asked) for table in tables]
    chance.shuffle(made)
    summed = Census.empty(asked)
    for census in made:
        summed += census
    assert summed == whole
    assert whole.sample_rows().height == whole.rows
    assert unpack_census(pack_census(whole)) == whole


@given(reference=frames(), one=frames(), other=frames())
@settings(max_examples=40)
def test_subtraction_undoes_addition(reference: pl.DataFrame, one: pl.DataFrame, other: pl.DataFrame) -> None:
    """While no sketch is full, exactly."""
    asked = questions(reference)
    a, b = take_census(one, asked), take_census(other, asked)
    assert (a + b) - b == a
    assert (a - a) == Census.empty(asked)


def large(rows: int, seed: int = 0) -> pl.DataFrame:
    """Rows of which about a tenth repeat another, and more than a sample holds."""
    rng = np.random.default_rng(seed)
    at = rng.integers(0, 5 * rows, rows)
    return pl.DataFrame({"x": at / 7, "c": [f"c{k % 11}" for k in at], "id": np.arange(rows) + seed * rows})


def large_questions() -> Questions:
    """Ask for rows, ids and values."""
    scale = fit_scale(large(2_000), {"x": "numeric", "c": "categorical"})
    return Questions(row=("x", "c"), identity="id", values=("x", "c"), numeric=(scale["x"],))


def test_a_sample_of_many_rows_is_the_same_however_they_were_split() -> None:
    """Four thousand distinct rows with the smallest hashes, each as often as it came."""
    asked, rows = large_questions(), large(20_000)
    whole = take_census(rows, asked)
    pieces = [take_census(rows[start : start + 3_333], asked) for start in range(0, 20_000, 3_333)]
    summed = pieces[3] + pieces[0] + (pieces[6] + pieces[2]) + pieces[1] + (pieces[4] + pieces[5])
    assert summed == whole
    assert whole.sample.height == SAMPLE_ROWS
    assert whole.sample.is_unique().all()
    every = rows.group_by("x", "c").len()
    drawn = whole.sample_rows().group_by("x", "c").len()
    assert drawn.join(every, on=["x", "c", "len"], how="semi").height == SAMPLE_ROWS
    # A sample of distinct rows that is fair has the mean of all, within four errors.
    mean, error = rows["x"].unique().mean(), rows["x"].std() / SAMPLE_ROWS**0.5
    assert abs(whole.sample["x"].mean() - mean) < 4 * error


def test_rows_that_are_subtracted_leave_the_sample() -> None:
    """Within the threshold: what fell out of the sample while they were in does not come back."""
    asked = large_questions()
    one, other = take_census(large(6_000), asked), take_census(large(6_000, seed=1), asked)
    left = (one + other) - other
    assert left.sample.height < SAMPLE_ROWS
    assert left.sample.equals(one.sample[: left.sample.height])
    assert left.repeats == one.repeats


def test_censuses_of_other_questions_or_hashes_refuse() -> None:
    """By name, and with what to do."""
    asked = large_questions()
    census = take_census(large(50), asked)
    with pytest.raises(DataError, match="other questions"):
        census + take_census(large(50), Questions(row=("x",)))
    foreign = Census(**{**{name: getattr(census, name) for name in Census.__slots__}, "hashed_by": 7})
    for attempt in (lambda: census + foreign, lambda: census - foreign):
        with pytest.raises(DataError, match="another version of Polars") as refusal:
            attempt()
        assert "make it again" in str(refusal.value)


def test_columns_of_another_type_refuse() -> None:
    """A number and bytes are not one column of a sample."""
    asked = Questions(row=("x",))
    words = take_census(pl.DataFrame({"x": [b"1"]}), asked)
    with pytest.raises(DataError, match="of another type"):
        take_census(pl.DataFrame({"x": [1]}), asked) + words


@pytest.mark.parametrize(
    "series",
    [
        pl.Series(["a", None, "a"], dtype=pl.Categorical),
        pl.Series(["a", None, "a"], dtype=pl.Enum(["b", "a"])),
        pl.Series([[1.0, 2.0], None, [1.0, 2.0]], dtype=pl.Array(pl.Float32, 2)),
        pl.Series([{"k": 1}, None, {"k": 1}]),
        pl.Series([b"x", None, b"x"]),
        pl.Series([1, None, 1], dtype=pl.Datetime("us", "UTC")),
        pl.Series(["1.5", None, "1.5"]).cast(pl.Decimal(10, 2)),
        pl.Series([{1}, None, {1}], dtype=pl.Object),
    ],
    ids=lambda series: str(series.dtype).split("(")[0],
)
def test_every_kind_of_column_is_counted(series: pl.Series) -> None:
    """Two rows that are the same, and one without a value."""
    asked = Questions(row=("c",), identity="c", values=("c",), output=Output(("c",)))
    made = take_census(pl.DataFrame({"c": series}), asked)
    assert made.repeats.counts.sum() == 3
    assert len(made.repeats.counts) == 2
    assert made.values["c"].counts.tolist() == [2]
    assert unpack_census(pack_census(made)) == made


def test_a_dictionary_of_its_own_does_not_make_another_value() -> None:
    """The code of a category differs from batch to batch; the category does not."""
    asked = Questions(values=("c",))
    batches = [pl.Series(values, dtype=pl.Categorical) for values in (["a", "b"], ["b", "a"])]
    one, other = (take_census(pl.DataFrame({"c": batch}), asked) for batch in batches)
    assert one == other == take_census(pl.DataFrame({"c": ["a", "b"]}), asked)


def test_the_order_of_columns_makes_no_other_rows() -> None:
    """The same table with its columns the other way round has the same sample and the same repeats."""
    one, other = (take_census(large(6_000), Questions(row=row)) for row in (("x", "c"), ("c", "x")))
    assert one.repeats == other.repeats
    assert one.sample.equals(other.sample.select("x", "c"))


# ------------------------------------------------------------------------------------------------ bytes

CENSUS = take_census(large(300), large_questions())
PACKED = pack_census(CENSUS)


def remade(change: Callable[[dict], object]) -> bytes:
    """Pack a census, and change what is in the map."""
    held = msgspec.msgpack.decode(PACKED)
    change(held)
    return msgspec.msgpack.encode(held)


BOMB = zlib.compress(bytes(128 * 1024 * 1024), level=9)
REFUSED = {
    "empty": (b"", "census: cannot be read"),
    "text": (b"killick", "census: cannot be read"),
    "a newer schema": (remade(lambda held: held.update(schema="killick.census/2")), "schema that this version cannot"),
    "no sample": (remade(lambda held: held.pop("sample")), "missing required field `sample`"),
    "a bomb": (remade(lambda held: held["repeats"].update(keys=BOMB)), "census.repeats: holds more than"),
    "a sample that is a bomb": (remade(lambda held: held.update(sample=BOMB)), "census.sample: holds more than"),
    "a sample that is none": (
        remade(lambda held: held.update(sample=zlib.compress(b"ARROW1"))),
        "census.sample: cannot be read",
    ),
    "a sample of other rows": (
        remade(lambda held: held.update(sample_theta=1)),
        "census.sample: holds 2",
    ),
    "counts cut short": (
        remade(lambda held: held["repeats"].update(counts=held["repeats"]["counts"][:-5])),
        "census.repeats: is cut short",
    ),
    "fewer counts than hashes": (
        remade(lambda held: held["repeats"].update(counts=zlib.compress(bytes(8)))),
        "census.repeats: has keys that do not match",
    ),
    "hashes above the threshold": (
        remade(lambda held: held["repeats"].update(theta=5)),
        "census.repeats: holds hashes above",
    ),
    "half a number": (
        remade(lambda held: held["moments"].__setitem__(0, zlib.compress(bytes(7)))),
        "census.moments: holds 7 bytes where 1 numbers",
    ),
    "too few columns": (remade(lambda held: held.update(values=[])), "census.values: holds 0 entries where 2"),
}


@pytest.mark.parametrize(("packed", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_a_whole_census_is_refused_by_name(packed: bytes, said: str) -> None:
    """The message says what is wrong with which part, and what to do."""
    with pytest.raises(DataError, match=said) as refusal:
        unpack_census(packed)
    assert "make it again with `killick profile`" in str(refusal.value)


@given(st.integers(0, len(PACKED) - 1))
def test_every_truncation_is_refused(length: int) -> None:
    """However far a copy got, it is not taken for a census."""
    with pytest.raises(DataError):
        unpack_census(PACKED[:length])


@given(st.binary(max_size=200))
def test_noise_is_refused_and_never_crashes(noise: bytes) -> None:
    """Whatever arrives, the answer is a DataError."""
    with pytest.raises(DataError):
        unpack_census(noise)


def test_an_unpacked_census_can_be_added_to() -> None:
    """Its arrays are our own, and its bytes are small."""
    assert unpack_census(PACKED) + CENSUS == CENSUS + CENSUS
    assert len(PACKED) < 40_000
