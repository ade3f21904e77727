"""Traffic inside this process: the plan that a `Router` here follows, behind the same fence as any other actuator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from killick.errors import Fenced

if TYPE_CHECKING:
    from killick_client.assignment import TrafficPlan


class ProcessTraffic:
    """Keeps the plan in force for each model, in memory. After a restart the engine puts the stored plan back."""

    def __init__(self) -> None:
        self._plans: dict[str, TrafficPlan] = {}

    def apply(self, plan: TrafficPlan) -> None:
        """Put a plan in force; the same one again is harmless.

        Raises:
            Fenced: a plan of a newer epoch, or another one of this epoch, is in force.
        """
        held = self._plans.get(plan.model)
        if held is not None and held != plan and held.epoch >= plan.epoch:
            message = f"{plan.model}: epoch {plan.epoch} comes after epoch {held.epoch}, and is refused"
            raise Fenced(message)
        self._plans[plan.model] = plan

    def in_force(self, model: str) -> TrafficPlan | None:
        """Return the plan in force."""
        return self._plans.get(model)
