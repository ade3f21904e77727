"""A service that is killed: it logs without end, and keeps aside what it logged and what the client said of it.

    python -m tests.e2e.service ADDRESS SPOOL NOTES SEED FIRST

NOTES gets a line for each event before it is logged, and a line `["kept", WORD]` when the client says that all above is
in the spool, or acknowledged. Predictions are numbered from FIRST on.
"""

from __future__ import annotations

import json
import os
import sys
import time
from random import Random
from typing import TYPE_CHECKING

import killick
from tests.e2e.loans import MODEL, log

if TYPE_CHECKING:
    from collections.abc import Iterator

_BURST = 25


def life(chance: Random, first: int) -> Iterator[tuple[str, int, int]]:
    """Yield events: predictions, some again, some by shadows; outcomes before and after them, some corrected."""
    waiting: list[tuple[str, int, int]] = []
    number = first
    while True:
        waiting.append(("prediction", number, 0))
        if chance.random() < 0.15:
            waiting.append(("prediction", chance.randrange(max(0, number - 300), number + 1), 0))
        if chance.random() < 0.2:
            waiting.append(("shadow", number, 0))
        if chance.random() < 0.6:
            waiting += [("outcome", number, revision) for revision in range(chance.choice((1, 1, 2, 3)))]
        if chance.random() < 0.1:
            waiting.append(("outcome", chance.randrange(max(0, number - 300), number + 1), 0))
        number += 1
        while len(waiting) > 60:
            yield waiting.pop(chance.randrange(len(waiting)))


def main(address: str, spool: str, notes: str, seed: str, first: str) -> None:
    """Log until killed."""
    client = killick.Client(address, model=MODEL, spool=spool)
    chance = Random(seed)
    events = life(chance, int(first))
    file = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def note(*lines: object) -> None:
        os.write(file, "".join(json.dumps(line) + "\n" for line in lines).encode())
        os.fsync(file)

    while True:
        burst = [next(events) for _ in range(_BURST)]
        note(*burst)
        for event in burst:
            log(client, event)
        if chance.random() < 0.2 and client.flush(1.0):
            note(("kept", "acknowledged"))
        elif _is_written(client):
            note(("kept", "spooled"))
        time.sleep(chance.uniform(0, 0.05))


def _is_written(client: killick.Client) -> bool:
    """Whether the writer, whose turn comes every tenth of a second, has put everything into the spool."""
    for _ in range(200):
        if not client.statistics().waiting_bytes:
            return True
        time.sleep(0.005)
    return False


if __name__ == "__main__":
    main(*sys.argv[1:])
