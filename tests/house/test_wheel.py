"""What is tested is what is shipped."""

import importlib.metadata
import importlib.util
import os
import sysconfig
from pathlib import Path

import pytest

from tests.house.source import CLIENT, KILLICK, ROOT

wheel_only = pytest.mark.skipif(
    os.environ.get("KILLICK_TEST_WHEEL") != "1",
    reason="not run through `make test`: the tree may be what is tested",
)


@wheel_only
@pytest.mark.parametrize("package", ["killick", "killick_client"])
def test_the_package_comes_from_its_wheel(package: str) -> None:
    """`make test` imports what pip has installed; the tree is not even on the path."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    home = Path(next(iter(spec.submodule_search_locations))).resolve()

    assert home == Path(sysconfig.get_path("purelib"), package).resolve()
    assert not home.is_relative_to(ROOT / "src")


@wheel_only
@pytest.mark.parametrize("tree", [KILLICK, CLIENT], ids=["killick", "killick_client"])
def test_the_wheel_holds_every_file_of_the_tree(tree: Path) -> None:
    """Templates, migrations, the operator's scripts and `py.typed` are shipped; nothing is left over."""
    home = Path(sysconfig.get_path("purelib"), tree.name)

    def shipped(folder: Path) -> dict[str, bytes]:
        paths = (path for path in folder.rglob("*") if path.is_file())
        kept = (path for path in paths if not any(part.startswith((".", "__pycache__")) for part in path.parts[-4:]))
        return {str(path.relative_to(folder)): path.read_bytes() for path in kept}

    assert shipped(home) == shipped(tree)


def test_the_client_carries_the_licence() -> None:
    """A wheel can take its licence only from its own folder, so the client has a copy: the same one."""
    assert (CLIENT.parent / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


@wheel_only
def test_both_packages_have_one_version() -> None:
    """They are released together."""
    assert importlib.metadata.version("killick") == importlib.metadata.version("killick-client")
