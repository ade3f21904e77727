"""The server under load: how many predictions a second it makes durable, and how soon they are counted (DESIGN 6).

The server has one core to itself and its worker shares it, at a lower priority, as `killick serve` starts it; senders
have the other core. Throughput is what four connections get through that send as fast as they are answered; the soak
sends at a steady 20,000 predictions a second and asks all the while how many are counted.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import polars as pl

from benchmarks.table import Row

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECTIONS, BODIES = 4, 16
# What a client of ours sends at once, about a megabyte; and a table that somebody sends.
ROWS, ARROW_ROWS = 2_000, 20_000
SECONDS = 10.0
STEADY, BATCH = 20_000, 1_000
QUICK_SECONDS, SOAK_SECONDS = 30.0, 600.0
MODEL = "loans"
_MEDIA = {
    "JSON": "application/json",
    "NDJSON": "application/x-ndjson",
    "Arrow": "application/vnd.apache.arrow.stream",
}


def main() -> list[Row]:
    """Measure throughput in each format, and half a minute of a steady load."""
    rows = []
    for media, budget in (("JSON", 150_000.0), ("NDJSON", None), ("Arrow", 1_000_000.0)):
        with a_server() as server:
            found = server.rush(media)
            what = f"{media} ingested on one core, durable"
            rows.append(
                Row(f"{what}: microseconds a prediction", 1e6 / found, unit="us", budget=budget and 1e6 / budget)
            )
            print(f"{what}: {found:,.0f} predictions/s", flush=True)
    return [*rows, *steady(QUICK_SECONDS)]


def soak() -> list[Row]:
    """Measure ten minutes of a steady load."""
    return steady(SOAK_SECONDS)


def steady(seconds: float) -> list[Row]:
    """Send at a steady pace, and look how long answers take, how late rows are counted, and what memory does."""
    with a_server() as server:
        found = server.pace(seconds)
    what = f"{STEADY:,} predictions/s for {seconds:.0f} s"
    print(f"{what}: {json.dumps({name: round(value, 3) for name, value in found.items()})}", flush=True)
    return [
        Row(f"{what}: p99 of the acknowledgement", found["p99"] * 1e3, unit="ms", budget=250.0),
        Row(f"{what}: sent -> counted, worst", found["lag"], unit="s", budget=2.0),
        Row(f"{what}: memory of server and worker", found["megabytes_end"], unit="MB"),
        Row(f"{what}: growth after the first minute", found["growth"], unit="%", budget=10.0),
        Row(f"{what}: rows missing or twice", found["wrong"], unit="", budget=0.0, strict=True),
    ]


class Server:
    """A `killick serve` on a port of its own, as a user would start it."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.process = process
        self._ids = 0

    def rush(self, media: str) -> float:
        """Return how many predictions a second are acknowledged, sent as fast as answers come."""
        rows = ARROW_ROWS if media == "Arrow" else ROWS
        bodies = [self.body(media, rows) for _ in range(BODIES)]
        done = [0] * CONNECTIONS
        end = time.perf_counter() + SECONDS

        def send(at: int) -> None:
            connection, number = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60), 0
            while time.perf_counter() < end:
                self.post(connection, bodies[number % BODIES], media, f"rush-{at}", number)
                number += 1
                done[at] += rows

        began = time.perf_counter()
        threads = [threading.Thread(target=send, args=(at,)) for at in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(done) / (time.perf_counter() - began)

    def pace(self, seconds: float) -> dict[str, float]:
        """Send at a steady pace from as many threads as keep it; return what was seen."""
        waits: list[float] = []
        sent: list[tuple[float, int]] = [(time.perf_counter(), 0)]
        lock = threading.Lock()
        began = time.perf_counter()
        every = BATCH / STEADY

        def send(at: int) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            for number in range(at, int(seconds / every), CONNECTIONS):
                body = self.body("NDJSON", BATCH)
                time.sleep(max(0.0, began + number * every - time.perf_counter()))
                # From when it was due: a server that holds everybody up is not measured by who waits.
                self.post(connection, body, "NDJSON", f"pace-{at}", number)
                with lock:
                    waits.append(time.perf_counter() - began - number * every)
                    sent.append((time.perf_counter(), sent[-1][1] + BATCH))

        threads = [threading.Thread(target=send, args=(at,)) for at in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        lag, memory, counted = 0.0, [], 0
        while any(thread.is_alive() for thread in threads) or counted < sent[-1][1]:
            asked = time.perf_counter()
            counted = self.counted()
            with lock:
                # The oldest acknowledgement that is not counted yet.
                waiting = next((at for at, total in sent[1:] if total > counted), None)
            lag = max(lag, asked - waiting if waiting and asked > began + 5 else 0.0)
            memory.append((asked - began, self.megabytes()))
            time.sleep(0.1)
            if asked > began + seconds + 60:
                break
        warm = [size for at, size in memory if at > min(60.0, seconds / 2)]
        return {
            "p99": float(np.quantile(waits, 0.99)),
            "median": float(np.median(waits)),
            "lag": lag,
            "megabytes_end": warm[-1],
            "growth": 100 * (max(warm[-20:]) / max(warm[:20]) - 1),
            "wrong": float(abs(sent[-1][1] - counted)),
        }

    def body(self, media: str, rows: int) -> bytes:
        """Return predictions of twenty features, each of an id that was never sent before."""
        rng = np.random.default_rng(self._ids)
        first, self._ids = self._ids, self._ids + rows
        now = time.time_ns() // 1_000
        frame = pl.DataFrame(
            {
                "prediction_id": [f"{number:032x}" for number in range(first, first + rows)],
                "event_time": np.arange(now - rows, now),
                "score": rng.random(rows),
                "version": "v1",
                **{f"f{at}": rng.normal(size=rows) for at in range(16)},
                **{f"c{at}": rng.choice(list("abcdefghij"), rows) for at in range(4)},
            }
        )
        if media == "Arrow":
            held = io.BytesIO()
            frame.write_ipc_stream(held)
            return held.getvalue()
        parts = ["prediction_id", "event_time", "score", "version"]
        events = frame.select(*parts, pl.struct(pl.exclude(parts)).alias("features"))
        if media == "NDJSON":
            return events.write_ndjson().encode()
        return b"[" + events.write_ndjson().strip().replace("\n", ",").encode() + b"]"

    def post(
        self, connection: http.client.HTTPConnection, body: bytes, media: str, producer: str, sequence: int
    ) -> None:
        """Send a body, and be answered 200."""
        headers = {
            "Content-Type": _MEDIA[media],
            "Killick-Producer": producer,
            "Killick-Sequence": str(sequence),
        }
        connection.request("POST", f"/v1/models/{MODEL}/predictions", body, headers)
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == http.client.OK, said

    def counted(self) -> int:
        """Ask how many predictions are in the profiles."""
        return int(self.ask(f"/v1/models/{MODEL}").get("totals", {}).get("predictions.counted", 0))

    def ask(self, path: str) -> dict[str, Any]:
        """Get a document; an empty one where there is none yet."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request("GET", path)
        answer = connection.getresponse()
        found: dict[str, Any] = msgspec.json.decode(answer.read())
        connection.close()
        return found if answer.status == http.client.OK else {}

    def megabytes(self) -> float:
        """Return what the server and its worker hold in memory, without what files lend them."""
        held = 0
        for pid in (self.process.pid, *_children(self.process.pid)):
            try:
                status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
            except FileNotFoundError:
                continue
            held += sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon"))
        return held / 1024


@contextmanager
def a_server() -> Iterator[Server]:
    """Start a server in a folder of its own, pinned to one core where there are two."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    cores = sorted(os.sched_getaffinity(0))
    folder = tempfile.mkdtemp(prefix="killick-ingest-")
    command = [sys.executable, "-m", "killick", "serve", "--port", str(port), "--store", f"{folder}/store"]
    command += ["--requests-per-second", "100000", "--burst", "100000"]
    environment = os.environ | {"POLARS_MAX_THREADS": "1"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    os.sched_setaffinity(process.pid, {cores[0]})
    os.sched_setaffinity(0, {cores[-1]})
    try:
        server = Server(port, process)
        _wait(server)
        yield server
    finally:
        os.sched_setaffinity(0, set(cores))
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        shutil.rmtree(folder)


def _wait(server: Server) -> None:
    for _ in range(300):
        try:
            if server.ask("/readyz"):
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError("the server did not become ready")


def _children(pid: int) -> list[int]:
    # Of every thread: the worker is its keeper's child.
    listed = " ".join(file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(child) for child in listed.split()]
