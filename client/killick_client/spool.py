"""What waits to be sent, on disk: batches in segment files, each with its checksum, sequence and producer.

Promise: a batch that was written survives the death of the process, and the next start sends it under its own producer
and sequence; what a crash tore or a disk spoiled is skipped and counted. Two processes never send from the same files:
each start has a folder of its own, `<producer>/`, with a lock that the operating system lets go of when it dies.

A record is a header (`KLK1`, state, length, CRC-32) and a MessagePack array, `Batch`. The state is the one byte that is
ever overwritten: a batch that the server has answered is not sent again after a restart. It is outside the checksum,
and need not be durable: what is sent twice is counted once.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import sys
import threading
import time
import zlib
from collections import deque
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# Small enough that what has been sent leaves the disk soon, large enough that opening files costs nothing.
_SEGMENT_BYTES = 16 << 20
# How often the folders of other processes are measured: the bound on all together is as exact as that.
_MEASURE_SECONDS = 5.0
# A folder without a segment is of a start that died before its first write, once it is older than any start takes.
_EMPTY_SECONDS = 3600.0

_HEADER = struct.Struct("<4sBxxxII")  # magic, state, three bytes of nothing, length, CRC-32
_MAGIC = b"KLK1"
_STATE_AT = 4
_WAITING, _DONE = 0, 1


class Batch(msgspec.Struct, frozen=True, array_like=True):
    """One request to come: where it goes, what it holds, and under which number it is known to the server."""

    producer: str
    sequence: int
    kind: str
    path: str
    content_type: str
    events: int
    body: bytes


class Segment:
    """One file of records, read from its beginning while its end still grows."""

    def __init__(self, path: Path) -> None:
        """Open a file that is there."""
        self.path = path
        self.size = path.stat().st_size
        self.corrupt = 0
        self.is_open = False  # for the writer, who may put more behind what has been read
        self._position = 0  # of the record that is read next
        self._read = -1  # of the record that was read last
        self._file: BinaryIO = path.open("r+b", buffering=0)

    @property
    def waiting_bytes(self) -> int:
        """How much of it has not been answered yet."""
        return self.size - (self._read if self._read >= 0 else self._position)

    def next(self) -> Batch | None:
        """Return the first batch that is not done, again until it is; None at the end."""
        if self._read >= 0:
            self._position = self._read
        while self._position + _HEADER.size <= self.size:
            self._file.seek(self._position)
            magic, state, length, checksum = _HEADER.unpack(self._exactly(_HEADER.size))
            end = self._position + _HEADER.size + length
            if magic != _MAGIC or end > self.size:
                self._skip()
                continue
            if state == _DONE:
                self._position = end
                continue
            batch = self._parse(self._exactly(length), checksum)
            if batch is None:
                self._skip()
                continue
            self._read, self._position = self._position, end
            return batch
        self.corrupt += self._position < self.size
        self._position = self.size
        return None

    def done(self) -> None:
        """Mark the batch that was read last."""
        at, self._read = self._read, -1
        with contextlib.suppress(OSError):  # it may be sent a second time, which is harmless
            self._file.seek(at + _STATE_AT)
            self._file.write(bytes([_DONE]))

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def remove(self) -> None:
        """Delete the file."""
        self._file.close()
        with contextlib.suppress(OSError):
            self.path.unlink()

    def _exactly(self, length: int) -> bytes:
        read = self._file.read(length)
        return read if len(read) == length else read.ljust(length, b"\0")  # cut by somebody: no checksum will fit

    def _parse(self, payload: bytes, checksum: int) -> Batch | None:
        if zlib.crc32(payload) != checksum:
            return None
        try:
            return msgspec.msgpack.decode(payload, type=Batch)
        except msgspec.DecodeError:  # of another version of this program
            return None

    def _skip(self) -> None:
        """Go on at whatever next looks like a record."""
        self.corrupt += 1
        self._file.seek(self._position + 1)
        found = self._exactly(self.size - self._position - 1).find(_MAGIC)
        self._position = self.size if found < 0 else self._position + 1 + found


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
        if create:
            folder.mkdir(mode=0o700, parents=True)
        self._folder = folder
        self._lock = Lock(folder / "lock", create=create)
        self.segments = deque(Segment(path) for path in sorted(folder.glob("*.segment")))
        self.corrupt = 0

    def next(self) -> Batch | None:
        """Return the oldest batch that is not done, and delete each segment that has been read to its end."""
        while self.segments:
            segment = self.segments[0]
            batch = segment.next()
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
        self._file: BinaryIO | None = None
        self._segments_made = 0
        self._others_bytes, self._measured_at = 0, float("-inf")
        self._synced_at, self._unsynced = float("-inf"), False
        self.corrupt = 0

    @property
    def waiting_bytes(self) -> int:
        """How much of this process's is on disk and not yet answered."""
        with self._guard:
            return sum(segment.waiting_bytes for segment in self._own.segments) if self._own else 0

    def put(self, batch: Batch) -> bool:
        """Write a batch behind the others; False when the folder is full.

        Raises:
            OSError: the disk is full, or it cannot be written.
        """
        payload = msgspec.msgpack.encode(batch)
        record = _HEADER.pack(_MAGIC, _WAITING, len(payload), zlib.crc32(payload)) + payload
        if self._bytes() + len(record) > self._bytes_max:
            self._close_file()  # so that the segment can leave as soon as it has been sent
            return False
        self._open_segment()
        assert self._own is not None and self._file is not None  # noqa: S101, PT018 - what `_open_segment` is for
        segment = self._own.segments[-1]
        try:
            written = 0
            while written < len(record):
                written += self._file.write(record[written:])
        except OSError:
            with contextlib.suppress(OSError):
                self._file.truncate(segment.size)
            self._close_file()  # what may be left of half a record ends a segment, where it harms nobody
            raise
        with self._guard:
            segment.size += len(record)
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
        """Return the oldest batch of this process, or one that a dead one left; the same until it is `done`."""
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

    _reading: Segment

    def done(self) -> None:
        """Say that the batch which was read last has been answered."""
        with self._guard:
            self._reading.done()

    def adopt(self) -> None:
        """Take over what processes that died have left."""
        for folder in self._folders():
            with contextlib.suppress(OSError):  # it belongs to the living, or somebody else was faster
                is_old = time.time() - folder.stat().st_mtime > _EMPTY_SECONDS
                if is_old or any(folder.glob("*.segment")):
                    shelf = Shelf(folder, create=False)
                    with self._guard:
                        self._dead.append(shelf)

    def close(self) -> None:
        """Let go of everything; what has not been answered waits for the next start."""
        self._close_file()
        with self._guard:
            for shelf in self._shelves():
                shelf.release(clear=shelf.next() is None)
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
        if self._file and self._own.segments[-1].size < self._segment_bytes:
            return
        self._close_file()
        path = self._folder / self._producer / f"{self._segments_made:08}.segment"
        self._file = open(path, "xb", buffering=0, opener=_for_this_user)  # noqa: SIM115 - a path opens nothing so, and it stays open
        self._segments_made += 1
        _sync_folders(path.parent, self._folder)
        segment = Segment(path)
        segment.is_open = True
        with self._guard:
            self._own.segments.append(segment)

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
