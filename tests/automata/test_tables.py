"""The state tables, walked exhaustively: what they hold happens, what they do not hold changes nothing."""

from itertools import product

import pytest

from killick.alerting.incidents import Incident
from killick.automaton import Move, Table
from killick.clock import FOREVER
from killick.engine.operate import PEOPLE_MAY
from killick.engine.record import AUTOMATA, Book, Machine
from killick.engine.run import PERFORMERS
from killick.errors import IllegalMove
from killick.ledger.chain import verify
from killick.recovery.states import IN_FORCE, RECOVERY, Recovery
from killick.retraining.states import RETRAINING, Retraining
from killick.rollout.states import CANARY_STATES, LIVE_STATES, ROLLOUT, Rollout
from killick.testing.control import MemoryControl

TABLES = {kind: table for kind, (table, _) in AUTOMATA.items()}
ABORTABLE = (ROLLOUT, RECOVERY, RETRAINING)
# The states in which a machine's version answers somebody, is about to, or is on its way there.
SERVING = {
    "rollout": CANARY_STATES | LIVE_STATES,
    "recovery": IN_FORCE,
    "retraining": {"training", "gating", "refitting", "accepted", "released"},
}
BODIES = {
    "incident": Incident(kind="data_fault", title="a fault", severity="ticket", opened_at=1),
    "rollout": Rollout(version="v2", against="v1", began_at=1),
    "recovery": Recovery(incident="i", action="fallback", version="plain", mode="act", planned_at=1),
    "retraining": Retraining(reason="why", requested_at=1, challenger="c", trained_from=0, trained_until=1),
}
every_table = pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
abortable = pytest.mark.parametrize("table", ABORTABLE, ids=lambda table: table.kind)


def reached(table: Table, state: str) -> set[str]:
    """Every state that may follow from one, itself included."""
    found, new = {state}, {state}
    while new:
        new = {move.to for (at, _), move in table.moves.items() if at in new} - found
        found |= new
    return found


def everything(control: MemoryControl, kind: str):
    """What a store holds of machines, and what it was told to do."""
    with control.transaction() as t:
        return t.documents(kind, "shop"), t.due("shop", FOREVER), t.ledger()


@every_table
def test_every_state_says_what_it_means(table):
    """The diagrams and the report say it; no meaning is left of a state that is gone."""
    assert set(table.meaning) == table.states


@every_table
def test_every_state_can_be_reached(table):
    """From the start, by the events of the table."""
    assert reached(table, table.start) == table.states


@every_table
def test_every_state_can_come_to_an_end(table):
    """No machine runs for ever for want of a way out."""
    assert table.final
    assert all(reached(table, state) & table.final for state in table.states)


def test_a_state_that_only_goes_round_in_itself_is_an_end():
    """An aborted job still hears what comes back late: it has ended all the same, or it would bar every later one."""
    table = Table("door", "open", {("open", "shut"): Move("shut"), ("shut", "shut"): Move("shut")})
    assert table.final == {"shut"}
    assert RETRAINING.final == {"released", "refused", "failed", "aborted"}


@abortable
def test_abort_is_known_in_every_state_that_is_no_end(table):
    """Whatever is under way can be stopped by a person."""
    assert [state for state in table.states - table.final if not table.allows(state, "abort")] == []


@abortable
@pytest.mark.parametrize("stop", ["abort", "harm", "expire", "ineffective", "mended"])
def test_what_was_stopped_never_serves_again(table, stop):
    """Whatever events come after a stop, late answers included, none leads back to a state that serves."""
    for (_, event), move in table.moves.items():
        if event == stop:
            assert not reached(table, move.to) & SERVING[table.kind]


@every_table
def test_whoever_waits_for_traffic_is_not_forgotten(table):
    """A state with a plan under way is left by its answer, or by a move that asks for another plan."""
    waiting = {move.to for move in table.moves.values() if "set_traffic" in move.commands}
    for (state, event), move in table.moves.items():
        if state in waiting and event != "applied" and move.to != state:
            assert "set_traffic" in move.commands, (state, event)


def test_every_command_has_a_performer_and_every_performer_a_command():
    """Nothing is asked for that nobody does, and nothing is kept that nobody asks for."""
    commands = {command for table in TABLES.values() for move in table.moves.values() for command in move.commands}
    assert commands == set(PERFORMERS)


def test_what_people_may_do_stands_in_the_tables():
    """An event that is a person's to give means something somewhere."""
    assert PEOPLE_MAY.keys() == TABLES.keys()
    for kind, events in PEOPLE_MAY.items():
        assert set(events) <= {event for _, event in TABLES[kind].moves}


@every_table
def test_a_move_of_the_table_is_stored_told_and_commanded(table):
    """New state, ledger entry and commands, in one transaction."""
    for (state, event), move in table.moves.items():
        control = MemoryControl()
        before = put(control, table, state)
        with control.transaction() as t:
            moved = Book(t, "shop", 7).move(before, event, reason="because")
        with control.transaction() as t:
            stored = Book(t, "shop", 7).machine(table.kind, "one")
        _, due, ledger = everything(control, table.kind)
        assert stored == moved
        assert (moved.state, moved.since) == (move.to, 7)
        assert tuple(command.name for command in due) == move.commands
        assert (ledger[-1].fact.action, ledger[-1].fact.reason) == (f"{event} {table.kind}", "because")
        assert (ledger[-1].fact.evidence["from"], ledger[-1].fact.evidence["to"]) == (state, move.to)
        assert verify(ledger) == 2


@every_table
def test_a_move_that_is_not_in_the_table_is_refused_and_changes_nothing(table):
    """Every state with every event of every table: in the table, or `IllegalMove`."""
    events = sorted({event for known in TABLES.values() for _, event in known.moves} | {"no such event"})
    for state, event in product(sorted(table.states), events):
        if table.allows(state, event):
            continue
        control = MemoryControl()
        machine = put(control, table, state)
        before = everything(control, table.kind)
        with control.transaction() as t, pytest.raises(IllegalMove, match=f"a {table.kind} that is '{state}'"):
            Book(t, "shop", 7).move(machine, event, reason="because")
        assert everything(control, table.kind) == before


@every_table
def test_what_was_begun_is_not_begun_again(table):
    """The same key is the same machine, as it is by now."""
    control = MemoryControl()
    first = put(control, table, table.start)
    with control.transaction() as t:
        again = Book(t, "shop", 9).begin(table.kind, "one", BODIES[table.kind], "once more")
    assert again == first
    assert len(everything(control, table.kind)[2]) == 1


def put(control: MemoryControl, table: Table, state: str) -> Machine:
    """A machine in a state, without going there."""
    with control.transaction() as t:
        book = Book(t, "shop", 5)
        machine = book.begin(table.kind, "one", BODIES[table.kind], "for a test")
        if state == table.start:
            return machine
        there = Machine(table.kind, "one", state, 5, machine.body, machine.revision)
        return book.update(there, machine.body)
