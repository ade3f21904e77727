"""The writer: every `flush_seconds` it cuts what the ring holds into batches, numbers and spools them.

Promise: the number of a batch is fixed when it is written, counts from 0 for each producer and kind, and has no gaps. A
folder that cannot be written does not stop it: batches then go to the sender one by one, and the rest waits in memory,
within its bound, until the disk is tried again.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from itertools import islice
from typing import TYPE_CHECKING

from killick_client.encoding import GaugeLine, encode
from killick_client.ring import Parcel
from killick_client.spool import Batch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick_client.notices import Notices
    from killick_client.ring import Ring
    from killick_client.spool import Spool

# Large enough that a request's own cost does not show, small enough to be held, sent and stored at once.
BATCH_BYTES = 1 << 20
BATCH_EVENTS = 2_000
# A full disk is cleared by people; until then everything is in memory, so it is not asked at every turn.
_DISK_AGAIN_SECONDS = 30.0
_NDJSON = "application/x-ndjson"
DROPPED_GAUGE = "killick_client.dropped"


class Writer:
    """Moves events from the ring to the spool.

    Args:
        paths: where the events of each kind are posted.
    """

    def __init__(self, ring: Ring, spool: Spool, producer: str, paths: Mapping[str, str], notices: Notices) -> None:
        self._ring, self._spool, self._producer = ring, spool, producer
        self._paths, self._notices = paths, notices
        self._turn = threading.Lock()  # the thread's own turns, and the last one of whoever closes
        self._held: dict[str, deque[bytes | Parcel]] = {}
        self._sequences: Counter[str] = Counter()
        self._disk_again_at = float("-inf")
        self._reported = 0
        self.in_memory: Batch | None = None  # written by this side, emptied by the sender

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits on this side of the spool."""
        return not (self._ring.bytes or self.in_memory)

    def turn(self, timeout_seconds: float = -1) -> None:
        """Write what there is, as far as there is room."""
        if not self._turn.acquire(timeout=timeout_seconds):
            return
        try:
            self._report()
            for kind, items in self._ring.take().items():
                self._held.setdefault(kind, deque()).extend(items)
            for kind, queue in self._held.items():
                while queue and self._write(kind, queue):
                    pass
            self._sync()
        finally:
            self._turn.release()

    def _write(self, kind: str, queue: deque[bytes | Parcel]) -> bool:
        """Write the first batch of a queue and take it out; False when there is no room for it."""
        first = queue[0]
        items = [first] if isinstance(first, Parcel) else _lines(queue)
        if isinstance(first, Parcel):
            events, content_type, body = first.events, first.content_type, first.body
        else:
            events, content_type, body = len(items), _NDJSON, b"\n".join(items) + b"\n"  # type: ignore[arg-type]
        path = self._paths[kind]
        batch = Batch(self._producer, self._sequences[kind], kind, path, content_type, events, body)
        if not self._store(batch):
            return False
        self._sequences[kind] += 1
        for _ in items:
            queue.popleft()
        self._ring.release(sum(map(len, items)), len(items))
        return True

    def _store(self, batch: Batch) -> bool:
        if self.in_memory is not None:  # what comes later must not overtake it on the disk
            return False
        if time.monotonic() >= self._disk_again_at:
            try:
                return self._spool.put(batch)
            except OSError as error:
                self._give_up_disk(error)
        self.in_memory = batch
        return True

    def _sync(self) -> None:
        try:
            self._spool.sync()
        except OSError as error:
            self._give_up_disk(error)

    def _give_up_disk(self, error: OSError) -> None:
        self._disk_again_at = time.monotonic() + _DISK_AGAIN_SECONDS
        self._notices.last_error = f"spool: {error.strerror or type(error).__name__}"
        self._notices.tell("disk", "the spool cannot be written (%s): going on from memory alone", error)

    def _report(self) -> None:
        """Tell people, and the server once there is room, how much was dropped since the last time."""
        total = self._ring.dropped.total()
        if total == self._reported or not self._ring.has_room:
            if total > self._reported:
                self._notices.tell("dropped", "events were dropped: %s", dict(self._ring.dropped))
            return
        if not self._notices.may_tell("report"):
            return
        self._notices.tell("dropped", "events were dropped: %s", dict(self._ring.dropped))
        gauge = GaugeLine(at=time.time_ns() // 1_000, name=DROPPED_GAUGE, value=total - self._reported)
        if self._ring.put("gauges", encode(gauge)):
            self._reported = total


def _lines(queue: deque[bytes | Parcel]) -> list[bytes]:
    """Return as many lines from the front as go into one batch; a line that is longer than that goes alone."""
    lines: list[bytes] = []
    size = 0
    for item in islice(queue, BATCH_EVENTS):
        size += len(item) + 1
        if isinstance(item, Parcel) or (size > BATCH_BYTES and lines):
            break
        lines.append(item)
    return lines
