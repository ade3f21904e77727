"""The server's bounds: what it takes, how much of it at once, and how long it waits. Everything here has a reason."""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """Every bound of the server. What is beyond one is refused with a status that says so, and counted.

    Attributes:
        body_bytes_max: a body as it is sent. 32 MiB hold some 90,000 predictions of 20 features as plain JSON.
        inflated_bytes_max: a body after its Content-Encoding is undone. Telemetry shrinks to an eighth.
        inflated_text_bytes_max: the same, of one that is not read in columns: as Python values it takes up to 28 times
            as much memory. 64 MiB hold some 180,000 predictions of 20 features as plain JSON.
        held_bytes_max: all bodies that are in memory at once, sent and inflated. Two of the largest fit.
        connections_max: connections open at once; a 513th waits in the system's queue. Half of the usual 1,024 files.
        waiting_max: requests that wait for a thread. Beyond, they would wait longer than their senders do.
        threads: how many bodies are decoded and stored at once. While some wait for the disk, others are decoded, and
            what waits together is made durable together.
        header_seconds: how long a connection may be silent between requests, or take for one's headers.
        body_seconds: how long a body may take; 32 MiB in a minute are 4.5 Mbit/s.
        requests_per_second, burst: of one token, or of one address where there is none. A client of ours sends up to
            ten batches a second of each kind: a hundred and sixty serving processes that share a token or a proxy and
            log predictions, outcomes and gauges at their most. It keeps a sender that went wild from all the others.
        models_max: names of models, where no spec names them: each costs memory and series in /metrics.
        backlog_batches_max: batches stored and not yet profiled, beyond which /readyz says no. At 40 batches a second
            the profiles are four minutes behind by then.
    """

    body_bytes_max: int = 32 * MEBIBYTE
    inflated_bytes_max: int = 256 * MEBIBYTE
    inflated_text_bytes_max: int = 64 * MEBIBYTE
    held_bytes_max: int = 1024 * MEBIBYTE
    connections_max: int = 512
    waiting_max: int = 256
    threads: int = 16
    header_seconds: float = 30.0
    body_seconds: float = 60.0
    requests_per_second: float = 5_000.0
    burst: int = 10_000
    models_max: int = 1_000
    backlog_batches_max: int = 10_000
