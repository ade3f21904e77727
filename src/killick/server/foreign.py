"""Telemetry in other people's formats: CloudEvents of model servers, OTLP logs, SageMaker's lines.

Each becomes the rows that our own clients would have sent, and goes the same way from there (`taking.py`). Who sends
them does not retry under a name; what comes twice is recognised by its predictions' ids when it is counted.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from killick.checks.reference import unpack_reference
from killick.engine.halves import read_posted
from killick.engine.look import reference_of
from killick.engine.receive import Receipt
from killick.engine.translate import decode_events, reading_of
from killick.errors import DataError
from killick.formats.foreign import placed, rejected
from killick.formats.otlp import read_logs
from killick.formats.sagemaker import read_captures, read_labels
from killick.server.bodies import JSON, NDJSON, media_type
from killick.server.problems import Refused
from killick.server.routes import LINES, PROTOBUF
from killick.server.taking import Stored, readable, receipt_answer
from killick.telemetry.quarantine import NAMED_MAX, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from litestar import Request, Response

    from killick.engine.world import World
    from killick.formats import foreign
    from killick.formats.foreign import Reading
    from killick.formats.otlp import Logs
    from killick.server.senders import Sender, Senders
    from killick.server.taking import Taking
    from killick.spec.document import Spec
    from killick.wire.decode import Decoded


class Partial(msgspec.Struct, frozen=True, rename="camel"):
    """What OTLP's answer says of records that were refused; 64-bit numbers are text in its JSON."""

    rejected_log_records: str
    error_message: str


