"""The disk fails, and not the process: senders are refused, and when it works again the same server goes on."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest

from killick.engine.receive import Receiver
from killick.errors import OutsideError
from tests.engine.telemetry import NOW
from tests.power.story import holds, hourly, open_post, settles
from tests.power.trace import ROOT, why_not

pytestmark = [pytest.mark.faults, pytest.mark.skipif(os.name != "posix", reason="limits and strace are POSIX's")]
_PATIENCE_SECONDS = 60.0

# What the archive and SQLite ask of a disk, and how it may answer: full from some call on, or failing once. Writes of
# Parquet are not among them: the same call wakes the threads of Polars, and `test_files_cannot_grow` is about them.
SPOILED = {
    "openat": ("ENOSPC", "EIO"),
    "mkdir": ("ENOSPC",),
    "rename": ("ENOSPC", "EIO"),
    "pwrite64": ("ENOSPC", "EIO"),
    "pread64": ("EIO",),
    "fsync": ("EIO",),
    "fdatasync": ("EIO",),
}


@cache
def why_not_attach() -> str:
    """Why the calls of a running process cannot be spoiled here; empty when they can."""
    if why_not():
        return why_not()
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        try:
            with spoiled(sleeper.pid, "fsync", "EIO", "1+"):
                return ""
        except OSError as error:
            return str(error)
        finally:
            sleeper.kill()


@contextmanager
def spoiled(pid: int, calls: str, error: str, when: str, log: str = "/dev/null") -> Iterator[None]:
    """Let calls of all threads of a process fail, each from its n-th on (`3+`) or that one only (`3`)."""
    command = ["strace", "-f", "-p", str(pid), "-o", log, "-e", f"trace={calls}"]
    command += ["-e", f"inject={calls}:error={error}:when={when}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as spoiler:
        assert spoiler.stderr is not None
        said = spoiler.stderr.readline()
        if "attached" not in said:
            raise OSError(said.strip() or "strace says nothing")
        try:
            yield
        finally:
            spoiler.send_signal(signal.SIGTERM)
            spoiler.communicate(timeout=_PATIENCE_SECONDS)


@dataclass
class Server:
    """A server in a process of its own, and what it has acknowledged."""

    folder: Path
    pid: int
    line: socket.socket
    sent: int = 0
    acknowledged: set[int] = field(default_factory=set)

    def ask(self, what: str) -> str:
        """Tell it to do something, and return what it answers."""
        self.line.sendall(f"{what}\n".encode())
        answer = b""
        while not answer.endswith(b"\n"):
            read = self.line.recv(4096)
            assert read, f"the server died of {what}"
            answer += read
        return answer.decode().strip()

    def send(self, number: int) -> bool:
        """Send a delivery; whether it is acknowledged. Nothing but a refusal may happen else."""
        answer = self.ask(f"send {number}")
        self.sent = max(self.sent, number + 1)
        assert answer in {"acknowledged", "refused"}
        if answer == "acknowledged":
            self.acknowledged.add(number)
        return answer == "acknowledged"

    def is_in_order(self) -> None:
        """All that was sent is acknowledged by now: it is there once, and counted once."""
        assert self.ask("profile") == "acknowledged"
        with open_post(self.folder) as post:
            holds(post, self.sent, self.acknowledged, hourly)
            settles(post, self.sent, hourly)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    """A server that survives all of these tests, and has done everything once: it needs to import no more."""
    folder = tmp_path_factory.mktemp("store")
    ours, theirs = socket.socketpair()
    ours.settimeout(_PATIENCE_SECONDS)
    command = [sys.executable, "-m", "tests.power.server", str(folder), str(theirs.fileno())]
    with ours, subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()]) as process:
        theirs.close()
        started = Server(folder, process.pid, ours)
        try:
            assert started.send(0)
            assert started.ask("profile") == "acknowledged"
            yield started
        finally:
            ours.close()
            process.kill()


@pytest.mark.slow
@pytest.mark.skipif(bool(why_not_attach()), reason=f"no call can be spoiled: {why_not_attach()}")
@pytest.mark.parametrize("call", [call for call in SPOILED if call != "pread64"])  # what it needs it has read
def test_any_call_may_fail(call, server, tmp_path_factory):
    """The first, the second, ... of its kind: refused or really there, and sent again there once."""
    log = tmp_path_factory.mktemp("log") / "spoiled"
    refusals = 0
    for error in SPOILED[call]:
        lasting = "+" if error == "ENOSPC" else ""
        for nth in range(1, 100):
            number = server.sent
            with spoiled(server.pid, call, error, f"{nth}{lasting}", str(log)):
                refusals += not server.send(number)
            assert server.send(number)
            if "INJECTED" not in log.read_text():
                break
        else:
            pytest.fail(f"there is no end of {call}")
    assert refusals
    server.is_in_order()


@pytest.mark.slow
@pytest.mark.skipif(bool(why_not_attach()), reason=f"no call can be spoiled: {why_not_attach()}")
@pytest.mark.parametrize("call", SPOILED)
def test_any_call_of_profiling_may_fail(call, server):
    """It does much more, so not each of them: what was not counted is counted by the next round, and once."""
    for error in SPOILED[call]:
        for nth in (1, 2, 3, 5, 8, 13, 21, 34, 55):
            assert server.send(server.sent)
            with spoiled(server.pid, call, error, f"{nth}+"):
                assert server.ask("profile") in {"acknowledged", "refused"}
            assert server.ask("profile") == "acknowledged"
    server.is_in_order()


@pytest.mark.skipif(bool(why_not_attach()), reason=f"no call can be spoiled: {why_not_attach()}")
def test_a_disk_that_may_only_be_read_is_no_end(server):
    """As when a kernel has found an error on it: everything is refused, until it may be written again."""
    for _ in range(3):
        number = server.sent
        with spoiled(server.pid, "openat,mkdir,rename,pwrite64,ftruncate,unlink,fsync,fdatasync", "EROFS", "1+"):
            assert not server.send(number)
            assert not server.send(number)
        assert server.send(number)
    server.is_in_order()


def test_files_cannot_grow(server):
    """Any file may end anywhere: rows, SQLite's log, and SQLite's own."""
    refused = []
    for limit in [*range(0, 4096, 256), *range(4096, 160_000, 6_500)]:
        number = server.sent
        server.ask(f"limit {limit}")
        if not server.send(number):
            refused.append(limit)
        assert server.ask("profile") in {"acknowledged", "refused"}
        server.ask("limit -1")
        assert server.send(number)
    assert refused[0] == 0
    assert max(refused) > 4096, "SQLite was not among them"
    server.is_in_order()


@pytest.mark.parametrize("gone", [".", "telemetry", "control.sqlite"])
def test_what_is_gone_may_come_back(gone, tmp_path):
    """The whole folder, the archive or the control store: nothing is written into what nobody would find again."""
    folder = tmp_path / "store"
    away = tmp_path / "away"
    with open_post(folder) as post:
        receiver = Receiver(post.world, lambda: NOW)
        receiver.receive(hourly(0))
        for number in (1, 2):
            (folder / gone).rename(away)
            for _ in range(2):
                with pytest.raises(OutsideError):
                    receiver.receive(hourly(number))
            away.rename(folder / gone)
            receiver.receive(hourly(number))
        receiver.close()
        holds(post, 3, range(3), hourly)
        settles(post, 3, hourly)


def test_a_backup_in_the_place_of_the_store_is_opened(tmp_path):
    """The store that was open is not written any more, and the backup is."""
    with open_post(tmp_path / "store") as post, open_post(tmp_path / "backup") as other:
        for each in (post, other):
            each.world.control.close()
        (tmp_path / "store" / "control.sqlite").rename(tmp_path / "old")
        (tmp_path / "backup" / "control.sqlite").rename(tmp_path / "store" / "control.sqlite")
        receiver = Receiver(post.world, lambda: NOW)
        receiver.receive(hourly(0))
        receiver.close()
    with open_post(tmp_path / "store") as post:
        holds(post, 1, [0], hourly)
