"""A service that logs what it is told, as fast as it can, and ends when all of it is acknowledged.

    python -m tests.e2e.sender ADDRESS MODEL SPOOL FILE

ADDRESS is a server's, or `local:FOLDER` for the store in a folder. FILE has a line for each event: the name of what
logs it, and its arguments.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

import killick


def main(address: str, model: str, spool: str, events: str) -> None:
    """Log everything."""
    folder = address.removeprefix("local:")
    client = (
        killick.Client(address, model=model, spool=spool)
        if folder == address
        else killick.Client.local(folder, model=model, spool=spool)
    )
    for line in Path(events).read_bytes().splitlines():
        name, parts = msgspec.json.decode(line)
        getattr(client, name)(**parts)
    assert client.flush(timeout_seconds=60), client.statistics()
    counts = client.statistics()
    assert counts.acknowledged == counts.logged, counts
    assert not counts.quarantined, counts
    client.close(timeout_seconds=60)


if __name__ == "__main__":
    main(*sys.argv[1:])
