"""What goes into a serving image: the client, the events, which version serves whom, the router. It needs msgspec."""

from killick_client.assignment import Assignment, Condition, Route, Share, TrafficPlan, assign, shadows
from killick_client.client import Client
from killick_client.events import Change, Gauge, Outcome, Prediction
from killick_client.pipeline import Statistics
from killick_client.privacy import Hash, Truncate
from killick_client.router import Router
from killick_client.transport import Answer, HttpTransport, Transport

__all__ = [
    "Answer",
    "Assignment",
    "Change",
    "Client",
    "Condition",
    "Gauge",
    "Hash",
    "HttpTransport",
    "Outcome",
    "Prediction",
    "Route",
    "Router",
    "Share",
    "Statistics",
    "TrafficPlan",
    "Transport",
    "Truncate",
    "assign",
    "shadows",
]
