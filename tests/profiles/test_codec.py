"""The bytes of a profile: they come back, old ones load for ever, and what is half there is refused by name."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from killick.errors import DataError
from killick.profiles.codec import pack_profile, pack_scale, unpack_profile, unpack_scale
from killick.profiles.numeric import NumericScale
from killick.profiles.outcomes_classes import ClassOutcome
from killick.profiles.profile import Profile
from killick.profiles.scale import Scale

if TYPE_CHECKING:
    from collections.abc import Callable

GOLDEN = Path(__file__).parents[1] / "golden"
SCALE = unpack_scale((GOLDEN / "scale-1.json").read_bytes())
PROFILE = unpack_profile((GOLDEN / "profile-1.bin").read_bytes(), SCALE)


def test_version_1_loads_for_ever() -> None:
    """What the first release wrote, number by number. This test is never changed; see tests/golden/write.py."""
    assert SCALE.fingerprint == "6057b74eb7f02107663558eeed243a4e1cf125c3a625674ce5cbd9dcaf432aec"
    assert [type(part).__name__ for part in SCALE.parts] == [
        *("NumericScale", "NumericScale", "CategoricalScale", "CategoricalScale"),
        *("ScoreScale", "BinaryOutcome", "KpiScale"),
    ]
    assert (SCALE["temp"].low, SCALE["temp"].high, SCALE.outcome.threshold) == (-40.0, 130.0, 0.4)
    assert PROFILE.rows == 206
    assert PROFILE.counts_of("carrier").tolist() == [100, 103, 2, 1]
    assert PROFILE.counts_of("weekend").tolist() == [145, 59, 0, 2]
    # fmt: off
    assert PROFILE.counts_of("temp").tolist() == [
        0, 0, 0, 0, 0, 0, 0, 11, 9, 12, 9, 10, 10, 9, 10, 10, 10, 11, 10, 9, 11, 10, 9, 11, 9, 10, 10, 0, 0, 0, 0, 0, 0,
        1, 1, 1, 1, 2,
    ]
    # fmt: on
    assert PROFILE.counts_of("label")[-4:].tolist() == [56, 28, 79, 40]
    assert PROFILE.sums_of("temp").sum() == pytest.approx(12736.085476934426, rel=1e-12)
    assert PROFILE.sums_of("label")[:2].tolist() == pytest.approx([229.5175403382256, 1653.5538074558417], rel=1e-12)
    assert PROFILE.counts.sum() == 1848


def test_what_is_written_now_is_what_was_written_then() -> None:
    """While the schema is the first, its bytes are; a change of format needs a new schema and a new golden file."""
    assert pack_scale(SCALE) == (GOLDEN / "scale-1.json").read_bytes()
    written = msgspec.msgpack.decode(pack_profile(PROFILE))
    golden = msgspec.msgpack.decode((GOLDEN / "profile-1.bin").read_bytes())
    for name in ("counts", "sums"):  # compressed bytes may differ between builds of zlib, what is in them may not
        assert zlib.decompress(written.pop(name)) == zlib.decompress(golden.pop(name))
    assert written == golden


def remade(change: Callable[[dict], None], profile: Profile = PROFILE) -> bytes:
    """Pack a profile, and change what is in the map."""
    held = msgspec.msgpack.decode(pack_profile(profile))
    change(held)
    return msgspec.msgpack.encode(held)


BOMB = zlib.compress(bytes(64 * 1024 * 1024), level=9)
OTHER = Scale((NumericScale("x", (0.0,), 0.0, 1.0),))

REFUSED = {
    "empty": (b"", "profile: cannot be read"),
    "no MessagePack": (b"\xc1\xc1", "profile: cannot be read"),
    "text": (b"killick", "profile: cannot be read"),
    "a list": (msgspec.msgpack.encode([1, 2]), "profile: cannot be read"),
    "a newer schema": (
        remade(lambda held: held.update(schema="killick.profile/2")),
        "schema that this version cannot read .found 'killick.profile/2'",
    ),
    "another scale": (pack_profile(Profile.empty(OTHER)), f"another scale than {SCALE.fingerprint[:12]}"),
    "no counts": (remade(lambda held: held.pop("counts")), "missing required field `counts`"),
    "no sums": (remade(lambda held: held.pop("sums")), "missing required field `sums`"),
    "no scale": (remade(lambda held: held.pop("scale")), "missing required field `scale`"),
    "no schema": (remade(lambda held: held.pop("schema")), "missing required field `schema`"),
    "counts that are no bytes": (remade(lambda held: held.update(counts=7)), r"at `\$.counts`"),
    "counts not compressed": (remade(lambda held: held.update(counts=b"abc")), "profile.counts: cannot be unpacked"),
    "counts cut short": (
        remade(lambda held: held.update(counts=held["counts"][:-5])),
        "profile.counts: is cut short",
    ),
    "too few counts": (
        remade(lambda held: held.update(counts=zlib.compress(bytes(8)))),
        "profile.counts: holds 8 bytes where the scale has",
    ),
    "too many sums": (
        remade(lambda held: held.update(sums=zlib.compress(bytes(8 * SCALE.sums_width + 8)))),
        "profile.sums: holds more than the",
    ),
    "a bomb": (remade(lambda held: held.update(counts=BOMB)), "profile.counts: holds more than the"),
    "a flipped bit": (
        remade(lambda held: held.update(counts=held["counts"][:-1] + bytes([held["counts"][-1] ^ 1]))),
        "profile.counts: cannot be unpacked",
    ),
}


@pytest.mark.parametrize(("packed", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_a_whole_profile_is_refused_by_name(packed: bytes, said: str) -> None:
    """The message says what is wrong with which part, and what to do."""
    with pytest.raises(DataError, match=said) as refusal:
        unpack_profile(packed, SCALE)
    assert "make it again with `killick profile`" in str(refusal.value)


def test_a_bomb_is_refused_before_it_unpacks() -> None:
    """64 MB of zeros in 64 kB: hardly more than the scale's own width is ever held."""
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(DataError):
        unpack_profile(REFUSED["a bomb"][0], SCALE)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1024 * 1024


