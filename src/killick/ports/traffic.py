"""Traffic: whatever sends requests to versions and can be told a plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from killick_client.assignment import TrafficPlan


class Traffic(Protocol):
    """Applies traffic plans. A plan whose epoch is older than the one in force is refused; the same one is harmless."""

    def apply(self, plan: TrafficPlan) -> None:
        """Put a plan in force.

        Raises:
            Fenced: a newer plan is in force.
            OutsideError: it could not be applied.
        """
        ...

    def in_force(self, model: str) -> TrafficPlan | None:
        """Return the plan in force, read back from where it works."""
        ...
