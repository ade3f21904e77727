"""CloudEvents of KServe's and Seldon's loggers: a request and its response come apart, and are joined by their id.

KServe's agent posts each half in HTTP binary mode: attributes in `ce-` headers, the model server's own body beneath.
Its types are `org.kubeflow.serving.inference.request` and `.response`, Seldon's and MLServer's
`io.seldon.serving.inference.request` and `.response`. Structured mode (`application/cloudevents+json`) and batches
(`application/cloudevents-batch+json`) of a broker between are read too, and so is MLServer's way of putting the headers
into the body's `parameters.headers`. Both halves of KServe have one `ce-id`; Seldon's have one `ce-requestid`.

Sources: CloudEvents 1.0.2 and its HTTP binding, by which header values are percent-encoded; KServe's
`pkg/logger/worker.go`; MLServer's `mlserver/cloudevents.py`; headers as Seldon Core's and KServe's documents show them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote

import msgspec

from killick.clock import HOUR
from killick.errors import DataError
from killick.formats.bodies import NO_RESPONSE, joined, read_request, read_response
from killick.formats.foreign import (
    ID_MAX,
    ROWS_MAX,
    Decoded,
    from_base64,
    instant,
    mapping,
    name_of,
    read_json,
    refuse,
    rejected,
    sequence,
)
from killick.telemetry.quarantine import Rejected  # noqa: TC001 - msgspec reads the annotation of `Halves`

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.clock import Instant
    from killick.formats.foreign import Event, Reading

PARTS: Mapping[str, Literal["request", "response"]] = {
    "org.kubeflow.serving.inference.request": "request",
    "org.kubeflow.serving.inference.response": "response",
    "io.seldon.serving.inference.request": "request",
    "io.seldon.serving.inference.response": "response",
}
"""The types that are understood, and which half of an exchange each is."""

# A request that took longer was not answered by a model: halves of one id are of two calls, or a clock is wrong.
_LATENCY_MAX = HOUR
# Of the headers that the operator told the logger to keep (`metadataHeaders`).
_METADATA_MAX = 32
# Somebody's key is no business of whoever looks at predictions, even where the operator forwards every header.
_SECRET = re.compile(r"authorization|cookie|token|secret|password|api-?key|credential", re.IGNORECASE)
# version "-" trace-id "-" parent-id "-" flags, https://www.w3.org/TR/trace-context/#traceparent-header: all in lower
# case, no id all zeros, `ff` no version; and versions after `00` may have more, behind another dash.
_TRACEPARENT = re.compile(
    r"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)


class Half(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request or a response, waiting for the other. `models` are the names it may be known by, likeliest first.

    It can be stored as it is until the other half comes: `msgspec` knows how.
    """

    id: str
    part: Literal["request", "response"]
    models: tuple[str, ...]
    body: bytes
    endpoint: str = ""
    namespace: str = ""
    component: str = ""
    time: int | None = None
    status: int | None = None
    trace_id: str | None = None
    metadata: dict[str, str] = {}


class Halves(msgspec.Struct, frozen=True):
    """What an HTTP request holds: one half, or those of a batch, and which of its events were refused."""

    halves: list[Half]
    rejected: list[Rejected] = []


def read_halves(headers: Mapping[str, str], body: bytes) -> Halves:
    """Read the CloudEvents of an HTTP request.

    Args:
        headers: of the request; their names may be in any case.
        body: as it was sent, without its content encoding.

    Raises:
        DataError: it holds no event of these types. One of a batch that is none is `rejected`.

    >>> headers = {"ce-specversion": "1.0", "ce-id": "7", "ce-type": "org.kubeflow.serving.inference.request",
    ...     "ce-source": "http://localhost:9081/", "ce-inferenceservicename": "sklearn-iris"}
    >>> half = read_halves(headers, b'{"instances": [[6.8, 2.8]]}').halves[0]
    >>> half.part, half.id, half.models
    ('request', '7', ('sklearn-iris',))
    """
    lower = {name.lower(): value for name, value in headers.items()}
    content_type = lower.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "application/cloudevents-batch+json":
        return _batch(sequence(read_json(body, "body"), "body"))
    if content_type == "application/cloudevents+json":
        return Halves([_structured(mapping(read_json(body, "body"), "body"))])
    attributes = {name[3:]: unquote(value) for name, value in lower.items() if name.startswith("ce-")}
    return Halves([_half(attributes or _from_parameters(body), body)])


def _batch(events: list[Any]) -> Halves:
    if len(events) > ROWS_MAX:
        refuse("body", f"has more than {ROWS_MAX} events", hint="send it in pieces")
    found = Halves([], [])
    for index, event in enumerate(events):
        try:
            found.halves.append(_structured(mapping(event, "event")))
        except DataError as error:
            found.rejected.append(rejected(index, error))
    return found


def _structured(event: dict[str, Any]) -> Half:
    """Read an event whose attributes and data are one JSON object."""
    if "data_base64" in event:
        body = from_base64(event["data_base64"], "data_base64")
    elif "data" in event:
        data = event["data"]
        # Data of another type than JSON are a text, which may well hold JSON: brokers that do not know it quote it.
        body = data.encode() if isinstance(data, str) else msgspec.json.encode(data)
    else:
        refuse("data", "is missing")
    attributes = {name.lower(): str(value) for name, value in event.items() if isinstance(value, str | int)}
    return _half(attributes, body)