@given(st.integers(0, len(pack_profile(PROFILE)) - 1))
def test_every_truncation_is_refused(length: int) -> None:
    """However far a copy got, it is not taken for a profile."""
    with pytest.raises(DataError):
        unpack_profile(pack_profile(PROFILE)[:length], SCALE)


@given(st.binary(max_size=200))
def test_noise_is_refused_and_never_crashes(noise: bytes) -> None:
    """Whatever arrives, the answer is a DataError."""
    with pytest.raises(DataError):
        unpack_profile(noise, SCALE)
    with pytest.raises(DataError):
        unpack_scale(noise)


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (b"{}", "missing required field `schema`"),
        (b'{"schema": "killick.scale/2", "parts": []}', "schema that this version cannot read"),
        (b'{"schema": "killick.scale/1"}', "missing required field `parts`"),
        (b'{"schema": "killick.scale/1", "parts": [{"kind": "spline"}]}', "spline"),
        (b'{"schema": "killick.scale/1", "parts": [{"kind": "numeric", "column": "x"}]}', "`edges`"),
        # A confusion of a million by a million cells, in a few megabytes.
        (pack_scale(Scale((), ClassOutcome("y", tuple(map(str, range(51)))))), "more classes than 50"),
    ],
)
def test_what_is_not_a_whole_scale_is_refused_by_name(packed: bytes, said: str) -> None:
    """A part of an unknown kind is of a newer version, and said to be so."""
    with pytest.raises(DataError, match=said):
        unpack_scale(packed)


def test_an_unpacked_profile_can_be_added_to() -> None:
    """Its vectors are our own, not a view of read-only bytes."""
    doubled = PROFILE + PROFILE
    assert np.array_equal(doubled.counts, 2 * PROFILE.counts)
    copied = unpack_profile(pack_profile(PROFILE), SCALE)
    copied.counts[0] += 1
    assert copied != PROFILE
