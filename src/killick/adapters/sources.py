"""A table behind one of Polars' lazy scans, read in pieces so that its size does not matter.

Promise: peak memory is that of a few pieces, however many rows there are. Batches come in the table's order.

Cost, measured with Polars 2.1 on two cores: all batches of 4M rows x 20 columns of Parquet in 1.05 times the wall time
of `pl.read_parquet`. The peak of a process that reads 20M rows x 8 columns was 180 to 220 MB, and with 2M rows 160 to
220 MB; with Polars' own streaming batches it was 540 MB, since they run ahead of a slow consumer by whole row groups. A
sample of 100,000 rows takes a quarter of a full scan of 4M rows, and a fifth of one of 20M. One row group of 8M rows
has a peak of its own, some 300 MB: its compressed columns are read whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from killick.adapters.refusals import clear_faults
from killick.telemetry.frames import drawn_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# So many rows make what is done once a batch cheap: profiling four million rows of twenty columns takes two thirds of
# the time that it takes by 131,072 rows, and 100 MB more.
_BATCH_ROWS = 524_288
# A slice of a wide table has fewer rows: so many cells are some 80 MB of numbers.
_READ_CELLS = 10 * 2**20

# A sample comes from slices, since a page of a Parquet file is read whole or not at all. At least eight, or a season
# would be left out; then one for each half million rows, so that it costs a quarter of reading everything; and no more
# than a sample gains from. A smaller table is read whole, which is soon done.
_DRAWN_ROWS_MIN = 2_000_000
_STRATA_MIN = 8
_STRATUM_ROWS = 2**19
_STRATA_MAX = 32
# So many at once keep the cores busy, and few enough in memory.
_STRATA_AT_ONCE = 2
# A page has often 128k values: reading 32k of them costs hardly more than 2k, and rows drawn from 32k are less alike.
_STRATUM_READ = 32_768
_SEED = 20_130_402


@dataclass(frozen=True, slots=True)
class ScanSource:
    """A table as Polars scans it.

    `rows` says how many there are, where that is known. `is_indexed` when a slice costs no more than what it holds:
    Parquet and Arrow on this machine.
    """

    name: str
    scan: pl.LazyFrame
    schema: pl.Schema
    rows: int | None = None
    is_indexed: bool = False

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield the rows in their order, `_BATCH_ROWS` at a time.

        Raises:
            DataError: the table turns out to be broken.
            OutsideError: whoever holds it does not answer.
        """
        scan = self.scan if columns is None else self.scan.select(columns)
        with clear_faults(self.name):
            if not self.is_indexed:
                yield from scan.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True, engine="streaming")
                return
            width = max(1, len(self.schema) if columns is None else len(columns))
            rows = max(_BATCH_ROWS // 8, min(_BATCH_ROWS, _READ_CELLS // width))
            for start in range(0, self.rows or 0, rows):
                yield scan.slice(start, rows).collect()

    def sample(self, rows: int) -> pl.DataFrame:
        """Return so many rows, spread over the whole table; the whole table when it has no more.

        Raises:
            DataError: the table turns out to be broken.
            OutsideError: whoever holds it does not answer.
        """
        height = self.rows or 0
        if self.rows is not None and height <= rows:
            with clear_faults(self.name):
                return self.scan.collect().rechunk()
        if not self.is_indexed or height < max(_DRAWN_ROWS_MIN, 2 * rows):
            return _drawn_in_passing(self.batches(), self.schema, rows)
        with clear_faults(self.name):
            return pl.concat(_drawn_by_strata(self.scan, height, rows))

    def size(self) -> int | None:
        """Return how many rows there are, where that is known."""
        return self.rows


def _drawn_by_strata(scan: pl.LazyFrame, height: int, rows: int) -> Iterator[pl.DataFrame]:
    """Draw from one slice in each of several equal parts of the table, at a random place of it."""
    strata = max(_STRATA_MIN, min(height // _STRATUM_ROWS, _STRATA_MAX))
    edges = np.linspace(0, height, strata + 1).astype(int)
    wanted = np.diff(np.linspace(0, rows, strata + 1).astype(int))
    read = np.maximum(_STRATUM_READ, wanted)
    starts = edges[:-1] + (np.random.default_rng(_SEED).random(strata) * (np.diff(edges) - read + 1)).astype(int)
    for first in range(0, strata, _STRATA_AT_ONCE):
        some = slice(first, first + _STRATA_AT_ONCE)
        parts = [scan.slice(int(start), int(count)) for start, count in zip(starts[some], read[some], strict=True)]
        for piece, count in zip(pl.collect_all(parts), wanted[some], strict=True):
            drawn = drawn_rows(piece.height, int(count))
            yield piece if drawn is None else piece[drawn]


def _drawn_in_passing(batches: Iterator[pl.DataFrame], schema: pl.Schema, rows: int) -> pl.DataFrame:
    """Draw while everything passes: each row has a random key, and the smallest keys stay.

    At most twice as many rows as wanted, and one batch, are held.
    """
    random = np.random.default_rng(_SEED)
    held, keys, bound = schema.to_frame(), np.empty(0), 1.0
    for batch in batches:
        drawn = random.random(batch.height)
        low = np.flatnonzero(drawn < bound)
        held, keys = pl.concat([held, batch[low]]), np.append(keys, drawn[low])
        if held.height > 2 * rows:
            held, keys, bound = _smallest(held, keys, rows)
    return _smallest(held, keys, rows)[0].rechunk()


def _smallest(held: pl.DataFrame, keys: np.ndarray, rows: int) -> tuple[pl.DataFrame, np.ndarray, float]:
    """Return the rows with the smallest keys, in their order, and the largest of these keys."""
    if held.height <= rows:
        return held, keys, 1.0
    kept = np.sort(np.argpartition(keys, rows - 1)[:rows])
    return held[kept], keys[kept], float(keys[kept].max())
