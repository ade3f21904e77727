"""The control stores that we ship keep every law; a store that breaks one is found out."""

from contextlib import contextmanager, nullcontext

import pytest

from killick.adapters.control import open_control
from killick.testing.control import MemoryControl
from killick.testing.control_battery import REOPENING_LAWS, TRANSACTION_LAWS, control_battery
from killick.testing.control_laws import LAWS
from killick.testing.telemetry_laws import TELEMETRY_LAWS

EVERY_LAW = (*TRANSACTION_LAWS, *LAWS, *TELEMETRY_LAWS)


@pytest.fixture
def stores(addresses):
    """Open stores in SQL, each in a place of its own, and close them in the end."""
    opened = []

    def make():
        opened.append(open_control(addresses()))
        return opened[-1]

    def reopen(control):
        opened.append(open_control(control.name))
        return opened[-1]

    make.reopen = reopen
    yield make
    for control in opened:
        control.close()


@pytest.mark.parametrize("law", EVERY_LAW, ids=lambda law: law.__name__)
def test_the_store_in_memory_keeps(law):
    """The fake is held to what the real one is held to."""
    law(MemoryControl)


@pytest.mark.parametrize("law", EVERY_LAW, ids=lambda law: law.__name__)
def test_stores_in_sql_keep(law, stores):
    """SQLite and PostgreSQL, with a file or a database of its own for each law."""
    law(stores)


@pytest.mark.parametrize("law", REOPENING_LAWS, ids=lambda law: law.__name__)
def test_stores_in_sql_keep_when_opened_again(law, stores):
    """Two handles on one file, or on one database."""
    law(stores, stores.reopen)


def test_the_battery_holds_every_law_by_its_name():
    """With re-opening, two more; each has a sentence."""
    names = [law.__name__ for law in EVERY_LAW]
    assert [str(law) for law in control_battery(MemoryControl)] == names
    assert len(control_battery(MemoryControl, reopen=lambda control: control)) == len(names) + len(REOPENING_LAWS)
    assert len(set(names)) == len(names)
    assert all(law.__doc__ for law in (*EVERY_LAW, *REOPENING_LAWS))


class Forgetful(MemoryControl):
    """Commits what it should roll back."""

    @contextmanager
    def transaction(self):
        """Begin one that cannot be undone."""
        with super().transaction() as t:
            t.undo = lambda: None
            yield t


class TakenForGood(MemoryControl):
    """Notes deliveries for good, whatever becomes of the transaction."""

    @contextmanager
    def transaction(self):
        """Begin one that undoes all but deliveries."""
        with super().transaction() as t:
            undo, taken = t.undo, self._stored.deliveries

            def all_but_deliveries():
                noted = dict(taken)
                undo()
                taken.update(noted)

            t.undo = all_but_deliveries
            yield t


class Unserialised(MemoryControl):
    """Lets a transaction into another."""

    @contextmanager
    def transaction(self):
        """Begin one without waiting for a turn."""
        self._owner, self._turn = None, nullcontext()
        with super().transaction() as t:
            yield t


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (Forgetful, "a_block_that_raises_leaves_nothing_behind"),
        (TakenForGood, "a_block_that_raises_leaves_nothing_behind"),
        (Unserialised, "a_transaction_inside_another_is_refused"),
    ],
)
def test_the_battery_finds_a_store_that_breaks_a_law(broken, law):
    """A battery that nothing fails proves nothing."""
    (found,) = [it for it in control_battery(broken) if str(it) == law]
    with pytest.raises(AssertionError):
        found()
