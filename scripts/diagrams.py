"""Draw `docs/automata.md` from the state tables, so that the page cannot tell anything but what the engine does.

    python scripts/diagrams.py           # writes the page
    python scripts/diagrams.py --print   # shows it

After h11's `make-state-diagrams.py`. The tables are those of `engine/record.py`; a new one is on the page when it is
there. The diagrams are Mermaid, which GitHub and most editors draw. `tests/docs/test_automata.py` fails where the page
is not what this script would write.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from killick.engine.operate import PEOPLE_MAY
from killick.engine.record import AUTOMATA
from killick.engine.run import PERFORMERS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from killick.automaton import Move, Table

PAGE = Path(__file__).resolve().parent.parent / "docs" / "automata.md"

OPENING = """\
# Automata

Everything that Killick does by itself over time stands in four state tables. This page is drawn from them by
`python scripts/diagrams.py`; a test fails when it is out of date.

An arrow is a move. It is labelled with the event that makes it and, after a stroke, with the command that the move
posts into the outbox: `act / set_traffic`. Several events on one arrow are separated by commas. A move that is not
drawn is refused with `IllegalMove`, and nothing is written. The new state, its ledger entry and its command are one
transaction; the command is performed later, at least once, unless the machine has moved on by then.
[Decision 0003](decisions/0003-automation-is-a-table.md) says why it is so, and [architecture](architecture.md) who
decides which event it was."""

WHERE = {
    "incident": "alerting/incidents.py",
    "rollout": "rollout/states.py",
    "recovery": "recovery/states.py",
    "retraining": "retraining/states.py",
}


def main(arguments: Sequence[str]) -> None:
    """Write the page, or print it."""
    if "--print" in arguments:
        print(page(), end="")
    else:
        PAGE.write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the whole page."""
    tables = [table for table, _ in AUTOMATA.values()]
    sections = [OPENING, *(section(table) for table in tables), commands(tables)]
    return "\n\n".join(sections) + "\n"


def section(table: Table) -> str:
    """Return the part of the page about one table: where it stands, its diagram, what its states mean."""
    heading = f"## {table.kind.capitalize()}\n\n`src/killick/{WHERE[table.kind]}`"
    diagram = "\n".join(["```mermaid", "stateDiagram-v2", *(f"    {line}" for line in arrows(table)), "```"])
    people = " and ".join(f"`{event}`" for event in PEOPLE_MAY[table.kind])
    said = f"A person may give it {people}; the other events follow from evidence."
    rows = [f"| `{state}`{_marks(table, state)} | {table.meaning[state]} |" for state in ordered(table)]
    return "\n\n".join([heading, diagram, said, "\n".join(["| state | meaning |", "|---|---|", *rows])])


def arrows(table: Table) -> Iterator[str]:
    """Yield the lines of a diagram, in the order of the table. Moves with the same ends and commands share an arrow.

    >>> from killick.automaton import Move, Table
    >>> moves = {("shut", "push"): Move("open", ("ring",)), ("shut", "kick"): Move("open", ("ring",))}
    >>> list(arrows(Table("door", "shut", moves, {"shut": "nobody comes in", "open": "anybody may"})))
    ['[*] --> shut', 'shut --> open : push, kick / ring', 'open --> [*]']
    """
    yield f"[*] --> {table.start}"
    shared: dict[tuple[str, Move], list[str]] = {}
    for (state, event), move in table.moves.items():
        shared.setdefault((state, move), []).append(event)
    for (state, move), events in shared.items():
        due = f" / {', '.join(move.commands)}" if move.commands else ""
        yield f"{state} --> {move.to} : {', '.join(events)}{due}"
    for state in ordered(table):
        if state in table.final:
            yield f"{state} --> [*]"


def commands(tables: Sequence[Table]) -> str:
    """Return the part of the page about commands: what each does, and which tables post it."""
    rows = []
    for name, performer in PERFORMERS.items():
        posted = [table.kind for table in tables if any(name in move.commands for move in table.moves.values())]
        does = (performer.__doc__ or "").split("\n")[0]
        rows.append(f"| `{name}` | {does} | {', '.join(posted)} |")
    heading = "## Commands\n\n`src/killick/engine/run.py` performs them."
    return f"{heading}\n\n" + "\n".join(["| command | what it does | posted by |", "|---|---|---|", *rows])


def ordered(table: Table) -> list[str]:
    """Return a table's states in the order in which it explains them; one that it does not explain is a mistake."""
    unexplained = table.states - set(table.meaning)
    if unexplained:
        message = f"the table of a {table.kind} does not say what these mean: {', '.join(sorted(unexplained))}"
        raise ValueError(message)
    return [state for state in table.meaning if state in table.states]


def _marks(table: Table, state: str) -> str:
    marks = (["first"] if state == table.start else []) + (["end"] if state in table.final else [])
    return f" ({', '.join(marks)})" if marks else ""


if __name__ == "__main__":
    main(sys.argv[1:])
