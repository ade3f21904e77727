"""The live worker: a thread that does what is due, four times a second, whatever happens to the world or to us."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Protocol

from killick.errors import OutsideError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.clock import Clock, Instant

# A batch is counted in a profile two seconds after it was sent (DESIGN 6); looking costs a millisecond.
EVERY_SECONDS = 0.25
# A store that is back is noticed within half a minute, and one that is away is not hammered.
_BACK_OFF_SECONDS_MAX = 30.0

_log = logging.getLogger("killick.server")


class Ticking(Protocol):
    """Something that does what is due."""

    @property
    def last_error(self) -> Mapping[str, str]:
        """By model, why something could not be done the last time."""
        ...

    def tick(self, now: Instant) -> object:
        """Do what is due at this instant."""
        ...


class Pulse:
    """Calls `tick` from a thread of its own, and backs off while it fails. `reason` says why it does, for /readyz."""

    def __init__(self, live: Ticking, clock: Clock) -> None:
        self._live = live
        self._clock = clock
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="killick-live", daemon=True)
        self.reason = ""
        self.failures = 0
        self.last_done_at: Instant = 0
        self._told: dict[str, str] = {}

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Do what is due once more, and end."""
        self._stopping.set()
        self._thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        in_a_row = 0
        while not self._stopping.wait(min(_BACK_OFF_SECONDS_MAX, EVERY_SECONDS * 2 ** min(in_a_row, 10))):
            in_a_row = 0 if self._beat() else in_a_row + 1
        self._beat()

    def _beat(self) -> bool:
        try:
            self._live.tick(self._clock.now())
        except OutsideError as error:
            self._fail("the store or the archive does not answer")
            _log.warning("what is due could not be done, and will be: %s", error)
        except BaseException:  # noqa: BLE001 - it is logged; a panic in a library written in Rust is no Exception
            self._fail("the live worker fails by a mistake of ours; see the log")
            _log.exception("a mistake of ours: what is due could not be done, and will be tried again")
        else:
            self.reason = ""
            self.last_done_at = self._clock.now()
            return True
        finally:
            self._tell()
        return False

    def _tell(self) -> None:
        """Log what could not be done of a model, once, and that it can be done again."""
        errors = dict(self._live.last_error)
        for model, why in errors.items():
            if self._told.get(model) != why:
                _log.warning("%s: %s", model, why)
        for model in self._told.keys() - errors.keys():
            _log.info("%s: what could not be done is done", model)
        self._told = errors

    def _fail(self, reason: str) -> None:
        self.failures += 1
        self.reason = reason
