"""What waits to be sent, on disk: batches in segment files, each with its checksum, sequence and producer.

Promise: a batch that was written survives the death of the process, and the next start sends it under its own producer
and sequence; what a crash tore or a disk spoiled is skipped and counted. Two processes never send from the same files:
each start has a folder of its own, `<producer>/`, with a lock that the operating system lets go of when it dies.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from killick_client.segment import Segment, record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from killick_client.segment import Batch

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# Small enough that what has been sent leaves the disk soon, large enough that opening files costs nothing.
_SEGMENT_BYTES = 16 << 20
# How often the folders of other processes are measured: the bound on all together is as exact as that.
_MEASURE_SECONDS = 5.0
# What the server fails at is kept here, as segments that count towards the bound. Without a lock nobody adopts it: who
# wants it sent gives the folder another name, and an empty file `lock`.
_ASIDE = "aside"
# As many of the dead as are read at once: each takes a descriptor or two, and a crash loop leaves hundreds.
_ADOPTED_MAX = 8
# A folder without a segment is of a start that died before its first write, once it is older than any start takes.
_EMPTY_SECONDS = 3600.0


class Lock:
    """A file that one process at a time holds, for as long as it lives."""

    def __init__(self, path: Path, *, create: bool) -> None:
        """Take it.

        Raises:
            OSError: somebody else holds it, or the file is not there.
        """
        self._descriptor = os.open(path, os.O_RDWR | (os.O_CREAT if create else 0), 0o600)
        try:
            if sys.platform == "win32":
                msvcrt.locking(self._descriptor, msvcrt.LK_NBLCK, 1)
            else:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise

    def close(self) -> None:
        """Close this process's hold on it; a fork's copy can be closed without freeing the original."""
        os.close(self._descriptor)


class Shelf:
    """The segments of one producer, under its lock: those of this process, or of one that died."""

    def __init__(self, folder: Path, *, create: bool) -> None:
        """Take a producer's folder.

        Raises:
            OSError: it belongs to a living process, or it cannot be made.
        """
        self._folder = folder
        self._lock = self._locked(create=create)
        self.corrupt = 0
        try:
            self.segments = deque(Segment(path) for path in sorted(folder.glob("*.segment")))
        except OSError:
            self._lock.close()
            raise

    @property
    def is_there(self) -> bool:
        """Whether nobody has tidied it up."""
        return (self._folder / "lock").exists()

    @property
    def waiting_bytes(self) -> int:
        """How much in it is not yet answered."""
        return sum(segment.waiting_bytes for segment in self.segments)

    def make_again(self) -> None:
        """Make and take the folder once more; the segments that were in it are open, and are still read.

        Raises:
            OSError: it cannot be made.
        """
        gone, self._lock = self._lock, self._locked(create=True)
        gone.close()

    def next(self) -> Batch | None:
        """Return the oldest batch that is not done, and delete each segment that has been read to its end."""
        while self.segments:
            segment = self.segments[0]
            try:
                batch = segment.next()
            except FileNotFoundError:  # somebody tidied up
                batch = None
            self.corrupt, segment.corrupt = self.corrupt + segment.corrupt, 0
            if batch is not None or segment.is_open:
                return batch
            self.segments.popleft().remove()
        return None

    def release(self, *, clear: bool) -> None:
        """Close everything; with `clear`, nothing in it is wanted any more."""
        for segment in self.segments:
            segment.close()
        self._lock.close()
        if clear:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _locked(self, *, create: bool) -> Lock:
        if create:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # an earlier try may have come so far
        return Lock(self._folder / "lock", create=create)


class Spool:
    """This process's shelf, written by one thread and read by another, and the shelves that the dead left.

    Args:
        folder: of one server and one model; made when something is first written.
        producer: this process's name, which no other start has.
        bytes_max: of all processes' segments in the folder together.
        fsync_seconds: how much a power loss may take; what is written survives the process at once.
    """

    def __init__(self, folder: Path, producer: str, *, bytes_max: int, fsync_seconds: float) -> None:
        self._folder, self._producer = folder, producer
        self._bytes_max, self._fsync_seconds = bytes_max, fsync_seconds
        self._segment_bytes = min(_SEGMENT_BYTES, bytes_max // 4)
        self._guard = threading.Lock()  # held for the moves of segments, and while one is read; never while it is sent
        self._own: Shelf | None = None
        self._dead: list[Shelf] = []
        self._adopted_to = ""  # the folder at which the last adoption broke off
        self._reading: Segment | None = None  # in which the batch is that was read last
        self._left_bytes = 0  # for the next start, once this one is closed
        self._file: BinaryIO | None = None
        self._segments_made = 0
        self._others_bytes, self._measured_at = 0, float("-inf")
        self._synced_at, self._unsynced = float("-inf"), False
        self.corrupt = 0

    @property
    def waiting_bytes(self) -> int:
        """How much of this process's is on disk and not yet answered, at the end too."""
        with self._guard:
            return self._own.waiting_bytes if self._own else self._left_bytes

    def put(self, batch: Batch) -> bool:
        """Write a batch behind the others; False when the folder is full.

        Raises:
            OSError: the disk is full, or it cannot be written.
        """
        written = record(batch)
        if self._bytes() + len(written) > self._bytes_max:
            self._close_file()  # so that the segment can leave as soon as it has been sent
            return False
        self._open_segment()
        assert self._own is not None and self._file is not None  # noqa: S101, PT018 - what `_open_segment` is for
        segment = self._own.segments[-1]
        try:
            done = 0
            while done < len(written):
                done += self._file.write(written[done:])
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(segment.size)
            self._close_file()  # what may be left of half a record ends a segment, where it harms nobody
            raise
        with self._guard:
            segment.size += len(written)
        self._unsynced = True
        return True

    def sync(self, *, now: bool = False) -> None:
        """Make what was written survive a power loss, if the last time is long enough ago.

        Raises:
            OSError: the disk could not.
        """
        if self._file and self._unsynced and (now or time.monotonic() - self._synced_at >= self._fsync_seconds):
            os.fsync(self._file.fileno())
            self._unsynced, self._synced_at = False, time.monotonic()

    def next(self, *, mine: bool) -> Batch | None:
        """Return the oldest batch of this process, or one that a dead one left; the same until it is `done`.

        Raises:
            OSError: a segment cannot be read.
        """
        while (batch := self._oldest(mine=mine)) is None and not mine and self._adopted_to:
            self.adopt()
        return batch

    def _oldest(self, *, mine: bool) -> Batch | None:
        with self._guard:
            for shelf in [self._own] if mine and self._own else [] if mine else self._dead:
                batch = shelf.next()
                self.corrupt, shelf.corrupt = self.corrupt + shelf.corrupt, 0
                if batch:
                    self._reading = shelf.segments[0]
                    return batch
            if not mine:
                for shelf in self._dead:
                    shelf.release(clear=True)
                self._dead.clear()
            return None

    def done(self) -> None:
        """Say that the batch which was read last has been answered."""
        with self._guard:
            if self._reading:
                self._reading.done()

    def adopt(self) -> None:
        """Take over what processes that died have left, a few at a time: `next` goes on where this breaks off."""
        for folder in self._folders():
            if folder.name <= self._adopted_to:
                continue
            if len(self._dead) >= _ADOPTED_MAX:
                return
            self._adopted_to = folder.name
            with contextlib.suppress(OSError):  # it belongs to the living, or somebody else was faster
                is_old = time.time() - folder.stat().st_mtime > _EMPTY_SECONDS
                if is_old or any(folder.glob("*.segment")):
                    shelf = Shelf(folder, create=False)
                    with self._guard:
                        self._dead.append(shelf)
        self._adopted_to = ""

    def put_aside(self, batch: Batch) -> bool:
        """Keep a batch where nobody sends it from; False when there is no room, or it cannot be written."""
        written, folder = record(batch), self._folder / _ASIDE
        if _size(folder) + len(written) > self._bytes_max // 4:
            return False
        path = folder / f"{batch.producer}-{batch.kind}-{batch.sequence:08}.segment"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(path, "wb", opener=_for_this_user) as file:
                file.write(written)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Let go of everything; what has not been answered waits for the next start."""
        self._close_file()
        with self._guard:
            for shelf in self._shelves():
                shelf.release(clear=shelf.next() is None)
            self._left_bytes = self._own.waiting_bytes if self._own else 0
            self._own, self._dead = None, []

    def abandon(self) -> None:
        """Close a fork's copies of what stays the parent's."""
        self._guard = threading.Lock()  # the copy may be held by a thread that this process does not have
        self._close_file(is_ours=False)
        for shelf in self._shelves():
            shelf.release(clear=False)
        self._own, self._dead = None, []

    def _shelves(self) -> Iterator[Shelf]:
        if self._own:
            yield self._own
        yield from self._dead

    def _folders(self) -> list[Path]:
        with contextlib.suppress(OSError):
            return sorted(folder for folder in self._folder.iterdir() if folder.name != self._producer)
        return []

    def _bytes(self) -> int:
        """How much is on disk: this process's at once, the others' as they were a moment ago."""
        if time.monotonic() - self._measured_at >= _MEASURE_SECONDS:
            self._others_bytes, self._measured_at = sum(map(_size, self._folders())), time.monotonic()
        with self._guard:
            return self._others_bytes + (sum(segment.size for segment in self._own.segments) if self._own else 0)

    def _open_segment(self) -> None:
        """Have a segment that is open and has room."""
        if self._own is None:
            own = Shelf(self._folder / self._producer, create=True)
            with self._guard:
                self._own = own
        elif not self._own.is_there:
            self._close_file()
            self._own.make_again()
        if self._file and self._own.segments[-1].size < self._segment_bytes:
            return
        self._close_file()
        path = self._folder / self._producer / f"{self._segments_made:08}.segment"
        self._segments_made += 1
        file = open(path, "xb", buffering=0, opener=_for_this_user)  # noqa: SIM115 - a path opens nothing so, and it stays open
        try:
            _sync_folders(path.parent, self._folder)
            segment = Segment(path)
            segment.open()  # so that it is read even if somebody tidies the folder up
        except BaseException:
            file.close()
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        segment.is_open = True
        with self._guard:
            self._own.segments.append(segment)
        self._file = file

    def _close_file(self, *, is_ours: bool = True) -> None:
        """End the segment that is being written; a fork's copy of it is only closed."""
        if self._file is None or self._own is None:
            return
        if is_ours:
            with contextlib.suppress(OSError):
                self.sync(now=True)
            with self._guard:
                self._own.segments[-1].is_open = False
        self._file.close()
        self._file = None


def _size(folder: Path) -> int:
    with contextlib.suppress(OSError):
        return sum(path.stat().st_size for path in folder.glob("*.segment"))
    return 0


def _sync_folders(*folders: Path) -> None:
    """Make the names in folders survive a power loss; Windows has no way, and does it by itself."""
    if sys.platform != "win32":
        for folder in folders:
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _for_this_user(path: str, flags: int) -> int:
    """Open a file that nobody else may read: it holds what users sent."""
    return os.open(path, flags, 0o600)
