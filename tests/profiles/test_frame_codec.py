"""Frames and types in bytes of our own: every flat type comes back as it was, and what is half there is refused."""

from __future__ import annotations

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.profiles.frame_codec import is_flat, pack_frame, pack_schema, unpack_frame, unpack_schema

WHOLE = pl.Series([3, None, 1, 0])
FLAT = [
    *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Int128, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64),
    *(pl.Float32, pl.Float64, pl.Boolean, pl.String, pl.Date, pl.Time, pl.Decimal(20, 2), pl.Decimal(38, 10)),
    *(pl.Duration("ms"), pl.Duration("ns"), pl.Datetime("us"), pl.Datetime("ns", "Europe/Berlin")),
]
FRAME = pl.DataFrame([WHOLE.cast(dtype).alias(str(dtype)) for dtype in FLAT]).with_columns(
    pl.Series("texts", ["Zürich ✈", None, "", "\x00"]),
    pl.Series("bytes", [b"\xff\x00", None, b"", b"x"]),
    pl.Series("nothing", [None] * 4),
    pl.Series("odd", [float("nan"), None, float("-inf"), -0.0]),
)


@pytest.mark.parametrize("rows", range(5))
def test_every_flat_type_comes_back(rows: int) -> None:
    """With what is missing, and with no rows at all."""
    frame = FRAME[:rows]
    back = unpack_frame(pack_frame(frame), rows_max=4)
    assert back.schema == frame.schema
    assert back.equals(frame)
    assert str(back["odd"].to_list()) == str(frame["odd"].to_list())


@given(
    st.lists(
        st.tuples(
            st.none() | st.floats(),
            st.none() | st.text(),
            st.none() | st.booleans(),
            st.none() | st.integers(-(2**63), 2**63 - 1),
        ),
        max_size=20,
    )
)
def test_every_value_comes_back(rows: list[tuple[object, ...]]) -> None:
    """Whatever the values are, and however many."""
    schema = {"real": pl.Float64, "text": pl.String, "flag": pl.Boolean, "whole": pl.Int64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    assert unpack_frame(pack_frame(frame), rows_max=20).equals(frame)


def test_every_type_of_a_table_comes_back() -> None:
    """Those that a table can be watched by, too, which no sample holds."""
    more = {
        "category": pl.Categorical(),
        "enum": pl.Enum(["b", "a"]),
        "list": pl.List(pl.Float32),
        "embedding": pl.Array(pl.Float32, 256),
    }
    schema = pl.Schema({**FRAME.schema, **more})
    assert unpack_schema(pack_schema(schema)) == schema
    assert not any(is_flat(dtype) for dtype in more.values())
    unnamed = pl.Schema({"o": pl.Object(), "s": pl.Struct({"k": pl.Int8}), "l": pl.List(pl.List(pl.Int8))})
    assert unpack_schema(pack_schema(pl.Schema({**unnamed, "x": pl.Int8()}))) == pl.Schema({"x": pl.Int8()})


PACKED = pack_frame(FRAME)


def changed(column: str, **parts: object) -> bytes:
    """The bytes of the frame, with something else of a column."""
    held = msgspec.msgpack.decode(PACKED)
    names = ["name", "dtype", "present", "values", "lengths"]
    (one,) = (one for one in held["columns"] if one[0] == column)
    for name, value in parts.items():
        one[names.index(name)] = value
    return msgspec.msgpack.encode(held)


REFUSED = {
    "too many rows": (msgspec.msgpack.encode({"rows": 5, "columns": []}), "5 rows of 0 columns"),
    "fewer rows than none": (msgspec.msgpack.encode({"rows": -1, "columns": []}), "-1 rows"),
    "a row that is not told of": (changed("Int64", present=b""), "does not say of 4 rows"),
    "half a value": (changed("Int64", values=bytes(23)), "holds 23 bytes where 3 values are"),
    "texts that are longer": (changed("texts", values=b"x"), "its texts are longer or shorter"),
    "a text without a length": (changed("texts", lengths=bytes(4)), "lengths of other than 3 texts"),
    "text that is no UTF-8": (changed("texts", values=b"\xff" * 12), "."),
    "a decimal that is none": (changed(str(pl.Decimal(20, 2)), dtype=["Decimal", 99, -1]), "."),
    "a zone that is none": (changed(str(pl.Datetime("us")), dtype=["Datetime", "us", "Mars"]), "."),
    "a unit that is none": (changed(str(pl.Datetime("us")), dtype=["Datetime", "weeks"]), "."),
    "a type that is none": (changed("Int64", dtype=["Quaternion"]), "no type is"),
    "no type": (changed("Int64", dtype=[]), "no type is"),
    "a type that is not flat": (changed("Int64", dtype=["List", "Int64"]), "cannot be packed"),
    "two columns of one name": (changed("Int64", name="Int8"), "."),
}


@pytest.mark.parametrize(("packed", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_frame_is_refused(packed: bytes, said: str) -> None:
    """By what is wrong with which column, in one line."""
    with pytest.raises(ValueError, match=said) as refused:
        unpack_frame(packed, rows_max=4)
    assert "\n" not in str(refused.value)


@given(at=st.integers(0, len(PACKED) - 1), byte=st.integers(0, 255))
def test_a_byte_that_was_hit_is_refused_or_harmless(at: int, byte: int) -> None:
    """Whatever a disk does, the answer is a frame of as many rows or a refusal."""
    spoilt = bytearray(PACKED)
    spoilt[at] = byte
    try:
        assert unpack_frame(bytes(spoilt), rows_max=4).height <= 4
    except (ValueError, msgspec.MsgspecError):
        return
