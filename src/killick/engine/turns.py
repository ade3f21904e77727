"""Turns: what a model's rounds of profiling hand on to each other, and which of two at the same time may commit.

A round reads the turn and replaces it. Of two rounds that read the same one the second to commit is told so, changes
nothing, and begins anew: several workers and hosts may profile at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from killick.clock import DAY, Window, align
from killick.profiles.codec import pack_profile, unpack_profile
from killick.telemetry.segments import REST

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from killick.checks.reference import SegmentKey
    from killick.clock import Duration, Instant
    from killick.engine.world import World
    from killick.ports.control import ProfileKey, Transaction
    from killick.profiles.profile import Profile
    from killick.profiles.scale import Scale
    from killick.spec.document import Spec

# Windows finer than a day are for finding the hour in which something began: two days at most before it is noticed, and
# six more to know how healthy hours behave. Then they merge into days.
FINE_FOR: Duration = 8 * DAY
# Versions and roles that are counted apart: of a model with a new version every other hour, those of the days that are
# kept. Where requests' ids are taken for versions, each would have a profile of its own; from then on all are the rest.
OWNERS_MAX = 1_000
_EVER: Instant = -(2**63)


@dataclass(frozen=True, slots=True)
class Watched:
    """A model that is being watched: its spec, and the scale and the segments of its reference."""

    spec: Spec
    scale: Scale
    segments: Collection[SegmentKey]


class Turn(msgspec.Struct, frozen=True):
    """What a model's rounds hand on to each other.

    Attributes:
        owners: versions and roles, by the number under which identities know them.
        newest: the newest event time that was seen.
        aged: windows that start before it are whole days.
        number: how many turns there were.
    """

    owners: tuple[tuple[str, str], ...] = ()
    newest: int = _EVER
    aged: int = _EVER
    number: int = 0

    def grown(self, owners: Iterable[tuple[str, str]], newest: Instant | None) -> Turn:
        """Return the next turn, which has seen so late an event, and knows these owners or the rest of their role."""
        known = dict.fromkeys(self.owners)
        for version, role in owners:
            apart = (version, role) in known or len(known) < OWNERS_MAX
            known.setdefault((version if apart else REST, role))
        seen = self.newest if newest is None else max(self.newest, newest)
        # Before anything has come nothing is old; from then on, what a model's own time leaves behind.
        aged = self.aged if self.aged > _EVER or newest is None else old_before(newest)
        return Turn(tuple(known), seen, aged, self.number + 1)

    def until(self, aged: Instant) -> Turn:
        """Return the next turn, in which the windows before an instant are whole days."""
        return Turn(self.owners, self.newest, aged, self.number + 1)


def read_turn(t: Transaction, model: str) -> tuple[Turn, int]:
    """Return the turn that a model is at, and its revision."""
    document = t.get("turn", model, "turn")
    return (msgspec.json.decode(document.body, type=Turn), document.revision) if document else (Turn(), 0)


def write_turn(t: Transaction, model: str, turn: Turn, revision: int) -> None:
    """Replace the turn that was read.

    Raises:
        StaleWrite: somebody else has.
    """
    t.put("turn", model, "turn", msgspec.json.encode(turn), revision=revision)


def old_before(now: Instant) -> Instant:
    """Return the instant before which windows are whole days by now."""
    return align(now - FINE_FOR, DAY)


def width_of(spec: Spec) -> Duration:
    """How wide the stored windows are: as the spec keeps columns, and never wider than it evaluates."""
    return min(spec.keep.columns, spec.evaluate_every, DAY)


def stored_window(window: Window, aged: Instant) -> Window:
    """Return the window in which something of this window is stored."""
    return Window.around(window.start, DAY) if window.start < aged else window


def grown_profiles(
    world: World, model: str, scale: Scale, growth: Mapping[ProfileKey, Profile], aged: Instant
) -> dict[ProfileKey, bytes]:
    """Return what profiles are after they have grown, packed, by the windows in which they are stored.

    To be put with `write_turn` over a turn that was read before: whoever changes profiles replaces it, so that what is
    put is the sum of what stands there. Thousands take seconds, in which others can write.
    """
    placed: dict[ProfileKey, Profile] = {}
    for key, profile in growth.items():
        place = key._replace(window=stored_window(key.window, aged))
        placed[place] = placed[place] + profile if place in placed else profile
    held: dict[ProfileKey, bytes] = {}
    with world.control.transaction() as t:
        for window in {key.window for key in placed}:
            held |= t.profiles(model, scale.fingerprint, window)
    return {
        key: pack_profile(unpack_profile(held[key], scale) + profile if key in held else profile)
        for key, profile in placed.items()
    }
