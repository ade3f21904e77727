"""The description is true: every route is in it, its schemas are schemas, and no input makes the server fail."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings

from killick.server.routes import ROUTES
from tests.server.serving import prediction

if TYPE_CHECKING:
    from tests.server.serving import Server

# Enough to have found what was wrong while this was written; a soak runs longer.
EXAMPLES = 12


@schemathesis.serializer("application/x-ndjson", "application/jsonlines")
def lines(_context: Any, value: Any) -> bytes:
    """Write whatever was thought of as lines of JSON."""
    rows = value if isinstance(value, list) else [value]
    return b"\n".join(row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows)


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    """What the server says of itself."""
    return dict(server.ask("GET", "/openapi.json").json)


def references(node: Any) -> list[str]:
    """Every reference in a document."""
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [ref for value in node.values() for ref in references(value)]
    return [ref for value in node for ref in references(value)] if isinstance(node, list) else []


def at(document: dict[str, Any], reference: str) -> Any:
    """What a reference stands for."""
    node: Any = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


def test_every_route_is_described(document: dict[str, Any]) -> None:
    """Each path and method of the table, no more and no fewer, with each status that it may answer with."""
    told = {
        (method.upper(), path): set(operation["responses"])
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }

    assert told == {
        (route.method, route.path): {"200", *(str(status) for status in route.problems)} for route in ROUTES
    }


def test_its_schemas_are_schemas_and_its_references_lead_somewhere(document: dict[str, Any]) -> None:
    """JSON Schema 2020-12, which OpenAPI 3.1 is made of."""
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    found = references(document)

    assert len(found) > 50
    assert all(at(document, reference) for reference in found)


def test_a_path_names_its_parameters(document: dict[str, Any]) -> None:
    """Whoever makes a client of it finds each part of the path described."""
    for path, operations in document["paths"].items():
        for operation in operations.values():
            named = [at(document, one["$ref"]) if "$ref" in one else one for one in operation["parameters"]]
            assert {one["name"] for one in named if one["in"] == "path"} == set(re.findall(r"{(\w+)}", path))


def test_it_loads_nothing_from_elsewhere(document: dict[str, Any]) -> None:
    """A document and no page: there is no address of another machine in it."""
    assert "://" not in json.dumps(document)


def test_the_row_that_is_described_is_taken(server: Server, document: dict[str, Any]) -> None:
    """Our own canonical prediction is one by the schema."""
    jsonschema.validate(prediction(1), document["components"]["schemas"]["Prediction"])

    assert server.post("/v1/models/described/predictions", [prediction(1)]).json["accepted"] == 1


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_no_input_makes_the_server_fail(route: Any, server: Server, document: dict[str, Any]) -> None:
    """Inputs that fit the description, and inputs that do not: no 500, and each answer is one that was described."""
    operation = schemathesis.openapi.from_dict(document)[route.path][route.method]
    base = f"http://{server.host}:{server.port}"
    checks = [
        schemathesis.checks.not_a_server_error,
        schemathesis.checks.CHECKS.get_one("status_code_conformance"),
        schemathesis.checks.CHECKS.get_one("content_type_conformance"),
        schemathesis.checks.CHECKS.get_one("response_schema_conformance"),
    ]

    @given(case=operation.as_strategy())
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def send(case: Any) -> None:
        case.call_and_validate(base_url=base, checks=checks)

    send()
