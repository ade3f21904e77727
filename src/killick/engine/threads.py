"""Threads for work on columns and for reading: numpy and Polars leave the interpreter while they are at work."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from killick.profiles.profile import Each

# More cores than this wait for memory; fewer rows than this are done before the threads have started.
_THREADS_MAX, _ROWS_MIN = 4, 50_000


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
