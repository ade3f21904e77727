"""The door: every Arrow table comes in, times and labels mean one thing, and a refusal says what to do."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from killick.clock import DAY, from_datetime, parse_instant
from killick.errors import DataError
from killick.spec.document import Features, Label, Schema, Spec
from killick.telemetry.door import admit, arrange, binary_labels, instants
from killick.telemetry.history import History

ROWS = {
    "flight": ["a", "b", "c"],
    "at": [
        datetime.fromisoformat("2013-04-01T12:00"),
        datetime.fromisoformat("2013-04-02T12:00"),
        datetime.fromisoformat("2013-04-03T12:00"),
    ],
    "temp": [39.0, None, 50.5],
    "carrier": ["UA", None, "B6"],
    "late": [True, False, None],
    "p": [0.25, 0.5, None],
}
SCHEMA = Schema(prediction_id="flight", event_time="at", score="p", label=Label("late"))
SPEC = Spec("flight-delay", "binary", SCHEMA)

SOURCES = {
    "a mapping": ROWS,
    "Polars": pl.DataFrame(ROWS),
    "a lazy frame": pl.DataFrame(ROWS).lazy(),
    "pandas": pd.DataFrame(ROWS),
    "pandas with an index": pd.DataFrame(ROWS, index=[7, 8, 9]),
    "pandas on Arrow": pd.DataFrame(ROWS).convert_dtypes(dtype_backend="pyarrow"),
    "pandas categories": pd.DataFrame(ROWS).astype({"carrier": "category"}),
    "pyarrow": pa.table(ROWS),
    "a pyarrow batch": pa.RecordBatch.from_pydict(ROWS),
    "pyarrow in chunks": pa.concat_tables([pa.table(ROWS).slice(0, 1), pa.table(ROWS).slice(1)]),
    "pyarrow dictionaries": pa.table(ROWS).set_column(3, "carrier", pa.array(ROWS["carrier"]).dictionary_encode()),
    "large strings": pa.table(ROWS).set_column(3, "carrier", pa.array(ROWS["carrier"], pa.large_string())),
    "nanoseconds": pa.table(ROWS).set_column(1, "at", pa.array(ROWS["at"], pa.timestamp("ns"))),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_the_same_rows_come_in_from_every_kind_of_table(source: object) -> None:
    """Whatever held them, the arranged rows are equal, in their order."""
    arranged = arrange(admit(source, name="current"), SPEC, name="current")
    assert arranged.columns == ["temp", "carrier", "prediction_id", "event_time", "score", "label", "known_at"]
    times = [from_datetime(moment) for moment in ROWS["at"]]
    assert arranged.with_columns(pl.col("carrier").cast(pl.String)).rows() == [
        (39.0, "UA", "a", times[0], 0.25, 1, times[0]),
        (None, None, "b", times[1], 0.5, 0, times[1]),
        (50.5, "B6", "c", times[2], None, None, times[2]),
    ]


def test_a_stream_comes_in_once() -> None:
    """A reader that can be read once is read once."""
    assert admit(pa.table(ROWS).to_reader(), name="current").height == 3


class Capsule:
    """A table of a library that nobody knows: it has the interface, and nothing else."""

    def __arrow_c_stream__(self, requested_schema=None):
        """Hand the rows over."""
        return pa.table(ROWS).__arrow_c_stream__(requested_schema)


def test_the_interface_alone_is_enough() -> None:
    """Whatever library it is of."""
    assert admit(Capsule(), name="current").equals(admit(pa.table(ROWS), name="current"))


LARGE = 2**62 + 1
"""No float is this number."""
EXACT = {
    "pandas": pd.DataFrame({"id": [LARGE, LARGE + 2]}),
    "pandas' own nulls": pd.DataFrame({"id": pd.array([LARGE, None], dtype="Int64")}),
    "pandas objects": pd.DataFrame({"id": pd.Series([LARGE, None], dtype=object)}),
    "pyarrow": pa.table({"id": [LARGE, None]}),
    "a mapping": {"id": [LARGE, None]},
    "beside a NaN": {"id": [LARGE, float("nan")]},
    "beside a fraction": {"id": [LARGE, 0.5]},
}


@pytest.mark.parametrize("table", EXACT.values(), ids=EXACT)
def test_an_id_keeps_every_digit(table: object) -> None:
    """It never passes through a float, not even beside a gap."""
    assert str(admit(table, name="current")["id"][0]) == str(LARGE)


MIXED = {
    "whole numbers and fractions": ([1, 2.5, None], pl.Float64, [1.0, 2.5, None]),
    "numbers and text": ([1, "a", 2.5, None], pl.String, ["1", "a", "2.5", None]),
    "dates and text": ([date(2013, 4, 1), "soon"], pl.String, ["2013-04-01", "soon"]),
    "true and text": ([True, "a"], pl.String, ["True", "a"]),
}


@pytest.mark.parametrize("make", [dict, lambda columns: pd.DataFrame(columns, dtype=object)], ids=["mapping", "pandas"])
@pytest.mark.parametrize(("values", "dtype", "read"), MIXED.values(), ids=MIXED)
def test_a_column_of_several_types_is_text(values: list[object], dtype: pl.DataType, read: list[object], make) -> None:
    """Unless all are numbers: nothing is lost, and the columns beside it come in as they are."""
    frame = admit(make({"mixed": values, "x": [*range(len(values))]}), name="current")
    assert (frame["mixed"].dtype, frame["mixed"].to_list()) == (dtype, read)
    assert frame["x"].to_list() == [*range(len(values))]


def test_the_nulls_of_pandas_are_nulls() -> None:
    """Its own types have three words for nothing, and categories none."""
    frame = admit(
        pd.DataFrame(
            {
                "whole": pd.array([1, None], dtype="Int32"),
                "flag": pd.array([True, None], dtype="boolean"),
                "word": pd.array(["a", None], dtype="string"),
                "category": pd.Categorical(["a", None]),
                "mixed": pd.Series(["a", pd.NA], dtype=object),
                "odd": pd.Series([1, pd.NA], dtype=object),
                "at": pd.to_datetime(["2013-04-01", None]).tz_localize("Europe/Berlin"),
            }
        ),
        name="current",
    )
    assert frame.null_count().row(0) == (1,) * 7
    assert frame.dtypes[:3] == [pl.Int32, pl.Boolean, pl.String]
    assert instants(frame["at"], "UTC", "at")[0] == parse_instant("2013-03-31T22:00Z")


TWO_ZONES = [datetime(2013, 4, 1, tzinfo=UTC), datetime.fromisoformat("2013-04-01T00:00")]


@pytest.mark.parametrize("table", [{"at": TWO_ZONES}, pd.DataFrame({"at": pd.Series(TWO_ZONES, dtype=object)})])
def test_times_with_and_without_a_zone_are_not_mixed(table: object) -> None:
    """The one without would be taken for UTC, and nobody would know."""
    with pytest.raises(DataError, match=r"^current\.at: holds times with and without a time zone; give all of them"):
        admit(table, name="current")


def test_times_in_several_zones_are_instants() -> None:
    """Two ways to write one moment."""
    zones = [pd.Timestamp("2013-04-01T00:00", tz="UTC"), pd.Timestamp("2013-04-01T02:00", tz="Europe/Berlin")]
    frame = admit(pd.DataFrame({"at": pd.Series(zones, dtype=object)}), name="current")
    assert frame["at"].n_unique() == 1


def test_columns_that_are_numbers_have_names() -> None:
    """As pandas makes them."""
    assert admit(pd.DataFrame([[1, 2]]), name="current").columns == ["0", "1"]
    assert admit({1: [1], 2: ["a"]}, name="current").columns == ["1", "2"]


NO_TABLES = {
    "None": (None, "is not a table .found 'NoneType'"),
    "a path": ("flights.parquet", "is not a table .found 'str'"),
    "a list": ([1, 2], "is not a table .found 'list'"),
    "an array": (np.zeros((2, 2)), "is not a table .found 'ndarray'"),
    "a number": (3, "is not a table .found 'int'"),
    "ragged columns": ({"a": [1], "b": [1, 2]}, "cannot be read as a table"),
    "a column twice": (pa.table([[1], [2]], names=["a", "a"]), "names a column twice: 'a'; rename"),
    "pandas with a column twice": (pd.DataFrame([[1, 2]], columns=["a", "a"]), "names a column twice: 'a'; rename"),
    "a stream with a column twice": (pa.table([[1], [2]], names=["a", "a"]).to_reader(), "names a column twice: 'a'"),
    "a pandas series": (pd.Series([1, 2]), "is one column, not a table"),
    "a lazy frame of nothing": (pl.scan_csv("/nowhere/at/all.csv"), "cannot be read as a table: No such file"),
}


@pytest.mark.parametrize(("table", "said"), NO_TABLES.values(), ids=NO_TABLES)
def test_what_is_no_table_is_refused_with_its_name(table: object, said: str) -> None:
    """A path that was not read, an array without names: never an empty frame, never a foreign exception."""
    with pytest.raises(DataError, match=f"^current: {said}"):
        admit(table, name="current")


NEW_YORK = "America/New_York"
TIMES = {
    "naive, in the spec's zone": (datetime.fromisoformat("2013-04-01T00:00"), NEW_YORK, "2013-04-01T04:00Z"),
    "naive, no zone said": (datetime.fromisoformat("2013-04-01T00:00"), "UTC", "2013-04-01T00:00Z"),
    "aware": (datetime(2013, 4, 1, tzinfo=UTC), NEW_YORK, "2013-04-01T00:00Z"),
    "a date": (date(2013, 4, 1), NEW_YORK, "2013-04-01T04:00Z"),
    "an hour that comes twice": (datetime.fromisoformat("2013-11-03T01:30"), NEW_YORK, "2013-11-03T05:30Z"),
    "an hour that is leapt over": (datetime.fromisoformat("2013-03-10T02:30"), NEW_YORK, "2013-03-10T07:30Z"),
    "a leap at midnight": (datetime.fromisoformat("2013-10-20T00:00"), "America/Sao_Paulo", "2013-10-20T03:00Z"),
    "before the epoch": (datetime.fromisoformat("1969-12-31T23:00"), "UTC", "1969-12-31T23:00Z"),
    "text with Z": ("2013-04-01T00:00Z", NEW_YORK, "2013-04-01T00:00Z"),
    "text with seconds and Z": ("2013-04-01T00:00:00Z", NEW_YORK, "2013-04-01T00:00Z"),
    "text with an offset": ("2013-04-01T02:00:00+02:00", NEW_YORK, "2013-04-01T00:00Z"),
    "text with a short offset": ("2013-04-01T02:00:00+0200", NEW_YORK, "2013-04-01T00:00Z"),
    "text with fractions": ("2013-04-01T00:00:00.250Z", NEW_YORK, "2013-04-01T00:00:00.250Z"),
    "text without a zone": ("2013-04-01T00:00:00", NEW_YORK, "2013-04-01T04:00Z"),
    "text with a space": ("2013-04-01 00:00:00", NEW_YORK, "2013-04-01T04:00Z"),
    "text to the minute": ("2013-04-01T00:00", NEW_YORK, "2013-04-01T04:00Z"),
    "text of a date": ("2013-04-05", NEW_YORK, "2013-04-05T04:00Z"),
}


@pytest.mark.parametrize(("value", "zone", "meant"), TIMES.values(), ids=TIMES)
def test_a_time_means_one_instant(value: object, zone: str, meant: str) -> None:
    """Naive times, also written ones, are in the spec's zone; what a clock leaps over is not lost."""
    assert instants(pl.Series("at", [value, None]), zone, "t.at").to_list() == [parse_instant(meant), None]


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_every_unit_of_time_becomes_microseconds(unit: str) -> None:
    """Nanoseconds are cut off, not rounded."""
    series = pl.Series("at", [datetime.fromisoformat("2013-04-01T00:00")]).cast(pl.Datetime(unit))
    assert instants(series, "UTC", "t.at").to_list() == [parse_instant("2013-04-01")]


