"""One process's way from the ring to the server: two threads, a spool and the counts. A fork gets a new one.

The writer's thread makes what was logged survive the process; the sender's thread may wait for a server as long as it
must. Both start with the first event, and are daemons: what they have not sent at the end is in the spool.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import uuid
from pathlib import Path  # noqa: TC003 - a struct's fields are read when it is made
from typing import TYPE_CHECKING

import msgspec

from killick_client.notices import Notices
from killick_client.ring import BATCH_BYTES, Ring
from killick_client.sender import Sender
from killick_client.spool import Spool
from killick_client.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from killick_client.ring import Parcel
    from killick_client.transport import Transport

# What an exit may take; the rest is sent by the next start. Gunicorn gives its workers 30 s, a container's runtime 10.
EXIT_SECONDS = 2.0
# A machine that has no thread to give is not asked at every event.
_START_AGAIN_SECONDS = 1.0
# How long to wait for a thread that was told to end, and for a disk under its last write.
_JOIN_SECONDS = 0.5


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What became of everything logged in this process so far.

    At any quiet moment `logged == acknowledged + sampled_out + sum(dropped.values())` and what still waits. The gauge
    by which the client reports its drops counts as logged too, and so does what is dropped as `adopted`.

    Attributes:
        sent: events of batches that were handed to the transport, once each.
        acknowledged: events that the server has; `quarantined` of them it did not understand.
        adopted: events of processes that died, which this one sent for them.
        dropped: events by reason: `full`, `closed`, `unencodable`, `refused`; `aside`, which the spool keeps; and
            `adopted`, of processes that died: refused or put aside when this one sent them.
        corrupt: damaged records that were skipped in the spool.
        waiting_bytes: in memory; `spooled_bytes`: on disk.
    """

    producer: str
    logged: int
    sampled_out: int
    sent: int
    acknowledged: int
    quarantined: int
    adopted: int
    dropped: dict[str, int]
    corrupt: int
    waiting_bytes: int
    spooled_bytes: int
    last_error: str | None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What a client and all its forks have in common."""

    paths: dict[str, str]
    folder: Path
    memory_bytes_max: int
    spool_bytes_max: int
    flush_seconds: float
    fsync_seconds: float


class Pipeline:
    """Takes events and sees to it that they arrive."""

    def __init__(self, settings: Settings, open_transport: Callable[[], Transport]) -> None:
        self.producer = uuid.uuid4().hex
        self._flush_seconds = settings.flush_seconds
        self._notices = Notices()
        # A spool that is small holds several batches too.
        self.ring = Ring(settings.memory_bytes_max, min(BATCH_BYTES, settings.spool_bytes_max // 4))
        self._spool = Spool(
            settings.folder,
            self.producer,
            bytes_max=settings.spool_bytes_max,
            fsync_seconds=settings.fsync_seconds,
        )
        self._writer = Writer(self.ring, self._spool, self.producer, settings.paths, self._notices)
        self._sender = Sender(self._writer, self._spool, self.ring, self.producer, open_transport, self._notices)
        self._threads: list[threading.Thread] = []
        self._starting = threading.Lock()
        self._stopping = threading.Event()
        self._is_started = False
        self._start_at = float("-inf")

    def put_line(self, kind: str, line: bytes) -> None:
        """Keep one event, if there is room."""
        if not self._is_started:
            self.start()
        self.ring.put_line(kind, line)

    def put(self, parcel: Parcel) -> None:
        """Keep a body that is complete, if there is room."""
        if not self._is_started:
            self.start()
        self.ring.put(parcel)

    def fail(self, error: Exception, events: int = 1) -> None:
        """Count an event that could not be encoded. The error's text may hold what is private: its name must do."""
        self.ring.drop("unencodable", events)
        self._notices.last_error = f"{type(error).__name__} while encoding"

    def start(self) -> None:
        """Start the threads, once; an interpreter that is on its way out starts none, and `close` writes instead."""
        if not self._starting.acquire(blocking=False):
            return  # somebody else is just doing it
        try:
            if self._is_started or time.monotonic() < self._start_at:
                return
            if self._start_at < 0:
                _close_with_process(self)
            self._start_at = time.monotonic() + _START_AGAIN_SECONDS
            ways = (("killick-spool", self._write), ("killick-send", self._sender.run))
            for name, run in ways[len(self._threads) :]:
                thread = threading.Thread(target=run, name=name, daemon=True)
                thread.start()
                self._threads.append(thread)
            self._is_started = True
        except RuntimeError as error:
            self._notices.last_error = f"no thread: {error}"
            if "shutdown" not in str(error):  # at the interpreter's end it is no fault
                self._notices.tell("thread", "nothing is sent yet: %s", error)
        finally:
            self._starting.release()

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until the server has answered for everything kept so far; at once False if it is known not to."""
        deadline = time.monotonic() + timeout_seconds
        goal = self.ring.kept.copy()
        sender = self._sender
        if goal and not self._is_started:
            self.start()
        self.ring.wake.set()
        with sender.settled:
            while not self._is_settled(goal):
                left = deadline - time.monotonic()
                is_over = self._stopping.is_set() or len(self._threads) < 2  # noqa: PLR2004 - both
                if left <= 0 or sender.quiet_until >= deadline or is_over:
                    return False
                # Not only when told: a record that is damaged is never settled, it is merely no longer there.
                sender.settled.wait(min(left, max(self._flush_seconds, 0.01)))
        return True

    def close(self, timeout_seconds: float) -> None:
        """Send what can be sent in time, leave the rest in the spool, and end the threads."""
        if self._stopping.is_set():
            return
        deadline = time.monotonic() + timeout_seconds
        self._turn(_JOIN_SECONDS, last=True)  # so that what was dropped since the last report is told too
        self.ring.close()
        if self._is_started:
            self.flush(deadline - time.monotonic())
        self._stopping.set()
        self._sender.stop()
        self.ring.wake.set()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(max(_JOIN_SECONDS, deadline - time.monotonic()))
        self._turn(_JOIN_SECONDS, last=True)
        if not any(thread.is_alive() for thread in self._threads):
            self._spool.close()  # or else it stays locked, and the next start is safe from what a thread may still do
        _BEGUN.discard(self)

    def abandon(self) -> None:
        """Forget, in a fork, what belongs to its parent."""
        _BEGUN.discard(self)
        self._stopping.set()
        self._spool.abandon()

    def statistics(self) -> Statistics:
        """Count."""
        sender, ring = self._sender, self.ring
        return Statistics(
            producer=self.producer,
            logged=ring.logged,
            sampled_out=ring.sampled_out,
            sent=sender.sent,
            acknowledged=sender.acknowledged,
            quarantined=sender.quarantined,
            adopted=sender.adopted,
            dropped=dict(ring.dropped),
            corrupt=self._spool.corrupt,
            waiting_bytes=ring.bytes,
            spooled_bytes=self._spool.waiting_bytes,
            last_error=self._notices.last_error,
        )

    def _is_settled(self, goal: Mapping[str, int]) -> bool:
        settled = self._sender.settled_by_kind
        if all(settled[kind] >= events for kind, events in goal.items()):
            return True
        return self._writer.is_empty and self._spool.waiting_bytes == 0

    def _write(self) -> None:
        while not self._stopping.is_set():
            self.ring.wake.wait(self._flush_seconds)
            self.ring.wake.clear()
            self._turn()

    def _turn(self, timeout_seconds: float = -1, *, last: bool = False) -> None:
        try:
            if self._writer.turn(timeout_seconds, last=last):
                self._sender.work.set()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next turn may do better
            self._notices.last_error = f"{type(error).__name__} while writing"
            self._notices.tell("writer", "the writer failed: %s", type(error).__name__)


# Those that have begun, and the process in which `multiprocessing` knows of them: a fork's child forgets its parent's.
_BEGUN: set[Pipeline] = set()
_KNOWN_IN: set[int] = set()


def _close_with_process(pipeline: Pipeline) -> None:
    """Close at the end of a forked `multiprocessing.Process` too, which before Python 3.13 skips `atexit`."""
    _BEGUN.add(pipeline)
    multiprocessing = sys.modules.get("multiprocessing.util")
    if multiprocessing is not None and os.getpid() not in _KNOWN_IN:
        _KNOWN_IN.clear()
        _KNOWN_IN.add(os.getpid())
        multiprocessing.Finalize(None, _close_begun, exitpriority=0)


def _close_begun() -> None:
    for pipeline in list(_BEGUN):
        pipeline.close(EXIT_SECONDS)


# Once for all, and now: an interpreter that is ending calls nothing that is registered only then. What is registered
# later, such as a service's own last words, it calls before this.
atexit.register(_close_begun)
