"""Tables by path, glob, folder or URI, read by Polars: Parquet, CSV, NDJSON, Arrow.

Promise: what is opened can be read whole, or one clear message says why not; nothing is dropped, renamed or turned into
null on the way. Memory does not grow with the rows (`sources.py`).

Cost: opening Parquet or Arrow reads the footers. CSV is read once to be sure of its types (`delimited.py`), and so is
NDJSON: a line may always bring a new key.
"""

from __future__ import annotations

from glob import glob, has_magic
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

import polars as pl

from killick.adapters.delimited import scan_delimited
from killick.adapters.refusals import clear_faults, same_columns
from killick.adapters.sources import ScanSource
from killick.errors import CallError, DataError, Mistake

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_FORMATS = {
    ".parquet": "Parquet",
    ".pq": "Parquet",
    ".csv": "CSV",
    ".csv.gz": "CSV",
    ".tsv": "TSV",
    ".tsv.gz": "TSV",
    ".ndjson": "NDJSON",
    ".jsonl": "NDJSON",
    ".arrow": "Arrow",
    ".feather": "Arrow",
    ".ipc": "Arrow",
}
_SEPARATORS = {"CSV": ",", "TSV": "\t"}


class FileTables:
    """Reads the operator's files. Relative paths are relative to `root`: the folder of the spec."""

    def __init__(self, root: str | Path = ".") -> None:
        self._root = Path(root)

    def open(self, path: str) -> ScanSource:
        """Open a table.

        Raises:
            DataError: nothing is there, it is of no known kind, or it cannot be read.
            OutsideError: whoever holds it does not answer.
        """
        with clear_faults(path):
            files = self._files(path)
            kind = _format(path, files)
            if kind in _SEPARATORS:
                called = {file: path if len(files) == 1 else file for file in files}
                scan, rows = scan_delimited(called, _SEPARATORS[kind])
                return ScanSource(path, scan, scan.collect_schema(), rows)
            if kind == "NDJSON":
                scan = pl.scan_ndjson(files, infer_schema_length=None)
                return ScanSource(path, scan, scan.collect_schema())
            scan = _indexed_scan(path, files, pl.scan_parquet if kind == "Parquet" else pl.scan_ipc)
            rows = int(scan.select(pl.len()).collect().item())
            return ScanSource(path, scan, scan.collect_schema(), rows, is_indexed=not _is_remote(path))

    def read(self, path: str) -> pl.DataFrame:
        """Read a table that fits into memory.

        Raises:
            DataError: nothing is there, it is of no known kind, or it cannot be read.
            OutsideError: whoever holds it does not answer.
        """
        source = self.open(path)
        with clear_faults(path):
            return source.scan.collect()

    def text(self, path: str) -> str:
        """Read a text file.

        Raises:
            CallError: nothing is there, or it is no text.
        """
        try:
            return (self._root / path).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise CallError(Mistake(path, "is not there", hint=f"looked in {self._root.resolve()}")) from None
        except (OSError, UnicodeDecodeError) as error:
            raise CallError(Mistake(path, f"cannot be read: {error}")) from None

    def _files(self, path: str) -> list[str]:
        """Return the files that a path means, in order of their names; a URI stands for itself."""
        if _is_remote(path):
            return [path]
        place = Path(unquote(urlsplit(path).path)) if path.startswith("file://") else self._root / path
        if place.is_dir():
            return _tables_in(path, place)
        if place.exists():
            return [str(place)]
        found = sorted(glob(str(place), recursive=True)) if has_magic(str(place)) else []  # noqa: PTH207 - Path.glob refuses absolute ones
        if not found:
            _format(path, [path])  # a suffix that nobody can read is the greater mistake
            told = "no file matches; " if has_magic(str(place)) else ""
            raise DataError(Mistake(path, "is not there", hint=f"{told}looked in {self._root.resolve()}"))
        return [
            file for each in map(Path, found) for file in (_tables_in(path, each) if each.is_dir() else [str(each)])
        ]


def _is_remote(path: str) -> bool:
    return "://" in path and not path.startswith("file://")


def _tables_in(path: str, folder: Path) -> list[str]:
    """Return the tables of a folder. What begins with a dot or an underscore is a program's own: `_SUCCESS`."""
    files = [
        str(file)
        for file in sorted(folder.rglob("*"))
        if _suffix(str(file)) in _FORMATS
        and not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
        and file.is_file()
    ]
    if not files:
        raise DataError(Mistake(path, "is a folder without tables", hint=f"looked for {', '.join(_FORMATS)}"))
    return files


def _suffix(file: str) -> str:
    name = PurePosixPath(urlsplit(file).path if _is_remote(file) else file).name.lower()
    last = PurePosixPath(name).suffix
    return f"{PurePosixPath(name.removesuffix(last)).suffix}{last}" if last == ".gz" else last


def _format(path: str, files: Sequence[str]) -> str:
    suffixes = {_suffix(file): file for file in files}
    if _is_remote(path) and suffixes.keys() <= {""}:
        return "Parquet"  # a folder in an object store, which is written without a suffix
    for suffix, file in suffixes.items():
        if suffix not in _FORMATS:
            hint = f"give a path that ends in one of {', '.join(sorted(_FORMATS))}"
            where = path if len(files) == 1 else file
            raise DataError(Mistake(where, "is of no kind that can be read", value=suffix, hint=hint))
    formats = {_FORMATS[suffix] for suffix in suffixes}
    if len(formats) > 1:
        raise DataError(Mistake(path, f"holds several kinds of files: {', '.join(sorted(formats))}", hint="name one"))
    return formats.pop()


def _indexed_scan(path: str, files: list[str], scan: Callable[..., pl.LazyFrame]) -> pl.LazyFrame:
    """Return a scan of files that say themselves what their columns are."""
    if len(files) == 1:
        if scan is pl.scan_ipc and _is_stream(path, files[0]):
            return pl.read_ipc_stream(files[0]).lazy()
        return scan(files, glob=_is_remote(path))
    schemas = {}
    for file in files:
        with clear_faults(file):
            schemas[file] = scan(file, glob=False).collect_schema()
    first = schemas[files[0]]
    for file, schema in schemas.items():
        same_columns(file, schema, files[0], first)
        _types_agree(file, schema, files[0], first)
    if all(dict(schema) == dict(first) for schema in schemas.values()):
        # The folders of a dataset say something of their rows: `year=2013/part-0.parquet`.
        return scan(files, glob=False, hive_partitioning=all("=" in file for file in files))
    return pl.concat([scan(file, glob=False).select(list(first)) for file in files], how="vertical_relaxed")


def _is_stream(path: str, file: str) -> bool:
    """Whether an Arrow file was written as a stream, as some libraries do: it has no index, and is read whole."""
    if _is_remote(path):
        return False
    with Path(file).open("rb") as begun:
        return begun.read(6) != b"ARROW1"


def _types_agree(file: str, schema: pl.Schema, first: str, expected: pl.Schema) -> None:
    """Refuse a column that is nested in one file and not in the other; what is simple has a type that holds both."""
    for column, dtype in schema.items():
        if dtype != expected[column] and (dtype.is_nested() or expected[column].is_nested()):
            problem = f"has another type than in {first}, {expected[column]}"
            raise DataError(Mistake(f"{file}.{column}", problem, value=str(dtype), hint="give it one type"))
