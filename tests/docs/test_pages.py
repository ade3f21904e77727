"""What the pages say about the code is so: the floors, the files and functions that they name, the defaults."""

import ast
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from killick.clock import DAY
from killick.engine.replay import read_changes
from killick.ports.trainer import TrainManifest, TrainRequest
from killick.spec.document import (
    ACTIONS,
    INCIDENT_KINDS,
    METRICS,
    FalseAlarms,
    Gate,
    Keep,
    Playbook,
    RetrainingPolicy,
    RolloutPolicy,
    Spec,
)
from killick.spec.load import parse_spec, unheeded
from killick_client.events import Change
from tests.docs.pages import DOCS, KILLICK, ROOT, blocks, headings, pages

ARCHITECTURE = DOCS / "architecture.md"
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))
# What nobody but the authors could follow: other folders of a workplace, a machine's paths, a registry.
ELSEWHERE = re.compile(
    r"\.\./shared|/work/|/home/|/root/|https?://(?!json-schema\.org)\S*(?:pypi|registry|index|proxy)\S*"
)
# A decision is read without scrolling: forty lines, and some for a table.
SCREEN_LINES_MAX = 50


def test_the_floors_are_those_of_the_contract() -> None:
    """The diagram in the architecture page is the import linter's list, floor by floor."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    house = next(one for one in project["tool"]["importlinter"]["contracts"] if one["id"] == "house")
    (drawn,) = [block for block in blocks(ARCHITECTURE, "text") if block.text.startswith("__main__")]
    floors = [re.split(r" {3,}", line)[0] for line in drawn.text.splitlines() if not line.startswith("---")]

    assert floors == [layer.replace("(", "").replace(")", "") for layer in house["layers"]]


def test_every_file_that_is_named_is_there() -> None:
    """A path in backticks that ends in .py leads to a file: from the repository, from the package, from a room."""
    missing = [
        f"{page.relative_to(ROOT)}: {named}"
        for page in pages()
        for named in re.findall(r"`([\w/.]+\.py)`", page.read_text(encoding="utf-8"))
        if not any((root / named).exists() for root in (ROOT, KILLICK, ROOT / "client")) and not loose(named)
    ]

    assert not missing


def loose(name: str) -> bool:
    """Whether a bare file name is that of exactly one file, or of the operator's own script."""
    return name in {"train.py", "delays.py"} or (
        "/" not in name and len([*KILLICK.rglob(name), *(ROOT / "client").rglob(name)]) == 1
    )


def test_every_function_on_the_flights_way_is_in_its_file() -> None:
    """The table that follows one flight names files, and after each the functions that it passes there."""
    table = ARCHITECTURE.read_text(encoding="utf-8").partition("## One flight")[2].partition("\n## ")[0]
    rows = [line.split(" | ")[-1].rstrip(" |") for line in table.splitlines() if line.startswith("| ")][1:]
    passed = [(path, name) for row in rows for path, names in named_in(row) for name in names]

    assert len(passed) > 20
    assert [(path, name) for path, name in passed if name not in defined(path)] == []


def named_in(row: str) -> list[tuple[str, list[str]]]:
    """The files of a row, each with the names that follow it."""
    found: list[tuple[str, list[str]]] = []
    for word in re.findall(r"`([^`]+)`", row):
        if word.endswith(".py"):
            found.append((word, []))
        else:
            found[-1][1].append(word)
    return found


