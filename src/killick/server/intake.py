"""How much is in memory and in work at once. What comes beyond is told to come back, and counted.

A body is read piece by piece and counted while it is read. Decoding and storing block, so they run in threads, never on
the event loop; what waits for a thread is bounded, since a request that waits longer than its sender does is work for
nothing.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from killick.server.problems import RETRY_SECONDS, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from litestar import Request

    from killick.server.limits import Limits

T = TypeVar("T")


class Share:
    """What one request holds of the memory that all of them may hold."""

    def __init__(self, held: Held) -> None:
        self._held = held
        self.size = 0

    def take(self, size: int) -> None:
        """Count some bytes before they are kept.

        Raises:
            Refused: 503, with all that is in work there is no room for them.
        """
        self._held.take(size)
        self.size += size


class Held:
    """How many bytes of bodies are in memory. Threads share it."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._turn = threading.Lock()
        self.size = 0

    @contextmanager
    def share(self) -> Iterator[Share]:
        """Hold a share for as long as the block runs."""
        share = Share(self)
        try:
            yield share
        finally:
            with self._turn:
                self.size -= share.size

    def take(self, size: int) -> None:
        """Count bytes that are about to be kept."""
        with self._turn:
            if self.size + size > self._bytes_max:
                raise Refused(503, "too much is being received; send it again", retry_seconds=RETRY_SECONDS)
            self.size += size


class Intake:
    """Reads bodies and runs what they are for, within the limits. Made and used on one event loop."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(limits.threads, thread_name_prefix="killick-intake")
        self._reading: set[asyncio.Timeout] = set()
        self._until: float | None = None
        self.held = Held(limits.held_bytes_max)
        self.in_work = 0

    @property
    def waiting(self) -> int:
        """How many requests wait for a thread."""
        return max(0, self.in_work - self._limits.threads)

    async def read(self, request: Request[Any, Any, Any], share: Share) -> bytes:
        """Read a body as it was sent.

        Raises:
            Refused: 413, it is too large; 408, it takes too long; 400, the sender left; 503, no room.
        """
        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._limits.body_bytes_max:
            raise self._too_large()
        # A thread that is not there will not be there when the body has been read either.
        self._must_have_room()
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout_at(self._patience()) as patience:
                self._reading.add(patience)
                try:
                    while True:
                        piece, more = await _piece(request)
                        share.take(len(piece))
                        if share.size > self._limits.body_bytes_max:
                            raise self._too_large()
                        pieces.append(piece)
                        if not more:
                            return b"".join(pieces)
                finally:
                    self._reading.discard(patience)
        except TimeoutError:
            raise Refused(408, "the body did not come in time", headers={"Connection": "close"}) from None

    async def run(self, work: Callable[[], T]) -> T:
        """Run what blocks in a thread, and return what it returns.

        Raises:
            Refused: 503, too many wait already.
        """
        self._must_have_room()
        self.in_work += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, _caught, work)
        finally:
            self.in_work -= 1

    def hurry(self, seconds: float) -> None:
        """Give bodies that are being read, or begin to be, no more than so long: the server is to stop."""
        self._until = asyncio.get_running_loop().time() + seconds
        for patience in self._reading:
            patience.reschedule(min(patience.when() or self._until, self._until))

    def close(self) -> None:
        """Take no more work; what runs is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _patience(self) -> float:
        """Return until when a body that begins now may take."""
        until = asyncio.get_running_loop().time() + self._limits.body_seconds
        return until if self._until is None else min(until, self._until)

    def _must_have_room(self) -> None:
        if self.waiting >= self._limits.waiting_max:
            raise Refused(503, "too many requests wait already; send it again", retry_seconds=RETRY_SECONDS)

    def _too_large(self) -> Refused:
        said = f"a body may have {self._limits.body_bytes_max:,} bytes; send it in parts"
        return Refused(413, said, headers={"Connection": "close"})


def _caught(work: Callable[[], T]) -> T:
    try:
        return work()
    except Exception:
        raise
    except BaseException as error:
        # A panic in a library written in Rust is no Exception, and would end more than this request.
        raise RuntimeError(f"a library panicked: {error}") from error


async def _piece(request: Request[Any, Any, Any]) -> tuple[bytes, bool]:
    message = await request.receive()
    if message["type"] != "http.request":
        raise Refused(400, "the body was not sent to its end")
    return message["body"], message["more_body"]
