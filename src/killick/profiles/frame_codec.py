"""The bytes of a few rows of flat columns, and of the types of a table: in a form of our own, read with care.

Arrow's own file form may hold compressed buffers, which a reader unpacks before it knows how large they are: a file of
300 kB that takes gigabytes. Here a column is its type in words, which rows are missing, and its values: little-endian
numbers, or text and how long each is. Every length is checked against the rows before anything is made of it, so what
is read takes no more than a few times its bytes. Cost: 5 ms for 4,096 rows of 20 columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Sequence

# A type by its name, and what else it takes: `["Float64"]`, `["Datetime", "us", "UTC"]`.
Described: TypeAlias = list[str | int | None]

# No table that a person looks at has more columns; what has is a forgery, or a matrix.
COLUMNS_MAX = 65_536
_PLAIN = {
    str(dtype): dtype
    for dtype in (
        *(pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.Int128, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64),
        *(pl.Float32, pl.Float64, pl.Boolean, pl.String, pl.Binary, pl.Date, pl.Time, pl.Null, pl.Categorical),
    )
}


class _Column(msgspec.Struct, frozen=True, array_like=True):
    """A column: `present` is a bit for each row, `values` those that are there, `lengths` how long each text is."""

    name: str
    dtype: Described
    present: bytes
    values: bytes
    lengths: bytes = b""


class _Frame(msgspec.Struct, frozen=True):
    rows: int
    columns: list[_Column]


def is_flat(dtype: pl.DataType) -> bool:
    """Whether a column of this type can be packed: it holds one number, time or text a row."""
    return _described(dtype) is not None and not (dtype.is_nested() or isinstance(dtype, (pl.Categorical, pl.Enum)))


def pack_schema(schema: pl.Schema) -> bytes:
    """Return the bytes of a table's types. What is not watched is left out: Python objects, records, lists of lists.

    >>> unpack_schema(pack_schema(pl.Schema({"temp": pl.Float64, "at": pl.Datetime("us", "UTC")})))
    Schema([('temp', Float64), ('at', Datetime(time_unit='us', time_zone='UTC'))])
    """
    described = [(name, _described(dtype)) for name, dtype in schema.items()]
    return msgspec.msgpack.encode([one for one in described if one[1] is not None])


def unpack_schema(packed: bytes) -> pl.Schema:
    """Read a table's types.

    Raises:
        ValueError: they are none, or too many.
    """
    held = msgspec.msgpack.decode(packed, type=list[tuple[str, Described]])
    if len(held) > COLUMNS_MAX:
        raise ValueError(f"{len(held)} columns, and {COLUMNS_MAX} can be")
    return pl.Schema({name: _dtype(described) for name, described in held})


def pack_frame(frame: pl.DataFrame) -> bytes:
    """Return a frame's bytes. Its columns have to be flat.

    >>> unpack_frame(pack_frame(pl.DataFrame({"temp": [39.0, None]})), rows_max=2).rows()
    [(39.0,), (None,)]
    """
    return msgspec.msgpack.encode(_Frame(frame.height, [_packed(series) for series in frame]))


def unpack_frame(packed: bytes, *, rows_max: int) -> pl.DataFrame:
    """Read a frame's bytes.

    Raises:
        ValueError: they are no frame, or hold more rows.
    """
    held = msgspec.msgpack.decode(packed, type=_Frame)
    if not 0 <= held.rows <= rows_max or len(held.columns) > COLUMNS_MAX:
        raise ValueError(f"{held.rows} rows of {len(held.columns)} columns, and {rows_max} of {COLUMNS_MAX} can be")
    try:
        return pl.DataFrame([_unpacked(column, held.rows) for column in held.columns])
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(str(error).partition("\n")[0]) from None


def _described(dtype: pl.DataType) -> Described | None:
    """A type in words and numbers; None for one that has no name here."""
    described: Described | None = [str(dtype)] if str(dtype) in _PLAIN else None
    match dtype:
        case pl.Datetime():
            described = ["Datetime", dtype.time_unit, dtype.time_zone]
        case pl.Duration():
            described = ["Duration", dtype.time_unit]
        case pl.Decimal():
            described = ["Decimal", dtype.precision, dtype.scale]
        case pl.Enum():
            described = ["Enum", *dtype.categories]
        case pl.List() if str(dtype.inner) in _PLAIN:
            described = ["List", str(dtype.inner)]
        case pl.Array() if str(dtype.inner) in _PLAIN:
            described = ["Array", str(dtype.inner), dtype.size]
    return described


def _dtype(described: Described) -> pl.DataType:
    """The type that words and numbers describe."""
    made: pl.DataType | None = None
    try:
        match described:
            case [str(name)] if name in _PLAIN:
                made = _PLAIN[name]()
            case ["List", str(inner)] if inner in _PLAIN:
                made = pl.List(_PLAIN[inner])
            case ["Array", str(inner), int(size)] if inner in _PLAIN and 0 <= size <= COLUMNS_MAX:
                made = pl.Array(_PLAIN[inner], size)
            case ["Enum", *categories]:
                made = pl.Enum([str(one) for one in categories])
            case ["Datetime", _, str(zone)]:
                made = pl.Datetime(described[1], zone)  # type: ignore[arg-type]  # what is no unit is refused
                pl.Series([], dtype=pl.Datetime("us")).dt.convert_time_zone(zone)
            case ["Datetime" | "Duration" | "Decimal" as name, *how]:
                made = getattr(pl, str(name))(*how)
        # Some of what cannot be is found out only when there is a column of it.
        pl.Series([], dtype=made)
    except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(str(error).partition("\n")[0]) from None
    if made is None:
        raise ValueError(f"no type is {str(described)[:80]}")
    return made


def _is_text(dtype: pl.DataType) -> bool:
    """Whether values are packed as text: numbers of 128 bits, which NumPy has not, are written out."""
    return isinstance(dtype, (pl.String, pl.Binary, pl.Decimal, pl.Int128))


def _packed(series: pl.Series) -> _Column:
    described = _described(series.dtype)
    if described is None or not is_flat(series.dtype):
        raise ValueError(f"a column of {series.dtype} cannot be packed")
    held = series.drop_nulls()
    present = np.packbits(series.is_not_null().to_numpy()).tobytes()
    if isinstance(series.dtype, pl.Null):
        return _Column(series.name, described, present, b"")
    if not _is_text(series.dtype):
        return _Column(series.name, described, present, _numbers(held).tobytes())
    texts: Sequence[bytes] = (held if held.dtype == pl.Binary else held.cast(pl.String).cast(pl.Binary)).to_list()
    lengths = np.fromiter(map(len, texts), "<u4", len(texts)).tobytes()
    return _Column(series.name, described, present, b"".join(texts), lengths)


def _numbers(held: pl.Series) -> np.ndarray[Any, Any]:
    physical = held.cast(pl.UInt8) if held.dtype == pl.Boolean else held.to_physical()
    numbers = physical.to_numpy()
    return numbers.astype(numbers.dtype.newbyteorder("<"))


def _unpacked(column: _Column, rows: int) -> pl.Series:
    dtype = _dtype(column.dtype)
    if not is_flat(dtype):
        raise ValueError(f"{column.name}: a column of {dtype} cannot be packed")
    if len(column.present) != -(-rows // 8):
        raise ValueError(f"{column.name}: does not say of {rows} rows which are there")
    present = np.unpackbits(np.frombuffer(column.present, np.uint8), count=rows).astype(bool)
    count = int(present.sum())
    if isinstance(dtype, pl.Null):
        return pl.Series(column.name, [None], dtype=pl.Null).new_from_index(0, rows)
    held = _texts(column, dtype, count) if _is_text(dtype) else _values(column, dtype, count)
    # A missing row takes the place behind the last value, where there is none.
    places = np.where(present, np.cumsum(present) - 1, count)
    return held.extend(pl.Series([None], dtype=dtype))[places].alias(column.name)


def _values(column: _Column, dtype: pl.DataType, count: int) -> pl.Series:
    like = _numbers(pl.Series([], dtype=dtype)).dtype
    if len(column.values) != count * like.itemsize:
        raise ValueError(f"{column.name}: holds {len(column.values)} bytes where {count} values are")
    numbers = np.frombuffer(column.values, like).astype(like.newbyteorder("="))
    return pl.Series(numbers).cast(dtype)


def _texts(column: _Column, dtype: pl.DataType, count: int) -> pl.Series:
    if len(column.lengths) != 4 * count:
        raise ValueError(f"{column.name}: holds the lengths of other than {count} texts")
    ends = np.cumsum(np.frombuffer(column.lengths, "<u4"), dtype=np.int64).tolist()
    if (ends[-1] if ends else 0) != len(column.values):
        raise ValueError(f"{column.name}: holds {len(column.values)} bytes, and its texts are longer or shorter")
    texts = [column.values[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    series = pl.Series(texts, dtype=pl.Binary)
    return series if dtype == pl.Binary else series.cast(pl.String).cast(dtype)
