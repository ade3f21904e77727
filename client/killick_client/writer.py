"""The writer: every `flush_seconds` it numbers what the ring holds and writes it to the spool, batch by batch.

Promise: the number of a batch is fixed when it is written, counts from 0 for each producer and kind, and has no gaps. A
folder that cannot be written, or has no room for this process at all, does not stop it: batches then go to the sender
one by one, and the rest waits in memory, within its bound, until the disk is tried again.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING

from killick_client.encoding import GaugeLine, encode
from killick_client.segment import Batch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick_client.notices import Notices
    from killick_client.ring import Parcel, Ring
    from killick_client.spool import Spool

# A full disk is cleared by people; until then everything is in memory, so it is not asked at every turn.
_DISK_AGAIN_SECONDS = 30.0
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
        self._held: deque[Parcel] = deque()
        self._sequences: Counter[str] = Counter()
        self._disk_again_at = float("-inf")
        self._reported = 0
        self.in_memory: Batch | None = None  # put here by the writer, taken away by it or by the sender
        self._moving = threading.Lock()  # held while the batch in memory goes to the disk, or is forgotten

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits on this side of the spool."""
        return not (self._ring.bytes or self.in_memory)

    def forget(self, batch: Batch) -> bool:
        """Let go of the batch in memory, which has been answered; False when it is on the disk by now."""
        with self._moving:
            if self.in_memory is not batch:
                return False
            self.in_memory = None
            return True

    def turn(self, timeout_seconds: float = -1, *, last: bool = False) -> bool:
        """Write what there is, as far as there is room; say whether it was anything. The last turn tries every disk."""
        if not self._turn.acquire(timeout=timeout_seconds):
            return False
        before, held = self._sequences.total(), self.in_memory
        try:
            if last:
                self._disk_again_at = float("-inf")
            else:
                self._report(now=False)
            self._move()
            self._write_held()
            if not self._held:  # or else the ring goes on putting lines together
                self._held = self._ring.take()
                self._write_held()
            if last:  # now that there is room for it, and while the ring still takes it
                self._report(now=True)
            self._sync()
            return self._sequences.total() > before or self.in_memory is not held
        finally:
            self._turn.release()

    def _write_held(self) -> None:
        while self._held:
            parcel = self._held[0]
            kind = parcel.kind
            batch = Batch(
                self._producer,
                self._sequences[kind],
                kind,
                self._paths[kind],
                parcel.content_type,
                parcel.events,
                bytes(parcel.body),
            )
            if not self._store(batch):
                return
            self._sequences[kind] += 1
            self._held.popleft()
            self._ring.release(parcel)

    def _move(self) -> None:
        """Put the batch in memory on the disk, if that is due again: it is in the way of all that comes later."""
        with self._moving:
            if self.in_memory is None or time.monotonic() < self._disk_again_at:
                return
            try:
                if self._spool.put(self.in_memory):
                    self.in_memory = None
            except OSError as error:
                self._give_up_disk(error)

    def _store(self, batch: Batch) -> bool:
        if self.in_memory is not None:  # what comes later must not overtake it on the disk
            return False
        if time.monotonic() >= self._disk_again_at:
            try:
                if self._spool.put(batch):
                    return True
            except OSError as error:
                self._give_up_disk(error)
            else:
                if self._spool.waiting_bytes:  # there will be room once that is sent
                    return False
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

    def _report(self, *, now: bool) -> None:
        """Tell people, and the server once there is room, how much was dropped since the last time."""
        total = self._ring.dropped.total()
        if total == self._reported:
            return
        self._notices.tell("dropped", "events were dropped: %s", dict(self._ring.dropped))
        if self._ring.has_room and (now or self._notices.may_tell("dropped, to the server")):
            gauge = GaugeLine(at=time.time_ns() // 1_000, name=DROPPED_GAUGE, value=total - self._reported)
            self._ring.put_line("gauges", encode(gauge))
            self._reported = total
