"""The sender: takes the oldest batch, sends it until it is answered, and goes on to the next.

Promise: a batch is sent again with the same producer, number and body until the server has it or refuses it. 200 means
that the server has it. 429, 503, any other answer that is neither 200 nor 4xx, and no answer at all are tried again
after the time that the server asked for, or else after an exponential back-off with full jitter. Any other 4xx is the
batch's own fault: it is dropped, counted and logged.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from killick_client.notices import Notices
    from killick_client.ring import Ring
    from killick_client.spool import Batch, Spool
    from killick_client.transport import Answer, Transport
    from killick_client.writer import Writer

# The first wait is about that of a server that restarts a worker; the longest, of one that nobody has noticed yet.
# Full jitter, so that a thousand clients do not come back as one ("Exponential Backoff and Jitter", AWS, 2015).
BACKOFF_SECONDS_FIRST = 0.2
BACKOFF_SECONDS_MAX = 30.0
# Nobody is left alone for longer than that, whatever was asked.
RETRY_AFTER_SECONDS_MAX = 300.0
# How often to look for what processes that died have left.
ADOPT_SECONDS = 60.0
# A disk that cannot be read is given a moment.
_DISK_AGAIN_SECONDS = 1.0
_OK = 200
# The batch itself is at fault. Who is not let in, not known yet, too slow or too fast waits: an operator mends that,
# and a token that was changed in the wrong order must not cost a day's predictions.
_MISTAKES = frozenset(range(400, 500)) - {401, 403, 404, 408, 429}


class _Accepted(msgspec.Struct):
    """What a server says of a batch, as far as the client counts it."""

    quarantined: list[msgspec.Raw] = []


class Sender:
    """Empties the spool into a transport.

    Args:
        open_transport: called in the sender's thread before the first batch, and so once in each process.
    """

    def __init__(
        self,
        writer: Writer,
        spool: Spool,
        ring: Ring,
        producer: str,
        open_transport: Callable[[], Transport],
        notices: Notices,
    ) -> None:
        self._writer, self._spool, self._ring, self._producer = writer, spool, ring, producer
        self._open_transport, self._notices = open_transport, notices
        self._transport: Transport | None = None
        self._chance = random.Random()  # noqa: S311 - it spreads retries, and leaves the caller's random numbers alone
        self._adopt_at = float("-inf")
        self._stopping = threading.Event()
        self.work = threading.Event()  # there is something to send, or an end to come to
        self.settled = threading.Condition()
        self.settled_by_kind: Counter[str] = Counter()
        self.sent = self.acknowledged = self.adopted = self.quarantined = 0
        self.quiet_until = float("-inf")

    def run(self) -> None:
        """Send until told to stop."""
        while not self._stopping.is_set():
            try:
                busy = self._step()
            except Exception as error:  # noqa: BLE001 - a disk that fails under reading must not end the thread
                self._notices.last_error = f"{type(error).__name__} while reading the spool"
                self._notices.tell("spool", "the spool cannot be read: %s", type(error).__name__)
                busy = self._stopping.wait(_DISK_AGAIN_SECONDS)
            if not busy:
                self.work.wait(ADOPT_SECONDS)
                self.work.clear()
        self._hang_up()

    def stop(self) -> None:
        """End; a request that is under way is broken off, if the transport can."""
        self._stopping.set()
        self.work.set()
        self._hang_up()

    def _hang_up(self) -> None:
        close = getattr(self._transport, "close", None)
        if close is not None:
            close()

    def _step(self) -> bool:
        """Send one batch; False when there is none."""
        if time.monotonic() >= self._adopt_at:
            self._adopt_at = time.monotonic() + ADOPT_SECONDS
            self._spool.adopt()
        corrupt = self._spool.corrupt
        batch = self._spool.next(mine=True) or self._writer.in_memory or self._spool.next(mine=False)
        if self._spool.corrupt > corrupt:
            self._notices.tell("corrupt", "the spool has %d damaged records, skipped", self._spool.corrupt)
        if batch is None:
            return False
        answer = self._deliver(batch)
        if answer is not None:
            self._settle(batch, answer)
        return True

    def _deliver(self, batch: Batch) -> Answer | None:
        """Send a batch until there is an answer that settles it; None when it is to be left for the next start."""
        headers = {
            "Content-Type": batch.content_type,
            "Killick-Producer": batch.producer,
            "Killick-Sequence": str(batch.sequence),
        }
        self.sent += batch.events
        attempts = 0
        while not self._stopping.is_set():
            wait = None
            try:
                if self._transport is None:
                    self._transport = self._open_transport()
                answer = self._transport.send(batch.path, headers, batch.body)
                if answer.status == _OK or answer.status in _MISTAKES:
                    return answer
                wait = answer.retry_after_seconds
                self._notices.last_error = f"{batch.path}: answered {answer.status}"
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody answered
                self._notices.last_error = f"{batch.path}: {type(error).__name__}: {error}"
            if not self._stopping.is_set():
                self._notices.tell("waiting", "not sent yet: %s", self._notices.last_error)
            self._rest(attempts, wait)
            attempts += 1
        return None

    def _rest(self, attempts: int, asked_seconds: float | None) -> None:
        """Leave the server alone for a while."""
        if asked_seconds is None:
            most = min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_FIRST * 2 ** min(attempts, 16))
            seconds = self._chance.uniform(0, most)
        else:
            seconds = min(asked_seconds, RETRY_AFTER_SECONDS_MAX)
        with self.settled:
            self.quiet_until = time.monotonic() + seconds
            self.settled.notify_all()
        self._stopping.wait(seconds)

    def _settle(self, batch: Batch, answer: Answer) -> None:
        """Count the answer and forget the batch."""
        is_mine = batch.producer == self._producer
        if answer.status == _OK:
            self._count(batch, answer, is_mine=is_mine)
        else:
            said = answer.body[:200].decode(errors="replace")
            self._notices.last_error = f"{batch.path}: refused with {answer.status}"
            self._notices.tell("refused", "%s refused %d events: %d %s", batch.path, batch.events, answer.status, said)
            if is_mine:
                self._ring.lose("refused", batch.events)
        if batch is self._writer.in_memory:
            self._writer.in_memory = None
            self._ring.wake.set()
        else:
            self._spool.done()
        with self.settled:
            if is_mine:
                self.settled_by_kind[batch.kind] += batch.events
            self.settled.notify_all()

    def _count(self, batch: Batch, answer: Answer, *, is_mine: bool) -> None:
        if is_mine:
            self.acknowledged += batch.events
        else:
            self.adopted += batch.events
        try:
            quarantined = len(msgspec.json.decode(answer.body, type=_Accepted).quarantined)
        except msgspec.MsgspecError:  # it has the batch, and does not say more
            return
        self.quarantined += quarantined
        if quarantined:
            self._notices.tell(
                "quarantined", "%s: %d of %d rows are quarantined", batch.path, quarantined, batch.events
            )
