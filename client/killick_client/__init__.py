"""What goes into a serving image: the events, which version serves whom, and the router. msgspec is all it needs."""

from killick_client.assignment import Assignment, Condition, Route, Share, TrafficPlan, assign, shadows
from killick_client.events import Change, Gauge, Outcome, Prediction
from killick_client.router import Router

__all__ = [
    "Assignment",
    "Change",
    "Condition",
    "Gauge",
    "Outcome",
    "Prediction",
    "Route",
    "Router",
    "Share",
    "TrafficPlan",
    "assign",
    "shadows",
]
