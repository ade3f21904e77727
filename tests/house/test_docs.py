"""The docs cannot lie: each check, command and spec key that exists is written about.

After datasette's `tests/test_docs.py`. What exists is read from the code that holds it; a test is skipped
with a reason while that code is not there.
"""

import ast
import importlib
import re
from functools import cache
from pathlib import Path

import pytest

from tests.house.source import KILLICK, ROOT, tree

LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]+)(?:#[^)]*)?\)")
CHECK_NAME = re.compile(r"(?:drift|quality|performance|fairness|service|business)\.[a-z_]+")


def pages() -> list[Path]:
    """Every page that a user reads."""
    return sorted([*ROOT.glob("README.md"), *(ROOT / "docs").rglob("*.md")])


@cache
def written() -> str:
    """Everything written, in one string; decision records are for us, not for users."""
    return "\n".join(page.read_text(encoding="utf-8") for page in pages() if page.parent.name != "decisions")


def guide_is_there() -> bool:
    """Whether there is anything but the glossary yet."""
    return any(page.name not in {"glossary.md", "DESIGN.md"} and page.parent.name != "decisions" for page in pages())


def checks() -> set[str]:
    """The names of the checks, `family.name`, as they stand in the room `checks`."""
    texts = {
        node.value
        for path in (KILLICK / "checks").glob("*.py")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in texts if CHECK_NAME.fullmatch(text)}


def commands() -> list[str]:
    """The commands of the program, as cyclopts knows them."""
    app = importlib.import_module("killick.cli.main").app
    return [name for name in app if not name.startswith("-")]


def spec_keys() -> set[str]:
    """The fields of the frozen values in `spec/document.py`: what an operator can write."""
    fields = set()
    for node in ast.walk(tree(KILLICK / "spec" / "document.py")):
        if isinstance(node, ast.ClassDef):
            fields |= {
                item.target.id
                for item in node.body
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
            }
    return {field for field in fields if not field.startswith("_")}


@pytest.mark.skipif(not guide_is_there(), reason="there is no README.md and no guide yet")
def test_every_check_is_documented() -> None:
    """A verdict's `check` can be looked up by its name."""
    if not checks():
        pytest.skip("no check has a name yet")

    assert {name for name in checks() if f"`{name}`" not in written()} == set()


@pytest.mark.skipif(not guide_is_there(), reason="there is no README.md and no guide yet")
def test_every_command_is_documented() -> None:
    """What `killick --help` lists is shown in the docs as one would type it."""
    if not (KILLICK / "cli" / "main.py").exists():
        pytest.skip("killick.cli.main does not exist yet")

    assert [name for name in commands() if not re.search(rf"killick {re.escape(name)}\b", written())] == []


@pytest.mark.skipif(not guide_is_there(), reason="there is no README.md and no guide yet")
def test_every_spec_key_is_documented() -> None:
    """Each key of `killick.yaml` is explained in backticks or shown in an example."""
    if not (KILLICK / "spec" / "document.py").exists():
        pytest.skip("killick.spec.document does not exist yet")
    text = written()

    assert {key for key in spec_keys() if not re.search(rf"`{key}`|\b{key}:", text)} == set()


def test_links_between_pages_lead_somewhere() -> None:
    """A link to a file of the repository points to a file that is there."""
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages()
        for target in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in target and not target.startswith("mailto:") and not (page.parent / target).exists()
    ]

    assert not broken


def test_the_makefile_tells_what_it_can_do() -> None:
    """Each task of the Makefile has a line in `make help`."""
    makefile = (ROOT / "Makefile").read_text()
    tasks = re.search(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert tasks is not None

    assert [task for task in tasks[1].split() if not re.search(rf"^{task}:.*## \S", makefile, flags=re.MULTILINE)] == []
