"""Services, a server and its worker die by SIGKILL, again and again: what was logged is counted exactly once."""

import json
import os
import signal
import time
from collections import Counter
from contextlib import suppress
from random import Random

import polars as pl
import pytest

from killick.identity import derive_id
from killick.telemetry.columns import KNOWN_AT, LABEL, PREDICTION_ID, ROLE
from killick_client import Client
from tests.e2e.chain import (
    PATIENCE_SECONDS,
    agree,
    at_once,
    end,
    free_port,
    held_in,
    is_ready,
    launch,
    seed_of_run,
    settled,
    spawn,
    spec_of,
)
from tests.e2e.loans import MODEL, outcome, prediction
from tests.server.test_worker import runs, until, workers_of

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL is POSIX's"),
]

SERVICES, DEATHS = 3, 8
# A service that starts anew counts on from here, so that it has predictions of its own, and repeats none but its last.
NUMBERS_A_LIFE = 2_000
SPEC = """
killick: 1
model: loans
task: binary
schema:
  prediction_id: prediction_id
  event_time: event_time
  score: score
  label: {column: label, known_at: known_at}
segments: [city]
reference: {data: train.parquet}
"""


class Fleet:
    """Services, a server and its worker."""

    def __init__(self, folder):
        self.folder = folder
        self.spec = folder / "killick.yaml"
        self.spec.write_text(SPEC)
        rows = [prediction(-1 - number) | outcome(-1 - number, 0) for number in range(600)]
        features = [row.pop("features") for row in rows]
        known = [
            {**row, **one, "city": f"{one['city']}".replace("Lima", "Rome")}
            for row, one in zip(rows, features, strict=True)
        ]
        pl.DataFrame(known).drop("version", "role").with_columns(
            pl.from_epoch(pl.col("event_time", "known_at"), "us")
        ).write_parquet(folder / "train.parquet")
        self.port = free_port()
        self.lives = Counter()
        self.running = {}
        self.orphans = set()
        self.server = None

    @property
    def address(self):
        """Where the server is, whichever it is by now."""
        return f"http://127.0.0.1:{self.port}"

    def start(self, who):
        """Start a service or the server; a worker is started by its server."""
        self.lives[who] += 1
        if who == "server":
            self.server = launch(self.folder / "store", self.port, self.spec)
        elif who != "worker":
            first = NUMBERS_A_LIFE * (SERVICES * (self.lives[who] - 1) + int(who))
            seed = derive_id("life", seed_of_run(), who, self.lives[who])
            self.running[who] = spawn(
                "service", self.address, self.folder / f"spool-{who}", self.notes(who), seed, first
            )

    def kill(self, who):
        """Kill it in whatever it is doing; nobody has ended by himself."""
        self.orphans.update(self.workers())
        if who == "worker":
            for pid in self.workers():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        elif who == "server":
            assert self.server.process.poll() is None, self.server.log.read_text()
            self.server.stop(signal.SIGKILL)
        else:
            assert self.running[who].poll() is None, f"service {who} has failed"
            self.running[who].kill()
            self.running.pop(who).communicate()
            with self.notes(who).open("ab") as file:
                file.write(b'["died", 0]\n')

    def workers(self):
        """The worker processes of the server that runs."""
        with suppress(OSError):
            return workers_of(self.server.process.pid)
        return []

    def notes(self, who):
        """What a service keeps aside."""
        return self.folder / f"notes-{who}.jsonl"

    def acknowledged(self):
        """How often a client has said so."""
        return sum(path.read_bytes().count(b'"acknowledged"') for path in self.folder.glob("notes-*.jsonl"))

    def noted(self):
        """What was logged perhaps, and what the clients said is kept."""
        logged, kept, words = set(), set(), Counter()
        for path in sorted(self.folder.glob("notes-*.jsonl")):
            since = []
            for line in path.read_bytes().splitlines():
                told = json.loads(line)
                if told[0] == "kept":
                    kept.update(since)
                    words[told[1]] += 1
                if told[0] in ("kept", "died"):
                    since = []
                else:
                    since.append(tuple(told))
                    logged.add(tuple(told))
        return logged, kept, words

    def end(self):
        """Leave nobody running."""
        for service in self.running.values():
            service.kill()
            service.communicate()
        if self.server:
            end(self.server)
        until(lambda: not any(map(runs, self.orphans)), PATIENCE_SECONDS)


