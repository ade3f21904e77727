"""The operator's files in memory: the fake of `killick.adapters.tables`, for tests, the simulator and replays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from killick.errors import CallError, DataError, Mistake
from killick.telemetry.frames import FrameSource

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from killick.ports.tables import Source


class MemoryTables:
    """Tables and texts by path. A path is a name here: globs and URIs mean nothing."""

    def __init__(self, frames: Mapping[str, pl.DataFrame], texts: Mapping[str, str] | None = None) -> None:
        self.frames = dict(frames)
        self.texts = dict(texts or {})

    def open(self, path: str) -> Source:
        """Open a table.

        Raises:
            DataError: nothing is there.
        """
        return FrameSource(self.read(path), path)

    def read(self, path: str) -> pl.DataFrame:
        """Read a table.

        Raises:
            DataError: nothing is there.
        """
        if path not in self.frames:
            raise DataError(Mistake(path, "is not there", hint=f"known here: {', '.join(self.frames) or 'no table'}"))
        return self.frames[path].clone()

    def text(self, path: str) -> str:
        """Read a text file.

        Raises:
            CallError: nothing is there.
        """
        if path not in self.texts:
            raise CallError(Mistake(path, "is not there", hint=f"known here: {', '.join(self.texts) or 'no text'}"))
        return self.texts[path]
