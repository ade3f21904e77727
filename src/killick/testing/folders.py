"""Watched folders in memory: the fake of `killick.adapters.folders`, for tests and the simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from killick.errors import DataError, Mistake, OutsideError
from killick.formats.folders import Seen

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from killick.clock import Instant


class MemoryFolders:
    """Files by folder and path: a frame for a table, bytes for lines. `put` writes one, and says when."""

    def __init__(self) -> None:
        self._files: dict[tuple[str, str], tuple[pl.DataFrame | bytes, Instant]] = {}

    def put(self, folder: str, path: str, content: pl.DataFrame | bytes, modified: Instant) -> None:
        """Write a file, or write it anew."""
        self._files[folder, path] = (content, modified)

    def look(self, folder: str) -> tuple[Seen, ...]:
        """Return the files in a folder and below it.

        Raises:
            OutsideError: nothing was ever put into it.
        """
        if not any(within == folder for within, _ in self._files):
            raise OutsideError(f"the watched folder {folder} is not there; it is looked for again and again")
        return tuple(
            Seen(path, len(content), modified)
            for (within, path), (content, modified) in sorted(self._files.items(), key=lambda item: item[0])
            if within == folder
        )

    def tables(self, folder: str, path: str) -> Iterator[pl.DataFrame]:
        """Yield the rows of a table.

        Raises:
            DataError: the file is not there, or holds lines.
        """
        content = self._content(folder, path)
        if isinstance(content, bytes):
            raise DataError(Mistake(path, "is no table"))
        yield content

    def lines(self, folder: str, path: str) -> Iterator[bytes]:
        """Yield a file of lines, a line a piece.

        Raises:
            DataError: the file is not there, or is a table.
        """
        content = self._content(folder, path)
        if not isinstance(content, bytes):
            raise DataError(Mistake(path, "is no file of lines"))
        yield from content.splitlines(keepends=True)

    def _content(self, folder: str, path: str) -> pl.DataFrame | bytes:
        if (folder, path) not in self._files:
            raise DataError(Mistake(path, "is not there", hint=f"looked in {folder}"))
        return self._files[folder, path][0]
