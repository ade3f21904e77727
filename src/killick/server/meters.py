"""What the server tells Prometheus of itself, in a registry of its own: at most 50 series for a model.

Names are as Prometheus wants them: one prefix, base units, counters end in `_total`, no ids in labels. The labels are
models that telemetry was accepted of, which `Limits.models_max` bounds, and closed sets of words.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from prometheus_client.core import Metric

KINDS = ("predictions", "outcomes", "gauges", "profiles", "halves")
# What the acknowledgement is promised to take (p99 of 250 ms) lies on an edge; few others are needed to see it move.
_SECONDS = (0.005, 0.025, 0.1, 0.25, 1.0, 5.0)
# Why rows are put aside: a closed set, whatever the data says. "other" is of the rows that nobody named.
REASONS = ("missing", "unknown", "size", "unreadable", "type", "value", "other")
_SAID_CHARACTERS = 200
MEDIA = CONTENT_TYPE_PLAIN_0_0_4


# How the decoders' reasons begin or what they say; the first that fits is the class, and "value" if none does.
_CLASSES = (
    ("missing", re.compile(r"is missing|is empty")),
    ("unknown", re.compile(r"is no part of")),
    ("size", re.compile(r".*(longer than|more than|is the most|larger than)")),
    ("unreadable", re.compile(r"cannot be read|is no JSON|is no object|is not UTF-8|is nested")),
    ("type", re.compile(r"is no |is an object|is a list")),
)


def reason_class(reason: str) -> str:
    """Return the class of a reason, out of `REASONS`.

    >>> [reason_class(reason) for reason in ("is missing: every row needs one", "is no number, but 'high'", "is 7")]
    ['missing', 'type', 'value']
    """
    said = reason[:_SAID_CHARACTERS]
    return next((name for name, pattern in _CLASSES if pattern.match(said)), "value")


class Meters:
    """The counters of one server. Threads share them."""

    def __init__(self) -> None:
        # A counter's time of creation is a series more for each, and nobody here asks for it.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry(auto_describe=True)
        self._rows = {
            kind: self._counter(f"killick_{kind}_total", f"{kind.capitalize()} accepted, durably.", "model")
            for kind in KINDS
        }
        self._changes = self._counter("killick_changes_total", "Changes accepted, durably.")
        self._quarantined = self._counter("killick_quarantined_total", "Rows put aside.", "model", "kind", "reason")
        self._duplicates = self._counter("killick_duplicates_total", "Batches that had been received before.", "model")
        self._dropped = self._counter("killick_client_dropped_total", "What clients say they dropped.", "model")
        self._answers = self._counter("killick_answers_total", "Answers by HTTP status.", "status")
        self._seconds = Histogram(
            "killick_ingest_seconds",
            "From a body's first byte to its durable answer.",
            buckets=_SECONDS,
            registry=self.registry,
        )

    def accepted(self, model: str, kind: str, rows: int) -> None:
        """Count rows that were accepted."""
        if kind == "changes":
            self._changes.inc(rows)
        elif rows:
            self._rows[kind].labels(model).inc(rows)

    def quarantined(self, model: str, kind: str, reason: str, rows: int = 1) -> None:
        """Count rows that were put aside."""
        self._quarantined.labels(model, kind, reason).inc(rows)

    def duplicate(self, model: str) -> None:
        """Count a batch that was there already."""
        self._duplicates.labels(model).inc()

    def dropped(self, model: str, events: int) -> None:
        """Count what a client says it dropped."""
        self._dropped.labels(model).inc(events)

    def answered(self, status: int) -> None:
        """Count an answer."""
        self._answers.labels(str(status)).inc()

    def took(self, seconds: float) -> None:
        """Note how long an acknowledgement took."""
        self._seconds.observe(seconds)

    def watch(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Show a number that is asked for whenever somebody looks."""
        Gauge(name, meaning, registry=self.registry).set_function(value)

    def watch_models(self, name: str, meaning: str, values: Callable[[], Mapping[str, float]]) -> None:
        """Show numbers by model that are asked for whenever somebody looks."""
        self.registry.register(_ByModel(name, meaning, values))

    def text(self) -> bytes:
        """Return everything as Prometheus reads it."""
        return generate_latest(self.registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self.registry)


class _ByModel(Collector):
    """Numbers that are kept elsewhere, by model. Whoever was told of once is told of again, with 0 when it is gone."""

    def __init__(self, name: str, meaning: str, values: Callable[[], Mapping[str, float]]) -> None:
        self._name = name
        self._meaning = meaning
        self._values = values
        self._told: dict[str, float] = {}

    def collect(self) -> Iterable[Metric]:
        """Yield the family."""
        now = dict(self._values())
        family = GaugeMetricFamily(self._name, self._meaning, labels=["model"])
        for model in sorted(self._told | now):
            family.add_metric([model], now.get(model, 0.0))
        self._told = dict.fromkeys(self._told | now, 0.0)
        yield family
