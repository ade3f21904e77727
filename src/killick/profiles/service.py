"""The summary of what a service tells of its answers: how long they took, how they ended, how many they stand for.

Guarantee: counts are exact; a quantile of the latency is known to 19 % (four buckets to a doubling), from a
microsecond to two hours. The sum of sampling weights estimates without bias how many predictions there were before
sampling (Horvitz and Thompson 1952); with the sum of their squares it says what sampling cost in rows (Kish 1965).
Cost: 136 counts and three sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from killick.profiles.cells import Cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

    from killick.profiles.cells import Floats, Ints

PER_DOUBLING = 4
# From 1 us, which no answer takes less than, over 33 doublings.
LATENCY_BUCKETS = 33 * PER_DOUBLING
_FASTEST_SECONDS = 1e-6
OK, FAILED = LATENCY_BUCKETS + 1, LATENCY_BUCKETS + 2
# Of the sums: seconds, weights, and squares of weights.
WEIGHTS = 1


class ServiceScale(msgspec.Struct, frozen=True, tag="service", tag_field="kind"):
    """The yardstick of a service; no reference is needed for it.

    Attributes:
        column: what the whole is called in a profile.
        latency: the column that says how many seconds an answer took.
        status: the column that says how it ended: `ok`, or what went wrong.
        weight: the column of sampling weights.
    """

    column: str
    latency: str
    status: str
    weight: str

    @property
    def columns(self) -> tuple[str, str, str]:
        """The columns that it looks at."""
        return self.latency, self.status, self.weight

    @property
    def counts_width(self) -> int:
        """Latency by bucket, without a latency; then answers that were ok, failed, and said nothing of it."""
        return LATENCY_BUCKETS + 4

    @property
    def sums_width(self) -> int:
        """Latency in seconds, the weights, and their squares."""
        return 3

    def cells_of(self, told: Sequence[pl.Series]) -> Iterator[Cells]:
        """Sort answers into cells; `told` are the columns that `columns` names, in that order."""
        latency, status, weight = told
        seconds = latency.cast(float, strict=False).fill_null(np.nan).to_numpy()
        timed = np.isfinite(seconds) & (seconds >= 0)
        index = np.where(timed, _bucket(np.where(timed, seconds, 1.0)), LATENCY_BUCKETS)
        yield Cells(index, LATENCY_BUCKETS + 1)
        said = status.is_not_null().to_numpy()
        fine = (status.cast(str, strict=False) == "ok").fill_null(value=False).to_numpy()
        yield Cells(np.where(said, np.where(fine, 0, 1), 2), 3)
        yield Cells(None, 1, np.where(timed, seconds, 0.0))
        weights = weight.cast(float, strict=False).fill_null(1.0).to_numpy()
        yield Cells(None, 1, weights)
        yield Cells(None, 1, weights * weights)


def latency_quantile(counts: Ints, q: float) -> float | None:
    """Return a quantile of the latency in seconds from a profile's service counts; None when nothing was timed."""
    timed = counts[:LATENCY_BUCKETS]
    reached = np.cumsum(timed)
    if not len(reached) or reached[-1] <= 0:
        return None
    bucket = int(np.searchsorted(reached, q * reached[-1]))
    return float(_FASTEST_SECONDS * 2 ** ((bucket + 0.5) / PER_DOUBLING))


def _bucket(seconds: Floats) -> Ints:
    doublings = np.log2(np.maximum(seconds, _FASTEST_SECONDS) / _FASTEST_SECONDS)
    return np.minimum((doublings * PER_DOUBLING).astype(np.int64), LATENCY_BUCKETS - 1)
