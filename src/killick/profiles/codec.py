"""The bytes of a profile and of a scale: a promise, versioned.

A packed profile is a MessagePack map `{schema, scale, counts, sums}`: the schema's name, the scale's fingerprint, and
the two vectors, little-endian and zlib-compressed (mostly zeros). The scale travels apart, once a model, as JSON. What
is half there is refused by naming what is missing. Files written by every past release stay in `tests/golden/` and
must load.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from killick.errors import DataError, Mistake
from killick.profiles.delays import DelayScale
from killick.profiles.facets import Facets  # noqa: TC001 - msgspec reads the annotation
from killick.profiles.kpis import KpiScale
from killick.profiles.outcomes import OutcomeScale
from killick.profiles.outcomes_classes import CLASSES_MAX, ClassOutcome
from killick.profiles.profile import Profile
from killick.profiles.scale import AnyScale, ColumnScale, Scale
from killick.profiles.service import ServiceScale

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

PROFILE_SCHEMA = "killick.profile/1"
SCALE_SCHEMA = "killick.scale/1"

# Both vectors hold eight bytes a number.
_NUMBER_BYTES = 8


class _PackedProfile(msgspec.Struct, frozen=True):
    schema: str
    scale: str
    counts: bytes
    sums: bytes


class _PackedScale(msgspec.Struct, frozen=True):
    schema: str
    parts: tuple[AnyScale, ...]
    facets: tuple[Facets, ...] = ()


def pack_profile(profile: Profile) -> bytes:
    """Return a profile's bytes. Its scale is named in them, not held."""
    packed = _PackedProfile(
        PROFILE_SCHEMA,
        profile.scale.fingerprint,
        zlib.compress(profile.counts.astype("<i8").tobytes(), level=1),
        zlib.compress(profile.sums.astype("<f8").tobytes(), level=1),
    )
    return msgspec.msgpack.encode(packed)


def unpack_profile(packed: bytes, scale: Scale) -> Profile:
    """Read a profile's bytes.

    Raises:
        DataError: they are not a profile, of a newer schema, on another scale, or half there.
    """
    held = _decode(packed, _PackedProfile, "profile")
    if held.schema != PROFILE_SCHEMA:
        raise _refused("profile", "is of a schema that this version cannot read", held.schema)
    if held.scale != scale.fingerprint:
        raise _refused("profile", f"is on another scale than {scale.fingerprint[:12]}", held.scale[:12])
    counts = _vector(held.counts, "<i8", scale.counts_width, "counts").astype(np.int64)
    sums = _vector(held.sums, "<f8", scale.sums_width, "sums").astype(np.float64)
    return Profile(scale, counts, sums)


def pack_scale(scale: Scale) -> bytes:
    """Return a scale as JSON."""
    return msgspec.json.encode(_PackedScale(SCALE_SCHEMA, scale.parts, scale.facets))


def unpack_scale(packed: bytes) -> Scale:
    """Read a scale's JSON.

    Raises:
        DataError: it is not a scale, or of a newer schema.
    """
    try:
        held = msgspec.json.decode(packed, type=_PackedScale)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _refused("scale", f"cannot be read: {error}", None) from None
    if held.schema != SCALE_SCHEMA:
        raise _refused("scale", "is of a schema that this version cannot read", held.schema)
    outcomes = [part for part in held.parts if isinstance(part, OutcomeScale)]
    if any(isinstance(part, ClassOutcome) and len(part.classes) > CLASSES_MAX for part in outcomes):
        # The confusion grows with their square, so that a short scale could ask for any memory.
        raise _refused("scale", f"has more classes than {CLASSES_MAX}", None)
    columns = tuple(part for part in held.parts if isinstance(part, ColumnScale))
    kpis = tuple(part for part in held.parts if isinstance(part, KpiScale))
    service = next((part for part in held.parts if isinstance(part, ServiceScale)), None)
    delay = next((part for part in held.parts if isinstance(part, DelayScale)), None)
    return Scale(columns, outcomes[0] if outcomes else None, held.facets, kpis, service, delay)


def _vector(packed: bytes, dtype: DTypeLike, width: int, what: str) -> np.ndarray[tuple[int], Any]:
    unpacker = zlib.decompressobj()
    try:
        # The scale says how long it is, so a bomb is refused after its first byte too many.
        raw = unpacker.decompress(packed, width * _NUMBER_BYTES + 1)
    except zlib.error as error:
        raise _refused(f"profile.{what}", f"cannot be unpacked: {error}", None) from None
    if len(raw) > width * _NUMBER_BYTES:
        raise _refused(f"profile.{what}", f"holds more than the {width} numbers of the scale", None)
    if not unpacker.eof:
        raise _refused(f"profile.{what}", "is cut short", None)
    if len(raw) < width * _NUMBER_BYTES:
        raise _refused(f"profile.{what}", f"holds {len(raw)} bytes where the scale has {width} numbers", None)
    return np.frombuffer(raw, dtype=dtype)


def _decode(packed: bytes, kind: type[_PackedProfile], place: str) -> _PackedProfile:
    try:
        return msgspec.msgpack.decode(packed, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _refused(place, f"cannot be read: {error}", None) from None


def _refused(place: str, problem: str, value: object) -> DataError:
    return DataError(Mistake(place, problem, value=value, hint="make it again with `killick profile`"))
