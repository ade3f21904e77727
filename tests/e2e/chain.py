"""The whole chain from outside: servers to start and senders to run, what a store holds in the end, and what it should.

What it should is made another way: all rows in one table, once, by `profile_batch` and `profile_labels`.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from killick.clock import HOUR, Window
from killick.engine.measure import profile_batch, profile_labels
from killick.engine.open import stored_reference
from killick.engine.receive import OUTCOMES, PREDICTIONS, SHADOWS
from killick.engine.turns import Turn, read_turn, stored_window
from killick.ledger.chain import verify
from killick.profiles.codec import unpack_profile
from killick.spec.load import parse_spec
from killick.telemetry.columns import KNOWN_AT, LABEL, PREDICTION_ID
from killick.testing.laws import assert_same
from killick.wiring import open_world
from tests.server.serving import ENVIRONMENT, Server
from tests.server.test_worker import runs, until, workers_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from killick.checks.reference import Reference
    from killick.ports.control import ProfileKey
    from killick.profiles.profile import Profile
    from killick.spec.document import Spec

ROOT = Path(__file__).resolve().parents[2]
# A machine that runs other tests beside these may be slow; nobody waits so long otherwise.
PATIENCE_SECONDS = 90.0
_EVER = Window(-(2**62), 2**62)


# --------------------------------------------------------------------------------------------------- processes


def free_port() -> int:
    """Return a port that a server can have again after its death: no outgoing connection is given one so low."""
    chance = Random()
    while True:
        port = chance.randrange(20_000, 30_000)
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def launch(store: Path, port: int, *specs: Path) -> Server:
    """Start `killick serve`, and do not wait until it listens."""
    store.mkdir(parents=True, exist_ok=True)
    log = store / "log.txt"
    command = [sys.executable, "-m", "killick", "serve", *specs, "--store", store, "--port", str(port)]
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=ENVIRONMENT)
    return Server(process, "127.0.0.1", port, log, store)


def is_ready(server: Server) -> bool:
    """Whether a server takes something in."""
    assert server.process.poll() is None, server.log.read_text()
    with suppress(OSError):
        return server.ask("GET", "/readyz").status == 200
    return False


def serve(store: Path, *specs: Path) -> Server:
    """Start `killick serve`, and wait until it takes something in."""
    server = launch(store, free_port(), *specs)
    try:
        until(lambda: is_ready(server), PATIENCE_SECONDS)
    except BaseException:
        end(server)
        raise
    return server


def end(server: Server) -> None:
    """Kill a server, if it still runs, and wait until its worker has ended too."""
    orphans = workers_of(server.process.pid) if server.process.poll() is None else []
    server.stop(signal.SIGKILL)
    until(lambda: not any(map(runs, orphans)), PATIENCE_SECONDS)


def spawn(module: str, *arguments: object) -> subprocess.Popen[bytes]:
    """Run one of this folder's services in a process of its own."""
    command = [sys.executable, "-m", f"tests.e2e.{module}", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE)


def send_all(address: str, model: str, folder: Path, files: Sequence[Path]) -> None:
    """Send the events of each file by a client process of its own, all at the same time, until all is acknowledged."""
    senders = [spawn("sender", address, model, folder / f"spool-{at}", file) for at, file in enumerate(files)]
    said = [sender.communicate(timeout=PATIENCE_SECONDS)[0] for sender in senders]
    assert [sender.returncode for sender in senders] == [0] * len(files), said


def totals(server: Server, model: str) -> Counter[str]:
    """Return what a server counts of a model, and how many rows are pending; what never was is 0."""
    answer = server.ask("GET", f"/v1/models/{model}").json
    return Counter(answer["totals"], pending=answer["pending"])


def settled(server: Server, model: str, **counts: int) -> Counter[str]:
    """Wait until so much is counted of a model and nothing is pending; return its totals."""

    def found() -> Counter[str] | None:
        held = totals(server, model)
        right = all(held[name.replace("_", ".")] >= count for name, count in counts.items())
        return held if right and not held["pending"] else None

    return until(found, PATIENCE_SECONDS)