def test_mixed_offsets_each_mean_their_own() -> None:
    """One column may hold both kinds of text."""
    series = pl.Series("at", ["2013-04-01T00:00:00Z", "2013-04-01T00:00:00", "2013-04-01T00:00:00-04:00", None])
    midnight, later = parse_instant("2013-04-01"), parse_instant("2013-04-01T04:00")
    assert instants(series, NEW_YORK, "t.at").to_list() == [midnight, later, later, None]


@pytest.mark.parametrize(
    ("series", "said"),
    [
        (pl.Series("at", ["soon"]), "does not hold times .found 'soon'.; write ISO 8601"),
        (pl.Series("at", ["2013-04-01T00:00Z", "31/12/2013"]), "found '31/12/2013'"),
        (pl.Series("at", [1364774400]), "does not hold times .found 'Int64'.; give a timestamp column"),
        (pl.Series("at", [True]), "found 'Boolean'"),
    ],
)
def test_what_is_no_time_is_shown(series: pl.Series, said: str) -> None:
    """The first bad value, or the type."""
    with pytest.raises(DataError, match=said):
        instants(series, "UTC", "flights.at")


LABELS = {
    "booleans": ([True, False, None], None, [1, 0, None]),
    "0 and 1": ([1, 0, None], None, [1, 0, None]),
    "floats, NaN for none": ([1.0, 0.0, float("nan"), None], None, [1, 0, None, None]),
    "text with a positive": (["late", "on time", None], "late", [1, 0, None]),
    "numbers with a positive": ([2, 1, None], 2, [1, 0, None]),
    "numbers, positive as text": ([2, 1], "2", [1, 0]),
    "text of numbers": (["1", "0"], 1, [1, 0]),
    "booleans that mean the other way": ([True, False], False, [0, 1]),
    "no positive in this batch": (["no", "no"], "yes", [0, 0]),
    "none known yet": ([None, None], None, [None, None]),
    "none known yet, floats": ([float("nan"), None], None, [None, None]),
    "none known yet, positive named": ([None], "yes", [None]),
}


