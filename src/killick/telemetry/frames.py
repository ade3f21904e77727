"""Tables in memory, and rows drawn from any table.

A draw is by a fixed seed: the same table always gives the same rows, so that a reference fitted twice is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt
    import polars as pl

# Any number would do, so long as it stays.
_SEED = 20_130_401


@dataclass(frozen=True, slots=True)
class FrameSource:
    """A table that is in memory already: one batch. It is a `killick.ports.tables.Source`.

    >>> import polars as pl
    >>> source = FrameSource(pl.DataFrame({"temp": [39.0, 41.5]}), name="current")
    >>> [batch.height for batch in source.batches()], source.size()
    ([2], 2)
    """

    frame: pl.DataFrame
    name: str

    @property
    def schema(self) -> pl.Schema:
        """The frame's columns and their types."""
        return self.frame.schema

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield the frame itself, without copying, unless it has no rows."""
        if self.frame.height:
            yield self.frame if columns is None else self.frame.select(columns)

    def sample(self, rows: int) -> pl.DataFrame:
        """Return rows drawn at random by a fixed seed, in their order; the frame itself when it has no more."""
        drawn = drawn_rows(self.frame.height, rows)
        return self.frame if drawn is None else self.frame[drawn]

    def size(self) -> int:
        """Return how many rows there are."""
        return self.frame.height


def drawn_rows(height: int, rows: int) -> npt.NDArray[np.int64] | None:
    """Return the numbers of rows of a table, drawn without replacement and growing; None when all are meant.

    They are drawn, not counted off: every 24th row of an hourly table would always be midnight.

    >>> drawn_rows(2, 5) is None, len(drawn_rows(1000, 10))
    (True, 10)
    """
    if height <= rows:
        return None
    return np.sort(np.random.default_rng(_SEED).choice(height, rows, replace=False, shuffle=False))