# --------------------------------------------------------------------------------------------------- stores


@dataclass
class Held:
    """What a store holds of a model: profiles by key, rows as they came, and the ledger that verifies."""

    reference: Reference
    turn: Turn
    profiles: Mapping[ProfileKey, Profile]
    predictions: pl.DataFrame
    outcomes: pl.DataFrame
    pending: int
    totals: Mapping[str, int]


def held_in(store: Path, spec: Spec) -> Held:
    """Open a store and read all that it holds of a model."""
    world = open_world(store, store)
    with closing(world.control):  # type: ignore[type-var]
        reference = stored_reference(world, spec)
        assert reference is not None
        with world.control.transaction() as t:
            verify(t.ledger())
            turn, _ = read_turn(t, spec.model)
            packed = t.profiles(spec.model, reference.scale.fingerprint, _EVER)
            kinds = [
                sorted((batch for kind in group for batch in t.batches(spec.model, kind)), key=lambda one: one.number)
                for group in ((PREDICTIONS, SHADOWS), (OUTCOMES,))
            ]
            pending, counts = len(t.pending(spec.model)), t.tallies(spec.model)
        tables = [[world.archive.read(batch.path) for batch in batches] for batches in kinds]
        predictions, outcomes = (pl.concat([pl.DataFrame(), *some], how="diagonal_relaxed") for some in tables)
    profiles = {key: unpack_profile(body, reference.scale) for key, body in packed.items()}
    return Held(reference, turn, profiles, predictions, outcomes, pending, counts)


def spec_of(path: Path) -> Spec:
    """Read a spec."""
    return parse_spec(path.read_text(), source=str(path))


def at_once(
    spec: Spec, reference: Reference, predictions: pl.DataFrame, labels: pl.DataFrame
) -> dict[ProfileKey, Profile]:
    """Profile all predictions in one go, by the hour, and all labels in another, and add them.

    Args:
        spec: which segments there are.
        reference: what to measure with, and in which segments.
        predictions: each once, with version and role.
        labels: the latest of each prediction.
    """
    made = profile_batch(reference.scale, predictions, spec, HOUR, reference.segments)
    known = predictions.drop(LABEL, KNOWN_AT, strict=False).join(
        labels.select(PREDICTION_ID, LABEL, KNOWN_AT), on=PREDICTION_ID
    )
    for key, profile in profile_labels(reference.scale, known, spec, HOUR, reference.segments).items():
        made[key] = made[key] + profile
    return made


def agree(held: Held, right: Mapping[ProfileKey, Profile], spare: float = 0.0) -> None:
    """Assert that a store's profiles are the right ones, window by window: counts exactly, sums to 1e-9 of their size.

    Args:
        held: what the store holds; days that were merged are compared as days.
        right: profiles by the hour.
        spare: what was added to the sums and taken back again, such as scores of corrected labels.
    """
    placed: dict[ProfileKey, Profile] = {}
    for key, profile in right.items():
        place = key._replace(window=stored_window(key.window, held.turn.aged))
        placed[place] = placed[place] + profile if place in placed else profile
    assert held.pending == 0
    assert held.profiles.keys() == placed.keys()
    for key, profile in placed.items():
        try:
            # No bin of these columns has values on both sides of zero: the size of a sum is that of its terms.
            assert_same(held.profiles[key], profile, np.abs(profile.sums) + spare)
        except AssertionError as error:
            error.add_note(str(key))
            raise


def write_events(path: Path, events: Sequence[tuple[str, dict[str, Any]]]) -> Path:
    """Write events for a sender, in their order."""
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def seed_of_run() -> int:
    """Return the seed of whatever is left to chance: `KILLICK_SEED`, or always the same."""
    return int(os.environ.get("KILLICK_SEED", "1973"))
