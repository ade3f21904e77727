"""The server's bounds: what it takes, how much of it at once, and how long it waits. Everything here has a reason."""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound of the server. What is beyond one is refused with a status that says so, and counted.

    Attributes:
        body_bytes_max: a body as it is sent. 32 MiB hold some 90,000 predictions of 20 features as plain JSON.
        inflated_bytes_max: a body after its Content-Encoding is undone. JSON of telemetry shrinks to an eighth.
        held_bytes_max: all bodies that are in memory at once, sent and inflated. Two of the largest fit.
        connections_max: connections open at once; a 513th waits in the system's queue. Half of the usual 1,024 files.
        waiting_max: requests that wait for a thread. Beyond, they would wait longer than their senders do.
        threads: how many bodies are decoded and stored at once. While some wait for the disk, others are decoded, and
            what waits together is made durable together.
        header_seconds: how long a connection may be silent between requests, or take for one's headers.
        body_seconds: how long a body may take; 32 MiB in a minute are 4.5 Mbit/s.
        requests_per_second, burst: of one token, or of one address where there is none. A hundred serving processes
            that send five batches a second each; a tenth of what one core answers.
        models_max: names of models, where no spec names them: each costs memory and series in /metrics.
        backlog_batches_max: batches stored and not yet profiled, beyond which /readyz says no. At 40 batches a second
            the profiles are four minutes behind by then.
    """

    body_bytes_max: int = 32 * MEBIBYTE
    inflated_bytes_max: int = 256 * MEBIBYTE
    held_bytes_max: int = 1024 * MEBIBYTE
    connections_max: int = 512
    waiting_max: int = 256
    threads: int = 16
    header_seconds: float = 30.0
    body_seconds: float = 60.0
    requests_per_second: float = 500.0
    burst: int = 2_000
    models_max: int = 1_000
    backlog_batches_max: int = 10_000
