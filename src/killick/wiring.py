"""Wiring: the only file that knows which adapter implements which port."""

from __future__ import annotations

from pathlib import Path

from killick.adapters.archive import FolderArchive
from killick.adapters.control import open_control
from killick.adapters.folders import LocalFolders
from killick.adapters.models import ImportedModels
from killick.adapters.tables import FileTables
from killick.adapters.traffic import ProcessTraffic
from killick.adapters.trainer import ProcessTrainer
from killick.engine.world import World


def open_world(root: str | Path, store: str | Path) -> World:
    """Return the real world: the operator's files under `root`, Killick's own under `store`."""
    store = Path(store)
    store.mkdir(parents=True, exist_ok=True)
    return World(
        control=open_control(store / "control.sqlite"),
        archive=FolderArchive(store / "telemetry"),
        tables=FileTables(root),
        folders=LocalFolders(root),
        models=ImportedModels(root),
        traffic=ProcessTraffic(),
        trainer=ProcessTrainer(root, store / "jobs"),
    )
