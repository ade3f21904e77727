"""`docs/automata.md` is what `scripts/diagrams.py` draws from the tables, and the drawing is true to them."""

import doctest
import importlib.util
import re
import sys
from types import ModuleType

import pytest

from killick.automaton import Move, Table
from killick.engine.operate import PEOPLE_MAY
from killick.engine.record import AUTOMATA
from killick.engine.run import PERFORMERS
from tests.docs.pages import DOCS, ROOT

TABLES = [table for table, _ in AUTOMATA.values()]


@pytest.fixture(scope="module")
def diagrams() -> ModuleType:
    """The script, imported by its path."""
    spec = importlib.util.spec_from_file_location("diagrams", ROOT / "scripts" / "diagrams.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["diagrams"] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_script_would_write(diagrams: ModuleType) -> None:
    """Whoever changes a table draws it again."""
    written = (DOCS / "automata.md").read_text(encoding="utf-8")

    assert written == diagrams.page(), "run python scripts/diagrams.py"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_every_move_is_drawn_once_and_nothing_else_is(diagrams: ModuleType, table: Table) -> None:
    """Read back from the diagram, the moves are those of the table, commands included."""
    drawn = []
    for line in diagrams.arrows(table):
        found = re.fullmatch(r"(\w+) --> (\w+) : ([\w, ]+?)(?: / ([\w, ]+))?", line)
        if found:
            state, to, events, due = found.groups()
            move = Move(to, tuple(due.split(", ")) if due else ())
            drawn += [((state, event), move) for event in events.split(", ")]

    assert len(drawn) == len(table.moves)
    assert dict(drawn) == dict(table.moves)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.kind)
def test_every_state_is_explained(diagrams: ModuleType, table: Table) -> None:
    """The table of states under each diagram has a line for each of them, and none that does not exist."""
    part = diagrams.section(table)

    assert set(re.findall(r"^\| `(\w+)`", part, flags=re.MULTILINE)) == table.states == set(table.meaning)


def test_a_state_without_a_meaning_is_refused(diagrams: ModuleType) -> None:
    """A page with a hole is not written."""
    door = Table("door", "shut", {("shut", "push"): Move("open")}, {"shut": "nobody comes in"})

    with pytest.raises(ValueError, match="a door does not say what these mean: open"):
        diagrams.ordered(door)


def test_every_command_of_a_table_is_explained(diagrams: ModuleType) -> None:
    """What a table posts is performed by somebody, and the page says what that does."""
    posted = {command for table in TABLES for move in table.moves.values() for command in move.commands}
    told = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", diagrams.commands(TABLES), flags=re.MULTILINE))

    assert posted == set(PERFORMERS) == set(told)
    assert all(told.values())


def test_what_people_may_do_is_a_move_of_the_table() -> None:
    """The page says which events a person gives; each of them means something somewhere."""
    assert set(PEOPLE_MAY) == set(AUTOMATA)
    assert all(set(events) <= {event for _, event in AUTOMATA[kind][0].moves} for kind, events in PEOPLE_MAY.items())


def test_the_examples_of_the_script_hold(diagrams: ModuleType) -> None:
    """Its docstrings are true."""
    results = doctest.testmod(diagrams)

    assert results.attempted
    assert not results.failed
