"""Versions from the operator's modules: the right folder's, loaded once, and failures that name the version."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from killick.adapters.models import ImportedModels
from killick.errors import OutsideError
from killick.registry.versions import Version

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODULE = """
from pathlib import Path
calls = []
def load_v1():
    calls.append("v1")
    return lambda columns: [{score}] * len(columns["x"])
def load(artifact):
    return lambda columns: [float(Path(artifact).read_text())]
def broken():
    raise ValueError("no such file")
def leaves():
    raise SystemExit(3)
"""


@pytest.fixture(autouse=True)
def the_interpreter_as_it_was() -> Iterator[None]:
    """Loading modules changes the interpreter; the next test starts anew."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def folder_of(path: Path, score: float) -> Path:
    """Write an operator's module into a folder."""
    path.mkdir()
    (path / "operators.py").write_text(MODULE.replace("{score}", str(score)))
    return path


def version(loader: str, artifact: str | None = None, name: str = "v1") -> Version:
    """Name a version."""
    return Version(model="m", name=name, loader=loader, artifact=artifact)


def test_a_version_scores_rows(tmp_path: Path) -> None:
    """By its loader, with or without an artifact, which is relative to the root."""
    root = folder_of(tmp_path / "a", 0.25)
    (root / "weights").write_text("0.75")
    models = ImportedModels(root)
    assert models.load(version("operators:load_v1"))({"x": [1, 2]}) == [0.25, 0.25]
    assert models.load(version("operators:load", "weights"))({"x": [1]}) == [0.75]


def test_a_version_is_loaded_once(tmp_path: Path) -> None:
    """Asking twice is cheap; another artifact is another version."""
    models = ImportedModels(folder_of(tmp_path / "a", 0.25))
    assert models.load(version("operators:load_v1")) is models.load(version("operators:load_v1"))
    assert sys.modules["operators"].calls == ["v1"]


def test_two_folders_with_modules_of_one_name_are_two(tmp_path: Path) -> None:
    """Every operator calls his file `model.py`: each root has its own, in any order."""
    first, second = ImportedModels(folder_of(tmp_path / "a", 0.25)), ImportedModels(folder_of(tmp_path / "b", 0.5))
    one = first.load(version("operators:load_v1"))
    two = second.load(version("operators:load_v1"))
    again = first.load(version("operators:load_v1", name="v1 again"))
    assert [scorer({"x": [1]}) for scorer in (one, two, again)] == [[0.25], [0.5], [0.25]]


def test_a_module_that_was_just_written_is_found(tmp_path: Path) -> None:
    """Python remembers what a folder held; training may have added to it since."""
    root = folder_of(tmp_path / "a", 0.25)
    models = ImportedModels(root)
    models.load(version("operators:load_v1"))
    (root / "later.py").write_text("def load(): return lambda columns: [0.9]")
    assert models.load(version("later:load"))({"x": [1]}) == [0.9]


def test_a_package_that_is_installed_can_be_a_loader(tmp_path: Path) -> None:
    """Modules outside the root are imported as everywhere."""
    assert callable(ImportedModels(tmp_path).load(version("json.decoder:JSONDecoder")))


def test_a_version_that_cannot_score_names_itself(tmp_path: Path) -> None:
    """A column that it needs is absent: the engine sees one kind of error, with the reason."""
    scorer = ImportedModels(folder_of(tmp_path / "a", 0.25)).load(version("operators:load_v1", name="v7"))
    with pytest.raises(OutsideError, match="version v7 failed to score: KeyError: 'x'"):
        scorer({"y": [1]})


@pytest.mark.parametrize(
    ("loader", "said"),
    [
        ("nowhere:load", "loader 'nowhere:load' failed: ModuleNotFoundError: No module named 'nowhere'"),
        ("operators:none", "failed: AttributeError: "),
        ("operators", "failed: AttributeError: "),
        ("operators:broken", "failed: ValueError: no such file"),
        ("operators:leaves", "failed: SystemExit: 3"),
        ("operators:load", "failed: TypeError: "),
        ("wrong:load", "failed: SyntaxError: "),
    ],
)
def test_a_loader_that_fails_names_the_version_and_the_reason(tmp_path: Path, loader: str, said: str) -> None:
    """Whatever the operator's code does, the engine sees one kind of error."""
    root = folder_of(tmp_path / "a", 0.25)
    (root / "wrong.py").write_text("def load(:")
    with pytest.raises(OutsideError, match=f"version v7: .*{said}"):
        ImportedModels(root).load(version(loader, name="v7"))
