"""Summaries: profiles that were made where the rows must stay, added to those that are made here.

They are sent as one body, `{schema, profiles: [{version, role, segment, start, end, profile}]}` in MessagePack, each a
packed profile on the model's scale. Adding them is one transaction with the note of the delivery, so a body that is
sent again adds nothing. Whether two bodies count the same prediction nobody can see: their maker answers for that.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from killick.checks.reference import unpack_reference
from killick.clock import DAY, Window, format_duration
from killick.engine.receive import Receipt, answered, pack_receipt
from killick.engine.turns import grown_profiles, read_turn, width_of, write_turn
from killick.errors import CallError, DataError, Mistake, OutsideError, StaleWrite
from killick.ports.control import ProfileKey
from killick.profiles.codec import pack_profile, unpack_profile
from killick.spec.load import parse_spec
from killick.telemetry.segments import REST
from killick.wire.decode import ROLES
from killick.wire.values import KEY_MAX

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from killick.checks.reference import SegmentKey
    from killick.clock import Duration, Instant
    from killick.engine.turns import Turn
    from killick.engine.world import World
    from killick.profiles.profile import Profile
    from killick.profiles.scale import Scale
    from killick.spec.document import Spec

SCHEMA = "killick.profiles/1"
# As many as a day of hours has of fifty segments: whoever has more sends more often.
PROFILES_MAX = 2_000
_PROFILES = "profiles"
# A window of no model has a million million rows, and their squares do not reach this: no sum of either overflows.
_COUNT_MAX, _SUM_MAX = 10**12, 1e295
# Others count at the same time, and each of them may be first.
_ATTEMPTS = 10


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


def take_summaries(
    world: World, model: str, spec: Spec | None, producer: str, sequence: int, body: bytes, now: Instant
) -> Receipt:
    """Add profiles to the model's, once.

    Args:
        world: where they are kept.
        model: whose they are.
        spec: what the operator says of it; None: what was found when it was adopted.
        producer: who has made them.
        sequence: their number in the order in which he sent.
        body: what `pack_summaries` gave.
        now: when it came.

    Raises:
        DataError: the body cannot be read, or holds what no profile of the model's own could be.
        CallError: the model has no scale yet.
        OutsideError: the store failed, or changed again and again; nothing was added.
    """
    held = _decoded(body)
    measured = _measured(world, model, spec)
    grown = {_key(one, at, measured, now): _profile(one, at, measured.scale) for at, one in enumerate(held.profiles)}
    receipt = Receipt(sum(profile.rows for key, profile in grown.items() if not key.segment))
    newest = max((key.window.end for key in grown), default=None)
    for _ in range(_ATTEMPTS):
        with world.control.transaction() as t:
            if known := answered(t, (model, _PROFILES, producer, sequence)):
                return msgspec.structs.replace(known, duplicate=True)
            turn, revision = read_turn(t, model)
        turn = turn.grown([key[:2] for key in grown], None if newest is None else min(newest, now))
        profiles = grown_profiles(world, model, measured.scale, _owned(grown, turn), turn.aged)
        with suppress(StaleWrite), world.control.transaction() as t:
            write_turn(t, model, turn, revision)
            t.deliver(model, _PROFILES, producer, sequence, pack_receipt(receipt), now)
            t.add_profiles(model, measured.scale.fingerprint, profiles)
            t.tally(model, {"profiles.rows": receipt.accepted})
            return receipt
    raise OutsideError(f"the profiles of {model} change faster than others can be added to them; send them again")


@dataclass(frozen=True, slots=True)
class _Measured:
    """How a model is measured: its scale, its segments with the rest of each grouping, and the width of its windows."""

    scale: Scale
    segments: Collection[SegmentKey]
    width: Duration


def _measured(world: World, model: str, spec: Spec | None) -> _Measured:
    with world.control.transaction() as t:
        document, adopted = t.get("reference", model, "training"), t.get("spec", model, "adopted")
    spec = spec or (parse_spec(adopted.body.decode(), source=f"{model} (adopted)") if adopted else None)
    if spec is None or document is None:
        hint = "name its reference in the spec, or send a thousand predictions first"
        raise CallError(Mistake(model, "has no scale yet, so no profile can be added to its own", hint=hint))
    reference = unpack_reference(document.body)
    rests = {tuple((name, REST) for name, _ in segment) for segment in reference.segments}
    return _Measured(reference.scale, rests.union(reference.segments), width_of(spec))


def _owned(grown: Mapping[ProfileKey, Profile], turn: Turn) -> dict[ProfileKey, Profile]:
    """Return profiles under the versions by which they are counted."""
    known = set(turn.owners)
    owned: dict[ProfileKey, Profile] = {}
    for key, profile in grown.items():
        own = key if key[:2] in known else key._replace(version=REST)
        owned[own] = owned[own] + profile if own in owned else profile
    return owned


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


def _key(one: _Keyed, at: int, measured: _Measured, now: Instant) -> ProfileKey:
    window = Window(one.start, one.end)
    long, width = f"longer than {KEY_MAX} characters", format_duration(measured.width)
    # Windows of another cut would never be found with those that they overlap.
    is_cut = window.width in {measured.width, DAY} and not window.start % window.width
    for is_right, problem, value in (
        (0 < len(one.version) <= KEY_MAX, f"has a version that is empty, or {long}", one.version),
        (one.role in ROLES, f"has a role that is not {' or '.join(ROLES)}", one.role),
        (one.segment in measured.segments, "is of a segment that the model's reference does not have", one.segment),
        (is_cut, f"is of no window of {width} or a day, aligned to the epoch", window),
        (window.start >= 0 and window.end <= now + DAY, "is of a window before 1970, or a day ahead", window),
    ):
        if not is_right:
            raise DataError(Mistake(f"profiles[{at}]", problem, value=str(value)))
    return ProfileKey(one.version, one.role, one.segment, window)


def _profile(one: _Keyed, at: int, scale: Scale) -> Profile:
    profile = unpack_profile(one.profile, scale)
    # What is below nothing would take from what others have sent; what is beyond all bounds, from the sum itself.
    if ((profile.counts < 0) | (profile.counts > _COUNT_MAX)).any() or not (np.abs(profile.sums) <= _SUM_MAX).all():
        raise DataError(Mistake(f"profiles[{at}]", "has counts below 0, or numbers that no rows add up to"))
    return profile