@pytest.mark.parametrize(("values", "positive", "expected"), LABELS.values(), ids=LABELS)
def test_labels_become_0_and_1(values: list[object], positive: object, expected: list[int | None]) -> None:
    """And null where there is none yet."""
    assert binary_labels(pl.Series("late", values), positive, "t.late").to_list() == expected


@pytest.mark.parametrize(
    ("values", "positive", "said"),
    [
        (["yes", "no"], None, "explains itself: it holds 'no', 'yes'; name the positive one"),
        ([1, 2], None, "explains itself: it holds 1, 2; name the positive one"),
        ([0.5, 1.0], None, "it holds 0.5, 1.0"),
        (["a", "b", "c"], "a", "more than two values: 'a', 'b', 'c'"),
        ([1, 0], "yes", "holds numbers, and none can be the label .found 'yes'"),
    ],
)
def test_a_label_that_does_not_explain_itself_is_refused(values: list[object], positive: object, said: str) -> None:
    """A wrong guess would turn every performance number upside down."""
    with pytest.raises(DataError, match=said):
        binary_labels(pl.Series("late", values), positive, "t.late")


TABLE = pl.DataFrame(ROWS)
REFUSED = {
    "a part is missing": (TABLE.drop("p"), SPEC, {"score"}, "t.p: is missing; the spec says it is the score"),
    "a part is misspelt": (TABLE.rename({"flight": "flights"}), SPEC, {"prediction_id"}, "did you mean 'flights'"),
    "a part is not in the spec": (TABLE, SPEC, {"entity_id"}, "schema.entity_id: is not in the spec"),
    "several at once": (TABLE.drop("p", "at"), SPEC, {"score", "event_time"}, r"t.at: is missing.*\n.*t.p: is missing"),
    "a feature with a name of the house": (
        TABLE.with_columns(role=pl.lit("x")),
        SPEC,
        set(),
        r"t.role: is a feature with a name that the house keeps.*exclude: \[role\]",
    ),
    "another column called score": (
        TABLE.with_columns(score=pl.lit(1.0)),
        SPEC,
        set(),
        "t.score: is a feature with a name that the house keeps",
    ),
    "a score of text": (
        TABLE.with_columns(p=pl.lit("high")),
        SPEC,
        set(),
        "t.p: is the score, but holds no numbers .found 'String'.; give the probability",
    ),
    "rows without a time": (
        TABLE.with_columns(at=pl.lit(None, pl.Datetime("us"))),
        SPEC,
        set(),
        "t.at: is empty in 3 rows, the first of which is row 0",
    ),
    "rows without an id": (
        TABLE.with_columns(flight=pl.Series(["a", None, None])),
        SPEC,
        {"prediction_id"},
        "t.flight: is empty in 2 rows, the first of which is row 1",
    ),
}


