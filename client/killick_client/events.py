"""The events on the wire: a prediction, an outcome, a change. All times are microseconds since 1970-01-01 UTC."""

from __future__ import annotations

from typing import Any

import msgspec


class Prediction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One scored event. Its identity is (model, `prediction_id`).

    `scores` are a multiclass model's, by class. A prediction that was drawn with probability p stands for 1 / p of its
    kind: that is its `sampling_weight`. `trace_id` and `log_url` lead to the logs of whoever processed it.
    """

    model: str
    version: str
    prediction_id: str
    event_time: int
    features: dict[str, Any]
    entity_id: str | None = None
    score: float | None = None
    decision: str | None = None
    role: str = "live"
    latency_seconds: float | None = None
    status: str = "ok"
    trace_id: str | None = None
    log_url: str | None = None
    metadata: dict[str, str] = {}
    sampling_weight: float = 1.0
    scores: dict[str, float] = {}


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What turned out later for a prediction; `known_at` says when it could be known."""

    model: str
    prediction_id: str
    known_at: int
    label: Any = None
    kpis: dict[str, float] = {}


class Change(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened in the world at a time: a release, a pipeline's new version, a request to retrain.

    `kind` is free text, but for two that Killick acts on in a replay: `release` puts the version that it names on its
    way, and `retrain` asks for a challenger.
    """

    at: int
    kind: str
    name: str
    version: str | None = None
    note: str = ""


class Gauge(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A number that a service tells of itself at a time, such as the length of its queue."""

    at: int
    model: str
    name: str
    value: float
