"""Logging a prediction, as the service that logs it feels it: one call, a million times, with no server to be reached.

Twenty features (numbers and categories), a score and a latency. Each call is timed by itself, in a process that has
nothing else to do and waits for nothing between calls: while it runs, the client's threads fight it for the interpreter
to write what they can, and the bounds of memory and disk are reached. That every event is accounted for is checked.

    python -m benchmarks client                  ten seconds on one core
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from array import array

from benchmarks.contest import Found, peak_megabytes, run_ours
from benchmarks.table import Row
from killick_client import Client

CALLS = 1_000_000
NOWHERE = "http://127.0.0.1:9"  # the port of `discard`, which nobody serves
FEATURES = {f"x{at}": at * 1.37 if at % 3 else f"category {at}" for at in range(20)}
MEGABYTE = 1 << 20
MEMORY_BYTES_MAX = 64 * MEGABYTE
MICROSECONDS_MEDIAN, MICROSECONDS_99 = 5.0, 50.0
# Besides what it may hold: a batch on its way to the disk and one on its way out, twice while they are put together.
MEGABYTES_BESIDES = 8


def main() -> list[Row]:
    """Measure in a process of its own, for its peak of memory."""
    found = run_ours("benchmarks.client")
    return [
        Row("log_prediction, median", found["median"], "us", budget=MICROSECONDS_MEDIAN),
        Row("log_prediction, 99 in 100", found["p99"], "us", budget=MICROSECONDS_99),
        Row(
            "log_prediction, memory held without a server",
            found["megabytes"],
            "MB",
            budget=MEMORY_BYTES_MAX / MEGABYTE + MEGABYTES_BESIDES,
        ),
    ]


def measure() -> Found:
    """Log a million predictions; return microseconds a call, and how much memory it took more than before."""
    took = array("q", bytes(8 * CALLS))
    clock = time.perf_counter_ns
    with tempfile.TemporaryDirectory() as spool:
        client = Client(NOWHERE, model="m", version="v", spool=spool, memory_bytes_max=MEMORY_BYTES_MAX)
        log = client.log_prediction
        before = peak_megabytes()
        for call in range(CALLS):
            start = clock()
            log(prediction_id="2013-05-10-B6-715", features=FEATURES, score=0.31, latency_seconds=0.012)
            took[call] = clock() - start
        megabytes = peak_megabytes() - before
        counts = client.statistics()
        client.close()
    assert counts.logged >= CALLS, "every call counts"
    assert counts.spooled_bytes > 0, "the writer had its turns"
    assert set(counts.dropped) <= {"full"}, "nothing but the bounds drops an event"
    ordered = sorted(took)
    return {"median": ordered[CALLS // 2] / 1_000, "p99": ordered[CALLS * 99 // 100] / 1_000, "megabytes": megabytes}


if __name__ == "__main__":
    print(json.dumps(measure()))
    sys.exit()