def _from_parameters(body: bytes) -> dict[str, str]:
    """Return the attributes that MLServer puts into a V2 body."""
    value = read_json(body, "body")
    parameters = value.get("parameters") if isinstance(value, dict) else None
    headers = parameters.get("headers") if isinstance(parameters, dict) else None
    found = headers.items() if isinstance(headers, dict) else ()
    attributes = {name[3:].lower(): str(text) for name, text in found if name.lower().startswith("ce-")}
    return attributes or refuse("ce-type", "is missing", hint="this is no CloudEvent: it has no ce- headers")


def _half(attributes: Mapping[str, str], body: bytes) -> Half:
    kind = attributes.get("type", "")
    if kind not in PARTS:
        refuse("ce-type", "is not logged by a model server", kind[:ID_MAX] or None, f"known are {', '.join(PARTS)}")
    models = [attributes.get(key, "") for key in _naming(kind, attributes)]
    named = tuple(dict.fromkeys(name_of(model, "ce-modelid") for model in models if model.strip()))
    status = attributes.get("statuscode", "")
    metadata = _metadata(attributes.get("metadata", ""))
    return Half(
        id=name_of(attributes.get("requestid") or attributes.get("id"), "ce-id"),
        part=PARTS[kind],
        models=named,
        body=body,
        endpoint=attributes.get("endpoint", "")[:ID_MAX],
        namespace=attributes.get("namespace", "")[:ID_MAX],
        component=attributes.get("component", "")[:ID_MAX],
        time=_time(attributes),
        status=int(status) if re.fullmatch(r"[1-5][0-9]{2}", status) else None,
        trace_id=_trace_id(attributes, metadata),
        metadata=metadata,
    )


def _naming(kind: str, attributes: Mapping[str, str]) -> tuple[str, ...]:
    """Return which attributes name the model: of MLServer `inferenceservicename` is the server."""
    is_server = kind.startswith("io.seldon.") and attributes.get("source", "").startswith("io.seldon.")
    return ("modelid", "inferenceservicename") if is_server else ("inferenceservicename", "modelid")


def _time(attributes: Mapping[str, str]) -> Instant | None:
    """Return when it happened. A time that cannot be read is none: the rest of the event is as good."""
    try:
        return instant(attributes["time"], "ce-time") if attributes.get("time") else None
    except DataError:
        return None


def _metadata(text: str) -> dict[str, str]:
    """Return the headers that the logger kept, in lower case, without those that are somebody's key."""
    try:
        held = read_json(text.encode(), "ce-metadata") if text else None
    except (DataError, UnicodeEncodeError):
        return {}
    found = {}
    for name, values in held.items() if isinstance(held, dict) else ():
        value = values[0] if isinstance(values, list) and values else values
        if isinstance(value, str) and len(name) <= ID_MAX and not _SECRET.search(name):
            found[name.lower()] = value[:ID_MAX]
    return dict(list(found.items())[:_METADATA_MAX])


def _trace_id(attributes: Mapping[str, str], metadata: Mapping[str, str]) -> str | None:
    for parent in (metadata.get("traceparent", ""), attributes.get("traceparent", "")):
        if found := _TRACEPARENT.fullmatch(parent):
            return found[1]
    return metadata.get("x-b3-traceid") or metadata.get("x-request-id") or None


# ------------------------------------------------------------------------------------------------ joining


def pair(request: Half, response: Half | None, reading: Reading) -> Decoded:
    """Return the predictions of a request and its response.

    Without a response they have the status `no response`; with one that failed, or that cannot be read, what it said
    or `unreadable response`: their features are watched all the same. Only a request that cannot be read is rejected.

    Args:
        request: the first half.
        response: the second; None when it did not come.
        reading: what is known of the model.
    """
    shared = _shared(request, response)
    try:
        asked = read_request(read_json(request.body, "request"), reading)
    except DataError as error:
        return Decoded(rejected=[rejected(0, error)])
    if response is None or "status" in shared:
        return Decoded(joined(asked, None, request.id, shared))
    try:
        answered = read_response(read_json(response.body, "response"), reading)
        if answered.version:
            shared["version"] = answered.version
        return Decoded(joined(asked, answered, request.id, shared))
    except DataError:
        return Decoded(joined(asked, None, request.id, shared | {"status": "unreadable response"}))


def _shared(request: Half, response: Half | None) -> Event:
    """Return what all rows of a request have in common."""
    told: Event = {}
    if request.time is not None:
        told["event_time"] = request.time
    if request.endpoint == "canary" or (response is not None and response.endpoint == "canary"):
        told["role"] = "canary"
    trace_id = request.trace_id or (response.trace_id if response else None)
    if trace_id:
        told["trace_id"] = trace_id
    places = {key: getattr(request, key) for key in ("namespace", "component", "endpoint") if getattr(request, key)}
    if metadata := {**places, **request.metadata}:
        told["metadata"] = metadata
    if response is None:
        told["status"] = NO_RESPONSE
        return told
    if request.time is not None and response.time is not None and 0 <= response.time - request.time <= _LATENCY_MAX:
        told["latency_seconds"] = (response.time - request.time) / 1e6
    if response.status is not None and not 200 <= response.status < 300:  # noqa: PLR2004 - success, in HTTP
        told["status"] = str(response.status)
    return told
