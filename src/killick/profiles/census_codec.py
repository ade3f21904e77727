"""The bytes of a census: versioned, and refused by name when they are half there.

A packed census is a MessagePack map: the schema's name, the questions, and each array, little-endian and
zlib-compressed; the sample is a frame of our own form, compressed as well. The questions say how long each array can
be, so a bomb is refused after its first byte too many.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from killick.errors import DataError, Mistake
from killick.profiles.buckets import Buckets
from killick.profiles.census import IDS_KEPT, ROWS_KEPT, SAMPLE_ROWS, VALUES_KEPT, Census, Questions
from killick.profiles.faults import Faults
from killick.profiles.frame_codec import pack_frame, unpack_frame
from killick.profiles.gram import Gram
from killick.profiles.sketch import Sketch

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import DTypeLike

CENSUS_SCHEMA = "killick.census/1"

_NUMBER_BYTES = 8
_BUCKETS_MAX = 1 << 16
# Of all columns together, a gigabyte: a thousand columns may use every bucket there is, and more of them not all.
_BUCKETS_TOTAL = 1 << 26
# Sixteen kB a row: beyond it the rows hold documents, and a sample of them is no summary.
_SAMPLE_BYTES_MAX = SAMPLE_ROWS * 16_384


class _Counted(msgspec.Struct, frozen=True):
    """A sketch, or buckets: keys and how often each came."""

    keys: bytes
    counts: bytes
    theta: int = 0
    rows: int = 0


class _PackedCensus(msgspec.Struct, frozen=True):
    schema: str
    asked: Questions
    hashed_by: int
    rows: int
    repeats: _Counted
    identities: _Counted
    values: tuple[_Counted, ...]
    sizes: tuple[_Counted, ...]
    moments: tuple[bytes, bytes, bytes, bytes, bytes]
    residuals: tuple[bytes, ...]
    faults: tuple[int, ...]
    sample: bytes
    sample_theta: int


def pack_census(census: Census) -> bytes:
    """Return a census's bytes."""
    moments = census.moments
    return msgspec.msgpack.encode(
        _PackedCensus(
            schema=CENSUS_SCHEMA,
            asked=census.asked,
            hashed_by=census.hashed_by,
            rows=census.rows,
            repeats=_pack_sketch(census.repeats),
            identities=_pack_sketch(census.identities),
            values=tuple(_pack_sketch(census.values[name]) for name in census.asked.values),
            sizes=tuple(
                _Counted(_bytes(held.ids, "<i8"), _bytes(held.counts, "<i8"))
                for held in (census.sizes[scale.column] for scale in census.asked.numeric)
            ),
            moments=(
                _bytes(moments.pairs, "<i8"),
                _bytes(moments.firsts, "<f8"),
                _bytes(moments.squares, "<f8"),
                _bytes(moments.products, "<f8"),
                _bytes(moments.fourths, "<f8"),
            ),
            residuals=tuple(_bytes(census.residuals[scale.column], "<f8") for scale in census.asked.binned),
            faults=tuple(census.faults),
            sample=zlib.compress(pack_frame(census.sample), level=1),
            sample_theta=census.sample_theta,
        )
    )


