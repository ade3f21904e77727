"""The traffic plan that is wanted, as a function of what goes on: who is live, who falls back where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from killick_client.assignment import Condition, Route, Share, TrafficPlan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.checks.reference import SegmentKey
    from killick.spec.document import Band, SegmentBy


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the plan should do. `fallbacks` are (where, version); a canary is (version, share)."""

    live: str
    fallbacks: tuple[tuple[SegmentKey, str], ...] = ()
    canary: tuple[str, float] | None = None
    shadow: tuple[str, ...] = ()
    salt: str = ""


def make_plan(model: str, epoch: int, wanted: Wanted, segments: Sequence[SegmentBy]) -> TrafficPlan:
    """Return the plan of an epoch that does what is wanted.

    Fallbacks come first, the narrowest first, so that a canary is never judged where something is known to be broken.

    >>> wanted = Wanted("v1", canary=("v2", 0.05), salt="v2")
    >>> [share.share for share in make_plan("flight-delay", 2, wanted, ()).routes[0].shares]
    [0.05, 0.95]
    """
    narrow_first = sorted(wanted.fallbacks, key=lambda fallback: (-len(fallback[0]), fallback))
    routes = [Route((Share(version, "fallback", 1.0),), conditions(where, segments)) for where, version in narrow_first]
    everyone: tuple[Share, ...] = (Share(wanted.live, "live", 1.0),)
    if wanted.canary:
        version, share = wanted.canary
        everyone = (Share(version, "canary", share), Share(wanted.live, "live", 1.0 - share))
    return TrafficPlan(
        model=model, epoch=epoch, salt=wanted.salt, routes=(*routes, Route(everyone)), shadow=tuple(wanted.shadow)
    )


def conditions(segment: SegmentKey, segments: Sequence[SegmentBy]) -> tuple[Condition, ...]:
    """Return what a row must meet to be in a segment.

    >>> from killick.spec.document import Band
    >>> conditions((("haul", "500-1500"),), ((Band("haul", "distance", bins=(500.0, 1500.0)),),))
    (Condition(column='distance', at_least=500.0, below=1500.0),)
    """
    bands = {band.name: band for by in segments for band in by}
    return tuple(_condition(bands[name], value) for name, value in segment)


def can_be_routed(segment: SegmentKey) -> bool:
    """Whether rows of the segment can be told apart when they come: not what is missing, or too rare to be named."""
    return all(not (value.startswith("(") and value.endswith(")")) for _, value in segment)


def _condition(band: Band, value: str) -> Condition:
    if not band.bins:
        return Condition(band.column, equals=value)
    at = band.labels.index(value)
    return Condition(
        band.column,
        at_least=band.bins[at - 1] if at else None,
        below=band.bins[at] if at < len(band.bins) else None,
    )
