"""What has been logged and is not on disk yet: bodies of batches as they grow, within a bound, and the counts.

Cost: three tenths of a microsecond. Lines are put together as they come, so that memory holds their bytes and little
else, and nothing is left to do for the writer but to write. The lock is held for a few instructions and never during
IO. It is re-entrant: a signal's handler, or a destructor, that logs in the midst of logging must not wait for itself.
"""

from __future__ import annotations

import threading
from collections import Counter, deque

import msgspec

# Large enough that a request's own cost does not show, small enough to be held, sent and stored at once.
BATCH_BYTES = 1 << 20
BATCH_EVENTS = 2_000
NDJSON = "application/x-ndjson"
# What a parcel takes besides its body, about.
_OVERHEAD_BYTES = 256


class Parcel(msgspec.Struct):
    """A body to come: lines as they are logged, or what is sent as it is, such as a piece of a table."""

    kind: str
    content_type: str
    events: int
    body: bytes | bytearray

    @property
    def size(self) -> int:
        """What it counts towards the bound."""
        return len(self.body) + _OVERHEAD_BYTES


class Ring:
    """Takes events until it is full; then it drops, and counts, the newest.

    Args:
        bytes_max: of all that is in it.
        batch_bytes_max: of lines that are put together.
    """

    def __init__(self, bytes_max: int, batch_bytes_max: int = BATCH_BYTES) -> None:
        self._bytes_max, self._batch_bytes_max = bytes_max, batch_bytes_max
        self._lock = threading.RLock()
        self._parcels: deque[Parcel] = deque()
        self._growing: dict[str, Parcel] = {}
        self.bytes = 0
        self.logged = 0
        self.kept: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.sampled_out = 0
        # The writer should not wait for its next turn. Never set where events are logged: an event of `threading` is
        # not re-entrant.
        self.wake = threading.Event()

    @property
    def has_room(self) -> bool:
        """Whether less than half of it is taken."""
        return self.bytes + self.bytes <= self._bytes_max

    def put_line(self, kind: str, line: bytes) -> None:
        """Keep one event, if there is room."""
        ended = line + b"\n"  # added in one step: a handler's line must not come between
        size = len(ended)
        with self._lock:
            self.logged += 1
            parcel = self._growing.get(kind)
            if parcel is None or parcel.events >= BATCH_EVENTS or len(parcel.body) + size > self._batch_bytes_max:
                parcel = None
                size += _OVERHEAD_BYTES
            if self.bytes + size > self._bytes_max:
                self._refuse(1)
                return
            if parcel is None:
                # Complete before anybody sees it: a handler that logs during `append` then adds to it, or has its own.
                self._growing[kind] = parcel = Parcel(kind, NDJSON, 1, bytearray(ended))
                self._parcels.append(parcel)
            else:
                parcel.body += ended
                parcel.events += 1
            self.kept[kind] += 1
            self.bytes += size

    def put(self, parcel: Parcel) -> None:
        """Keep a body that is complete, if there is room."""
        size = parcel.size
        with self._lock:
            self.logged += parcel.events
            if self.bytes + size > self._bytes_max:
                self._refuse(parcel.events)
                return
            self._growing.pop(parcel.kind, None)  # what comes later must not be sent before it
            self._parcels.append(parcel)
            self.kept[parcel.kind] += parcel.events
            self.bytes += size

    def take(self) -> deque[Parcel]:
        """Take everything out. It counts towards the bound until it is `released`."""
        with self._lock:
            taken, self._parcels, self._growing = self._parcels, deque(), {}
        return taken

    def release(self, parcel: Parcel) -> None:
        """Give back the room of what was taken and is now on disk, or about to be sent."""
        size = parcel.size  # before the subtraction: a call in its midst is where a handler may run
        with self._lock:
            self.bytes -= size

    def drop(self, reason: str, events: int = 1) -> None:
        """Count what never got in."""
        with self._lock:
            self.logged += events
            self.dropped[reason] += events

    def lose(self, reason: str, events: int) -> None:
        """Count what got in and then was given up."""
        with self._lock:
            self.dropped[reason] += events

    def skip(self, events: int = 1) -> None:
        """Count what sampling left out."""
        with self._lock:
            self.logged += events
            self.sampled_out += events

    def close(self) -> None:
        """Take nothing more; what is in it can still be taken out."""
        self._bytes_max = -1

    def _refuse(self, events: int) -> None:
        self.dropped["closed" if self._bytes_max < 0 else "full"] += events