def test_whoever_is_killed_whenever_everything_is_counted_once(tmp_path):
    """Copies, shadows, outcomes too early and corrected, from three services with a spool each."""
    chance = Random(seed_of_run())
    fleet = Fleet(tmp_path)
    everybody = ["server", "worker", *map(str, range(SERVICES))]
    try:
        for who in everybody:
            fleet.start(who)
        for number in range(DEATHS):
            if number % 2 == 0:  # or else nobody would live to do anything
                until(lambda: is_ready(fleet.server), PATIENCE_SECONDS)
            if number % 4 == 0:
                before = fleet.acknowledged()
                until(lambda before=before: fleet.acknowledged() > before, PATIENCE_SECONDS)
            time.sleep(chance.uniform(0.2, 2.0))
            dead = everybody if number == DEATHS // 2 else chance.sample(everybody, chance.choice((1, 1, 2, 3)))
            for who in dead:
                fleet.kill(who)
            time.sleep(chance.uniform(0, 0.3))
            for who in dead:
                fleet.start(who)
        for who in everybody:
            fleet.kill(who)
        fleet.start("server")
        until(lambda: is_ready(fleet.server), PATIENCE_SECONDS)
        for who in range(SERVICES):
            send_the_rest(fleet, tmp_path / f"spool-{who}")
        settled(fleet.server, MODEL)
        assert fleet.server.stop() == 0, fleet.server.log.read_text()
        holds(fleet)
    except BaseException as error:
        error.add_note(f"KILLICK_SEED={seed_of_run()}; deaths: {dict(fleet.lives)}")
        raise
    finally:
        fleet.end()


def send_the_rest(fleet, spool):
    """Send what the dead have left."""
    with Client(fleet.address, model=MODEL, spool=spool) as heir:
        heir.log_gauge("heir", 1)
        own = heir.statistics().producer
        # An empty folder of somebody who died before the first write is left alone for an hour.
        until(lambda: not [path for path in spool.glob("*/*/*.segment") if path.parent.name != own], PATIENCE_SECONDS)
        assert heir.flush(PATIENCE_SECONDS), heir.statistics()


def holds(fleet):
    """Compare what is stored with what was kept aside, and what is counted with all that is stored."""
    spec = spec_of(fleet.spec)
    held = held_in(fleet.folder / "store", spec)
    logged, kept, words = fleet.noted()
    shadow = pl.col(ROLE) == "shadow"
    once = held.predictions.unique([PREDICTION_ID, ROLE], keep="first", maintain_order=True)
    found = {
        ("shadow" if role == "shadow" else "prediction", int(name[5:]), 0)
        for name, role in once.select(PREDICTION_ID, ROLE).rows()
    }
    revisions = {(name, at): which for name, at, which in _revisions(logged)}
    found |= {
        ("outcome", int(name[5:]), revisions.get((name, at), -1))
        for name, at in held.outcomes.select(PREDICTION_ID, KNOWN_AT).rows()
    }
    assert kept - found == set(), "the client said that it had these"
    assert found - logged == set(), "nobody has logged these"
    assert held.predictions.height > once.height, "nothing came twice"
    assert held.totals["predictions.counted"] == once.height
    assert held.totals.keys().isdisjoint({"predictions.quarantined", "outcomes.quarantined", "batches.set_aside"})
    for told in once.sample(200, seed=1).iter_rows(named=True):
        right = prediction(int(told[PREDICTION_ID][5:]), shadow=told[ROLE] == "shadow")
        features = right.pop("features")
        assert {name: told[name] for name in right} == right
        assert {name: told[name] for name in features} == features
    # A label is in since the first word of it.
    told = held.outcomes.sort(KNOWN_AT).with_columns(pl.col(KNOWN_AT).min().over(PREDICTION_ID))
    latest = told.unique(PREDICTION_ID, keep="last", maintain_order=True).with_columns(pl.col(LABEL).cast(pl.Int64))
    gained = once.join(latest, on=PREDICTION_ID).height
    assert held.totals["labels.gained"] - held.totals["labels.lost"] == gained
    assert held.totals["labels.lost"] > 0, "no label was corrected"
    assert once.filter(shadow).height
    # What a corrected label has added was at most a score, and is taken back.
    agree(held, at_once(spec, held.reference, once, latest), spare=1.0)
    # Otherwise they have been too slow to be killed in the middle of anything.
    assert len(kept) > len(logged) / 2 > 1_000
    assert min(words["spooled"], words["acknowledged"]) > 0, words


def _revisions(logged):
    for kind, number, which in logged:
        if kind == "outcome":
            told = outcome(number, which)
            yield told["prediction_id"], told["known_at"], which
