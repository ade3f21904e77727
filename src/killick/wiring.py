"""Wiring: the only file that knows which adapter implements which port."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from pathlib import Path
from platform import node
from typing import TYPE_CHECKING

from killick.adapters.archive import FolderArchive
from killick.adapters.clock import SystemClock
from killick.adapters.control import open_control
from killick.adapters.folders import LocalFolders
from killick.adapters.models import ImportedModels
from killick.adapters.otlp import read_logs_protobuf
from killick.adapters.tables import FileTables
from killick.adapters.traffic import ProcessTraffic
from killick.adapters.trainer import ProcessTrainer
from killick.engine.world import World
from killick.errors import CallError, Mistake

if TYPE_CHECKING:
    from collections.abc import Callable

    from killick.clock import Clock
    from killick.formats.otlp import Logs


def open_world(root: str | Path, store: str | Path, control: str | None = None) -> World:
    """Return the real world: the operator's files under `root`, Killick's own under `store`.

    `control` is the URL of a control store elsewhere, such as `postgresql://host/killick`. Files are named by who
    writes them: a process that comes after a crash must not write over what that one left.

    Raises:
        CallError: `store` is a URL, which would be made a folder of that name; the URL is not repeated, for it may hold
            a password.
        OutsideError: the store cannot be opened.
    """
    # Of `Path("postgresql://host")` one slash is left.
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(store)):
        hint = "name a folder; a control store elsewhere is named apart from it, by --control URL"
        raise CallError(Mistake("store", "is a URL, and no folder", hint=hint))
    store = Path(store)
    store.mkdir(parents=True, exist_ok=True)
    return World(
        control=open_control(control or store / "control.sqlite"),
        archive=FolderArchive(store / "telemetry"),
        tables=FileTables(root),
        folders=LocalFolders(root),
        models=ImportedModels(root),
        traffic=ProcessTraffic(),
        trainer=ProcessTrainer(root, store / "jobs"),
        host=f"{node()}-{secrets.token_hex(8)}",
    )


def beside(world: World, root: str | Path) -> World:
    """Return the world with the operator's files under another folder: each spec speaks of what lies beside it."""
    return replace(world, tables=FileTables(root), folders=LocalFolders(root), models=ImportedModels(root))


def otlp_reader() -> Callable[[bytes], Logs]:
    """Return what reads OTLP's protobuf; what it needs is imported when the first export comes."""
    return read_logs_protobuf


def system_clock() -> Clock:
    """Return the machine's clock."""
    return SystemClock()
