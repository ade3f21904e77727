"""Folders that the operator named, watched for new files: what is in one, and what is in a file of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from killick.formats.folders import Seen


class Folders(Protocol):
    """Looks into folders and nowhere else: links are not followed, and no path leads out. It never writes."""

    def look(self, folder: str) -> tuple[Seen, ...]:
        """Return the files in a folder and below it.

        There is a bound; what is beyond it is seen once there is less.

        Raises:
            OutsideError: it is not there, yet or by a wrong name, or cannot be read.
        """
        ...

    def tables(self, folder: str, path: str) -> Iterator[pl.DataFrame]:
        """Yield the rows of a table in their order, in batches that are the same each time.

        Raises:
            DataError: the file is not there any more, or is no table.
            OutsideError: it cannot be read.
        """
        ...

    def lines(self, folder: str, path: str) -> Iterator[bytes]:
        """Yield a file of lines in pieces that are the same each time, each of whole lines.

        Raises:
            DataError: the file is not there any more, or a line is longer than a piece may be.
            OutsideError: it cannot be read.
        """
        ...
