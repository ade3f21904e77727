"""The operator's files: tables by path, glob or URI, text by path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import polars as pl


class Tables(Protocol):
    """Reads what the operator names, and nothing else. Relative paths are relative to where the spec is."""

    def read(self, path: str) -> pl.DataFrame:
        """Read a table: Parquet, CSV, NDJSON or Arrow, one file or a glob.

        Raises:
            DataError: nothing is there, or it is no such table.
        """
        ...

    def text(self, path: str) -> str:
        """Read a text file.

        Raises:
            CallError: nothing is there, or it is no text.
        """
        ...
