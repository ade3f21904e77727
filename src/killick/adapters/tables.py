"""Tables by path, glob or URI, read by Polars: Parquet, CSV, NDJSON, Arrow."""

from __future__ import annotations

from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from killick.errors import CallError, DataError, Mistake

if TYPE_CHECKING:
    from collections.abc import Callable

_READERS: dict[str, Callable[[str], pl.LazyFrame]] = {
    ".parquet": pl.scan_parquet,
    ".pq": pl.scan_parquet,
    # Six thousand lines before a type is decided: a column that is empty at first must not become text for ever.
    ".csv": lambda path: pl.scan_csv(path, try_parse_dates=True, infer_schema_length=6_000),
    ".ndjson": pl.scan_ndjson,
    ".jsonl": pl.scan_ndjson,
    ".arrow": pl.scan_ipc,
    ".feather": pl.scan_ipc,
    ".ipc": pl.scan_ipc,
}


class FileTables:
    """Reads the operator's files. Relative paths are relative to `root`: the folder of the spec."""

    def __init__(self, root: str | Path = ".") -> None:
        self._root = Path(root)

    def read(self, path: str) -> pl.DataFrame:
        """Read a table.

        Raises:
            DataError: nothing is there, it is of no known kind, or it cannot be read.
        """
        suffix = Path(path).suffix.lower()
        reader = _READERS.get(suffix)
        if reader is None:
            hint = f"give a path that ends in one of {', '.join(sorted(_READERS))}"
            raise DataError(Mistake(path, "is of no kind that can be read", value=suffix, hint=hint))
        try:
            return reader(self._place(path)).collect()
        except FileNotFoundError:
            raise DataError(Mistake(path, "is not there", hint=f"looked in {self._root.resolve()}")) from None
        except (pl.exceptions.PolarsError, OSError) as error:
            if self._matches_nothing(path):
                hint = f"no file matches; looked in {self._root.resolve()}"
                raise DataError(Mistake(path, "is not there", hint=hint)) from None
            # Polars goes on for a page, with advice about its own options.
            said = str(error).partition("\n")[0].removesuffix(":")
            hint = "is the file whole, and what its name says?"
            raise DataError(Mistake(path, f"cannot be read: {said}", hint=hint)) from None

    def text(self, path: str) -> str:
        """Read a text file.

        Raises:
            CallError: nothing is there, or it is no text.
        """
        try:
            return Path(self._place(path)).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise CallError(Mistake(path, "is not there", hint=f"looked in {self._root.resolve()}")) from None
        except (OSError, UnicodeDecodeError) as error:
            raise CallError(Mistake(path, f"cannot be read: {error}")) from None

    def _matches_nothing(self, path: str) -> bool:
        return "://" not in path and not glob(self._place(path), recursive=True)  # noqa: PTH207 - Path.glob refuses absolute ones

    def _place(self, path: str) -> str:
        return path if "://" in path else str(self._root / path)
