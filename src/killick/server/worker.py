"""The worker: what is due is done in a process of its own, beside the one that answers.

Profiling computes; answering must not wait for it, neither for the interpreter nor for a core. So the worker is another
process, of a lower priority: on one core it gets what the answers leave. It shares nothing with the server but the
store, so either may be killed at any moment; a worker that has ended is started again, and one whose server has ended
ends. What it tells of itself comes through a pipe, a line a beat.
"""

from __future__ import annotations

import logging
import select
import subprocess
import threading
import time
from typing import IO, TYPE_CHECKING, Protocol

import msgspec

from killick.server.pulse import EVERY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.clock import Instant
    from killick.server.pulse import Pulse

# One that dies at once is not started more often than that.
_AGAIN_SECONDS_MAX = 30.0

_log = logging.getLogger("killick.server")


class Told(msgspec.Struct, frozen=True):
    """What a worker tells at each beat: how often it has failed, why the last time, and when all was done."""

    failures: int = 0
    reason: str = ""
    last_done_at: int = 0


class Working(Protocol):
    """Whoever does what is due; a `Pulse` does it in a thread, a `Worker` in a process."""

    @property
    def is_alive(self) -> bool:
        """Whether it works, or is being started."""
        ...

    @property
    def reason(self) -> str:
        """Why it could not do what was due; empty when it could."""
        ...

    @property
    def failures(self) -> int:
        """How often it has failed."""
        ...

    @property
    def last_done_at(self) -> Instant:
        """When it last did all that was due."""
        ...

    def start(self) -> None:
        """Begin."""
        ...

    def stop(self) -> None:
        """Do what is due once more, and end."""
        ...


class Worker:
    """Keeps a worker process running.

    Args:
        command: what starts it. It must call `report`, ends when its standard input does, and logs to standard error.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._told = Told()
        self._ended_before = 0
        self._died = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="killick-keeper", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether somebody sees to it that a worker runs."""
        return self._keeper.is_alive()

    @property
    def reason(self) -> str:
        """Why the worker could not do what was due; empty when it could."""
        return self._died or self._told.reason

    @property
    def failures(self) -> int:
        """How often the worker has failed, or ended."""
        return self._ended_before + self._told.failures

    @property
    def last_done_at(self) -> Instant:
        """When it last did all that was due."""
        return self._told.last_done_at

    def start(self) -> None:
        """Start the worker, and see to it that it runs."""
        self._keeper.start()

    def stop(self) -> None:
        """Let the worker do what is due once more, and end."""
        self._stopping.set()
        process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()
        self._keeper.join()

    def _keep(self) -> None:
        wait = EVERY_SECONDS
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                self._work()
            except Exception:  # noqa: BLE001 - it is logged; without this thread no worker would ever be started again
                _log.exception("the live worker could not be kept")
            if self._stopping.is_set():
                return
            self._ended_before += 1 + self._told.failures
            self._told = Told(last_done_at=self._told.last_done_at)
            self._died = "the live worker has ended, and is started again"
            # One that worked for a while is started at once.
            wait = EVERY_SECONDS if time.monotonic() - began > _AGAIN_SECONDS_MAX else min(2 * wait, _AGAIN_SECONDS_MAX)
            self._stopping.wait(wait)

    def _work(self) -> None:
        """Start a worker, and listen to it until it ends."""
        # A session of its own: whoever presses Ctrl-C means the server, which then says when to end.
        with subprocess.Popen(  # noqa: S603 - our own command
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        ) as process:
            self._process = process
            if self._stopping.is_set() and process.stdin is not None:
                process.stdin.close()
            self._listen(process)
        if not self._stopping.is_set():
            _log.warning("the live worker has ended (%s); it is started again", process.returncode)

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        """Read what the worker tells until it ends."""
        if process.stdout is None:
            return
        for line in process.stdout:
            try:
                self._told = msgspec.json.decode(line, type=Told)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                _log.warning("the live worker told what is no report of it: %.200r", line)
            else:
                self._died = ""


def report(pulse: Pulse, control: IO[bytes], tell: IO[bytes]) -> None:
    """Work until the server ends or says so, and tell of each beat: the whole life of a worker process.

    Args:
        pulse: what does the work.
        control: ends when the worker is to end.
        tell: where it tells.
    """
    pulse.start()
    encoder = msgspec.json.Encoder()
    try:
        # A process whose thread has ended does nothing, and would look as if it did: the server starts another.
        while pulse.is_alive and not select.select([control], [], [], EVERY_SECONDS)[0]:
            told = Told(pulse.failures, pulse.reason, pulse.last_done_at)
            tell.write(encoder.encode(told) + b"\n")
            tell.flush()
    except BrokenPipeError:
        pass  # the server has ended
    pulse.stop()
