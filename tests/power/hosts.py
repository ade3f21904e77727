"""Hosts that share a store, killed and started again: one receives, two profile and age.

    python -m tests.power.hosts FOLDER SEED DEATHS COUNT

Writes the numbers of the deliveries that were acknowledged before the last death, as a JSON array. A host is forked,
so that it lives within a hundredth of a second: whoever forks must not have asked anything of Polars, whose threads do
not come along. So what the deliveries are made of is imported in the host.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from select import select
from typing import TYPE_CHECKING

import alembic.command
import alembic.config  # noqa: F401 - what hosts will need, once for all of them

import killick.testing.simulator  # noqa: F401
from killick.engine.profiling import profile_pending
from killick.engine.receive import Receiver
from killick.errors import StaleWrite

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

_BEGUN, _LIFE_SECONDS_MAX, _PATIENCE_SECONDS = b"begun\n", 0.4, 60.0


def receive(folder: Path, told: int, chance: Random, offered: range, acknowledged: Collection[int]) -> None:
    """Take in what was not acknowledged, in any order, much of it twice or again, from six threads; then begin anew."""
    from tests.engine.telemetry import NOW
    from tests.power.story import delivery, open_post

    with open_post(folder) as post:
        receiver = Receiver(post.world, lambda: NOW)
        os.write(told, _BEGUN)

        def send(number: int) -> None:
            receiver.receive(delivery(number))
            os.write(told, b"%d\n" % number)

        missing = [number for number in offered if number not in acknowledged]
        while True:
            # Late, twice, and again after it was acknowledged.
            sent = [
                *missing,
                *chance.sample(missing, len(missing) // 3),
                *chance.sample(offered, len(offered) // 10 + 1),
            ]
            chance.shuffle(sent)
            with ThreadPoolExecutor(6) as pool:
                list(pool.map(send, sent))
            missing = []


def profile(folder: Path, told: int, chance: Random) -> None:
    """Profile what is there, and age it now and then."""
    from tests.engine.telemetry import NOW
    from tests.power.story import open_post

    with open_post(folder) as post:
        os.write(told, _BEGUN)
        while True:
            with suppress(StaleWrite):  # the other one was faster
                profile_pending(post.world, post.watched, NOW, most=chance.choice((1, 20, 1_000)))
            if chance.random() < 0.3:
                post.age()


@dataclass
class Host:
    """A process that was started, and what it tells."""

    pid: int
    told: int
    heard: bytes = b""

    @classmethod
    def start(cls, life: Callable[..., None]) -> Host:
        """Fork; the child lives until it is killed."""
        heard, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                life(told=told)
            except BaseException:  # noqa: BLE001 - it is told to whoever runs the test
                traceback.print_exc()
            os._exit(1)
        os.close(told)
        return cls(pid, heard)

    def wait(self) -> None:
        """Until it is under way."""
        while _BEGUN not in self.heard:
            assert select([self.told], [], [], _PATIENCE_SECONDS)[0], "a host does not begin"
            read = os.read(self.told, 4096)
            assert read, "a host died by itself"
            self.heard += read

    def kill(self) -> set[int]:
        """Kill it, and return what it had acknowledged."""
        os.kill(self.pid, signal.SIGKILL)
        while read := os.read(self.told, 65536):
            self.heard += read
        os.close(self.told)
        assert os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]) == -signal.SIGKILL
        # Of the last line a part may be missing: nobody was told.
        return {int(line) for line in self.heard.split(b"\n")[:-1] if line.isdigit()}


def main(folder: Path, seed: int, deaths: int, count: int) -> None:
    """Let hosts live and die, so many times; one at a time, or all of them at once."""
    chance = Random(seed)
    acknowledged: set[int] = set()
    hosts: list[Host | None] = [None, None, None]
    for death in range(1, deaths + 1):
        offered = range(max(8, count * death // deaths))
        for at, host in enumerate(hosts):
            if host is None:
                mine = Random(chance.random())
                receives = partial(receive, offered=offered, acknowledged=frozenset(acknowledged))
                hosts[at] = Host.start(partial(profile if at else receives, folder, chance=mine))
        for host in hosts:
            host.wait()  # type: ignore[union-attr]
        time.sleep(chance.uniform(0.0, _LIFE_SECONDS_MAX))
        for at in (0, 1, 2) if death == deaths or chance.random() < 0.3 else [chance.choice((0, 0, 1, 2))]:
            acknowledged |= hosts[at].kill()  # type: ignore[union-attr]
            hosts[at] = None
    sys.stdout.write(json.dumps(sorted(acknowledged)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
