"""Summaries: profiles that were made where the rows must stay, added to those that are made here.

They are sent as one body, `{schema, profiles: [{version, role, segment, start, end, profile}]}` in MessagePack, each a
packed profile on the model's scale. Adding them is one transaction with the note of the delivery, so a body that is
sent again adds nothing. Whether two bodies count the same prediction nobody can see: their maker answers for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from killick.checks.reference import unpack_reference
from killick.clock import DAY, Window
from killick.engine.receive import Receipt
from killick.engine.turns import grown_profiles, read_turn, write_turn
from killick.errors import CallError, DataError, Mistake
from killick.ports.control import ProfileKey
from killick.profiles.codec import pack_profile, unpack_profile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.clock import Instant
    from killick.engine.world import World
    from killick.profiles.profile import Profile

SCHEMA = "killick.profiles/1"
# As many as a day of hours has of fifty segments: whoever has more sends more often.
PROFILES_MAX = 2_000
_PROFILES = "profiles"


class _Keyed(msgspec.Struct, frozen=True):
    version: str
    role: str
    segment: tuple[tuple[str, str], ...]
    start: int
    end: int
    profile: bytes


class _Summaries(msgspec.Struct, frozen=True):
    schema: str
    profiles: tuple[_Keyed, ...]


def pack_summaries(profiles: Mapping[ProfileKey, Profile]) -> bytes:
    """Return profiles as one body, to be sent with `Client.log_profile`."""
    keyed = [
        _Keyed(key.version, key.role, key.segment, key.window.start, key.window.end, pack_profile(profile))
        for key, profile in profiles.items()
    ]
    return msgspec.msgpack.encode(_Summaries(SCHEMA, tuple(keyed)))


def take_summaries(world: World, model: str, producer: str, sequence: int, body: bytes, now: Instant) -> Receipt:
    """Add profiles to the model's, once.

    Raises:
        DataError: the body cannot be read, or its profiles are on another scale.
        CallError: the model has no scale yet.
        OutsideError: the store failed; nothing was added.
    """
    held = _decoded(body)
    with world.control.transaction() as t:
        reference = t.get("reference", model, "training")
    if reference is None:
        hint = "name its reference in the spec, or send a thousand predictions first"
        raise CallError(Mistake(model, "has no scale yet, so no profile can be added to its own", hint=hint))
    scale = unpack_reference(reference.body).scale
    grown = {_key(one, at): unpack_profile(one.profile, scale) for at, one in enumerate(held.profiles)}
    receipt = Receipt(sum(profile.rows for key, profile in grown.items() if not key.segment))
    with world.control.transaction() as t:
        known = t.deliver(model, _PROFILES, producer, sequence, msgspec.json.encode(receipt), now)
        if known is not None:
            given = msgspec.json.decode(known or msgspec.json.encode(Receipt(0)), type=Receipt)
            return msgspec.structs.replace(given, duplicate=True)
        turn, revision = read_turn(t, model)
        newest = max((key.window.end for key in grown), default=None)
        turn = turn.grown((), None if newest is None else min(newest, now))
        write_turn(t, model, turn, revision)
        t.add_profiles(model, scale.fingerprint, grown_profiles(t, model, scale, grown, turn.aged))
        t.tally(model, {"profiles.rows": receipt.accepted})
    return receipt


def _decoded(body: bytes) -> _Summaries:
    try:
        held = msgspec.msgpack.decode(body, type=_Summaries)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataError(
            Mistake("body", f"holds no profiles: {error}", hint="send what `pack_summaries` gave")
        ) from None
    if held.schema != SCHEMA:
        raise DataError(Mistake("schema", "is one that this version cannot read", held.schema))
    if len(held.profiles) > PROFILES_MAX:
        problem = f"has {len(held.profiles)} profiles, more than {PROFILES_MAX}"
        raise DataError(Mistake("profiles", problem, hint="send them in several bodies"))
    return held


def _key(one: _Keyed, at: int) -> ProfileKey:
    window = Window(one.start, one.end)
    # Windows of another cut would never be found with those that they overlap.
    if not 0 < window.width <= DAY or DAY % window.width or window.start % window.width:
        problem = "is no window that divides a day, aligned to the epoch"
        raise DataError(Mistake(f"profiles[{at}]", problem, value=str(window)))
    return ProfileKey(one.version, one.role, one.segment, window)
