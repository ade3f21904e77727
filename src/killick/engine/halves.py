"""Halves: requests and responses that a model server's logger sent apart become predictions.

A half is durable before it is acknowledged, and waits in the control store for the other. What a pair says becomes a
delivery like any other, and the same transaction that takes the delivery releases its halves: killed at any moment, a
half is held or its prediction is there, never both, never neither. A request that nobody answered is a prediction
without an answer; a response to nothing says nothing that could be counted, and is counted as that.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from killick.clock import MINUTE
from killick.engine.receive import PREDICTIONS, Delivery, commit
from killick.engine.translate import decode_events, reading_of
from killick.errors import DataError
from killick.formats.cloudevents import Half as Logged
from killick.formats.cloudevents import pair, read_halves
from killick.formats.foreign import refuse
from killick.identity import derive_id, fingerprint
from killick.ports.control import Half
from killick.telemetry.quarantine import Rejected
from killick.wire.values import KEY_MAX

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from killick.clock import Duration, Instant
    from killick.engine.world import World
    from killick.formats.foreign import Event, Reading
    from killick.ports.control import Transaction
    from killick.profiles.scale import Scale
    from killick.spec.document import Spec

# Knative, on which KServe runs, ends a request after 300 seconds: nobody answers it any more.
PATIENCE: Duration = 5 * MINUTE
# 50,000 numbers: what is larger is a picture, of which no column means anything; and a hundred are in memory at once.
HALF_BYTES_MAX = 2**20

_PRODUCER = "halves"
# Of one delivery: as many requests, or as many rows; a request may have a hundred thousand.
_AT_ONCE, _ROWS_MAX = 100, 50_000
# Of one model in a row; then the others have their turn. At four ticks a second that is 4,000 requests a second.
_ROUNDS_MAX = 10


# ------------------------------------------------------------------------------------------------ coming in


@dataclass(frozen=True, slots=True)
class Posted:
    """What an HTTP request of CloudEvents holds: halves by the model that they are held for, and what was refused.

    `refused` is by model too; of what is in `rejected` nobody knows whose it is.
    """

    halves: dict[str, list[Half]] = field(default_factory=dict)
    refused: dict[str, list[Rejected]] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)


def read_posted(headers: Mapping[str, str], body: bytes, known: Container[str], now: Instant) -> Posted:
    """Read the CloudEvents of an HTTP request, as what `Receiver.hold` takes for each model.

    Args:
        headers: of the request.
        body: as it was sent, without its content encoding.
        known: the models that are known. A half is held for the first of its names that is; where none is, for its
            first, and whoever admits models decides.
        now: when it came.

    Raises:
        DataError: it holds no event of a model server, or none of which anybody knows whose it is.

    >>> headers = {"ce-specversion": "1.0", "ce-id": "7", "ce-type": "org.kubeflow.serving.inference.request",
    ...     "ce-source": "http://localhost:9081/", "ce-inferenceservicename": "iris", "ce-modelid": "iris-2"}
    >>> list(read_posted(headers, b'{"instances": [[6.8, 2.8]]}', {"iris-2"}, now=0).halves)
    ['iris-2']
    """
    found = read_halves(headers, body)
    unread = {refused.index for refused in found.rejected}
    places = (at for at in range(len(found.halves) + len(unread)) if at not in unread)
    posted = Posted(rejected=list(found.rejected))
    for index, half in zip(places, found.halves, strict=True):
        if not half.models:
            problem = "is missing, and so is ce-modelid: nobody knows whose it is"
            posted.rejected.append(Rejected(index, "ce-inferenceservicename", problem))
            continue
        model = next((name for name in half.models if name in known), half.models[0])
        if len(half.body) > HALF_BYTES_MAX:
            problem = f"has {len(half.body):,} bytes, more than {HALF_BYTES_MAX:,}: log smaller requests"
            posted.refused.setdefault(model, []).append(Rejected(index, "data", problem))
        else:
            posted.halves.setdefault(model, []).append(_held(half, now))
    if posted.rejected and not posted.halves and not posted.refused:
        refuse(posted.rejected[0].field, posted.rejected[0].reason)
    return posted


def _held(half: Logged, now: Instant) -> Half:
    # Two containers of one service may log under one id: the answer of the one is none to what the other was asked.
    half_id = "/".join(filter(None, (half.component, half.id)))
    if len(half_id) > KEY_MAX:
        half_id = derive_id("half", half.component, half.id)
    return Half(half_id, half.part, now, msgspec.msgpack.encode(half))


# ------------------------------------------------------------------------------------------------ being paired


@dataclass(slots=True)
class _Paired:
    """What some exchanges say: events and whose each is, what was refused, and which halves are settled by it."""

    events: list[Event] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    half_ids: list[str] = field(default_factory=list)
    unmatched: int = 0


@dataclass(frozen=True, slots=True)
class _Asking:
    """Whose halves are paired, and when; `turn` counts the deliveries that were made of them."""

    model: str
    spec: Spec | None
    reading: Reading
    now: Instant
    turn: int


def pair_halves(world: World, model: str, spec: Spec | None, scale: Scale | None, now: Instant) -> int:
    """Make predictions of a model's halves: of pairs, and of requests that nobody has answered in time.

    Args:
        world: where they are held.
        model: whose they are.
        spec: what is said of it, if anything.
        scale: what it is measured with, if anything yet.
        now: the present.

    Returns:
        how many exchanges are settled. There may be more: a model's turn is bounded.

    Raises:
        OutsideError: archive or store failed; what was done is done.
    """
    reading, total = reading_of(spec, scale), 0
    for _ in range(_ROUNDS_MAX):
        with world.control.transaction() as t:
            held = t.halves(model, now - PATIENCE, _AT_ONCE)
            document = t.get("halves", model, "turn")
        asking = _Asking(model, spec, reading, now, document.revision if document else 0)
        settled = _settle(world, held, asking) if held else 0
        total += settled
        if not settled:
            break
    return total


def _settle(world: World, held: Sequence[list[Half]], asking: _Asking) -> int:
    """Commit what the first of these exchanges say; return how many they were, none where a rival was faster."""
    decode = partial(decode_events, kind=PREDICTIONS, model=asking.model, spec=asking.spec, now=asking.now)
    try:
        paired = _paired(held, asking.reading)
        decoded = decode(paired.events)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is that of one exchange alone
        if len(held) > 1:
            return _settle(world, held[:1], asking)
        (half, *_) = held[0]
        paired = _Paired(rejected=[Rejected(0, half.part, _of(half.half_id, _said(error)))], half_ids=[half.half_id])
        decoded = decode([])
    refused = [
        Rejected(one.index, one.field, _of(paired.request_ids[one.index], one.reason)) for one in decoded.rejected
    ]
    delivery = Delivery(
        asking.model,
        PREDICTIONS,
        _PRODUCER,
        asking.turn,
        decoded.table,
        (*paired.rejected, *refused),
        len(paired.rejected) + decoded.rejected_rows,
        also=partial(_release, asking=asking, paired=paired),
    )
    # Whether an earlier commit of this turn has succeeded, nobody may know: another group never writes over its file.
    attempt = int(fingerprint([paired.half_ids, asking.now])[:12], 16)
    (receipt,) = commit(world, [delivery], asking.now, attempt)
    return 0 if receipt.duplicate else len(paired.half_ids)


def _release(t: Transaction, asking: _Asking, paired: _Paired) -> None:
    t.put("halves", asking.model, "turn", b"", revision=asking.turn)
    t.release(asking.model, paired.half_ids)
    t.tally(asking.model, {"halves.unmatched": paired.unmatched})


def _paired(held: Sequence[list[Half]], reading: Reading) -> _Paired:
    """Return what the first of these exchanges say, until there are rows enough."""
    found = _Paired()
    for index, halves in enumerate(held):
        if len(found.events) >= _ROWS_MAX:
            break
        found.half_ids.append(halves[0].half_id)
        logged = {half.part: msgspec.msgpack.decode(half.body, type=Logged) for half in halves}
        request = logged.get("request")
        if request is None:
            found.unmatched += 1
            continue
        exchange = pair(request, logged.get("response"), reading)
        # The time of receipt, where the event says none: of whichever half came first.
        came = min(half.at for half in halves)
        found.events.extend({"event_time": came} | event for event in exchange.predictions)
        found.request_ids.extend([request.id] * len(exchange.predictions))
        found.rejected.extend(Rejected(index, one.field, _of(request.id, one.reason)) for one in exchange.rejected)
    return found


def _of(request_id: str, reason: str) -> str:
    return f"{reason} (request {request_id})"


def _said(error: Exception) -> str:
    # What others' errors say may be somebody's data.
    return error.mistakes[0].problem if isinstance(error, DataError) else f"cannot be read: {type(error).__name__}"