class Exported(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """OTLP's answer to an export (`ExportLogsServiceResponse`)."""

    partial_success: Partial | None = None


class Foreign:
    """The handlers.

    Args:
        taking: takes bodies in.
        senders: names who sends.
        world: where references are.
        read_protobuf: reads OTLP's other encoding.
    """

    def __init__(self, taking: Taking, senders: Senders, world: World, read_protobuf: Callable[[bytes], Logs]) -> None:
        self._world = world
        self._readings: dict[str, tuple[bytes | None, Reading]] = {}
        self._taking = taking
        self._senders = senders
        self._read_protobuf = read_protobuf

    async def cloudevents(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Hold requests and responses of a model server until both halves of a prediction are there."""
        headers, actor = dict(request.headers), request.state["actor"]

        def store(body: bytes) -> list[Stored]:
            known = self._taking.known
            found = readable(partial(read_posted, headers, body, known, self._taking.clock.now()))
            stored = []
            with ExitStack() as places:
                for model in found.halves:
                    places.enter_context(known.storing(model))  # all of them before any is held
                for model, halves in found.halves.items():
                    self._taking.receiver.hold(model, halves)
                    stored.append(Stored(model, "halves", Receipt(len(halves))))
            for model, refused in found.refused.items():
                sender = self._senders.own(model, "predictions")
                stored.append(self._events(model, "predictions", (), (), refused, actor, sender))
            nobodys = Receipt(0, tuple(found.rejected[:NAMED_MAX]))
            return [*stored, *([Stored("", "halves", nobodys, len(found.rejected))] if found.rejected else [])]

        return await self._taking.take(request, store, receipt_answer)

    async def logs(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Store what the records of an OTLP export say of predictions and outcomes."""
        media = media_type(request.headers.get("content-type", ""), (JSON, PROTOBUF))
        read = read_logs if media == JSON else self._read_protobuf
        actor = request.state["actor"]

        def store(body: bytes) -> list[Stored]:
            logs = readable(partial(read, body))
            told = [one for one in logs.rejected if one.index not in logs.whose]
            stored, told_rows = [], len(told)
            for (kind, model), events, refused in _by_model(logs):
                places, sender = logs.places.get((kind, model), ()), self._senders.own(model, kind)
                try:
                    stored.append(self._events(model, kind, events, places, refused, actor, sender))
                except (Refused, DataError) as error:
                    # An export has records of many services: one that is not known here, or whose records are more
                    # than a body may be, must not cost the others.
                    said = error.detail if isinstance(error, Refused) else rejected(0, error).reason
                    told.append(Rejected(min((*places, *(one.index for one in refused))), "killick.model", said))
                    told_rows += len(events) + len(refused)
            return [*stored, Stored("", "logs", Receipt(0, tuple(told[:NAMED_MAX])), told_rows)]

        return await self._taking.take(request, store, _exported_json if media == JSON else _exported_protobuf, media)

    async def captures(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Store what SageMaker captured of an endpoint."""
        return await self._lines(request, "predictions", read_captures)

    async def labels(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Store SageMaker's ground truth as outcomes."""
        return await self._lines(request, "outcomes", lambda body, _: read_labels(body))

    async def _lines(
        self, request: Request[Any, Any, Any], kind: str, read: Callable[[bytes, Reading], foreign.Decoded]
    ) -> Response[bytes]:
        model: str = request.path_params["model"]
        spec = self._taking.known.admit(model)
        media_type(request.headers.get("content-type", ""), (NDJSON, *LINES))
        sender, actor = self._senders.read(request.headers, model, kind), request.state["actor"]

        def store(body: bytes) -> list[Stored]:
            found = readable(partial(read, body, self._reading(model, spec)))
            if kind == "predictions":
                events, lines = found.predictions, found.prediction_lines
            else:
                events, lines = found.outcomes, found.outcome_lines
            return [self._events(model, kind, events, lines, found.rejected, actor, sender)]

        return await self._taking.take(request, store, receipt_answer)

    def _reading(self, model: str, spec: Spec | None) -> Reading:
        """Return how a model's payloads are read: the columns of the reference name those that have no name."""
        packed = reference_of(self._world, model)
        known = self._readings.get(model)
        if known is None or known[0] != packed:
            scale = unpack_reference(packed).scale if packed else None
            known = self._readings[model] = packed, reading_of(spec, scale)
        return known[1]

    def _events(
        self,
        model: str,
        kind: str,
        events: Sequence[foreign.Event],
        places: Sequence[int],
        refused: Iterable[Rejected],
        actor: str,
        sender: Sender,
    ) -> Stored:
        """Deliver events in the canonical form of our wire, as if a client of ours had sent them."""
        spec = self._taking.known.admit(model)
        decoded = decode_events(events, kind, model, spec, self._taking.clock.now())
        decoded = replace(decoded, rejected=placed(decoded.rejected, places))
        return self._taking.deliver(model, kind, sender, _with(decoded, tuple(refused)), actor)


def _by_model(logs: Logs) -> Iterator[tuple[tuple[str, str], Sequence[foreign.Event], list[Rejected]]]:
    """Yield the events of each kind and model, with its records that were refused."""
    refused: dict[tuple[str, str], list[Rejected]] = {}
    for one in logs.rejected:
        if whose := logs.whose.get(one.index):
            refused.setdefault(whose, []).append(one)
    events = {("predictions", model): found for model, found in logs.predictions.items()}
    events |= {("outcomes", model): found for model, found in logs.outcomes.items()}
    for whose in dict.fromkeys((*events, *refused)):
        yield whose, events.get(whose, ()), refused.get(whose, [])


def _with(decoded: Decoded, refused: tuple[Rejected, ...]) -> Decoded:
    """Return what was decoded, with what had been refused before as well."""
    if not refused:
        return decoded
    named = (*refused, *decoded.rejected)[:NAMED_MAX]
    return replace(decoded, rejected=named, rejected_rows=decoded.rejected_rows + len(refused))


def _exported(stored: list[Stored]) -> Exported:
    refused = sum(one.rejected_rows for one in stored)
    said = next((row.reason for one in stored for row in one.receipt.quarantined), "")
    return Exported(Partial(str(refused), said) if refused else None)


def _exported_json(stored: list[Stored]) -> bytes:
    return msgspec.json.encode(_exported(stored))


def _exported_protobuf(stored: list[Stored]) -> bytes:
    """Write the answer as protobuf: two fields of one message in another (opentelemetry-proto, logs_service.proto)."""
    told = _exported(stored).partial_success
    if told is None:
        return b""
    message = told.error_message.encode()
    inner = b"\x08" + _varint(int(told.rejected_log_records)) + b"\x12" + _varint(len(message)) + message
    return b"\x0a" + _varint(len(inner)) + inner


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])
