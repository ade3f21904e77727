"""From a request to a durable answer, whatever its format: read, unpack, decode, deliver, count."""

from __future__ import annotations

import time
from contextlib import nullcontext
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import msgspec
from litestar import Response

from killick.engine.admit import delivery_of
from killick.engine.receive import Delivery, Receipt
from killick.errors import DataError
from killick.server.bodies import ARROW, JSON, content_encoding, inflate
from killick.server.meters import reason_class
from killick.server.problems import Refused
from killick.server.routes import PACKED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from litestar import Request

    from killick.clock import Clock
    from killick.ports.control import Half
    from killick.server.intake import Intake, Share
    from killick.server.known import Known
    from killick.server.limits import Limits
    from killick.server.meters import Meters
    from killick.server.senders import Sender
    from killick.wire.decode import Decoded

T = TypeVar("T")

# Media types whose bodies take no more memory when they are read.
COLUMNAR = frozenset({ARROW, *PACKED})
# What a client of ours calls the number of events that it had to drop since it last said so.
DROPPED = "killick_client.dropped"


class Receiving(Protocol):
    """Makes deliveries durable; `killick.engine.receive.Receiver` does. Threads share it."""

    def receive(self, delivery: Delivery) -> Receipt:
        """Return once the delivery is durable; `OutsideError` when it cannot be, and nothing was taken."""
        ...

    def hold(self, model: str, halves: Sequence[Half]) -> None:
        """Return once halves of predictions are durable; `OutsideError` likewise."""
        ...

    def close(self) -> None:
        """Make durable what waits, and end."""
        ...


class Stored(NamedTuple):
    """What was stored of a model: the receipt, how many rows were put aside, what a client says it dropped."""

    model: str
    kind: str
    receipt: Receipt
    rejected_rows: int = 0
    dropped: int = 0


class Taking:
    """Takes bodies in: what all handlers of sent things share."""

    def __init__(
        self, receiver: Receiving, known: Known, intake: Intake, meters: Meters, clock: Clock, limits: Limits
    ) -> None:
        self.receiver = receiver
        self.known = known
        self.clock = clock
        self._intake = intake
        self._meters = meters
        self._limits = limits

    async def take(
        self,
        request: Request[Any, Any, Any],
        store: Callable[[bytes], list[Stored]],
        answer: Callable[[list[Stored]], bytes],
        media: str = JSON,
    ) -> Response[bytes]:
        """Read a body, store what is in it, and answer.

        Args:
            request: nothing of its body has been read.
            store: stores a body that is unpacked already, in a thread; it returns when that is durable.
            answer: puts the answer into words.
            media: in which media type.

        Raises:
            Refused: the body is too large, too slow, or not what it says.
            OutsideError: it could not be stored.
        """
        encoding = content_encoding(request.headers.get("content-encoding", ""))
        sent_as = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        bytes_max = self._limits.inflated_bytes_max
        if sent_as not in COLUMNAR:
            bytes_max = min(bytes_max, self._limits.inflated_text_bytes_max)
        began = time.monotonic()
        with self._intake.held.share() as share:
            body = await self._intake.read(request, share)
            stored = await self._intake.run(partial(self._unpacked, body, encoding, bytes_max, share, store))
        for one in stored:
            self._count(one)
        self._meters.took(time.monotonic() - began)
        return Response(answer(stored), status_code=HTTPStatus.OK, media_type=media)

    def deliver(self, model: str, kind: str, sender: Sender, decoded: Decoded, actor: str) -> Stored:
        """Make decoded rows durable."""
        delivery = delivery_of(
            decoded, model=model, kind=kind, producer=sender.producer, sequence=sender.sequence, actor=actor
        )
        # What is of the world is of no model.
        with self.known.storing(model) if model else nullcontext():
            receipt = self.receiver.receive(delivery)
        return Stored(model, kind, receipt, decoded.rejected_rows, _dropped(decoded) if kind == "gauges" else 0)

    def _unpacked(
        self, body: bytes, encoding: str, bytes_max: int, share: Share, store: Callable[[bytes], list[Stored]]
    ) -> list[Stored]:
        return store(readable(partial(inflate, body, encoding, bytes_max, share.take)))

    def _count(self, stored: Stored) -> None:
        model, kind, receipt = stored.model, stored.kind, stored.receipt
        if receipt.duplicate:
            self._meters.duplicate(model)
            return
        self._meters.accepted(model, kind, receipt.accepted)
        for one in receipt.quarantined:
            self._meters.quarantined(model, kind, reason_class(one.reason))
        if unnamed := stored.rejected_rows - len(receipt.quarantined):
            self._meters.quarantined(model, kind, "other", unnamed)
        if stored.dropped:
            self._meters.dropped(model, stored.dropped)


def readable(decode: Callable[[], T]) -> T:
    """Run what reads a body; one that cannot be read is a malformed request, not one with bad rows in it.

    Raises:
        Refused: 400, with why.
    """
    try:
        return decode()
    except DataError as error:
        said = f"the body cannot be read: {error.mistakes[0].problem}"
        raise Refused(400, said, mistakes=error.mistakes) from error


def receipt_answer(stored: list[Stored]) -> bytes:
    """Write the receipt of one or several deliveries as JSON."""
    receipts = [one.receipt for one in stored]
    if len(receipts) == 1:
        return msgspec.json.encode(receipts[0])
    return msgspec.json.encode(
        Receipt(
            sum(one.accepted for one in receipts),
            tuple(row for one in receipts for row in one.quarantined),
            all(one.duplicate for one in receipts) and bool(receipts),
        )
    )


def _dropped(decoded: Decoded) -> int:
    told = decoded.table.filter(decoded.table["name"] == DROPPED)["value"]
    return max(0, int(told.sum()))