def unpack_census(packed: bytes) -> Census:
    """Read a census's bytes.

    Raises:
        DataError: they are not a census, of a newer schema, or half there.
    """
    try:
        schema = msgspec.msgpack.decode(packed, type=_Named).schema
        held = msgspec.msgpack.decode(packed, type=_PackedCensus) if schema == CENSUS_SCHEMA else None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _refused("census", f"cannot be read: {error}") from None
    if held is None:
        raise _refused("census", "is of a schema that this version cannot read", schema)
    asked = held.asked
    for what, found, wanted in (
        ("values", held.values, asked.values),
        ("sizes", held.sizes, asked.numeric),
        ("residuals", held.residuals, asked.binned),
        ("faults", held.faults, Faults()),
    ):
        if len(found) != len(wanted):
            raise _refused(f"census.{what}", f"holds {len(found)} entries where {len(wanted)} were asked for")
    repeats = _sketch(held.repeats, ROWS_KEPT, "repeats")
    side = len(asked.correlated)
    most = min(_BUCKETS_MAX, _BUCKETS_TOTAL // max(len(asked.numeric), 1))
    return Census(
        asked=asked,
        hashed_by=held.hashed_by,
        rows=held.rows,
        repeats=repeats,
        identities=_sketch(held.identities, IDS_KEPT, "identities"),
        values={n: _sketch(one, VALUES_KEPT, n) for n, one in zip(asked.values, held.values, strict=True)},
        sizes={s.column: _buckets(one, most, s.column) for s, one in zip(asked.numeric, held.sizes, strict=True)},
        moments=Gram(
            *(
                _array(one, kind, side * side, "moments", exactly=True).reshape(side, side)
                for one, kind in zip(held.moments, ("<i8", "<f8", "<f8", "<f8", "<f8"), strict=True)
            )
        ),
        residuals={
            scale.column: _array(one, "<f8", 3 * scale.counts_width, scale.column, exactly=True).reshape(3, -1)
            for scale, one in zip(asked.binned, held.residuals, strict=True)
        },
        faults=Faults(*held.faults),
        sample=_sample(held, repeats),
        sample_theta=held.sample_theta,
    )


class _Named(msgspec.Struct, frozen=True):
    schema: str


def _pack_sketch(sketch: Sketch) -> _Counted:
    return _Counted(_bytes(sketch.hashes, "<u8"), _bytes(sketch.counts, "<i8"), sketch.theta, sketch.rows)


def _bytes(numbers: np.ndarray[Any, Any], dtype: DTypeLike) -> bytes:
    return zlib.compress(numbers.astype(dtype).tobytes(), level=1)


def _sketch(held: _Counted, capacity: int, what: str) -> Sketch:
    hashes, counts = _keyed(held, "<u8", capacity, what)
    if not 0 < held.theta < 1 << 64 or (len(hashes) and int(hashes[-1]) >= held.theta):
        raise _refused(f"census.{what}", "holds hashes above its threshold")
    return Sketch(capacity, held.theta, hashes, counts, held.rows)


def _buckets(held: _Counted, most: int, what: str) -> Buckets:
    return Buckets(*_keyed(held, "<i8", most, what))


def _keyed(held: _Counted, dtype: DTypeLike, most: int, what: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    keys, counts = _array(held.keys, dtype, most, what), _array(held.counts, "<i8", most, what)
    if len(keys) != len(counts) or not (keys[1:] > keys[:-1]).all():
        raise _refused(f"census.{what}", "has keys that do not match its counts")
    return keys, counts


def _array(packed: bytes, dtype: DTypeLike, most: int, what: str, *, exactly: bool = False) -> np.ndarray[Any, Any]:
    raw = _unzipped(packed, most * _NUMBER_BYTES, what)
    if len(raw) % _NUMBER_BYTES or (exactly and len(raw) != most * _NUMBER_BYTES):
        raise _refused(f"census.{what}", f"holds {len(raw)} bytes where {most} numbers are")
    return np.frombuffer(raw, dtype=dtype).astype(np.dtype(dtype).newbyteorder("="))


def _unzipped(packed: bytes, most: int, what: str) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(packed, most + 1)
    except zlib.error as error:
        raise _refused(f"census.{what}", f"cannot be unpacked: {error}") from None
    if len(raw) > most:
        raise _refused(f"census.{what}", f"holds more than the {most} bytes that there can be")
    if not unpacker.eof:
        raise _refused(f"census.{what}", "is cut short")
    return raw


def _sample(held: _PackedCensus, repeats: Sketch) -> pl.DataFrame:
    raw = _unzipped(held.sample, _SAMPLE_BYTES_MAX, "sample")
    try:
        rows = unpack_frame(raw, rows_max=SAMPLE_ROWS)
    except (msgspec.MsgspecError, ValueError) as error:
        raise _refused("census.sample", f"cannot be read: {error}") from None
    below = int(np.searchsorted(repeats.hashes, np.uint64(min(max(held.sample_theta, 0), (1 << 64) - 1))))
    if rows.height != below or (rows.width and tuple(rows.columns) != held.asked.row):
        raise _refused("census.sample", f"holds {rows.height} rows that are not the {below} that were asked for")
    return rows


def _refused(place: str, problem: str, value: object = None) -> DataError:
    return DataError(Mistake(place, problem, value=value, hint="make it again with `killick profile`"))
