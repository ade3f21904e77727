"""The router in the serving process: live, canary, shadow and fallback behind one `predict`.

A loaded version is any callable that takes columns by feature name and returns a score a row. The router never raises
because of a version that is not live: a canary or fallback that fails is answered for by the live version, and logged.
Its plan comes from a `Link` of the caller's making: a `Client` gets no traffic plan yet, and is none.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from killick_client.assignment import Assignment, TrafficPlan, assign, shadows
from killick_client.events import Prediction

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Version = Callable[[Mapping[str, Sequence[Any]]], Sequence[float]]


class Link(Protocol):
    """What the router needs of a client: the plan in force, and somewhere to put predictions."""

    def traffic_plan(self) -> TrafficPlan:
        """Return the plan in force."""
        ...

    def log(self, prediction: Prediction) -> None:
        """Take note of a prediction. Must neither block nor raise."""
        ...


class Router:
    """Answers predictions in this process as the plan in force says.

    Args:
        link: where the plan comes from and predictions go; not a `Client`, which has no plan.
        load: returns the callable of a version by its name; called once a version.
    """

    def __init__(self, link: Link, load: Callable[[str], Version]) -> None:
        self._link = link
        self._load = load
        self._versions: dict[str, Version] = {}

    def predict(self, features: Mapping[str, Any], *, entity_id: str, prediction_id: str) -> float:
        """Return the score of the version that the entity is assigned to, and log it.

        Raises:
            Exception: whatever the live version raises; nobody else can answer for it.
        """
        plan = self._link.traffic_plan()
        chosen = assign(plan, entity_id, features)
        try:
            score = self._answer(plan, chosen, features, entity_id, prediction_id)
        except Exception:
            live = plan.routes[-1].shares[-1]
            if chosen.version == live.version:
                raise
            score = self._answer(plan, Assignment(live.version, live.role), features, entity_id, prediction_id)
        for shadow in shadows(plan, chosen):
            self._score_along(plan, shadow, features, entity_id, prediction_id)
        return score

    def _answer(
        self, plan: TrafficPlan, who: Assignment, features: Mapping[str, Any], entity_id: str, prediction_id: str
    ) -> float:
        """Score with one version and log it, the failure too."""
        began = time.perf_counter()
        score, status = None, "ok"
        try:
            if who.version not in self._versions:
                self._versions[who.version] = self._load(who.version)
            columns = {name: [value] for name, value in features.items()}
            score = float(self._versions[who.version](columns)[0])
        except Exception as error:
            status = type(error).__name__
            raise
        finally:
            self._link.log(
                Prediction(
                    model=plan.model,
                    version=who.version,
                    role=who.role,
                    prediction_id=prediction_id,
                    event_time=time.time_ns() // 1_000,
                    entity_id=entity_id,
                    features=dict(features),
                    score=score,
                    status=status,
                    latency_seconds=time.perf_counter() - began,
                )
            )
        return score

    def _score_along(
        self, plan: TrafficPlan, who: Assignment, features: Mapping[str, Any], entity_id: str, prediction_id: str
    ) -> None:
        """Score with a shadow: its failure is its own."""
        try:
            self._answer(plan, who, features, entity_id, prediction_id)
        except Exception:  # noqa: BLE001 - whatever a shadow does, nobody waits for its answer
            return
