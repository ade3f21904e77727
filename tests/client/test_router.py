"""The router: somebody always answers, whoever fails is logged, and only live may raise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from killick_client import Condition, Prediction, Route, Router, Share, TrafficPlan

if TYPE_CHECKING:
    from collections.abc import Mapping


class Notebook:
    """A link that keeps what it is told: the smallest thing that a router can work with."""

    def __init__(self, plan: TrafficPlan) -> None:
        """Take the plan in force."""
        self.plan = plan
        self.written: list[Prediction] = []

    def traffic_plan(self) -> TrafficPlan:
        """Return the plan."""
        return self.plan

    def log(self, prediction: Prediction) -> None:
        """Write a prediction down."""
        self.written.append(prediction)

    @property
    def told(self) -> list[tuple[str, str, float | None, str]]:
        """Who scored what, and how it went."""
        return [(seen.version, seen.role, seen.score, seen.status) for seen in self.written]


def failing(_: Mapping[str, object]) -> list[float]:
    """Be a version that does not work."""
    raise RuntimeError("no such column")


VERSIONS = {
    "v1": lambda columns: [0.1] * len(columns["x"]),
    "v2": lambda columns: [0.2] * len(columns["x"]),
    "bad": failing,
    "empty": lambda _: [],
    "words": lambda _: ["high"],
}


def a_router(
    version: str, role: str = "canary", live: str = "v1", shadow: tuple[str, ...] = ()
) -> tuple[Router, Notebook]:
    """Route everybody to one version, with live behind it."""
    route = Route((Share(version, role, 1.0), Share(live, "live", 0.0)))
    plan = TrafficPlan(model="m", epoch=1, salt="s", routes=(route,), shadow=shadow)
    notebook = Notebook(plan)
    return Router(notebook, VERSIONS.__getitem__), notebook


def ask(router: Router, **features: object) -> float:
    """Ask for a prediction."""
    return router.predict({"x": 1.0} | features, entity_id="e", prediction_id="p")


def test_the_assigned_version_answers_and_is_logged() -> None:
    """With its role, score, features, ids, time and latency."""
    router, notebook = a_router("v2")
    assert ask(router, origin="JFK") == 0.2
    (seen,) = notebook.written
    assert (seen.model, seen.version, seen.role, seen.score, seen.status) == ("m", "v2", "canary", 0.2, "ok")
    assert (seen.prediction_id, seen.entity_id, seen.features) == ("p", "e", {"x": 1.0, "origin": "JFK"})
    assert seen.event_time > 1.7e15
    assert seen.latency_seconds >= 0


@pytest.mark.parametrize(
    ("version", "status"),
    [("bad", "RuntimeError"), ("absent", "KeyError"), ("empty", "IndexError"), ("words", "ValueError")],
)
@pytest.mark.parametrize("role", ["canary", "fallback"])
def test_a_version_that_fails_is_answered_for_by_live(version: str, status: str, role: str) -> None:
    """It raises, cannot be loaded, or gives no number: the caller has an answer, and the log has both."""
    router, notebook = a_router(version, role)
    assert ask(router) == 0.1
    assert notebook.told == [(version, role, None, status), ("v1", "live", 0.1, "ok")]


def test_live_that_fails_raises_and_is_logged() -> None:
    """Nobody else can answer for it; the caller sees the error itself."""
    router, notebook = a_router("bad", "live", live="bad")
    with pytest.raises(RuntimeError, match="no such column"):
        ask(router)
    assert notebook.told == [("bad", "live", None, "RuntimeError")]


def test_live_that_fails_after_a_canary_raises_too() -> None:
    """Both are logged."""
    router, notebook = a_router("words", live="bad")
    with pytest.raises(RuntimeError):
        ask(router)
    assert [told[3] for told in notebook.told] == ["ValueError", "RuntimeError"]


def test_shadows_score_along_and_their_failures_are_their_own() -> None:
    """The answer is live's; a shadow that fails is logged and silent."""
    router, notebook = a_router("v1", "live", shadow=("v2", "bad"))
    assert ask(router) == 0.1
    assert notebook.told == [
        ("v1", "live", 0.1, "ok"),
        ("v2", "shadow", 0.2, "ok"),
        ("bad", "shadow", None, "RuntimeError"),
    ]


def test_a_version_is_loaded_once() -> None:
    """And one that could not be loaded is tried again at the next request."""
    asked: list[str] = []

    def load(name: str):
        asked.append(name)
        if name == "late" and asked.count("late") == 1:
            raise OSError("not there yet")
        return VERSIONS["v2"]

    _, notebook = a_router("late")
    router = Router(notebook, load)
    assert [ask(router) for _ in range(3)] == [0.2, 0.2, 0.2]
    assert asked == ["late", "v1", "late"]
    assert [told[:2] for told in notebook.told] == [
        ("late", "canary"),
        ("v1", "live"),
        ("late", "canary"),
        ("late", "canary"),
    ]


def test_the_plan_in_force_is_followed_at_every_request() -> None:
    """A new plan needs no restart."""
    router, notebook = a_router("v2")
    ask(router)
    notebook.plan = TrafficPlan(model="m", epoch=2, salt="s", routes=(Route((Share("v1", "live", 1.0),)),))
    assert ask(router) == 0.1


def test_odd_features_reach_the_version_and_never_the_caller() -> None:
    """A condition on a number meets text; a version scores NaN and None as it likes."""
    narrow = Route((Share("v2", "fallback", 1.0),), (Condition("x", at_least=0.5),))
    plan = TrafficPlan(model="m", epoch=1, salt="s", routes=(narrow, Route((Share("v1", "live", 1.0),))))
    router = Router(Notebook(plan), VERSIONS.__getitem__)
    found = [router.predict({"x": x}, entity_id="e", prediction_id="p") for x in (1.0, "far", None, math.nan)]
    assert found == [0.2, 0.1, 0.1, 0.1]
