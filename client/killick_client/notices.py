"""What the client says of itself: through `logging`, each thing once a minute, in its own threads if it has any."""

from __future__ import annotations

import logging
import time

_LOGGER = logging.getLogger("killick_client")
_SECONDS = 60.0


class Notices:
    """Remembers what it said, and when."""

    def __init__(self) -> None:
        self._said_at: dict[str, float] = {}
        self.last_error: str | None = None

    def tell(self, subject: str, sentence: str, *values: object) -> None:
        """Log a warning, unless this subject was told of within the last minute."""
        if self.may_tell(subject):
            _LOGGER.warning(sentence, *values)

    def may_tell(self, subject: str) -> bool:
        """Whether a minute has passed since the last time; if so, this is the next one."""
        now = time.monotonic()
        if now - self._said_at.get(subject, float("-inf")) < _SECONDS:
            return False
        self._said_at[subject] = now
        return True