@pytest.mark.parametrize(("table", "spec", "needed", "said"), REFUSED.values(), ids=REFUSED)
def test_what_the_spec_promises_and_the_table_lacks_is_named(
    table: pl.DataFrame, spec: Spec, needed: set[str], said: str
) -> None:
    """Where, which value, and what to do; all at once."""
    with pytest.raises(DataError, match=said):
        arrange(table, spec, name="t", needed=frozenset(needed))


def test_the_score_may_be_called_score_and_excluded_columns_stay_outside() -> None:
    """A part may bear its own name, and a column of the house's that is excluded hurts nobody."""
    spec = replace(SPEC, schema=replace(SCHEMA, score="score"), features=Features(exclude=("role",)))
    table = TABLE.rename({"p": "score"}).with_columns(role=pl.lit("x"))
    assert "role" not in arrange(table, spec, name="t").columns
    assert arrange(table, spec, name="t")["score"].to_list() == ROWS["p"]


def test_a_label_is_known_when_the_spec_says() -> None:
    """In its own column, or a delay after the prediction."""
    delayed = replace(SPEC, schema=replace(SCHEMA, label=Label("late", delay=DAY)))
    arranged = arrange(TABLE, delayed, name="t")
    assert (arranged["known_at"] - arranged["event_time"]).unique().to_list() == [DAY]
    told = replace(SPEC, schema=replace(SCHEMA, label=Label("late", known_at="landed")))
    landed = TABLE.with_columns(landed=pl.lit("2014-01-01T00:00Z"))
    assert arrange(landed, told, name="t")["known_at"].unique().to_list() == [parse_instant("2014-01-01")]


def test_a_label_that_does_not_say_when_it_was_known_is_known_after_the_delay() -> None:
    """A gap in the column is no reason to lose the label."""
    told = replace(SPEC, schema=replace(SCHEMA, label=Label("late", known_at="landed", delay=DAY)))
    landed = TABLE.with_columns(landed=pl.Series(["2014-01-01T00:00Z", None, None]))
    arranged = arrange(landed, told, name="t")
    assert arranged["known_at"][0] == parse_instant("2014-01-01")
    assert (arranged["known_at"] - arranged["event_time"]).to_list()[1:] == [DAY, DAY]
    assert History.of(arranged).outcomes.height == TABLE["late"].count() == 2


def test_a_batch_without_any_score_or_label_yet_comes_in() -> None:
    """A column of nothing has no type; it is still the score, and nobody has a label yet."""
    table = TABLE.with_columns(p=pl.Series([None] * 3), late=pl.Series([None] * 3))
    arranged = arrange(table, SPEC, name="t")
    assert arranged.select("score", "label").null_count().row(0) == (3, 3)
