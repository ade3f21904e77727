"""The routes, as a table: what is served, to whom, what goes in and what comes out.

`app.py` serves this table, `openapi.py` describes it, and the tests go through it, so that none can know of a route
that the others do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from killick.server.bodies import ARROW, JSON, NDJSON

if TYPE_CHECKING:
    from killick.server.tokens import Scope

TABLES = (JSON, NDJSON, ARROW)
# Ours, and what a tool calls bytes of which it knows nothing.
PACKED = ("application/vnd.killick.profiles", "application/octet-stream")
REFERENCE = "application/vnd.killick.reference"
# What senders call JSON Lines; application/x-ndjson is another name of it.
LINES = ("application/jsonlines", "application/jsonl", "application/x-jsonlines")
PROTOBUF = "application/x-protobuf"
# Prometheus' text format, as scrapers ask for it.
METRICS = "text/plain"

# Statuses that every guarded route may answer with, and those that every body may.
GUARDED = (401, 403, 429, 503)
WITH_BODY = (400, 408, 413, 415, 422)


@dataclass(frozen=True, slots=True)
class Query:
    """A parameter of the query: its name, what it means, its JSON schema."""

    name: str
    meaning: str
    schema: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Route:
    """One route.

    Attributes:
        method, path: as HTTP has them; `{model}` is a part of the path.
        name: which handler serves it.
        scope: what a token must be for; None where nobody is asked.
        meaning: a sentence.
        body: the name of the schema of one row; "" where there is no body, "bytes" where it is packed.
        accepts: the media types of the body.
        gives: the name of the answer's schema, or the answer's media type when it is no JSON.
        also_gives: other media types of the answer.
        refuses: the statuses of its problems, besides those of the guard and of bodies.
        queries: parameters of the query.
    """

    method: Literal["GET", "POST"]
    path: str
    name: str
    scope: Scope | None
    meaning: str
    gives: str
    body: str = ""
    accepts: tuple[str, ...] = ()
    refuses: tuple[int, ...] = ()
    also_gives: tuple[str, ...] = ()
    queries: tuple[Query, ...] = ()

    @property
    def problems(self) -> tuple[int, ...]:
        """Every status that it may answer with, besides 200."""
        statuses = {*self.refuses, *(GUARDED if self.scope else ()), *(WITH_BODY if self.accepts else ())}
        return tuple(sorted(statuses | ({404} if "{model}" in self.path else set())))


_ON_ERROR = Query(
    "on_error",
    "What a bad row does: it is put aside and the rest stands, or nothing is stored.",
    {"type": "string", "enum": ["quarantine", "reject"], "default": "quarantine"},
)

_INSTANT = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "integer"}]}
_TIMES = (
    Query("start", "The first instant; without it, the first that is known.", _INSTANT),
    Query("end", "The first instant that is too late; without it, none is.", _INSTANT),
)


def _rows(path: str, name: str, meaning: str, body: str) -> Route:
    return Route("POST", path, name, "ingest", meaning, "Receipt", body, TABLES, queries=(_ON_ERROR,))


ROUTES: tuple[Route, ...] = (
    _rows("/v1/models/{model}/predictions", "predictions", "Store predictions of a model.", "Prediction"),
    _rows("/v1/models/{model}/outcomes", "outcomes", "Store what turned out for predictions.", "Outcome"),
    _rows("/v1/models/{model}/gauges", "gauges", "Store numbers that a service tells of itself.", "Gauge"),
    _rows("/v1/changes", "changes", "Store what changed in the world.", "Change"),
    Route(
        "POST",
        "/v1/models/{model}/profiles",
        "profiles",
        "ingest",
        "Store profiles of rows that must stay where they are.",
        "Receipt",
        "bytes",
        PACKED,
    ),
    Route(
        "POST",
        "/v1/cloudevents",
        "cloudevents",
        "ingest",
        "Hold requests and responses that KServe's, Seldon's and MLServer's loggers send.",
        "Receipt",
        "bytes",
        ("*/*",),
        refuses=(404,),
    ),
    *(
        Route(
            "POST", path, "logs", "ingest", "Take in OTLP logs.", "Exported", "bytes", (JSON, PROTOBUF), (), (PROTOBUF,)
        )
        for path in ("/v1/logs", "/v1/otlp/v1/logs")
    ),
    *(
        Route(
            "POST", f"/v1/models/{{model}}/sagemaker/{name}", name, "ingest", said, "Receipt", "bytes", (NDJSON, *LINES)
        )
        for name, said in (
            ("captures", "Store what SageMaker captured of an endpoint."),
            ("labels", "Store SageMaker's ground truth."),
        )
    ),
    Route("GET", "/v1/models", "names", "read", "List the models.", "Names"),
    Route("GET", "/v1/models/{model}", "telemetry", "read", "A model's totals.", "Telemetry"),
    Route(
        "GET",
        "/v1/models/{model}/profiles",
        "counted",
        "read",
        "What was counted, by version, role, segment and window.",
        "Profiled",
        refuses=(400, 422),
        queries=(
            *_TIMES,
            Query("version", "Only of this version.", {"type": "string"}),
            Query(
                "segment",
                "Only of this segment, as COLUMN=VALUE, once for each column; empty for all rows.",
                {"type": "array", "items": {"type": "string"}},
            ),
        ),
    ),
    Route(
        "GET",
        "/v1/models/{model}/reference",
        "reference",
        "read",
        "What the model is measured with, packed, for whoever profiles rows that must stay where they are.",
        REFERENCE,
    ),
    Route(
        "GET",
        "/v1/models/{model}/quarantine",
        "quarantine",
        "read",
        "The newest rows that could not be used.",
        "Quarantine",
        refuses=(400,),
        queries=(Query("limit", "How many.", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}),),
    ),
    Route(
        "GET",
        "/v1/models/{model}/maturity",
        "maturity",
        "read",
        "How many labels of each window are in, and how many should be.",
        "Matured",
        refuses=(400,),
        queries=_TIMES,
    ),
    Route("GET", "/healthz", "healthz", None, "Whether the process lives.", "Alive"),
    Route("GET", "/readyz", "readyz", None, "Whether it can do its work.", "Alive", refuses=(503,)),
    Route("GET", "/metrics", "metrics", "read", "Its numbers, for Prometheus.", METRICS),
    Route("GET", "/openapi.json", "openapi", None, "This description.", JSON),
)
