"""What comes in: headers and body become a delivery, and 200 is said once it is durable."""

from __future__ import annotations

import time
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import msgspec
from litestar import Response

from killick.engine.receive import Delivery, Receipt
from killick.errors import DataError, Mistake
from killick.server.bodies import JSON, MEDIA, content_encoding, inflate, media_type
from killick.server.meters import reason_class
from killick.server.problems import MISTAKES_MAX, Refused
from killick.server.routes import PACKED, TABLES
from killick.telemetry.columns import EVENT_TIME
from killick.telemetry.wire import decode_changes, decode_gauges, decode_outcomes, decode_predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from litestar import Request

    from killick.clock import Clock, Instant
    from killick.server.intake import Intake, Share
    from killick.server.known import Known
    from killick.server.limits import Limits
    from killick.server.meters import Meters
    from killick.server.senders import Sender, Senders
    from killick.spec.document import Spec
from killick.telemetry.wire import Decoded, Media, Rejected

T = TypeVar("T")

ON_ERROR = ("quarantine", "reject")


class Decoder(Protocol):
    """Turns a body into a table of the house, and says of each bad row why it is bad."""

    def __call__(self, body: bytes, media: Media, *, model: str, spec: Spec | None, now: Instant) -> Decoded:
        """Decode a body; one that cannot be read at all is a `DataError`."""
        ...


class Receiving(Protocol):
    """Makes deliveries durable; `killick.engine.receive.Receiver` does."""

    def receive(self, delivery: Delivery) -> Receipt:
        """Return once the delivery is durable; `OutsideError` when it cannot be, and nothing was taken."""
        ...

    def close(self) -> None:
        """Make durable what waits, and end."""
        ...

    def receive_profiles(self, model: str, producer: str, sequence: int, body: bytes) -> Receipt:
        """Likewise for packed profiles, which were made where the rows must stay."""
        ...


def _changes(body: bytes, media: Media, *, model: str, spec: Spec | None, now: Instant) -> Decoded:  # noqa: ARG001
    return decode_changes(body, media, now=now)


DECODERS: Mapping[str, Decoder] = {
    "predictions": decode_predictions,
    "outcomes": decode_outcomes,
    "gauges": decode_gauges,
    "changes": _changes,
}
# Changes are about the world: each row may name a model, the batch is of none.
THE_WORLD = ""
AT = "at"


class Stored(NamedTuple):
    """What a body came to: the receipt, and how many of its rows were put aside, named in it or not."""

    receipt: Receipt
    rejected_rows: int = 0


class Ingest:
    """The handlers of everything that is sent."""

    def __init__(
        self,
        receiver: Receiving,
        known: Known,
        intake: Intake,
        meters: Meters,
        senders: Senders,
        clock: Clock,
        limits: Limits,
    ) -> None:
        self._receiver = receiver
        self._known = known
        self._intake = intake
        self._meters = meters
        self._senders = senders
        self._clock = clock
        self._limits = limits

    async def predictions(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Store predictions of a model."""
        return await self._rows(request, "predictions", request.path_params["model"])

    async def outcomes(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Store outcomes of a model."""
        return await self._rows(request, "outcomes", request.path_params["model"])

    async def gauges(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Store gauges of a model."""
        return await self._rows(request, "gauges", request.path_params["model"])

    async def changes(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Store changes in the world."""
        return await self._rows(request, "changes", THE_WORLD)

    async def profiles(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Store profiles that were made elsewhere."""
        model: str = request.path_params["model"]
        self._known.admit(model)
        sender = self._senders.read(request.headers, model, "profiles")
        media_type(request.headers.get("content-type", ""), PACKED)

        def store(body: bytes) -> Stored:
            return Stored(self._receiver.receive_profiles(model, sender.producer, sender.sequence, body))

        return await self._take(request, "profiles", model, store)

    async def _rows(self, request: Request[Any, Any, Any], kind: str, model: str) -> Response[bytes]:
        spec = None if model == THE_WORLD else self._known.admit(model)
        sender = self._senders.read(request.headers, model, kind)
        media = MEDIA[media_type(request.headers.get("content-type", ""), TABLES)]
        strict = _is_strict(request)

        def store(body: bytes) -> Stored:
            decoded = _decoded(partial(DECODERS[kind], body, media, model=model, spec=spec, now=self._clock.now()))
            if strict and decoded.rejected_rows:
                raise _rejected(decoded)
            return Stored(self._receiver.receive(_delivery(model, kind, sender, decoded)), decoded.rejected_rows)

        return await self._take(request, kind, model, store)

    async def _take(
        self, request: Request[Any, Any, Any], kind: str, model: str, store: Callable[[bytes], Stored]
    ) -> Response[bytes]:
        encoding = content_encoding(request.headers.get("content-encoding", ""))
        began = time.monotonic()
        with self._intake.held.share() as share:
            body = await self._intake.read(request, share)
            stored = await self._intake.run(partial(self._inflated, body, encoding, share, store))
        self._count(kind, model, stored)
        self._meters.took(time.monotonic() - began)
        return Response(msgspec.json.encode(stored.receipt), status_code=HTTPStatus.OK, media_type=JSON)

    def _inflated(self, body: bytes, encoding: str, share: Share, store: Callable[[bytes], Stored]) -> Stored:
        return store(_decoded(partial(inflate, body, encoding, self._limits.inflated_bytes_max, share.take)))

    def _count(self, kind: str, model: str, stored: Stored) -> None:
        receipt = stored.receipt
        if receipt.duplicate:
            self._meters.duplicate(model)
            return
        self._meters.accepted(model, kind, receipt.accepted)
        for one in receipt.quarantined:
            self._meters.quarantined(model, kind, reason_class(one.reason), 1)
        if unnamed := stored.rejected_rows - len(receipt.quarantined):
            self._meters.quarantined(model, kind, "other", unnamed)


def _delivery(model: str, kind: str, sender: Sender, decoded: Decoded) -> Delivery:
    return Delivery(
        model=model,
        kind=kind,
        producer=sender.producer,
        sequence=sender.sequence,
        # The archive orders everything by its event time: a gauge's and a change's is when they were so.
        table=decoded.table.rename({AT: EVENT_TIME}) if AT in decoded.table.columns else decoded.table,
        rejected=decoded.rejected,
        rejected_rows=decoded.rejected_rows,
    )


def _decoded(decode: Callable[[], T]) -> T:
    """Run what reads a body; one that cannot be read is a malformed request, not one with bad rows in it."""
    try:
        return decode()
    except DataError as error:
        said = f"the body cannot be read: {error.mistakes[0].problem}" if error.mistakes else "the body cannot be read"
        raise Refused(400, said, mistakes=error.mistakes) from error


def _is_strict(request: Request[Any, Any, Any]) -> bool:
    asked = request.query_params.getall("on_error", [])
    if unknown := [word for word in asked if word not in ON_ERROR]:
        raise Refused(400, f"on_error must be one of {', '.join(ON_ERROR)}, and is {unknown[0][:100]!r}")
    return "reject" in asked


def _rejected(decoded: Decoded) -> Refused:
    mistakes = [_mistake(one) for one in decoded.rejected[:MISTAKES_MAX]]
    said = f"{decoded.rejected_rows:,} rows cannot be used, and nothing was stored: on_error=reject"
    return Refused(422, said, mistakes=mistakes)


def _mistake(rejected: Rejected) -> Mistake:
    return Mistake(f"[{rejected.index}].{rejected.field}", rejected.reason)
