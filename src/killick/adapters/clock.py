"""The system's clock. Nothing below the adapters reads it: time is handed in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from killick.clock import Instant


class SystemClock:
    """Tells the machine's time, as microseconds UTC; it may be set back, and whoever asks must bear that."""

    def now(self) -> Instant:
        """Return the present instant."""
        return time.time_ns() // 1_000
