"""The summary of how long labels take: how many are in, and how many came within each doubling of time.

Guarantee: counts are exact; a delay is known up to a factor of two. With the number of predictions they say how many
labels a window may still expect (`stats/maturity.py`), whatever the labels mean.
Cost: 32 counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from killick.clock import MINUTE
from killick.profiles.cells import Cells

if TYPE_CHECKING:
    from collections.abc import Iterator

    from killick.profiles.cells import Ints
    from killick.profiles.outcome_rows import Outcomes

# What comes within a minute came at once; the last bucket begins after 2,042 years.
BUCKETS = 32
_FIRST_END = MINUTE


class DelayScale(msgspec.Struct, frozen=True, tag="delay", tag_field="kind"):
    """The yardstick of labels' delays: doublings from one minute on. The first bucket holds what came sooner."""

    column: str

    @property
    def counts_width(self) -> int:
        """One count a bucket."""
        return BUCKETS

    @property
    def sums_width(self) -> int:
        """There are no sums."""
        return 0

    def outcome_cells(self, outcomes: Outcomes, rows: int) -> Iterator[Cells]:
        """Sort labels into buckets by their delays; rows without a label are in none."""
        if outcomes.delays is None:
            yield Cells(np.full(rows, BUCKETS), BUCKETS + 1, kept=BUCKETS)
            return
        came = outcomes.delays.is_not_null().to_numpy()
        yield Cells(
            np.where(came, delay_bucket(outcomes.delays.fill_null(0).to_numpy()), BUCKETS), BUCKETS + 1, kept=BUCKETS
        )


def delay_bucket(delays: Ints) -> Ints:
    """Return the bucket of each delay (microseconds). A label that was known before its prediction came at once.

    >>> delay_bucket(np.array([-5, 59_000_000, 60_000_000, 120_000_000])).tolist()
    [0, 0, 1, 2]
    """
    doublings = np.maximum(delays, 1).astype(np.float64) / _FIRST_END
    # `frexp` and not `log2`: it is exact at powers of two, so that every machine puts a delay into the same bucket.
    return np.clip(np.frexp(doublings)[1], 0, BUCKETS - 1).astype(np.int64)


def bucket_ends() -> Ints:
    """Return when each bucket ends, microseconds after the prediction, shape `[BUCKETS]`."""
    return np.left_shift(np.int64(_FIRST_END), np.arange(BUCKETS, dtype=np.int64))