def defined(path: str) -> set[str]:
    """The functions and classes of a file, methods as `Class.method`."""
    place = next(root / path for root in (KILLICK, ROOT) if (root / path).exists())
    names = set()
    for node in ast.parse(place.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
    return names


@pytest.mark.parametrize(
    ("schema", "contract"), [("train_request", TrainRequest), ("train_manifest", TrainManifest)], ids=str
)
def test_the_trainers_contract_has_every_field(schema: str, contract: type[msgspec.Struct]) -> None:
    """The tables of request and manifest are the fields of the port, no more and no fewer."""
    text = ARCHITECTURE.read_text(encoding="utf-8")
    table = text.partition(f"`killick.{schema}/1` | |\n")[2].partition("\n\n")[0]
    fields = {field.name: field for field in msgspec.structs.fields(contract)}

    told = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", table, flags=re.MULTILINE))
    assert set(told) == set(fields)
    if contract is TrainManifest:
        assert {name for name, said in told.items() if said.startswith("optional")} == {
            name for name, field in fields.items() if not field.required
        }


def test_the_changes_that_are_shown_can_be_read() -> None:
    """The example of `changes.jsonl` is one, and the table names every field."""
    (example,) = blocks(ARCHITECTURE, "json")
    changes = read_changes(example.text, "changes.jsonl")
    told = ARCHITECTURE.read_text(encoding="utf-8").partition("## The format of `changes.jsonl`")[2]

    assert [change.kind for change in changes] == ["pipeline", "release", "retrain"]
    assert re.findall(r"^\| `(\w+)` \|", told, flags=re.MULTILINE) == [f.name for f in msgspec.structs.fields(Change)]


def test_the_spec_that_is_shown_is_one() -> None:
    """The example of `docs/spec.md` has no mistake, and asks for nothing that nobody acts on."""
    (example,) = blocks(DOCS / "spec.md", "yaml")

    assert parse_spec(example.text).model == "flight-delay"
    assert unheeded(example.text) == ()


def test_the_defaults_of_the_spec_page_are_those_of_the_code() -> None:
    """What the page calls the default is."""
    retraining = RetrainingPolicy(run=("train",))
    assert (retraining.rows, retraining.holdout, retraining.cooldown) == (90 * DAY, 28 * DAY, 28 * DAY)
    assert retraining.timeout * 24 == DAY
    assert Gate().alpha == 0.05
    assert (RolloutPolicy().hold, RolloutPolicy().patience) == (DAY, 28 * DAY)
    assert Playbook("drift", ()).mode == "recommend"
    assert Keep().columns * 24 == DAY
    assert FalseAlarms().budget == 1
    assert Spec.__dataclass_fields__["evaluate_every"].default == DAY


def test_the_closed_sets_of_the_spec_page_are_whole() -> None:
    """Each metric, action and kind of incident that a spec may name is on its page."""
    text = (DOCS / "spec.md").read_text(encoding="utf-8")

    assert [word for word in (*METRICS, *ACTIONS, *INCIDENT_KINDS) if f"`{word}`" not in text] == []


def test_decisions_are_numbered_without_a_gap() -> None:
    """0001, 0002 ... each in a file of its own, and its heading says the same number."""
    assert [path.name[:4] for path in DECISIONS] == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]
    assert all(headings(path, 1)[0].startswith(f"{path.name[:4]}: ") for path in DECISIONS)


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_is_one_screen_of_four_parts(path: Path) -> None:
    """Status, context, decision, consequences, and short enough to be read."""
    assert headings(path, 2) == ["Status", "Context", "Decision", "Consequences"]
    assert len(path.read_text(encoding="utf-8").splitlines()) <= SCREEN_LINES_MAX


def test_every_decision_that_is_cited_is_there() -> None:
    """`decision 0005` in the code or on a page is a record."""
    known = {path.name[:4] for path in DECISIONS}
    sources = [*pages(), *KILLICK.rglob("*.py"), *(ROOT / "client").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]
    cited = {
        (path.name, number)
        for path in sources
        for number in re.findall(r"[Dd]ecisions? \[?(\d{4})", path.read_text(encoding="utf-8"))
    }

    assert cited
    assert {(name, number) for name, number in cited if number not in known} == set()


def test_pages_name_nothing_that_only_the_authors_have() -> None:
    """No folder beside the repository, no path of a machine, no registry's address."""
    found = [
        f"{page.relative_to(ROOT)}:{number}: {line}"
        for page in pages()
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
        if ELSEWHERE.search(line)
    ]

    assert not found


def test_pages_are_of_even_width() -> None:
    """Prose is wrapped where the code is; tables and code may be as wide as they must."""
    wide = [
        f"{page.relative_to(ROOT)}:{number}"
        for page in pages()
        for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1)
        if len(line) > 120 and not line.startswith(("|", "{"))
    ]

    assert not wide


def test_the_readme_is_short() -> None:
    """It opens with the two commands, and leaves the rest to the pages that it links."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    assert len(text.splitlines()) <= 130
    assert [block.text.split()[:2] for block in blocks(ROOT / "README.md", "sh")[:1]] == [["make", "demo"]]
