"""Watched folders on this machine, read without following links.

Promise: only regular files below the folder that the operator named are listed and read. A link is no file of the
folder, wherever it leads; a path with `..` in it leads nowhere. Nothing is written.

Cost: one `scandir` a folder. Lines are read in pieces of some megabytes, whatever the size of the file.
"""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from killick.adapters.tables import FileTables
from killick.errors import DataError, Mistake, OutsideError
from killick.formats.folders import Seen
from killick.formats.foreign import ROWS_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

__all__ = ["LocalFolders"]

# Years of hourly files; a folder with more should be tidied, and a look at it would take seconds.
_FILES_MAX = 100_000
_DEPTH_MAX = 12
# Some 100,000 short rows; and a line may hold a whole batch: SageMaker captures payloads of 6 MB, in base64.
_PIECE_BYTES = 2 * 2**20
_LINE_BYTES_MAX = 16 * 2**20
# A piece may get the lines of a request on top that the one before has left (`whole_requests`).
_PIECE_LINES = ROWS_MAX // 2


class LocalFolders:
    """A `Folders`. Relative paths are relative to `root`: the folder of the spec."""

    def __init__(
        self, root: str | Path = ".", *, files_max: int = _FILES_MAX, line_bytes_max: int = _LINE_BYTES_MAX
    ) -> None:
        self._root = Path(root)
        self._files_max = files_max
        self._line_bytes_max = line_bytes_max

    def look(self, folder: str) -> tuple[Seen, ...]:
        """Return the files in a folder and below it.

        Raises:
            OutsideError: it is not there, or cannot be read.
        """
        top = self._root / folder
        found: list[Seen] = []
        if not top.exists():
            raise OutsideError(f"the watched folder {folder} is not there; it is looked for again and again")
        with _outside(folder):
            waiting = [("", 1)]
            while waiting and len(found) < self._files_max:
                here, depth = waiting.pop()
                with os.scandir(top / here) as entries:
                    for name, entry in sorted((entry.name, entry) for entry in entries):
                        if entry.is_file(follow_symlinks=False):
                            found.extend(_seen(entry, here + name))
                        elif entry.is_dir(follow_symlinks=False) and depth < _DEPTH_MAX:
                            waiting.append((f"{here}{name}/", depth + 1))
        return tuple(found[: self._files_max])

    def tables(self, folder: str, path: str) -> Iterator[pl.DataFrame]:
        """Yield the rows of a table in their order.

        Raises:
            DataError: the file is not there any more, or is no table.
            OutsideError: it cannot be read.
        """
        yield from FileTables().open(str(self._file(folder, path))).batches()

    def lines(self, folder: str, path: str) -> Iterator[bytes]:
        """Yield a file of lines in pieces of whole lines, the same each time.

        Raises:
            DataError: the file is not there any more, or a line is longer than a piece may be.
            OutsideError: it cannot be read.
        """
        place = self._file(folder, path)
        with _outside(path), place.open("rb") as file:
            held = b""
            while read := file.read(min(_PIECE_BYTES, self._line_bytes_max)):
                held += read
                end = held.rfind(b"\n") + 1
                if not end and len(held) > self._line_bytes_max:
                    problem = f"has a line of more than {self._line_bytes_max} bytes"
                    raise DataError(Mistake(path, problem, hint="is it a file of lines?"))
                yield from _pieces(held[:end])
                held = held[end:]
            yield from _pieces(held)

    def _file(self, folder: str, path: str) -> Path:
        """Return a regular file below the folder, to which no link leads."""
        parts = PurePosixPath(path).parts
        place, mode = self._root / folder, 0
        if not parts or path.startswith("/") or ".." in parts:
            raise DataError(Mistake(path, "is no path in the folder", hint=f"looked in {folder}"))
        try:
            for part in parts:
                place /= part
                mode = place.lstat().st_mode
                if stat.S_ISLNK(mode):
                    raise DataError(Mistake(path, "is a link, which is not followed", hint="move the file here"))
        except (OSError, ValueError):
            raise DataError(Mistake(path, "is not there", hint=f"looked in {folder}")) from None
        if not stat.S_ISREG(mode):
            raise DataError(Mistake(path, "is no file", hint=f"looked in {folder}"))
        return place


def _seen(entry: os.DirEntry[str], path: str) -> Iterator[Seen]:
    """Yield a file as it is now; nothing where it has just gone."""
    with suppress(FileNotFoundError):
        held = entry.stat(follow_symlinks=False)
        yield Seen(path, held.st_size, held.st_mtime_ns // 1_000)


def _pieces(held: bytes) -> Iterator[bytes]:
    """Yield at most so many lines at once as one payload may have."""
    while held.count(b"\n") > _PIECE_LINES:
        cut = -1
        for _ in range(_PIECE_LINES):
            cut = held.index(b"\n", cut + 1)
        yield held[: cut + 1]
        held = held[cut + 1 :]
    if held:
        yield held


@contextmanager
def _outside(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutsideError(f"{what} cannot be read: {error.strerror or error}") from error
