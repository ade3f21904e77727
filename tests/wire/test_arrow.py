"""Arrow on the wire: every type that a table may have, and no stream that brings down the process."""

from __future__ import annotations

import io
import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from killick.clock import DAY, parse_instant
from killick.errors import DataError
from killick.wire.arrow import _refuse_unfolding
from killick.wire.arrow_guard import guard
from tests.wire.examples import CANONICAL, FLAT, NOW, as_arrow, decode, refused

IDS = ["a", "b", "c"]
LONG = "long enough to lie elsewhere"
INSTANT = pl.Datetime("us", "UTC")
LATE, EARLY = (datetime.fromisoformat(text) for text in ("2301-01-01", "1500-01-01"))
MIDNIGHT, NOON = datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 1, 12, tzinfo=UTC)


def stream(table: pa.Table, rows: int | None = None, **options: Any) -> bytes:
    """Write a table as pyarrow does, so many rows a batch."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=rows)
    return sink.getvalue()


def features(**columns: Any) -> bytes:
    """Write a table of three rows with these columns."""
    return stream(pa.table({"prediction_id": IDS, **columns}))


TYPES: dict[str, tuple[pa.Array, pl.DataType, list[Any]]] = {
    "int8": (pa.array([1, None, -3], pa.int8()), pl.Int64(), [1, None, -3]),
    "uint8": (pa.array([1, 2, 255], pa.uint8()), pl.Int64(), [1, 2, 255]),
    "uint64": (pa.array([1, 2, 3], pa.uint64()), pl.Int64(), [1, 2, 3]),
    "large uint64": (pa.array([1, 2, 2**64 - 1], pa.uint64()), pl.Float64(), [1.0, 2.0, 2.0**64]),
    "half": (pa.array(np.array([0.5, 1, 2], np.float16)), pl.Float64(), [0.5, 1.0, 2.0]),
    "float": (pa.array([0.5, None, 2], pa.float32()), pl.Float64(), [0.5, None, 2.0]),
    "decimal": (pa.array([Decimal("0.50"), None, Decimal(2)]), pl.Float64(), [0.5, None, 2.0]),
    "bool": (pa.array([True, None, False]), pl.Boolean(), [True, None, False]),
    "text": (pa.array(["x", None, "é"]), pl.String(), ["x", None, "é"]),
    "large text": (pa.array(["x", None, "é"], pa.large_string()), pl.String(), ["x", None, "é"]),
    "text views": (pa.array(["x", None, LONG], pa.string_view()), pl.String(), ["x", None, LONG]),
    "dictionary": (pa.array(["x", None, "x"]).dictionary_encode(), pl.String(), ["x", None, "x"]),
    "date": (pa.array([date(2026, 2, 1)] * 3), INSTANT, [MIDNIGHT] * 3),
    "date64": (pa.array([date(2026, 2, 1)] * 3, pa.date64()), INSTANT, [MIDNIGHT] * 3),
    "milliseconds": (pa.array([NOON] * 3, pa.timestamp("ms", "Asia/Tokyo")), INSTANT, [NOON] * 3),
    "nanoseconds": (pa.array([NOON] * 3, pa.timestamp("ns")), INSTANT, [NOON] * 3),
    "duration": (pa.array([timedelta(seconds=1.5)] * 3), pl.Float64(), [1.5] * 3),
    "time": (pa.array([time(0, 0)] * 3), pl.Float64(), [0.0] * 3),
    "nulls": (pa.nulls(3), pl.Null(), [None] * 3),
    "list": (pa.array([[1, 2], None, []], pa.list_(pa.int32())), pl.List(pl.Float64), [[1.0, 2.0], None, []]),
    "large list": (pa.array([[1], None, [2]], pa.large_list(pa.float32())), pl.List(pl.Float64), [[1.0], None, [2.0]]),
    "list with gaps": (pa.array([[1, np.nan], None, [None]]), pl.List(pl.Float64), [[1.0, None], None, [None]]),
    "list of nothing": (pa.array([[None], None, []]), pl.List(pl.Float64), [[None], None, []]),
    "fixed list": (pa.array([[1, 2]] * 3, pa.list_(pa.float64(), 2)), pl.List(pl.Float64), [[1.0, 2.0]] * 3),
    "an extension": (pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, 1], pa.int8())), pl.Int64(), [1, 0, 1]),
}  # fmt: skip


@pytest.mark.parametrize("kind", TYPES)
def test_every_type_becomes_one_of_few(kind: str) -> None:
    """Whatever its width, flat or in a struct."""
    values, dtype, expected = TYPES[kind]
    nested = pa.StructArray.from_arrays([values], ["x"])
    for column in ({"x": values}, {"features": nested}):
        decoded = decode(features(**column), media="arrow")
        assert decoded.rejected == ()
        assert (decoded.table.schema["x"], decoded.table["x"].to_list()) == (dtype, expected)


WRONG: dict[str, pa.Array] = {
    "structs": pa.array([{"y": 1}, None, {"y": 2}]),
    "lists of text": pa.array([["y"], None, []]),
    "lists of lists": pa.array([[[1]], None, [[2]]]),
    "long lists": pa.array([[0.0] * 8193, None, [0.0] * 8193]),
    "long text": pa.array(["x" * 65_537, None, "y" * 65_537]),
    "NULs": pa.array(["\0", None, "a\0"]),
    "a map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int8())),
    "no calendar's days": pa.array([2**31 - 1, None, -(2**31)], pa.int32()).cast(pa.date32()),
    "no calendar's seconds": pa.array([2**62, None, -(2**62)], pa.timestamp("ms")),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_feature_refuses_the_rows_that_have_it(kind: str) -> None:
    """And leaves those that do not."""
    decoded = decode(features(x=WRONG[kind]), media="arrow")
    assert refused(decoded) == [(0, "x"), (2, "x")]
    assert decoded.table["prediction_id"].to_list() == ["b"]


def test_parts_are_judged_as_in_json() -> None:
    """By value where the type is right, and by type where it is not."""
    frame = pl.DataFrame(
        {
            "prediction_id": ["a", "", "c", "d", None],
            "event_time": [NOW, NOW, NOW + 2 * DAY, NOW // 10**6, NOW],
            "score": [0.5, 0.5, 0.5, 0.5, float("nan")],
            "metadata": [{"k": "v", "n": None}] * 5,
            "role": pl.Series(["live"] * 5, dtype=pl.Categorical),
        }
    )
    decoded = decode(frame)
    assert refused(decoded) == [(1, "prediction_id"), (2, "event_time"), (3, "event_time"), (4, "prediction_id")]
    assert decoded.table["metadata"].to_list() == ['{"k":"v"}']
    typed = pl.DataFrame({"prediction_id": [1.5], "score": ["high"], "event_time": [True]})
    assert decode(typed).rejected[0].reason == "is no text: the column is of type Float64"
    assert decode(typed.with_columns(prediction_id=pl.lit(7))).rejected[0].field == "event_time"
    scores = pl.DataFrame({"prediction_id": [7, 8], "score": [float("inf"), None]})
    assert decode(scores).rejected[0].reason == "is no finite number (found inf)"


def test_a_number_that_is_nan_is_none_as_null_is_in_json() -> None:
    """Pandas and NumPy have no other way to say so; the rest of the row stands."""
    nan = float("nan")
    frame = pl.DataFrame({"prediction_id": ["a"], "score": [nan], "latency_seconds": [nan], "sampling_weight": [nan]})
    decoded = decode(frame)
    as_json = decode([{"prediction_id": "a", "score": None, "latency_seconds": None, "sampling_weight": None}])
    assert decoded.rejected_rows == 0
    assert decoded.table.rows() == as_json.table.rows()
    assert decoded.table.select("score", "latency_seconds", "sampling_weight").row(0) == (None, None, 1.0)


def test_the_bytes_of_texts_are_counted_beyond_four_gibibytes() -> None:
    """Views of one text: together they are 2^32 bytes, which is nothing in 32 bits."""
    views = pl.Series("x", ["x" * 2**16]).gather(np.zeros(2**16, np.int64))
    for frame in (pl.DataFrame([views]), pl.DataFrame([views]).select(pl.struct("x").alias("y"))):
        with pytest.raises(DataError, match="unfold to far more"):
            _refuse_unfolding(frame, 2**20)


def test_times_may_be_text_dates_timestamps_or_numbers() -> None:
    """All of them are the same instant; what is none refuses its row."""
    noon = parse_instant("2026-02-01T12:00Z")
    ways = [
        pl.Series(["2026-02-01T12:00Z", "noon"]),
        pl.Series([NOON.replace(tzinfo=None), LATE]),
        pl.Series([NOON.replace(tzinfo=None), EARLY], dtype=pl.Datetime("ms")),
        pl.Series([noon, -1]),
        pl.Series([float(noon), 0.5]),
        pl.Series([noon, 2**63], dtype=pl.UInt64),
    ]
    for way in ways:
        decoded = decode(pl.DataFrame({"prediction_id": ["a", "b"], "event_time": way}))
        assert decoded.table["event_time"].to_list() == [noon]
        assert refused(decoded) == [(1, "event_time")]


def test_metadata_may_be_a_struct_a_map_or_json() -> None:
    """It is stored as JSON."""
    ways = [
        pa.array([{"k": "v"}, None, {"k": "w"}]),
        pa.array([[("k", "v")], None, [("k", "w")]], pa.map_(pa.string(), pa.string())),
        pa.array(['{"k": "v"}', None, '{"k": "w"}']),
    ]
    for way in ways:
        assert decode(features(metadata=way), media="arrow").table["metadata"].to_list() == [
            '{"k":"v"}',
            None,
            '{"k":"w"}',
        ]
    assert refused(decode(features(metadata=pa.array(["x", None, "[]"])), media="arrow")) == [
        (0, "metadata"),
        (2, "metadata"),
    ]
    assert refused(decode(features(metadata=pa.array([1, None, None])), media="arrow")) == [(0, "metadata")]
    times = pa.array([2**62, None, None], pa.timestamp("ms"))  # Polars panics where it makes a Python object of it
    for odd, field in (
        (pa.StructArray.from_arrays([times], ["k"]), "metadata.k"),
        (pa.array([[("k", 1)], None, None], pa.map_(pa.string(), pa.timestamp("ms"))), "metadata"),
    ):
        assert refused(decode(features(metadata=odd), media="arrow")) == [(0, field)]


def test_a_stream_may_come_in_many_batches_and_from_any_writer() -> None:
    """Of pyarrow and of Polars, with old types and new."""
    frame = pl.DataFrame(FLAT * 10)
    expected = decode(frame).table
    whole = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    for body in (stream(whole, 3), stream(frame.to_arrow(compat_level=pl.CompatLevel.newest()), 7)):
        assert guard(body, "body") == 20
        assert_frame_equal(decode(body, media="arrow").table, expected)


REFUSED: dict[str, tuple[bytes, str]] = {
    "compressed": (stream(pa.table({"x": np.zeros(1000)}), compression="zstd"), "Content-Encoding"),
    "binary": (features(x=pa.array([b"x"] * 3)), "'x' of a type that is not let in, Binary"),
    "a union": (features(x=pa.UnionArray.from_sparse(pa.array([0] * 3, pa.int8()), [pa.array([1] * 3)])), "Union"),
    "run ends": (features(x=pa.RunEndEncodedArray.from_arrays([3], [1])), "RunEndEncoded"),
    "numbers by keys": (features(x=pa.array([1, 2, 3]).dictionary_encode()), "a dictionary of other things"),
    "a column twice": (stream(pa.table([pa.array([1]), pa.array([2])], ["x", "x"])), "names a column twice"),
    "too many rows": (stream(pa.table({"x": pa.nulls(1_000_001)})), "more than 1,000,000 rows"),
    "too many columns": (stream(pa.table({str(at): [1] for at in range(10_001)})), "more than 10,000 columns"),
    "too deep": (features(x=pa.array([[[[[[1]]]]]] * 3)), "columns inside columns"),
    "a file": (b"ARROW1\0\0" + features(), "no message where one should begin"),
    "cut": (features(x=np.zeros(3))[:-60], "was cut"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_read_safely_is_refused_whole(kind: str) -> None:
    """One mistake, which says what the stream has and what to send instead."""
    body, said = REFUSED[kind]
    with pytest.raises(DataError) as error:
        decode(body, media="arrow")
    assert said in str(error.value)


def test_a_dictionary_does_not_unfold_to_more_than_it_was() -> None:
    """A quarter of a megabyte of keys of one long text was eleven gigabytes once."""
    keys = pa.DictionaryArray.from_arrays(pa.array(np.zeros(200_000, np.int8)), pa.array(["x" * 60_000]))
    nested = pa.StructArray.from_arrays([keys], ["y"])
    for column in (keys, nested):
        with pytest.raises(DataError, match="unfold to far more"):
            decode(stream(pa.table({"x": column})), media="arrow")


def test_lists_of_nothing_do_not_unfold_to_more_than_they_were() -> None:
    """Nulls without a type take no byte, and would be eight million as numbers in each of these columns."""
    nothing = pa.ListArray.from_arrays(pa.array([0, 1_000_000], pa.int32()), pa.nulls(1_000_000))
    fixed = pa.FixedSizeListArray.from_arrays(pa.nulls(1_000_000), 1_000_000)
    for column in (nothing, fixed):
        with pytest.raises(DataError, match="unfold to far more"):
            decode(stream(pa.table({str(at): column for at in range(100)})), media="arrow")


@given(st.data())
@settings(max_examples=100)
def test_a_cut_stream_is_a_mistake_or_the_batches_before_the_cut(data: st.DataObject) -> None:
    """Wherever it was cut; a stream need not say where it ends."""
    body = stream(pl.DataFrame(FLAT * 10).to_arrow(compat_level=pl.CompatLevel.oldest()), 5)
    cut = data.draw(st.integers(0, len(body) - 1))
    try:
        rows = decode(body[:cut], media="arrow").table.height
    except DataError:
        return
    assert rows % 5 == 0


# Bytes of good streams are changed at random, mostly where lengths and types are written. A process that is killed, or
# takes more than it may, fails the test; so does a length that Polars panics about: only odd metadata still gets there.
FUZZ = """
import random, resource, sys
from killick.errors import DataError
from tests.wire.test_arrow import streams
from tests.wire.examples import decode

resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
chance, bodies, read = random.Random(int(sys.argv[1])), streams(), 0
ODD = [b"\\xff" * 8, bytes(8), b"\\x7f" * 8, *(int(2**n).to_bytes(8, "little") for n in (16, 31, 32, 40, 62))]
for _ in range(int(sys.argv[2])):
    body = bytearray(chance.choice(bodies))
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        at = chance.randrange(len(body)) if chance.random() < 0.5 else chance.randrange(min(len(body), 3000))
        how = chance.random()
        if how < 0.4:
            body[at] = chance.randrange(256)
        elif how < 0.6:
            body[at] ^= 1 << chance.randrange(8)
        elif how < 0.8:
            body[at : at + 8] = chance.choice(ODD)
        elif how < 0.9:
            del body[at : at + chance.randrange(1, 64)]
        else:
            body[at:at] = chance.randbytes(chance.randrange(1, 64))
    try:
        decode(bytes(body), media="arrow")
        read += 1
    except DataError:
        pass
print(read)
"""


def streams() -> list[bytes]:
    """Return streams with every type that is let in, of both writers."""
    table = pa.table({"prediction_id": IDS, **{kind: values for kind, (values, _, _) in TYPES.items()}})
    return [
        stream(table),
        stream(table, 2),
        features(metadata=pa.array([[("k", "v")], None, []], pa.map_(pa.string(), pa.string()))),
        as_arrow(pl.DataFrame(FLAT * 10)),
        as_arrow(pl.DataFrame(CANONICAL * 10)),
    ]


@pytest.mark.parametrize("seed", [1, 2])
def test_no_mangled_stream_kills_the_process(seed: int) -> None:
    """Each is read or refused. Without the guard the first thousand abort within seconds, on a length made up."""
    done = subprocess.run(
        [sys.executable, "-c", FUZZ, str(seed), "600"], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert 50 < int(done.stdout) < 600
    panics = [line for line in done.stderr.splitlines() if "panicked at" in line]
    assert not [line for line in panics if "polars-arrow" in line]
