"""A client without a server: what it logs goes straight into a store in a folder, and is profiled in this process.

`killick_client.Client.local(path)` finds this by its entry point. The answers are those of the server, so the client
need not know the difference: 200 when durable, 422 for what cannot be used, 503 when the disk or the store fails.
Several processes may log into one folder. A spec `killick.yaml` in the folder says how its model is watched; a model
without one is watched by what it sends first.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

import msgspec

from killick.api import load_spec
from killick.engine.admit import DECODERS, delivery_of
from killick.engine.live import Live
from killick.engine.receive import CHANGES, commit
from killick.engine.summaries import take_summaries
from killick.errors import KillickError, OutsideError
from killick.wiring import open_world, system_clock
from killick_client.transport import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.clock import Clock
    from killick.engine.receive import Receipt
    from killick.engine.world import World

# A batch is counted in a profile soon after it was logged, and a busy service is not profiled all the time.
_PROFILE_EVERY_SECONDS = 1.0
_MEDIA: Mapping[str, Literal["json", "ndjson", "arrow"]] = {
    "application/json": "json",
    "application/x-ndjson": "ndjson",
    "application/vnd.apache.arrow.stream": "arrow",
}


def open_local(path: str) -> LocalTransport:
    """Open the store in a folder, which is made when it is not there.

    Raises:
        Mistaken: the spec in it cannot be used.
        OutsideError: the store cannot be opened.
    """
    folder, clock = Path(path), system_clock()
    world = open_world(folder, folder)
    spec = load_spec(folder / "killick.yaml") if (folder / "killick.yaml").is_file() else None
    live = Live(world, {spec.model: spec} if spec else {})
    live.open(clock.now())
    return LocalTransport(world, live, clock)


class LocalTransport:
    """A `killick_client.transport.Transport` into a store."""

    def __init__(self, world: World, live: Live, clock: Clock) -> None:
        self._world = world
        self._live = live
        self._clock = clock
        self._attempt = 0
        self._profiled_at = 0.0
        # Whoever closes the client hangs up, and the sender's thread does too: who comes second waits for the first.
        self._profiling = threading.Lock()
        self._is_closed = False

    def send(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Make a batch durable, and answer as the server does."""
        try:
            receipt = self._receive(path, headers, body)
        except OutsideError as error:
            return _said(503, str(error), retry_after_seconds=1.0)
        except KillickError as error:
            return _said(error.http_status, str(error))
        if time.monotonic() >= self._profiled_at + _PROFILE_EVERY_SECONDS:
            with self._profiling:
                self._profile()
        return Answer(200, body=msgspec.json.encode(receipt))

    def close(self) -> None:
        """Profile what is pending; once, so that nothing is under way any more when the process ends."""
        with self._profiling:
            if not self._is_closed:
                self._is_closed = True
                self._profile()

    def _receive(self, path: str, headers: Mapping[str, str], body: bytes) -> Receipt:
        *_, kind = path.split("/")
        model = "" if kind == CHANGES else unquote(path.split("/")[3])
        producer, sequence, now = headers["Killick-Producer"], int(headers["Killick-Sequence"]), self._clock.now()
        if kind not in DECODERS:
            return take_summaries(self._world, model, producer, sequence, body, now)
        media, spec = _MEDIA[headers["Content-Type"]], self._live.specs.get(model)
        decoded = DECODERS[kind](body, media, model=model, spec=spec, now=now)
        delivery = delivery_of(decoded, model=model, kind=kind, producer=producer, sequence=sequence, actor=producer)
        self._attempt += 1
        return commit(self._world, [delivery], now, self._attempt)[0]

    def _profile(self) -> None:
        """Do what is due; what cannot be done now is done by the next, and what was logged is safe."""
        self._profiled_at = time.monotonic()
        try:
            while self._live.tick(self._clock.now()).batches:
                pass
        except OutsideError:
            return


def _said(status: int, what: str, retry_after_seconds: float | None = None) -> Answer:
    return Answer(status, retry_after_seconds, msgspec.json.encode({"status": status, "detail": what}))
