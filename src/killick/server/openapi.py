"""The description of the HTTP API, OpenAPI 3.1, made from the table of routes and from the types that are sent.

It is a document and nothing else: no page that would load a viewer from somewhere.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from killick.engine.receive import Receipt
from killick.identity import MODEL_BYTES_MAX
from killick.server.bodies import ENCODINGS, JSON
from killick.server.problems import MEDIA, Problem
from killick.server.senders import PRODUCER_CHARACTERS_MAX, SEQUENCE_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from killick.server.routes import Route

_TIME = {
    "description": "microseconds since 1970-01-01 UTC, or ISO 8601 (without a zone: UTC)",
    "anyOf": [{"type": "integer"}, {"type": "string"}],
}
_TEXT, _NUMBER = {"type": "string"}, {"type": "number"}


def _object(required: Iterable[str], **properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": [*required], "properties": properties}


# One row of each body, in its canonical form. A flat row (the operator's own column names) is as good; which names it
# has is the spec's to say, so more properties than these are no mistake.
ROWS: dict[str, dict[str, Any]] = {
    "Prediction": _object(
        ["prediction_id"],
        prediction_id=_TEXT,
        event_time=_TIME,
        features={"type": "object"},
        version=_TEXT,
        score=_NUMBER,
        scores={"type": "object", "additionalProperties": _NUMBER},
        decision={"type": ["string", "number", "boolean", "null"]},
        role={"enum": ["live", "canary", "shadow", "fallback"], "default": "live"},
        entity_id=_TEXT,
        latency_seconds=_NUMBER,
        status={"type": "string", "default": "ok"},
        trace_id=_TEXT,
        log_url=_TEXT,
        metadata={"type": "object", "additionalProperties": _TEXT},
        sampling_weight={"type": "number", "exclusiveMinimum": 0, "default": 1},
    ),
    "Outcome": _object(
        ["prediction_id"],
        prediction_id=_TEXT,
        known_at=_TIME,
        label={"type": ["boolean", "number", "string", "null"]},
        kpis={"type": "object", "additionalProperties": _NUMBER},
    ),
    "Gauge": _object(["name", "value"], name=_TEXT, value=_NUMBER, at=_TIME),
    "Change": _object(["at", "kind", "name"], at=_TIME, kind=_TEXT, name=_TEXT, version=_TEXT, note=_TEXT, model=_TEXT),
}

_PARAMETERS: dict[str, dict[str, Any]] = {
    "Model": {
        "name": "model",
        "in": "path",
        "required": True,
        "description": "The model's name.",
        "schema": {"type": "string", "minLength": 1, "maxLength": MODEL_BYTES_MAX},
    },
    "Producer": {
        "name": "Killick-Producer",
        "in": "header",
        "description": "Who sends: with Killick-Sequence it makes sending again harmless.",
        "schema": {"type": "string", "minLength": 1, "maxLength": PRODUCER_CHARACTERS_MAX},
    },
    "Sequence": {
        "name": "Killick-Sequence",
        "in": "header",
        "description": "The producer's number of this batch.",
        "schema": {"type": "integer", "minimum": 0, "maximum": SEQUENCE_MAX},
    },
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "In place of producer and sequence: a name that no other batch has.",
        "schema": {"type": "string", "minLength": 1, "maxLength": PRODUCER_CHARACTERS_MAX},
    },
    "ContentEncoding": {
        "name": "Content-Encoding",
        "in": "header",
        "description": "How the body is packed.",
        "schema": {"type": "string", "enum": [*ENCODINGS, "identity"]},
    },
}
_SENT = ("Producer", "Sequence", "IdempotencyKey", "ContentEncoding")
_HEADERS: dict[str, dict[str, Any]] = {
    "RetryAfter": {"description": "Seconds to wait before the same is sent again.", "schema": {"type": "integer"}},
    "Challenge": {"description": "Which kind of credentials is wanted: Bearer.", "schema": _TEXT},
}
_RETRY = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


def describe(routes: Iterable[Route], version: str, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole document.

    Args:
        routes: what is served.
        version: of Killick.
        answers: the types that answers are made of, by the names in the table.
    """
    types = [Problem, Receipt, *(one for one in answers.values() if one is not Receipt)]
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Killick",
            "version": version,
            "description": "Send predictions and outcomes, see what is known. Errors are RFC 9457 documents.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": ROWS | schemas,
            "parameters": _PARAMETERS,
            "headers": _HEADERS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, schemas: Mapping[str, Any]) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = []
    if "{model}" in route.path:
        parameters.append(_ref("parameters", "Model"))
    if route.accepts:
        parameters += [_ref("parameters", name) for name in _SENT]
    parameters += [
        {"name": query.name, "in": "query", "description": query.meaning, "schema": query.schema}
        for query in route.queries
    ]
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}{re.sub(r'[^a-z]+', '_', route.path)}",
        "summary": route.meaning,
        "parameters": parameters,
        "responses": _responses(route, schemas),
        # Without a token where the server listens on loopback only; "scope" says what a token must be for.
        "security": [{"token": []}, {}] if route.scope else [],
    }
    if route.scope:
        operation["description"] = f"A token must be for `{route.scope}`."
    if route.accepts:
        operation["requestBody"] = {"required": True, "content": _content(route)}
    return operation


def _content(route: Route) -> dict[str, Any]:
    if route.body not in ROWS:
        return {media: {} for media in route.accepts}
    row = _ref("schemas", route.body)
    either = {"anyOf": [{"type": "array", "items": row}, row]}
    return {media: {"schema": either} if media == JSON else {} for media in route.accepts}


def _responses(route: Route, schemas: Mapping[str, Any]) -> dict[str, Any]:
    good = {JSON: {"schema": _ref("schemas", route.gives)}} if route.gives in schemas else {route.gives: {}}
    good |= {media: {} for media in route.also_gives}
    responses: dict[str, Any] = {"200": {"description": "Done; what was sent is durable.", "content": good}}
    if not route.accepts:
        responses["200"]["description"] = "What was asked for."
    for status in route.problems:
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA: {"schema": _ref("schemas", "Problem")}},
        }
        if status in _RETRY:
            responses[str(status)]["headers"] = {"Retry-After": _ref("headers", "RetryAfter")}
        if status == HTTPStatus.UNAUTHORIZED:
            responses[str(status)]["headers"] = {"WWW-Authenticate": _ref("headers", "Challenge")}
    return responses


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}
