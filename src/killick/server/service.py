"""The server put together: who needs what. `cli/serving.py` gives it a world, `listen.py` lets it listen."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from killick.engine.look import Telemetry
from killick.engine.receive import Receipt
from killick.server.access import Access
from killick.server.app import make_app
from killick.server.foreign import Exported, Foreign
from killick.server.ingest import Ingest
from killick.server.intake import Intake
from killick.server.known import Known
from killick.server.looking import Alive, Looking
from killick.server.meters import Meters
from killick.server.models import Matured, Models, Names, Profiled, Quarantine
from killick.server.openapi import describe
from killick.server.rates import Rates
from killick.server.readiness import Readiness
from killick.server.routes import ROUTES
from killick.server.senders import Senders
from killick.server.taking import Taking
from killick.server.tokens import Keyring

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from litestar.types import ASGIApp

    from killick.clock import Clock
    from killick.engine.world import World
    from killick.formats.otlp import Logs
    from killick.ports.control import Control
    from killick.server.access import Address
    from killick.server.app import Handling
    from killick.server.limits import Limits
    from killick.server.taking import Receiving
    from killick.server.worker import Working
    from killick.spec.document import Spec

ANSWERS = {
    "Receipt": Receipt,
    "Exported": Exported,
    "Alive": Alive,
    "Names": Names,
    "Telemetry": Telemetry,
    "Profiled": Profiled,
    "Quarantine": Quarantine,
    "Matured": Matured,
}


@dataclass(frozen=True, slots=True)
class Service:
    """A server that nobody has started yet: the application, and what must be started and ended around it."""

    app: ASGIApp
    intake: Intake
    worker: Working
    receiver: Receiving

    def start(self) -> None:
        """Let the live worker begin."""
        self.worker.start()

    def end(self) -> None:
        """Make durable what waits, do what is due once more, and end."""
        self.intake.close()
        self.receiver.close()
        self.worker.stop()


def make_service(  # noqa: PLR0913 - the world, what is done in it, and how the operator wants it
    world: World,
    receiver: Receiving,
    worker: Working,
    specs: Mapping[str, Spec],
    address: Address,
    clock: Clock,
    *,
    limits: Limits,
    require_token: bool,
    version: str,
    read_protobuf: Callable[[bytes], Logs],
) -> Service:
    """Put a server together; nothing runs yet.

    Args:
        world: the ports.
        receiver: makes deliveries durable.
        worker: does what is due.
        specs: by model; empty to take telemetry of any model.
        address: where it will listen: what is asked of those who come depends on it.
        clock: tells the time.
        limits: every bound.
        require_token: ask for a token on loopback too.
        version: Killick's own, for the description.
        read_protobuf: reads an export of OTLP in protobuf.
    """
    seconds = time.monotonic
    meters, intake = Meters(), Intake(limits)
    access = Access(
        Keyring(world.control, seconds),
        Rates(limits.requests_per_second, limits.burst),
        address,
        clock,
        seconds,
        require_token=require_token,
    )
    readiness = Readiness(
        world.control, world.archive, worker, clock, seconds, backlog_batches_max=limits.backlog_batches_max
    )
    known = Known(specs, partial(_stored, world.control), limits.models_max, seconds)
    taking = Taking(receiver, known, intake, meters, clock, limits)
    senders = Senders()
    ingest, foreign = Ingest(taking, senders, world), Foreign(taking, senders, world, read_protobuf)
    models = Models(world, known, intake, clock)
    looking = Looking(meters, readiness, describe(ROUTES, version, ANSWERS))
    _watch(meters, intake, worker, readiness)
    handlers: dict[str, Handling] = {
        "predictions": ingest.predictions,
        "outcomes": ingest.outcomes,
        "gauges": ingest.gauges,
        "changes": ingest.changes,
        "profiles": ingest.profiles,
        "cloudevents": foreign.cloudevents,
        "logs": foreign.logs,
        "captures": foreign.captures,
        "labels": foreign.labels,
        "names": models.names,
        "telemetry": models.telemetry,
        "counted": models.counted,
        "reference": models.reference,
        "quarantine": models.quarantine,
        "maturity": models.maturity,
        "healthz": looking.healthz,
        "readyz": looking.readyz,
        "metrics": looking.metrics,
        "openapi": looking.openapi,
    }
    return Service(make_app(ROUTES, handlers, access, meters), intake, worker, receiver)


def _stored(control: Control) -> list[str]:
    with control.transaction() as t:
        return [model for model in t.models() if model]


def _watch(meters: Meters, intake: Intake, worker: Working, readiness: Readiness) -> None:
    meters.watch("killick_waiting_requests", "Requests that wait for a thread.", lambda: intake.waiting)
    meters.watch("killick_held_bytes", "Bodies in memory, sent and inflated.", lambda: intake.held.size)
    meters.watch(
        "killick_backlog_batches", "Batches that are not in the profiles yet.", lambda: readiness.found.backlog_batches
    )
    meters.watch_models(
        "killick_profile_lag_seconds",
        "For how long the oldest batch that is not in the profiles has waited.",
        lambda: readiness.found.lag_seconds,
    )
    meters.watch("killick_live_failures", "How often the live worker failed since the start.", lambda: worker.failures)
    meters.watch(
        "killick_live_done_timestamp_seconds",
        "When the live worker last did all that was due.",
        lambda: worker.last_done_at / 1_000_000,
    )
