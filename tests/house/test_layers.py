"""The one-way house of DESIGN section 3."""

import ast
import os
import subprocess
import sys
import tomllib

import pytest

from tests.house.source import BELOW_PORTS, CLIENT, KILLICK, ROOT, files, is_operators, place, tree

LINT = """
import sys
from importlinter.cli import lint_imports
sys.exit(lint_imports(no_cache=True, no_logo=True))
"""


def contract() -> list[set[str]]:
    """The floors of the house contract, from the top, without the marks of optional ones."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (house,) = (contract for contract in contracts if contract["id"] == "house")
    return [{name.strip(" ()") for name in floor.split("|")} for floor in house["layers"]]


def test_imports_only_go_down() -> None:
    """Every contract in pyproject.toml is kept by the tree: floors, the client's ignorance, no cycles."""
    if not (CLIENT / "__init__.py").exists():
        pytest.skip("killick_client has no __init__.py yet: the import graph needs both packages")

    environment = os.environ | {"PYTHONPATH": f"{KILLICK.parent}{os.pathsep}{CLIENT.parent}"}
    lint = subprocess.run(
        [sys.executable, "-c", LINT], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_every_room_has_a_floor() -> None:
    """A folder that nobody has placed fails, also where import-linter would not see a package."""
    rooms = {path.stem for path in KILLICK.iterdir() if path.suffix == ".py" or any(path.glob("*.py"))}

    assert rooms - {"__init__"} <= set().union(*contract())


def test_the_floors_below_ports_are_those_that_the_bans_are_for() -> None:
    """The list behind the banned calls is the contract's: a new floor cannot slip past it."""
    floors = contract()
    below = floors[floors.index({"ports"}) + 1 :]

    assert set(BELOW_PORTS) == set().union(*below)


def test_nobody_inside_imports_the_front_door() -> None:
    """A file takes names from the room that holds them: `import killick` inside is a cycle."""
    rooms = set().union(*contract())
    found = []
    for path in files():
        if is_operators(path) or path.is_relative_to(CLIENT):
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Import) and any(alias.name == "killick" for alias in node.names):
                found.append(place(path, node))
            if isinstance(node, ast.ImportFrom) and node.module == "killick":
                found += [place(path, node) for alias in node.names if alias.name not in rooms]

    assert not found, "take the name from its room: " + ", ".join(found)


def test_the_house_is_one_floor_deep() -> None:
    """A room holds files, not rooms; the operator's folder and Alembic's scripts are data."""
    deep = [
        place(path)
        for path in KILLICK.rglob("*.py")
        if len(path.relative_to(KILLICK).parts) > 2 and not is_operators(path) and "migrations" not in path.parts
    ]

    assert not deep
