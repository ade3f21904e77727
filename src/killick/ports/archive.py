"""The archive: telemetry as it was received, in files that any engine can read.

A file is durable before `write` returns, but it is only a batch once its manifest row is committed
(`ports/control.py`); files that never got one are swept. The layout is part of the promise: hive-style folders,
percent-encoded names, Parquet; and beside them runs, which are looked things up in, as NumPy arrays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from killick.clock import to_datetime

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from killick.clock import Instant

    Numbers = NDArray[np.uint64]


class Archive(Protocol):
    """Where batches of telemetry are kept."""

    def write(self, model: str, kind: str, batch_id: str, table: pl.DataFrame) -> str:
        """Keep a batch and return its path within the archive. Writing it again replaces it by the same.

        Args:
            model: whose telemetry it is.
            kind: what it holds, such as `predictions`.
            batch_id: the name of the batch, unique in its model and kind.
            table: at least one row, with a column `event_time` (int64, microseconds UTC).

        Raises:
            DataError: the table has no row or no usable `event_time`.
            OutsideError: it could not be written; nothing half-written is ever read.
        """
        ...

    def read(self, path: str, columns: list[str] | None = None) -> pl.DataFrame:
        """Return a batch, or some of its columns, in the order asked for.

        Raises:
            DataError: the batch has no such column.
            OutsideError: the file is missing or damaged.
        """
        ...

    def columns(self, path: str) -> list[str]:
        """Return the names of a batch's columns, without a look at its rows.

        Raises:
            OutsideError: the file is missing or damaged.
        """
        ...

    def find(self, path: str, prediction_ids: pl.Series, columns: list[str] | None = None) -> pl.DataFrame:
        """Return a batch's rows of these predictions, in its order; of `columns` those that it has, all by default.

        Raises:
            OutsideError: the file is missing or damaged.
        """
        ...

    def write_run(self, model: str, kind: str, run_id: str, numbers: Numbers) -> str:
        """Keep columns of numbers that will be looked things up in, and return their path. Durable as a batch is.

        Args:
            model: whose they are.
            kind: what they hold, such as `prediction-ids`.
            run_id: the run's name, unique in its model and kind.
            numbers: eight bytes each, shape `[columns, rows]`.

        Raises:
            OutsideError: it could not be written; nothing half-written is ever read.
        """
        ...

    def map_run(self, path: str) -> Numbers:
        """Return a run, of which no more is read than is looked at.

        Raises:
            OutsideError: the file is missing or damaged.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove a file now, where `sweep` would have spared it. One that is not there is passed over.

        Raises:
            OutsideError: it could not be removed.
        """
        ...

    def sweep(self, known: AbstractSet[str], *, spared_seconds: float | None = None) -> list[str]:
        """Remove what no manifest row speaks of, unless it may still be on its way there; return what was removed.

        Folders of hours and days that have been empty for as long go too.

        Args:
            known: the paths of all batches in the manifest, and of those that left it and may still be read.
            spared_seconds: how young a file is that may still be on its way; None: the archive's own bound.
        """
        ...


def batch_path(model: str, kind: str, batch_id: str, first: Instant) -> str:
    """Return where a batch lies whose earliest event is of this instant.

    Names come from data: percent-encoded, none of them can leave its folder, and engines that read hive layouts decode
    them again.

    >>> batch_path("flights/delay", "predictions", "batch-1", 0)
    'model=flights%2Fdelay/kind=predictions/date=1970-01-01/hour=00/batch-1.parquet'
    """
    moment = to_datetime(first)
    folder = f"model={quote(model, safe='')}/kind={quote(kind, safe='')}/date={moment.date()}/hour={moment:%H}"
    return f"{folder}/{quote(batch_id, safe='')}.parquet"


def run_path(model: str, kind: str, run_id: str) -> str:
    """Return where a run lies.

    >>> run_path("loans", "prediction-ids", "run-1")
    'model=loans/kind=prediction-ids/run-1.npy'
    """
    return f"model={quote(model, safe='')}/kind={quote(kind, safe='')}/{quote(run_id, safe='')}.npy"
