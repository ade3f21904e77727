"""How far long work is: bars on a terminal, nothing in a pipe."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from killick.api import Profile
from killick.ports.tables import FrameSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from killick.ports.tables import Source


@contextmanager
def watching(console: Console) -> Iterator[Callable[[str, Source | Profile], Callable[[int], None] | None]]:
    """Yield what returns, for a named source, a function to be told the number of rows that are done.

    None where there is nothing to show: in a pipe, and for what is in memory, which is done before anybody could look.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,} rows"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:

        def watch(name: str, source: Source | Profile) -> Callable[[int], None] | None:
            if progress.disable or isinstance(source, FrameSource | Profile):
                return None
            task = progress.add_task(name, total=source.size())
            return lambda rows: progress.advance(task, rows)

        yield watch
