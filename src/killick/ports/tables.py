"""The operator's files: tables by path, glob or URI, whole or in batches; text by path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from killick.telemetry.frames import FrameSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import polars as pl

__all__ = ["FrameSource", "Source", "Tables"]


class Source(Protocol):
    """A table that may be larger than memory. It can be read as often as one likes, and is the same each time."""

    @property
    def name(self) -> str:
        """What to call it in a message: a path, or `current`."""
        ...

    @property
    def schema(self) -> pl.Schema:
        """Its columns and their types, in order. Every batch and sample has them exactly."""
        ...

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield the rows in their order, some 500,000 at a time; `columns` alone, in this order, when they are given.

        A table without rows yields nothing.

        Raises:
            DataError: the table turns out to be broken.
            OutsideError: whoever holds it does not answer.
        """
        ...

    def sample(self, rows: int) -> pl.DataFrame:
        """Return so many rows, spread over the whole table; the whole table when it has no more.

        The same table always gives the same sample. The rows are in the table's order.

        Raises:
            DataError: the table turns out to be broken.
            OutsideError: whoever holds it does not answer.
        """
        ...

    def size(self) -> int | None:
        """Return how many rows there are, when that is known without reading them."""
        ...


class Tables(Protocol):
    """Reads what the operator names, and nothing else. Relative paths are relative to where the spec is."""

    def open(self, path: str) -> Source:
        """Open a table: Parquet, CSV, NDJSON or Arrow, one file, a glob, a folder or a URI.

        Raises:
            DataError: nothing is there, or it is no such table.
            OutsideError: whoever holds it does not answer.
        """
        ...

    def read(self, path: str) -> pl.DataFrame:
        """Read a table that fits into memory.

        Raises:
            DataError: nothing is there, or it is no such table.
            OutsideError: whoever holds it does not answer.
        """
        ...

    def text(self, path: str) -> str:
        """Read a text file.

        Raises:
            CallError: nothing is there, or it is no text.
        """
        ...
