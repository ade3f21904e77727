"""The archive in a folder: one Parquet file (zstd) for a batch, durable before its name exists.

Written under a temporary name, fsynced, renamed, and its folder fsynced: a reader sees the whole file or none, after a
power cut too. Cost: two fsyncs for a batch, five more for the first one in an hour's folder, and one for each folder
above the archive for the first one of a process.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO
from uuid import uuid4

import numpy as np
import polars as pl

from killick.adapters.durable import make_durable, sync_folder
from killick.clock import Window
from killick.errors import DataError, Mistake, OutsideError
from killick.ports.archive import batch_path, run_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from collections.abc import Set as AbstractSet

    from killick.ports.archive import Numbers

__all__ = ["FolderArchive", "earliest"]

# No request lasts an hour: what is older than that and in no manifest will never get there.
_SPARED_SECONDS = 3600.0
# The folders of a day of two hundred models; beyond it they are fsynced once more than they need be.
_REMEMBERED_FOLDERS_MAX = 10_000
_TEMPORARY = ".writing"
# The years 1 to 9999, which is what a folder's date can say.
_CALENDAR = Window(-62_135_596_800_000_000, 253_402_300_800_000_000)

# Polars panics, which is no `Exception`, over some damaged files.
_FOREIGN = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)


class FolderArchive:
    """An `Archive` in a folder. `spared_seconds` is the age from which a file without a manifest row is an orphan."""

    def __init__(self, root: str | Path, *, spared_seconds: float = _SPARED_SECONDS) -> None:
        self._root = Path(root)
        self._spared_seconds = spared_seconds
        # Folders of which this process knows that a power cut cannot take them away.
        self._durable: set[Path] = set()

    def write(self, model: str, kind: str, batch_id: str, table: pl.DataFrame) -> str:
        """Keep a batch and return its path within the archive."""
        path = batch_path(model, kind, batch_id, earliest(table))
        # The first level of zstd: half a microsecond a row of twenty features, and 10 % larger than the third.
        self._write(path, lambda file: table.write_parquet(file, compression="zstd", compression_level=1))
        return path

    def write_run(self, model: str, kind: str, run_id: str, numbers: Numbers) -> str:
        """Keep columns of numbers that will be looked things up in, and return their path."""
        path = run_path(model, kind, run_id)
        self._write(path, lambda file: np.save(file, np.ascontiguousarray(numbers), allow_pickle=False))
        return path

    def map_run(self, path: str) -> Numbers:
        """Return a run, of which no more is read than is looked at."""
        try:
            mapped: Numbers = np.load(self._place(path), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise OutsideError(f"archive {self._root} could not read {path}: {error}") from error
        return mapped

    def columns(self, path: str) -> list[str]:
        """Return the names of a batch's columns."""
        try:
            return list(pl.read_parquet_schema(self._place(path)))
        except _FOREIGN as error:
            raise OutsideError(f"archive {self._root} could not read {path}: {error}") from error

    def find(self, path: str, prediction_ids: pl.Series, columns: list[str] | None = None) -> pl.DataFrame:
        """Return a batch's rows of these predictions, in its order; of `columns` those that it has."""
        place = self._place(path)
        try:
            scan = pl.scan_parquet(place, glob=False, hive_partitioning=False)
            if columns is not None:
                has = pl.read_parquet_schema(place)
                scan = scan.select(name for name in columns if name in has)
            wanted = pl.LazyFrame([prediction_ids.unique().alias("prediction_id")])
            return scan.join(wanted, on="prediction_id", how="semi", maintain_order="left").collect()
        except _FOREIGN as error:
            raise OutsideError(f"archive {self._root} could not read {path}: {error}") from error

    def remove(self, path: str) -> None:
        """Remove a file now, so that a power cut does not bring it back."""
        place = self._place(path)
        try:
            place.unlink()
            sync_folder(place.parent)
        except FileNotFoundError:
            return
        except OSError as error:
            raise OutsideError(f"archive {self._root} could not remove {path}: {error}") from error

    def read(self, path: str, columns: list[str] | None = None) -> pl.DataFrame:
        """Return a batch, or some of its columns."""
        place = self._place(path)
        try:
            return pl.read_parquet(place, columns=columns, glob=False, hive_partitioning=False)
        except pl.exceptions.ColumnNotFoundError as error:
            found = pl.read_parquet_schema(place)
            missing = [name for name in columns or () if name not in found]
            hint = f"it has {', '.join(found)}"
            raise DataError(
                *(Mistake(path, "has no column of this name", name, hint=hint) for name in missing)
            ) from error
        except _FOREIGN as error:
            raise OutsideError(f"archive {self._root} could not read {path}: {error}") from error

    def sweep(self, known: AbstractSet[str], *, spared_seconds: float | None = None) -> list[str]:
        """Remove what no manifest row speaks of, unless it is young; return what was removed."""
        young = time.time() - (self._spared_seconds if spared_seconds is None else spared_seconds)
        swept = []
        try:
            for file in self._files():
                path = file.relative_to(self._root).as_posix()
                try:
                    if path not in known and file.stat().st_mtime <= young:
                        file.unlink()
                        swept.append(path)
                except FileNotFoundError:
                    continue  # renamed, or swept by another host, since it was listed
            self._sweep_folders(young)
        except OSError as error:
            raise OutsideError(f"archive {self._root} could not be swept: {error}") from error
        return sorted(swept)

    def _sweep_folders(self, young: float) -> None:
        """Remove the folders of hours, then of days, that are empty; a young one may be about to get its first file."""
        for pattern in ("model=*/kind=*/date=*/hour=*", "model=*/kind=*/date=*"):
            for folder in self._root.glob(pattern):
                # Not empty after all, or another host was faster.
                with suppress(OSError):
                    if folder.stat().st_mtime <= young:
                        folder.rmdir()

    def _write(self, path: str, writer: Callable[[BinaryIO], object]) -> None:
        """Write a file so that it is durable before its name exists."""
        target = self._root / path
        temporary = target.with_name(f".{uuid4().hex}{_TEMPORARY}")
        try:
            self._make_folder(target.parent)
            try:
                with temporary.open("xb") as file:
                    writer(file)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(target)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
            sync_folder(target.parent)
        except _FOREIGN as error:
            raise OutsideError(f"archive {self._root} could not write {path}: {error}") from error

    def _files(self) -> Iterator[Path]:
        """Yield the files that are ours by their place and name; whatever else lies about is not touched."""
        if self._root.is_dir():
            yield from self._root.glob("model=*/kind=*/date=*/hour=*/*.parquet")
            yield from self._root.glob(f"model=*/kind=*/date=*/hour=*/.*{_TEMPORARY}")
            yield from self._root.glob("model=*/kind=*/*.npy")
            yield from self._root.glob(f"model=*/kind=*/.*{_TEMPORARY}")

    def _place(self, path: str) -> Path:
        parts = PurePosixPath(path).parts
        if not parts or ".." in parts or PurePosixPath(path).is_absolute() or "\\" in path:
            raise DataError(
                Mistake("archive", "has no such path", path, hint="paths are relative, as `write` returned them")
            )
        return self._root.joinpath(*parts)

    def _make_folder(self, folder: Path) -> None:
        """Make a folder, and that it is there durable. The root is made once: if it is gone, so is what was in it."""
        if folder in self._durable and folder.is_dir():
            return
        is_known = self._root in self._durable
        if is_known and not self._root.is_dir():
            raise FileNotFoundError(f"the folder {self._root} is gone")
        make_durable(folder, below=self._root if is_known else None)
        if len(self._durable) >= _REMEMBERED_FOLDERS_MAX:
            self._durable.clear()
        self._durable |= {self._root, folder}


def earliest(table: pl.DataFrame) -> int:
    """Return the earliest event time of a batch.

    Raises:
        DataError: there is none, or it is none of the calendar's.
    """
    kind = table.schema.get("event_time")
    if kind != pl.Int64:
        raise DataError(Mistake("event_time", "must be a column of int64 microseconds", kind))
    first = table["event_time"].min()
    if not isinstance(first, int):
        raise DataError(Mistake("event_time", f"holds no time in {table.height} rows"))
    if first not in _CALENDAR:
        raise DataError(Mistake("event_time", "lies outside the calendar", first, hint="is it in microseconds?"))
    return first
