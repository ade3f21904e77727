"""The archive in memory: the fake of `killick.adapters.archive`, for tests, the simulator and replays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from killick.adapters.archive import earliest
from killick.errors import DataError, Mistake, OutsideError
from killick.ports.archive import batch_path, run_path

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    import polars as pl

    from killick.ports.archive import Numbers


class MemoryArchive:
    """An `Archive` that forgets everything with the process. Nothing is on its way here, so `sweep` spares nothing."""

    def __init__(self) -> None:
        self.tables: dict[str, pl.DataFrame] = {}
        self.runs: dict[str, Numbers] = {}

    def write(self, model: str, kind: str, batch_id: str, table: pl.DataFrame) -> str:
        """Keep a batch and return its path within the archive."""
        path = batch_path(model, kind, batch_id, earliest(table))
        self.tables[path] = table.clone()
        return path

    def read(self, path: str, columns: list[str] | None = None) -> pl.DataFrame:
        """Return a batch, or some of its columns."""
        table = self.tables.get(path)
        if table is None:
            raise OutsideError(f"the archive in memory could not read {path}: there is no such batch")
        missing = [name for name in columns or () if name not in table.columns]
        if missing:
            hint = f"it has {', '.join(table.columns)}"
            raise DataError(*(Mistake(path, "has no column of this name", name, hint=hint) for name in missing))
        return table.clone() if columns is None else table.select(columns)

    def columns(self, path: str) -> list[str]:
        """Return the names of a batch's columns."""
        return self.read(path).columns

    def find(self, path: str, prediction_ids: pl.Series, columns: list[str] | None = None) -> pl.DataFrame:
        """Return a batch's rows of these predictions, in its order; of `columns` those that it has."""
        table = self.read(path)
        rows = table.filter(table["prediction_id"].is_in(prediction_ids.implode()))
        return rows if columns is None else rows.select(name for name in columns if name in rows.columns)

    def write_run(self, model: str, kind: str, run_id: str, numbers: Numbers) -> str:
        """Keep columns of numbers that will be looked things up in, and return their path."""
        path = run_path(model, kind, run_id)
        self.runs[path] = numbers.copy()
        return path

    def map_run(self, path: str) -> Numbers:
        """Return a run."""
        if path not in self.runs:
            raise OutsideError(f"the archive in memory could not read {path}: there is no such run")
        return self.runs[path]

    def remove(self, path: str) -> None:
        """Remove a file now."""
        self.tables.pop(path, None)
        self.runs.pop(path, None)

    def sweep(self, known: AbstractSet[str], *, spared_seconds: float | None = None) -> list[str]:  # noqa: ARG002 - nothing is on its way here
        """Remove what no manifest row speaks of, unless it is young; return what was removed."""
        swept = sorted((self.tables.keys() | self.runs.keys()) - known)
        for path in swept:
            self.remove(path)
        return swept

    def copy(self) -> MemoryArchive:
        """Return another archive that holds the same: what a crash leaves behind, to be tried more than once."""
        other = MemoryArchive()
        other.tables.update(self.tables)
        other.runs.update(self.runs)
        return other
