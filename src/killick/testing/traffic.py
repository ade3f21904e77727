"""Traffic in memory: the fake of actuators such as `killick.adapters.traffic`, which remembers what it was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from killick.adapters.traffic import ProcessTraffic

if TYPE_CHECKING:
    from killick_client.assignment import TrafficPlan


class MemoryTraffic:
    """Keeps the plan in force behind the fence of the real one, and all that were ever put in force, in order."""

    def __init__(self) -> None:
        self._process = ProcessTraffic()
        self.applied: list[TrafficPlan] = []

    def apply(self, plan: TrafficPlan) -> None:
        """Put a plan in force; the same one again is harmless.

        Raises:
            Fenced: a plan of a newer epoch, or another one of this epoch, is in force.
        """
        self._process.apply(plan)
        self.applied.append(plan)

    def in_force(self, model: str) -> TrafficPlan | None:
        """Return the plan in force."""
        return self._process.in_force(model)
