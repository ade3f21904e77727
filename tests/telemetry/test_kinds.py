"""A column's kind is what its type says, and prose and embeddings are known by their values."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.spec.document import Band, Features, Override, Schema, Spec
from killick.telemetry.door import arrange
from killick.telemetry.kinds import alike_type, band_mistakes, column_kinds, kind_of, override_mistakes

NUMBERS = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Int128, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64)

KINDS = {
    **{str(dtype): (pl.Series([1, 0], dtype=dtype), "numeric") for dtype in (*NUMBERS, pl.Float32, pl.Float64)},
    "a decimal": (pl.Series([Decimal("1.5")]), "numeric"),
    "a duration": (pl.Series([timedelta(hours=1)]), "numeric"),
    "a time of day": (pl.Series([time(7)]), "numeric"),
    "true and false": (pl.Series([True, False]), "boolean"),
    "a word": (pl.Series(["a"]), "categorical"),
    "a category": (pl.Series(["a"], dtype=pl.Categorical), "categorical"),
    "an enum": (pl.Series(["a"], dtype=pl.Enum(["a"])), "categorical"),
    "a date": (pl.Series([date(2013, 4, 1)]), "timestamp"),
    "an instant": (pl.Series([datetime(2013, 4, 1)]), "timestamp"),  # noqa: DTZ001 - naive on purpose
    "an array": (pl.Series([[0.5, 1.0]], dtype=pl.Array(pl.Float32, 2)), "embedding"),
    "lists of one length": (pl.Series([[0.5, 1.0], None, [2.0, 3.0]]), "embedding"),
    "lists of two lengths": (pl.Series([[0.5], [2.0, 3.0]]), None),
    "lists of nothing": (pl.Series([[], []], dtype=pl.List(pl.Float64)), None),
    "lists of whole numbers": (pl.Series([[1, 2]]), None),
    "an array of words": (pl.Series([["a"]], dtype=pl.Array(pl.String, 1)), None),
    "a matrix": (pl.Series([[[0.5]]], dtype=pl.Array(pl.Float64, (1, 1))), None),
    "a struct": (pl.Series([{"a": 1}]), None),
    "bytes": (pl.Series([b"x"]), None),
    "an object": (pl.Series([object()], dtype=pl.Object), None),
    "nothing": (pl.Series([None, None]), None),
    "no strings yet": (pl.Series([None, None], dtype=pl.String), "categorical"),
    "no lists yet": (pl.Series([None], dtype=pl.List(pl.Float64)), None),
}


@pytest.mark.parametrize(("column", "kind"), KINDS.values(), ids=KINDS)
def test_a_kind_follows_from_the_type(column: pl.Series, kind: str | None) -> None:
    """Of every type there is; None is what cannot be watched. An empty column has the kind of its type too."""
    assert kind_of(column) == kind
    if kind not in {"embedding", None} or isinstance(column.dtype, pl.Array):
        assert kind_of(column.clear()) == kind


random = np.random.default_rng(1)
SENTENCES = [f"flight {random.integers(900)} to {random.choice(['Boston', 'Reno'])} was late" for _ in range(400)]

WORDS = {
    "sentences": (SENTENCES, "text"),
    "sentences beside gaps": ([*SENTENCES[:50], *[None, "", "  "] * 40], "text"),
    "one sentence": (["the flight was very late"], "text"),
    "titles, each its own": ([f"Flight {row} delayed" for row in range(100)], "text"),
    "names of people": ([f"Ada Lovelace{row}" for row in range(100)], "categorical"),
    "ids": ([f"{row:08x}-{row:04x}" for row in range(100)], "categorical"),
    "cities": (["New York City", "Salt Lake City", "Reno"] * 30, "categorical"),
    "the answers of a questionnaire": (["I do not agree at all", "I agree with all of it"] * 30, "categorical"),
    "empty strings": (["", " "] * 10, "categorical"),
}


@pytest.mark.parametrize(("values", "kind"), WORDS.values(), ids=WORDS)
def test_prose_is_told_from_words(values: list[str | None], kind: str) -> None:
    """By how many words there are and whether values come again; neither ids nor answers are prose."""
    assert kind_of(pl.Series(values, dtype=pl.String)) == kind


@given(st.lists(st.none() | st.text(max_size=30)))
def test_any_strings_have_a_kind(values: list[str | None]) -> None:
    """Whatever stands in them, and it does not depend on the order of the rows, below ten thousand."""
    column = pl.Series(values, dtype=pl.String)
    assert kind_of(column) in {"categorical", "text"}
    assert kind_of(column) == kind_of(column.reverse())


TABLE = pl.DataFrame(
    {"code": [1, 2], "word": ["a", "b"], "prose": SENTENCES[:2], "flag": [True, False], "pair": [[1], [2]]}
)


def test_the_operator_is_obeyed_where_the_type_allows_it() -> None:
    """A number may be a code, words may be prose and prose a category; what cannot be done is told."""
    said = {"code": "categorical", "word": "text", "prose": "categorical", "flag": "categorical"}
    override = {column: Override(kind=kind) for column, kind in said.items()}
    assert column_kinds(TABLE, TABLE.columns, override) == said | {"pair": None}
    assert override_mistakes(TABLE, override) == []


@pytest.mark.parametrize(
    ("column", "said", "told"),
    [
        (
            "word",
            Override(kind="numeric"),
            r"word.kind: does not fit a column of type String .found 'numeric'.; write one",
        ),
        ("code", Override(kind="embedding"), "code.kind: does not fit a column of type Int64"),
        ("word", Override(drift="wasserstein"), "word.drift: needs numbers in an order .*; the column is categorical"),
        ("code", Override(kind="categorical", drift="wasserstein"), "code.drift: needs numbers in an order"),
    ],
)
def test_what_a_type_does_not_allow_is_a_mistake(column: str, said: Override, told: str) -> None:
    """And the kind stays what it is."""
    (mistake,) = override_mistakes(TABLE, {column: said})
    assert re.match(f"features.override.{told}", str(mistake))


def test_what_is_numeric_becomes_a_number() -> None:
    """Durations and times of day in seconds; decimals and wide numbers as floats; an id keeps every digit."""
    table = pl.DataFrame(
        {
            "id": [2**62 + 1, 2**62 + 3],
            "wait": [timedelta(minutes=1), None],
            "at": [time(1, 0, 0, 500_000), None],
            "price": [Decimal("1.25"), None],
            "wide": pl.Series([2**70, None], dtype=pl.Int128),
        }
    )
    spec = Spec("m", "binary", Schema(prediction_id="id"), Features())
    arranged = arrange(table, spec, name="t")
    assert arranged.row(0, named=True) == {
        "wait": 60.0,
        "at": 3600.5,
        "price": 1.25,
        "wide": float(2**70),
        "prediction_id": str(2**62 + 1),
    }
    assert arranged.drop("prediction_id").null_count().row(0) == (1,) * 4


def test_flags_as_ones_and_zeros_are_flags() -> None:
    """As CSV and JSON write them; any other number is another type, and a column of nulls says nothing."""
    flag = pl.Boolean()
    for written in ([1, 0, None], [1.0, 0.0, None], [1.0, float("nan")]):
        assert alike_type(pl.Series(written), flag) == flag
    for other in ([1, 2], [0.5, 1.0], ["1", "0"]):
        assert alike_type(pl.Series(other), flag) is None
    assert alike_type(pl.Series([None, None]), pl.Int8()) == pl.Int8()
    assert alike_type(pl.Series([1, 0]), pl.Float64()) is None


def test_a_band_cuts_numbers_only() -> None:
    """Whatever holds none would be one segment of missing rows, and no one would be told."""
    table = pl.DataFrame({"gate": ["1"], "wait": [timedelta(1)], "km": [5.0], "open": [True]})
    cut = [(Band("b", column, bins=(1.0,)),) for column in (*table.columns, "elsewhere")]
    assert [mistake.place for mistake in band_mistakes(table, cut)] == ["segments.b.bins"] * 2
    assert not band_mistakes(table, [(Band("gate", "gate"),)])
