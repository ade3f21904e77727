"""Threads for work on columns and for reading: numpy and Polars leave the interpreter while they are at work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterator

    from killick.profiles.profile import Each

# More cores than this wait for memory, and more threads than cores hold memory for nothing: twice as many take a fifth
# more of both. Polars knows the cores, or how many of them it was told to take. Fewer rows than this are done before
# the threads have started.
_THREADS_MAX, _ROWS_MIN = min(4, pl.thread_pool_size()), 50_000


@contextmanager
def over_columns(rows: int | None) -> Iterator[Each]:
    """Yield what applies a function to every column of a table of so many rows (None: nobody knows), as `map` does."""
    if rows is not None and rows < _ROWS_MIN:
        yield map
        return
    with ThreadPoolExecutor(_THREADS_MAX) as threads:
        yield threads.map


def ahead(batches: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield batches while the next one is being read: one more is held, and no core waits for a disk."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = reader.submit(next, batches, None)
            yield batch
