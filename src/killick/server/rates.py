"""How often somebody may ask: a token bucket for each, in memory, and a bound on how many buckets there are."""

from __future__ import annotations

from collections import OrderedDict

# A bucket costs some 200 bytes. One that is forgotten was not used while ten thousand others were: it is nearly full.
_BUCKETS_MAX = 10_000


class Rates:
    """Token buckets by name: `burst` requests at once, and `per_second` in the long run.

    >>> rates = Rates(per_second=10.0, burst=2)
    >>> [rates.wait("me", now_seconds=0.0) for _ in range(3)], rates.wait("you", now_seconds=0.0)
    ([0.0, 0.0, 0.1], 0.0)
    >>> rates.wait("me", now_seconds=0.1)
    0.0
    """

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = float(burst)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, name: str, now_seconds: float) -> float:
        """Take one request's worth out of a bucket; return 0, or how many seconds it takes until there is one.

        Args:
            name: whose bucket.
            now_seconds: a clock that never goes back.
        """
        filled, at = self._buckets.pop(name, (self._burst, now_seconds))
        filled = min(self._burst, filled + (now_seconds - at) * self._per_second)
        # A request that came just in time must not fail by a rounding error.
        taken = filled >= 1.0 - 1e-9
        self._buckets[name] = (filled - 1.0 if taken else filled, now_seconds)
        if len(self._buckets) > _BUCKETS_MAX:
            self._buckets.popitem(last=False)
        return 0.0 if taken else (1.0 - filled) / self._per_second
