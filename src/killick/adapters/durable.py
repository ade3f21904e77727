"""Folders whose names survive a power cut.

A name is safe when the folder it stands in was fsynced, and that folder's own name when the one above it was (POSIX;
Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014). Cost: a fsync a level, nearly all of them of
folders in which nothing has changed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["make_durable", "sync_folder"]


def make_durable(folder: Path, *, below: Path | None = None) -> None:
    """Make a folder and those above it, each with a name that a power cut cannot take away.

    Args:
        folder: the folder.
        below: a folder above it whose own name is known to be safe; without it everything is made safe up to the root.

    Raises:
        OSError: it cannot be made, or not be made safe.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # All the way up, also where it was there: a process that was killed may have made it, and not come to the fsync.
    for parent in folder.absolute().parents:
        # Where we may not look, we have not made anything either.
        with suppress(PermissionError):
            sync_folder(parent)
        if below is not None and parent == below.absolute():
            break


def sync_folder(folder: Path) -> None:
    """Make a folder's names safe.

    Raises:
        OSError: they cannot be made safe.
    """
    if os.name == "nt":
        return  # Windows opens no folders, and journals its renames
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
