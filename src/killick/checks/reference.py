"""The reference: what live data is compared with, and how much healthy windows differ from one another.

A reference holds the profile of the training rows by segment and, when these have event times, the profile of every
window of theirs: the healthy history against which each later window is judged. Both are additive and on one scale.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from killick.clock import DAY, Window
from killick.errors import DataError, Mistake
from killick.profiles.codec import pack_profile, pack_scale, unpack_profile, unpack_scale
from killick.profiles.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from killick.clock import Duration, Instant
    from killick.profiles.scale import Scale

SegmentKey: TypeAlias = tuple[tuple[str, str], ...]
BySegment: TypeAlias = "Mapping[SegmentKey, Profile]"
EVERYTHING: SegmentKey = ()

# Four whole weeks hold every weekday equally often, and are recent enough to know the season.
TRAILING: Duration = 28 * DAY
# With less than half of them the sum is too thin, and lopsided in weekdays.
TRAILING_MIN: Duration = 14 * DAY
# A fault of two months still leaves four weeks before it to compare with.
LOOK_BACK: Duration = 91 * DAY


@dataclass(frozen=True, slots=True)
class HealthyWindow:
    """The profiles of one healthy window, by segment."""

    window: Window
    profiles: BySegment


@dataclass(frozen=True, slots=True)
class Reference:
    """A scale, the training rows' profile by segment, and their windows, oldest first (none without event times)."""

    scale: Scale
    profiles: BySegment
    windows: tuple[HealthyWindow, ...] = ()

    @property
    def span(self) -> Window | None:
        """The event time that the reference covers, to whole windows."""
        return Window(self.windows[0].window.start, self.windows[-1].window.end) if self.windows else None

    @property
    def segments(self) -> tuple[SegmentKey, ...]:
        """Every segment that the reference knows; the whole comes first."""
        return tuple(self.profiles)


def trailing(
    reference: Reference, windows: Sequence[HealthyWindow], end: Instant, segment: SegmentKey
) -> Profile | None:
    """Return the sum of a segment's last four weeks of healthy windows before `end`.

    Windows that an incident spoiled are not among them, so the weeks may lie further back, though never more than
    `LOOK_BACK`: an older season is no reference. None where there are not enough.
    """
    chosen: list[Profile] = []
    width = 0
    for healthy in reversed(windows):
        if healthy.window.end <= end and healthy.window.start >= end - LOOK_BACK and segment in healthy.profiles:
            chosen.append(healthy.profiles[segment])
            width += healthy.window.width
            if width >= TRAILING:
                break
    return Profile.merge(reference.scale, chosen) if width >= TRAILING_MIN else None


def others(
    profiles: BySegment, scale: Scale, segment: SegmentKey, unfit: frozenset[SegmentKey] = frozenset()
) -> Profile:
    """Return the sum of the segments beside this one: the same grouping, other values, and none that is unfit."""
    names = [name for name, _ in segment]
    beside = (
        profile
        for other, profile in profiles.items()
        if other != segment and [name for name, _ in other] == names and other not in unfit
    )
    return Profile.merge(scale, beside)


def merge_windows(windows: Iterable[HealthyWindow], scale: Scale, each: int) -> list[HealthyWindow]:
    """Return wider windows: each `each` consecutive ones summed, a shorter rest left out."""
    fine = list(windows)
    coarse = []
    for at in range(0, len(fine) - each + 1, each):
        part = fine[at : at + each]
        segments = dict.fromkeys(segment for held in part for segment in held.profiles)
        profiles = {
            segment: Profile.merge(scale, (held.profiles[segment] for held in part if segment in held.profiles))
            for segment in segments
        }
        coarse.append(HealthyWindow(Window(part[0].window.start, part[-1].window.end), profiles))
    return coarse


REFERENCE_SCHEMA = "killick.reference/1"
# Two gigabytes: profiles are mostly zeros, so a file of a few megabytes could hold any number of them.
_NUMBERS_MAX = 1 << 28


class _PackedReference(msgspec.Struct, frozen=True):
    schema: str
    scale: bytes
    profiles: list[tuple[SegmentKey, bytes]]
    windows: list[tuple[Window, list[tuple[SegmentKey, bytes]]]]


def pack_reference(reference: Reference) -> bytes:
    """Return a reference's bytes."""
    packed = _PackedReference(
        REFERENCE_SCHEMA,
        pack_scale(reference.scale),
        _pack(reference.profiles),
        [(healthy.window, _pack(healthy.profiles)) for healthy in reference.windows],
    )
    return msgspec.msgpack.encode(packed)


def unpack_reference(packed: bytes) -> Reference:
    """Read a reference's bytes.

    Raises:
        DataError: they are not a reference, of a newer schema, or half there.
    """
    hint = "learn it again from the training rows"
    try:
        held = msgspec.msgpack.decode(packed, type=_PackedReference)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataError(Mistake("reference", f"cannot be read: {error}", hint=hint)) from None
    if held.schema != REFERENCE_SCHEMA:
        problem = "is of a schema that this version cannot read"
        raise DataError(Mistake("reference", problem, value=held.schema, hint=hint))
    scale = unpack_scale(held.scale)
    number = len(held.profiles) + sum(len(profiles) for _, profiles in held.windows)
    if number * (scale.counts_width + scale.sums_width) > _NUMBERS_MAX:
        problem = "holds more segments and windows than fit into memory"
        raise DataError(
            Mistake("reference", problem, value=number, hint="name fewer segments, or a longer evaluate_every")
        )
    windows = tuple(HealthyWindow(window, _unpack(profiles, scale)) for window, profiles in held.windows)
    return Reference(scale, _unpack(held.profiles, scale), windows)


def _pack(profiles: BySegment) -> list[tuple[SegmentKey, bytes]]:
    return [(segment, pack_profile(profile)) for segment, profile in profiles.items()]


def _unpack(packed: list[tuple[SegmentKey, bytes]], scale: Scale) -> dict[SegmentKey, Profile]:
    return {segment: unpack_profile(profile, scale) for segment, profile in packed}
