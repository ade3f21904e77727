"""Which version serves whom: a traffic plan, and the salted hash that assigns entities to versions.

Promise: the same entity gets the same version for as long as the plan says so (sticky), on every host and in every
process, without any shared state; and a share that grows keeps whom it had: those in a canary at 1 % are in it at 5 %.
Cost: one BLAKE2b of a few bytes, about a microsecond.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

# As many points as float64 tells apart in [0, 1): with all 64 bits of the hash, the last ones would round up to 1.
_BITS = 53


class Condition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A column has a value, or a number lies in `[at_least, below)`. A missing value meets no condition."""

    column: str
    equals: str | None = None
    at_least: float | None = None
    below: float | None = None

    def holds(self, features: Mapping[str, Any]) -> bool:
        """Whether a row meets it.

        >>> Condition("origin", equals="JFK").holds({"origin": "JFK"})
        True
        """
        value = features.get(self.column)
        if value is None:
            return False
        if self.equals is not None:
            return _as_text(value) == self.equals
        try:
            number = float(value)
        except (
            TypeError,
            ValueError,
        ):  # text where the plan expects a number: no band holds it, and nobody is let down
            return False
        return (self.at_least is None or number >= self.at_least) and (self.below is None or number < self.below)


class Share(msgspec.Struct, frozen=True):
    """A version, the role in which it answers, and its share of a route's entities."""

    version: str
    role: str
    share: float


class Route(msgspec.Struct, frozen=True):
    """Whom the shares are for: rows that meet every condition; none means everyone. Shares add up to one.

    The live version stands last, so that the others' shares grow and shrink without moving anybody else.
    """

    shares: tuple[Share, ...]
    where: tuple[Condition, ...] = ()


class TrafficPlan(msgspec.Struct, frozen=True, kw_only=True):
    """Which version gets which share, for whom. The first route that fits decides; the last fits everyone.

    `epoch` only grows: whoever applies plans refuses one that is not newer than the one in force. `shadow` versions
    score everything and answer nobody.
    """

    model: str
    epoch: int
    salt: str
    routes: tuple[Route, ...]
    shadow: tuple[str, ...] = ()


class Assignment(msgspec.Struct, frozen=True):
    """Which version answers, in which role."""

    version: str
    role: str


def assign(plan: TrafficPlan, entity_id: str, features: Mapping[str, Any]) -> Assignment:
    """Return who answers for an entity.

    >>> everyone = Route((Share("v2", "canary", 0.05), Share("v1", "live", 0.95)))
    >>> plan = TrafficPlan(model="flight-delay", epoch=1, salt="2013", routes=(everyone,))
    >>> assign(plan, "N14228", {})
    Assignment(version='v1', role='live')
    """
    for route in plan.routes:
        if all(condition.holds(features) for condition in route.where):
            return pick(route.shares, point(plan.salt, entity_id))
    message = f"no route of plan {plan.epoch} fits; the last one should fit everyone"
    raise ValueError(message)


def pick(shares: tuple[Share, ...], at: float) -> Assignment:
    """Return the share in which a point of [0, 1) lies; what rounding leaves over is the last one's."""
    edge = 0.0
    for share in shares:
        edge += share.share
        if at < edge:
            return Assignment(share.version, share.role)
    return Assignment(shares[-1].version, shares[-1].role)


def point(salt: str, entity_id: str) -> float:
    """Return the entity's point in [0, 1), the same for ever under one salt."""
    digest = blake2b(entity_id.encode(), digest_size=8, key=salt.encode()[:64]).digest()
    return (int.from_bytes(digest, "big") >> (64 - _BITS)) / (1 << _BITS)


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def shadows(plan: TrafficPlan, assignment: Assignment) -> tuple[Assignment, ...]:
    """Return who scores along without answering."""
    return tuple(Assignment(version, "shadow") for version in plan.shadow if version != assignment.version)
