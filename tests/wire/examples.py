"""Rows as they come over the wire, in each of its formats, and what the tests of the wire share."""

from __future__ import annotations

import io
import json
from typing import Any

import polars as pl

from killick.clock import parse_instant
from killick.spec.document import Features, Kpi, Label, Schema, Spec
from killick.wire.decode import Decoded, decode_predictions

NOW = parse_instant("2026-03-01T12:00Z")
SPEC = Spec(
    "flight-delay",
    "binary",
    Schema(
        prediction_id="flight",
        event_time="departs_at",
        entity_id="tail",
        score="p_late",
        decision="hold",
        latency="took",
        label=Label("late", known_at="landed_at", positive="yes"),
        kpis=(Kpi("cost"),),
        time_zone="America/New_York",
    ),
    Features(exclude=("secret_*",)),
)
CANONICAL: list[dict[str, Any]] = [
    {
        "prediction_id": "a",
        "event_time": parse_instant("2026-02-28T10:00Z"),
        "entity_id": "N1",
        "score": 0.25,
        "version": "v3",
        "decision": "wait",
        "features": {"temp": 39.5, "wind": 4, "carrier": "UA", "holiday": False, "route": [0.5, 1.0]},
    },
    {
        "prediction_id": "b",
        "event_time": parse_instant("2026-02-28T10:01Z"),
        "entity_id": None,
        "score": None,
        "version": "v3",
        "decision": "go",
        "features": {"temp": None, "wind": 6, "carrier": "B6", "holiday": True, "route": [2.5, 3.0]},
    },
]
FLAT = [{**{key: row[key] for key in row if key != "features"}, **row["features"]} for row in CANONICAL]


def as_json(rows: list[Any]) -> bytes:
    """Return the rows as an array."""
    return json.dumps(rows).encode()


def as_lines(rows: list[Any]) -> bytes:
    """Return the rows as lines."""
    return b"\n".join(json.dumps(row).encode() for row in rows)


def as_arrow(frame: pl.DataFrame) -> bytes:
    """Return a frame as Polars streams it."""
    stream = io.BytesIO()
    frame.write_ipc_stream(stream)
    return stream.getvalue()


def decode(rows: list[Any] | pl.DataFrame | bytes, *, spec: Spec | None = None, media: str = "json") -> Decoded:
    """Decode predictions of the model `flight-delay`."""
    if isinstance(rows, pl.DataFrame):
        rows, media = as_arrow(rows), "arrow"
    body = rows if isinstance(rows, bytes) else as_lines(rows) if media == "ndjson" else as_json(rows)
    return decode_predictions(body, media, model="flight-delay", spec=spec, now=NOW)  # type: ignore[arg-type]


def refused(decoded: Decoded) -> list[tuple[int, str]]:
    """Return which rows were refused, and for which field."""
    return [(rejected.index, rejected.field) for rejected in decoded.rejected]
