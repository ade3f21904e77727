"""The sender: takes the oldest batch, sends it until it is answered, and goes on to the next.

Promise: a batch is sent again with the same producer, number and body until the server has it or refuses it. 200 means
that the server has it. 429, 503, any other answer that is neither 200 nor 4xx, and no answer at all are tried again
after the time that the server asked for and up to half of it more, or else after an exponential back-off with full
jitter. Any other 4xx is the batch's own fault: it is dropped, counted and logged. So it is, in all likelihood, when the
server fails at it (500) time and again: such a batch is put aside, so that it does not stop what comes after.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from killick_client.notices import Notices
    from killick_client.ring import Ring
    from killick_client.segment import Batch
    from killick_client.spool import Spool
    from killick_client.transport import Answer, Transport
    from killick_client.writer import Writer

# The first wait is about that of a server that restarts a worker; the longest, of one that nobody has noticed yet.
# Full jitter, so that a thousand clients do not come back as one ("Exponential Backoff and Jitter", AWS, 2015).
BACKOFF_SECONDS_FIRST = 0.2
BACKOFF_SECONDS_MAX = 30.0
# Nobody is left alone for longer than that, and half of it by chance, whatever was asked.
RETRY_AFTER_SECONDS_MAX = 300.0
# Ten minutes of it, with a back-off of 15 s in the mean: whatever breaks a server for a while is over by then.
FAILURES_MAX = 40
_FAILED = 500  # not 502 to 504: those are of a server that is away
# How often to look for what processes that died have left.
ADOPT_SECONDS = 60.0
# A disk that cannot be read is given a moment.
_DISK_AGAIN_SECONDS = 1.0
# Of what a server says: a line of a log.
_SAID_MAX = 200
_OK = 200
# The batch itself is at fault. Who is not let in, not known yet, too slow or too fast waits: an operator mends that,
# and a token that was changed in the wrong order must not cost a day's predictions.
_MISTAKES = frozenset(range(400, 500)) - {401, 403, 404, 408, 429}


class _Refused(msgspec.Struct):
    """What a server says of a row that it could not use."""

    field: str = ""
    reason: str = ""


class _Accepted(msgspec.Struct):
    """What a server says of a batch that it has, as far as the client counts and tells it."""

    quarantined: list[_Refused] = []


class _Problem(msgspec.Struct):
    """What a server says of a batch that it does not take (RFC 9457)."""

    detail: str = ""


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
            except BaseException as error:  # noqa: BLE001 - a disk that fails under reading must not end the thread
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
        try:
            close = getattr(self._transport, "close", None)
            if close is not None:
                close()
        except Exception as error:  # noqa: BLE001 - the end goes on
            self._notices.last_error = f"{type(error).__name__} while hanging up"
            self._notices.tell("hanging up", "the transport cannot be closed: %s", type(error).__name__)

    def _step(self) -> bool:
        """Send one batch; False when there is none."""
        if time.monotonic() >= self._adopt_at:
            self._adopt_at = time.monotonic() + ADOPT_SECONDS
            self._spool.adopt()
        corrupt = self._spool.corrupt
        spooled = self._spool.next(mine=True)
        held = None if spooled else self._writer.in_memory
        batch = spooled or held or self._spool.next(mine=False)
        if self._spool.corrupt > corrupt:
            self._notices.tell("corrupt", "the spool has %d damaged records, skipped", self._spool.corrupt)
        if batch is None:
            return False
        answer = self._deliver(batch)
        if answer is not None:
            self._settle(batch, answer, is_held=batch is held)
        return True

    def _deliver(self, batch: Batch) -> Answer | None:
        """Send a batch until there is an answer that settles it; None when it is to be left for the next start."""
        headers = {
            "Content-Type": batch.content_type,
            "Killick-Producer": batch.producer,
            "Killick-Sequence": str(batch.sequence),
        }
        self.sent += batch.events
        attempts = failures = 0
        while not self._stopping.is_set():
            wait = None
            try:
                if self._transport is None:
                    self._transport = self._open_transport()
                answer = self._transport.send(batch.path, headers, batch.body)
                failures += answer.status == _FAILED
                if answer.status == _OK or answer.status in _MISTAKES or failures >= FAILURES_MAX:
                    return answer
                wait = answer.retry_after_seconds
                self._notices.last_error = f"{batch.path}: answered {_said(answer)}"
            except BaseException as error:  # noqa: BLE001 - whatever it is, nobody answered; a panic in Rust is no Exception
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
        else:  # at least that long, for zero is no rest; and not all clients at the same moment
            least = min(max(asked_seconds, BACKOFF_SECONDS_FIRST), RETRY_AFTER_SECONDS_MAX)
            seconds = least + self._chance.uniform(0, least / 2)
        with self.settled:
            self.quiet_until = time.monotonic() + seconds
            self.settled.notify_all()
        self._stopping.wait(seconds)

    def _settle(self, batch: Batch, answer: Answer, *, is_held: bool) -> None:
        """Count the answer and forget the batch, which was read from the spool or is held in memory."""
        is_mine = batch.producer == self._producer
        if answer.status == _OK:
            self._count(batch, answer, is_mine=is_mine)
        else:
            self._give_up(batch, answer, is_mine=is_mine)
        if is_held and self._writer.forget(batch):
            self._ring.wake.set()
        elif not is_held or self._spool.next(mine=True) == batch:  # it went to the disk meanwhile, behind what was done
            self._spool.done()
        with self.settled:
            if is_mine:
                self.settled_by_kind[batch.kind] += batch.events
            self.settled.notify_all()

    def _give_up(self, batch: Batch, answer: Answer, *, is_mine: bool) -> None:
        """Count and tell what the server will not have; what it failed at is kept aside, as far as there is room."""
        reason = "refused" if answer.status in _MISTAKES else "aside"
        self._notices.last_error = f"{batch.path}: {reason} {batch.events} events, answered {_said(answer)}"
        self._notices.tell(reason, "%s", self._notices.last_error)
        if reason == "aside" and not self._spool.put_aside(batch):
            self._notices.tell("no room", "the folder for what is put aside is full or cannot be written")
        if is_mine:
            self._ring.lose(reason, batch.events)
        else:
            self._ring.drop("adopted", batch.events)

    def _count(self, batch: Batch, answer: Answer, *, is_mine: bool) -> None:
        if is_mine:
            self.acknowledged += batch.events
        else:
            self.adopted += batch.events
        try:
            quarantined = msgspec.json.decode(answer.body, type=_Accepted).quarantined
        except msgspec.MsgspecError:  # it has the batch, and does not say more
            return
        self.quarantined += len(quarantined)
        if quarantined:
            said = "%s: %d of %d rows are quarantined, the first for its %s: %s"
            first = quarantined[0]
            told = batch.path, len(quarantined), batch.events, first.field or "form", first.reason[:_SAID_MAX]
            self._notices.tell("quarantined", said, *told)


def _said(answer: Answer) -> str:
    """Return why a server did not take a batch: its status, and its words as far as a line of a log has room."""
    said = answer.body[: 4 * _SAID_MAX].decode(errors="replace")
    with suppress(msgspec.MsgspecError):  # a proxy's page
        said = msgspec.json.decode(answer.body, type=_Problem).detail or said
    return f"{answer.status} {' '.join(said.split())[:_SAID_MAX]}".rstrip()
