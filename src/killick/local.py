"""A client without a server: what it logs goes straight into a store in a folder, and is profiled in this process.

`killick_client.Client.local(path)` finds this by its entry point. The answers are those of the server, so the client
need not know the difference: 200 when durable, 422 for what cannot be used, 503 when the disk or the store fails, 500
for a mistake of ours. Several processes may log into one folder. A spec `killick.yaml` in the folder says how its model
is watched; a model without one is watched by what it sends first.
"""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

import msgspec
import polars as pl

from killick.api import load_spec, open_table
from killick.checks.reference import unpack_reference
from killick.engine.admit import DECODERS, delivery_of
from killick.engine.live import Live
from killick.engine.measure import profile_batch, profile_labels
from killick.engine.receive import CHANGES, OUTSIDE, commit
from killick.engine.serve import RECORDED
from killick.engine.summaries import pack_summaries, take_summaries
from killick.engine.turns import width_of
from killick.errors import KillickError, OutsideError
from killick.spec.document import Spec
from killick.telemetry.columns import EVENT_TIME, LABEL, ROLE, SCORE, VERSION
from killick.telemetry.door import arrange
from killick.wiring import open_world, system_clock
from killick_client.transport import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.api import SpecOrPath, TableOrPath
    from killick.clock import Clock
    from killick.engine.receive import Receipt
    from killick.engine.world import World
    from killick.ports.control import ProfileKey
    from killick.profiles.profile import Profile

__all__ = ["LocalTransport", "open_local", "summarise"]

_log = logging.getLogger("killick.local")

# A batch is counted in a profile soon after it was logged, and a busy service is not profiled all the time.
_PROFILE_EVERY_SECONDS = 1.0
# How long an end may profile what is pending; the rest is profiled by the next start.
_LAST_PROFILE_SECONDS = 10.0
# A panic of Polars is none of Python's exceptions.
_UNFORESEEN = (Exception, pl.exceptions.PanicException)
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


def summarise(
    predictions: TableOrPath,
    *,
    spec: SpecOrPath,
    reference: bytes | str | Path,
    version: str = RECORDED,
    role: str = "live",
) -> bytes:
    """Profile predictions that must stay where they are; the bytes are sent with `Client.log_profile`.

    The server adds them to its own profiles: by version, role, segment and window, labels too where the table has them.
    No row and no id is in them.

    Args:
        predictions: a table or a path, under the operator's names; each row once, and never in two calls.
        spec: the model's spec.
        reference: what `GET /v1/models/{model}/reference` gave, or the path of a file of it.
        version: who predicted, where the table does not say.
        role: what that version was.

    Raises:
        SpecError: the spec has mistakes; all of them are named.
        DataError: the table cannot be read, lacks its times, or the reference is none.
    """
    held = spec if isinstance(spec, Spec) else load_spec(spec)
    packed = reference if isinstance(reference, bytes) else Path(reference).read_bytes()
    known = unpack_reference(packed)
    source = open_table(predictions, name="predictions")
    growth: dict[ProfileKey, Profile] = {}
    for batch in source.batches():
        rows = arrange(batch, held, name=source.name, needed=frozenset({EVENT_TIME}))
        named = pl.col(VERSION).fill_null(version) if VERSION in rows.columns else pl.lit(version)
        rows = rows.with_columns(named.alias(VERSION), pl.lit(role).alias(ROLE))
        grown = [profile_batch(known.scale, rows, held, width_of(held), known.segments)]
        if {LABEL, SCORE} <= set(rows.columns):
            labelled = rows.drop_nulls(LABEL)
            grown.append(profile_labels(known.scale, labelled, held, width_of(held), known.segments))
        for profiles in grown:
            for key, profile in profiles.items():
                growth[key] = growth[key] + profile if key in growth else profile
    return pack_summaries(growth)


class LocalTransport:
    """A `killick_client.transport.Transport` into a store."""

    def __init__(self, world: World, live: Live, clock: Clock) -> None:
        self._world = world
        self._live = live
        self._clock = clock
        self._attempt = 0
        self._profiled_at = 0.0
        self._thread = threading.get_ident()  # the sender's, who opens it

    def send(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Make a batch durable, and answer as the server does."""
        try:
            receipt = self._receive(path, headers, body)
        except OutsideError as error:
            return _said(503, str(error), retry_after_seconds=1.0)
        except KillickError as error:
            return _said(error.http_status, str(error))
        except _UNFORESEEN as error:
            _log.exception("%s: a mistake of ours", path)
            return _said(500, f"a mistake of ours ({type(error).__name__}); the log has the details")
        if time.monotonic() >= self._profiled_at + _PROFILE_EVERY_SECONDS:
            self._profile(float("inf"))
        return Answer(200, body=msgspec.json.encode(receipt))

    def close(self) -> None:
        """Profile what is pending, if it is the sender who ends; whoever else calls may not be kept waiting."""
        if threading.get_ident() == self._thread:
            self._profile(_LAST_PROFILE_SECONDS)

    def _receive(self, path: str, headers: Mapping[str, str], body: bytes) -> Receipt:
        *_, kind = path.split("/")
        model = "" if kind == CHANGES else unquote(path.split("/")[3])
        actor, sequence, now = headers["Killick-Producer"], int(headers["Killick-Sequence"]), self._clock.now()
        producer, spec = OUTSIDE + actor, self._live.specs.get(model)
        if kind not in DECODERS:
            return take_summaries(self._world, model, spec, producer, sequence, body, now)
        media = _MEDIA[headers["Content-Type"]]
        decoded = DECODERS[kind](body, media, model=model, spec=spec, now=now)
        delivery = delivery_of(decoded, model=model, kind=kind, producer=producer, sequence=sequence, actor=actor)
        self._attempt += 1
        return commit(self._world, [delivery], now, self._attempt)[0]

    def _profile(self, seconds: float) -> None:
        """Do what is due; what cannot be done now is done by the next, and what was logged is safe."""
        self._profiled_at = time.monotonic()
        try:
            while self._live.tick(self._clock.now()).batches and time.monotonic() < self._profiled_at + seconds:
                pass
        except _UNFORESEEN:  # the batch is stored, and must not be sent again for what comes after
            return


def _said(status: int, what: str, retry_after_seconds: float | None = None) -> Answer:
    return Answer(status, retry_after_seconds, msgspec.json.encode({"status": status, "detail": what}))
