"""The one transition function: a state table as data, `(state, event) -> (state, commands)`.

Rule 1: everything that a recovery, a rollout, an incident or a retraining job may do by itself stands in its table.
Rule 2: a table decides nothing. What happened is an event; which event it was, a pure function in the room decided.
Rule 3: a move that the table does not have raises `IllegalMove` and changes nothing.

State is data, not a call stack: it is stored with its commands in one transaction (`engine/record.py`), so it survives
a crash at any instruction and an upgrade during a wait of days. The diagrams in `docs/` are drawn from these tables.
After h11's `_state.py`; the argument for tables over durable coroutines is decision 0003.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from killick.errors import IllegalMove, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Move:
    """Where a state goes on an event, and the names of the commands that are due then."""

    to: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A state table: its kind (`incident`, `rollout` ...), its first state, its moves and what each state means."""

    kind: str
    start: str
    moves: Mapping[tuple[str, str], Move]
    meaning: Mapping[str, str] = field(default_factory=dict)

    @property
    def states(self) -> frozenset[str]:
        """Every state that the table names."""
        return frozenset({self.start} | {state for state, _ in self.moves} | {move.to for move in self.moves.values()})

    @property
    def final(self) -> frozenset[str]:
        """The states that nothing leaves. One that only goes round in itself is an end too."""
        return self.states - {state for (state, _), move in self.moves.items() if move.to != state}

    def allows(self, state: str, event: str) -> bool:
        """Whether the event means anything in this state."""
        return (state, event) in self.moves

    def move(self, state: str, event: str) -> Move:
        """Return the move for an event in a state.

        Raises:
            IllegalMove: the table has no such move.

        >>> door = Table("door", "shut", {("shut", "push"): Move("open", ("ring",))})
        >>> door.move("shut", "push")
        Move(to='open', commands=('ring',))
        >>> door.move("open", "push")
        Traceback (most recent call last):
        killick.errors.IllegalMove: a door that is 'open' has no move for 'push'; known here: nothing, it is final
        """
        try:
            return self.moves[state, event]
        except KeyError:
            known = [known for at, known in self.moves if at == state]
            hint = did_you_mean(event, known) if known else "known here: nothing, it is final"
            message = f"a {self.kind} that is {state!r} has no move for {event!r}; {hint}"
            raise IllegalMove(message) from None
