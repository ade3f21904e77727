"""Whether the server can do its work: the store answers, the archive takes files, the live worker keeps up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from killick.engine.ready import Found, look

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from killick.clock import Clock
    from killick.ports.archive import Archive
    from killick.ports.control import Control
    from killick.server.worker import Working

# A look costs a transaction and a small file, and /readyz may be asked by anybody: it is taken at most once a second.
_FRESH_SECONDS = 1.0


class Readiness:
    """Finds out why the server is not ready. It blocks, so it is asked from a thread, by one at a time."""

    def __init__(
        self,
        control: Control,
        archive: Archive,
        worker: Working,
        clock: Clock,
        seconds: Callable[[], float],
        *,
        backlog_batches_max: int,
    ) -> None:
        self._control = control
        self._archive = archive
        self._worker = worker
        self._clock = clock
        self._seconds = seconds
        self._backlog_batches_max = backlog_batches_max
        self._looked_at = float("-inf")
        self.found = Found()

    def reasons(self) -> tuple[str, ...]:
        """Return what is wrong, in words that tell nothing about the machine; nothing when all is well."""
        if self._seconds() - self._looked_at > _FRESH_SECONDS:
            self.found = look(self._control, self._archive, self._clock.now())
            self._looked_at = self._seconds()
        return (*self.found.reasons, *self._behind())

    def _behind(self) -> Iterator[str]:
        if not self._worker.is_alive:
            yield "the live worker has ended"
        elif self._worker.reason:
            yield self._worker.reason
        if self.found.backlog_batches > self._backlog_batches_max:
            yield f"{self.found.backlog_batches:,} batches wait to be profiled"
