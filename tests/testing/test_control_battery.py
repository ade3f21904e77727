"""The control stores that we ship keep every law; a store that breaks one is found out."""

from contextlib import contextmanager, nullcontext
from itertools import count

import pytest

from killick.adapters.control import open_control
from killick.testing.control import MemoryControl
from killick.testing.control_battery import REOPENING_LAWS, TRANSACTION_LAWS, control_battery
from killick.testing.control_laws import LAWS
from killick.testing.telemetry_laws import TELEMETRY_LAWS

EVERY_LAW = (*TRANSACTION_LAWS, *LAWS, *TELEMETRY_LAWS)


@pytest.fixture
def stores(tmp_path):
    """Open SQLite stores in a folder, and close them in the end."""
    numbers = count()
    yield from opening(lambda: tmp_path / f"{next(numbers)}.db")


@pytest.fixture
def postgresql_stores(database):
    """Open PostgreSQL stores in databases of their own, and close them in the end."""
    yield from opening(database)


def opening(address):
    """Yield what opens a store at a new address each time."""
    opened = []

    def make():
        opened.append(open_control(address()))
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
def test_sqlite_keeps(law, stores):
    """In a file of its own for each law."""
    law(stores)


@pytest.mark.parametrize("law", REOPENING_LAWS, ids=lambda law: law.__name__)
def test_sqlite_keeps_when_opened_again(law, stores):
    """Two handles on one file."""
    law(stores, stores.reopen)


@pytest.mark.parametrize("law", EVERY_LAW, ids=lambda law: law.__name__)
def test_postgresql_keeps(law, postgresql_stores):
    """In a database of its own for each law."""
    law(postgresql_stores)


@pytest.mark.parametrize("law", REOPENING_LAWS, ids=lambda law: law.__name__)
def test_postgresql_keeps_when_opened_again(law, postgresql_stores):
    """Two handles on one database."""
    law(postgresql_stores, postgresql_stores.reopen)


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
        (Unserialised, "a_transaction_inside_another_is_refused"),
    ],
)
def test_the_battery_finds_a_store_that_breaks_a_law(broken, law):
    """A battery that nothing fails proves nothing."""
    (found,) = [it for it in control_battery(broken) if str(it) == law]
    with pytest.raises(AssertionError):
        found()
