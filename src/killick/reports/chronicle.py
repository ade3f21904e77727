"""The chronicle: what a model lived through in a span of time, as one value that pages are written from.

`engine/chronicle.py` gathers it from the control store; nothing in it is computed anew, so what a page says is what was
recorded. Bodies of incidents, recoveries, rollouts and retrainings are the very values that the state tables kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.alerting.incidents import Incident
    from killick.checks.verdict import Status
    from killick.clock import Duration, Instant, Window
    from killick.ledger.entry import Entry
    from killick.recovery.states import Recovery
    from killick.registry.aliases import Alias
    from killick.registry.versions import Version
    from killick.reports.words import Segment
    from killick.retraining.states import Retraining
    from killick.rollout.states import Rollout
    from killick_client.events import Change

B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Told(Generic[B]):
    """One run of a state table as it stands: its state, what that state means, since when, and what is known of it."""

    id: str
    state: str
    meaning: str
    since: Instant
    body: B


@dataclass(frozen=True, slots=True)
class Point:
    """One window's number, with its interval, and the labels that it rests on. `value` is None where it is unknown."""

    window: Window
    value: float | None
    interval: tuple[float, float] | None
    labels: int | None
    status: Status


@dataclass(frozen=True, slots=True)
class Promise:
    """An objective, and how it was kept: its metric over the trailing window, at the end of each window."""

    name: str
    metric: str
    bound: float | None
    at_most: bool
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Series:
    """A metric of what was answered, window by window: overall, or in a segment."""

    metric: str
    segment: Segment
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Moved:
    """How far a column had moved in one window, in units of what healthy windows reach: 1 is the limit.

    `strength` is the largest that any witness saw, `agreed` the smallest: beyond 1, all speak. None: not judged.
    """

    window: Window
    strength: float | None
    agreed: float | None
    status: Status


@dataclass(frozen=True, slots=True)
class DriftRow:
    """A column's movement in a segment, window by window."""

    column: str
    segment: Segment
    cells: tuple[Moved, ...]


@dataclass(frozen=True, slots=True)
class Budget:
    """What the rota accepts: at most `alarms` needless calls per `per`."""

    rota: str
    alarms: float
    per: Duration


@dataclass(frozen=True, slots=True)
class Chronicle:
    """What a model lived through.

    Attributes:
        model: its name.
        spec_hash: the fingerprint of the spec.
        span: from the first window to the end of the last.
        budget: the false alarms that the rota accepts.
        predictions: rows that were answered.
        outcomes: labels that came in.
        promises: the objectives over time.
        performance: `log_loss` and `error_rate`, by window, overall and by segment.
        drift: movement, by column, segment and window.
        incidents: oldest first, and so on for the other state tables.
        aliases: who was `live` and `fallback`, when.
        changes: what happened in the world.
        entries: the ledger's entries about the model.
        ledger_length: how many entries the whole ledger has.
        ledger_head: the hash of its newest one.
        omitted: what bounds left out: a noun, and how many of it.
    """

    model: str
    spec_hash: str
    span: Window
    budget: Budget
    predictions: int = 0
    outcomes: int = 0
    promises: tuple[Promise, ...] = ()
    performance: tuple[Series, ...] = ()
    drift: tuple[DriftRow, ...] = ()
    incidents: tuple[Told[Incident], ...] = ()
    recoveries: tuple[Told[Recovery], ...] = ()
    rollouts: tuple[Told[Rollout], ...] = ()
    retrainings: tuple[Told[Retraining], ...] = ()
    aliases: tuple[Alias, ...] = ()
    versions: tuple[Version, ...] = ()
    changes: tuple[Change, ...] = ()
    entries: tuple[Entry, ...] = ()
    ledger_length: int = 0
    ledger_head: str = ""
    omitted: Mapping[str, int] = field(default_factory=dict)
