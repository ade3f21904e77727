"""The system's clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from killick.clock import Instant


class SystemClock:
    """Tells the time of this machine, in UTC."""

    def now(self) -> Instant:
        """Return the present instant."""
        return time.time_ns() // 1_000
