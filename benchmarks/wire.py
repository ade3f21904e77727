"""What it costs to read predictions from the wire: seconds for a million of them, on one thread.

Rows of 16 numbers and 4 texts, made from a seed, as a JSON array and as lines in bodies of 1,000 (what a client sends
that flushes twice a second at 2,000 a second), and as Arrow in bodies of 1,000 and 20,000. Beside JSON stands what
any reader must do at least: msgspec making Python objects of the same body. The answer is asserted: every format gives
the same frame, and nothing is refused.

    python -m benchmarks wire         half a minute
"""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

from benchmarks.contest import best_of, run_ours
from benchmarks.table import Row
from killick.clock import parse_instant
from killick.wire.decode import decode_predictions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.contest import Found
    from killick.wire.decode import Decoded, Media

NOW = parse_instant("2026-03-01T12:00Z")
NUMBERS, TEXTS = 16, 4
SMALL, LARGE = 1_000, 20_000
REPEATS, MILLION = 50, 1_000_000
# Rows a second that one core must read: 250,000 as JSON, three million as Arrow.
JSON_MAX, ARROW_MAX = MILLION / 250_000, MILLION / 3_000_000
# Of what msgspec takes to make objects of the same JSON: frames and every rule included.
JSON_TIMES = 4.0
CONTESTS: dict[str, tuple[Media, int, float | None]] = {
    "JSON array": ("json", SMALL, JSON_MAX),
    "JSON lines": ("ndjson", SMALL, JSON_MAX),
    "small Arrow": ("arrow", SMALL, None),
    "Arrow": ("arrow", LARGE, ARROW_MAX),
}


def make_body(media: Media | Literal["objects"], rows: int) -> bytes:
    """Return so many predictions as a body."""
    rng = np.random.default_rng(4)
    numbers = {f"x{at}": rng.normal(at, 1 + at, rows).tolist() for at in range(NUMBERS)}
    texts = {f"c{at}": rng.choice(["UA", "B6", "DL", "AA"], rows).tolist() for at in range(TEXTS)}
    features = pl.DataFrame(numbers | texts)
    parts = pl.DataFrame(
        {
            "prediction_id": [f"flight-{at:08d}" for at in range(rows)],
            "event_time": [NOW - at for at in range(rows)],
            "entity_id": [f"N{at % 500}" for at in range(rows)],
            "score": rng.random(rows),
            "version": ["v3"] * rows,
        }
    )
    if media == "arrow":
        stream = io.BytesIO()
        pl.concat([parts, features], how="horizontal").write_ipc_stream(stream)
        return stream.getvalue()
    lines = [
        msgspec.json.encode(part | {"features": own})
        for part, own in zip(parts.iter_rows(named=True), features.iter_rows(named=True), strict=True)
    ]
    return b"\n".join(lines) if media == "ndjson" else b"[" + b",".join(lines) + b"]"


def read(body: bytes, media: Media) -> Decoded:
    """Decode a body."""
    return decode_predictions(body, media, model="flight-delay", spec=None, now=NOW)


def check_answer() -> None:
    """Assert that every format gives the same frame."""
    array, lines, arrow = (read(make_body(media, SMALL), media) for media in ("json", "ndjson", "arrow"))
    assert array.table.height == SMALL, array.rejected
    assert_frame_equal(array.table, lines.table)
    assert_frame_equal(array.table, arrow.table)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let the processes that are started meanwhile have one thread each for Polars."""
    before = os.environ.get("POLARS_MAX_THREADS")
    os.environ["POLARS_MAX_THREADS"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["POLARS_MAX_THREADS"]
        else:
            os.environ["POLARS_MAX_THREADS"] = before


def main() -> list[Row]:
    """Read every format."""
    check_answer()
    rows = []
    with one_thread():
        objects = run_ours("benchmarks.wire", "objects")["cpu"]
        for name, (_, _, budget) in CONTESTS.items():
            took = run_ours("benchmarks.wire", name)["cpu"]
            print(f"{name}: {MILLION / took:,.0f} rows/s", flush=True)
            rows.append(Row(f"1M predictions x {NUMBERS + TEXTS}, {name}, CPU", took, "s", budget=budget))
            if name.startswith("JSON"):
                what = f"1M predictions x {NUMBERS + TEXTS}, {name}"
                rows.append(Row(what, took, "s", "msgspec makes objects", objects, "times_theirs", JSON_TIMES))
    return rows


def _contestant(name: str) -> Found:
    """Return the seconds for a million rows."""
    if name == "objects":
        size, body = SMALL, make_body("json", SMALL)
        found = best_of(REPEATS, lambda: msgspec.json.decode(body))
    else:
        media, size, _ = CONTESTS[name]
        body = make_body(media, size)
        found = best_of(REPEATS, lambda: read(body, media))
    return {"wall": found["wall"] * MILLION / size, "cpu": found["cpu"] * MILLION / size}


if __name__ == "__main__":
    print(json.dumps(_contestant(sys.argv[1])))
