"""A store that an older Killick has written is brought up to date wholly or not at all, and keeps what it should."""

import subprocess
import sys

import msgspec
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from killick.adapters.control import open_control
from killick.adapters.control_tables import REVISION, TIME_MAX, metadata
from killick.clock import HOUR, Window
from killick.errors import OutsideError
from killick.identity import canonical_json
from killick.ledger.chain import extend, verify
from killick.ports.control import Batch
from killick.testing.control_examples import MODEL, SCALE, a_command, a_fact, a_verdict
from tests.adapters.calls import MIGRATIONS, SCHEMA, by_hand, engine_of

EVER = Window(-TIME_MAX, TIME_MAX)
KINDS = ("predictions", "shadows", "outcomes")


def first_entries():
    """A ledger of three entries."""
    entries = []
    for subject in ("opened", "fit", "promoted"):
        entries.append(extend(entries[-1] if entries else None, a_fact(subject)))
    return entries


def insert(table, **row):
    """A statement that adds a row to a table as it then was."""
    names = [sa.column(name) for name in row]
    return sa.insert(sa.table(table, *names)).values(**row)


def rows_of_0001():
    """One of everything, as the first Killick wrote it: in plain SQL, without a word of today's code for tables."""
    yield insert("models", model=MODEL)
    yield insert("documents", kind="alias", model=MODEL, key="live", body=b"v1", revision=7)
    for number, kind in enumerate(KINDS):
        for sequence in (3, 4):
            window = {"window_start": sequence * HOUR, "window_end": (sequence + 1) * HOUR}
            name, path = f"{kind}-{sequence}", f"{kind}/{sequence}.parquet"
            sent = {"kind": kind, "producer": "replay", "sequence": sequence, "rows": 10 * sequence}
            yield insert(
                "batches", batch_id=name, model=MODEL, path=path, written_at=100 * sequence + number, **window, **sent
            )
    yield insert("identities", model=MODEL, prediction_id="a", batch_id="predictions-3", label=1)
    yield insert(
        "profile_series",
        number=1,
        model=MODEL,
        scale=SCALE,
        version="v1",
        role="live",
        segment=canonical_json(()).decode(),
    )
    yield insert("profiles", series=1, window_start=3 * HOUR, window_end=4 * HOUR, body=b"profile")
    verdict = a_verdict(3)
    window = {"window_start": verdict.window.start, "window_end": verdict.window.end}
    body, check = msgspec.msgpack.encode(verdict), verdict.check
    row = {"model": MODEL, "fingerprint": verdict.fingerprint, "check_name": check, "body": body}
    yield insert("verdicts", number=1, **window, **row)
    posted = a_command(1)
    yield insert("outbox", number=1, key=posted.key, model=MODEL, name=posted.name, body=posted.body, due=posted.due)
    for entry in first_entries():
        yield insert("ledger", sequence=entry.sequence, hash=entry.hash, entry=canonical_json(entry))


def everything(address):
    """All rows of all tables, and the schema."""
    engine = engine_of(address)
    with engine.connect() as connection:
        names = sa.inspect(connection).get_table_names()
        found = {
            name: sorted(map(repr, connection.execute(sa.select(sa.text("*")).select_from(sa.table(name)))))
            for name in names
        }
        asked = [connection.exec_driver_sql(question).all() for question in SCHEMA[connection.dialect.name]]
    engine.dispose()
    return found | {"schema": sorted(repr(row) for rows in asked for row in rows)}


def written_by_0001(place):
    """Make a store of revision 0001 as its release made and filled it."""
    engine = engine_of(place)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    engine.dispose()
    by_hand(place, *rows_of_0001())
    return place


@pytest.fixture
def address(addresses):
    """An old store, in a file and then in a database."""
    return written_by_0001(addresses())


def test_what_was_there_is_there(address):
    """Documents, verdicts, commands and the ledger as they were; batches pending; deliveries known; profiles gone."""
    control = open_control(address)
    with control.transaction() as t:
        assert t.models() == [MODEL]
        assert t.get("alias", MODEL, "live") == ("alias", MODEL, "live", b"v1", 7)
        assert t.verdicts(MODEL) == [a_verdict(3)]
        assert t.due(MODEL, 99) == [a_command(1)]
        assert t.ledger() == first_entries()
        assert verify(t.ledger(), head=first_entries()[-1].hash) == 3

        expected = [
            Batch(
                f"{kind}-{at}", MODEL, kind, f"{kind}/{at}.parquet", 10 * at, Window(at * HOUR, (at + 1) * HOUR), when
            )
            for at in (3, 4)
            for kind, when in sorted((kind, 100 * at + number) for number, kind in enumerate(KINDS))
        ]
        assert t.pending() == sorted(expected, key=lambda batch: batch.written_at)
        assert t.paths() == {batch.path for batch in expected}
        assert t.profiles(MODEL, SCALE, EVER) == {}
    control.close()


def test_what_was_delivered_is_not_taken_again(address):
    """The same producer and sequence is answered as taken, without the answer's text; the next one is taken."""
    control = open_control(address)
    with control.transaction() as t:
        for kind in ("predictions", "outcomes"):
            assert [t.deliver(MODEL, kind, "replay", sequence, b"new", 9) for sequence in (2, 3, 4, 5)] == [
                *(None, b"", b"", None)
            ]
        assert t.answer(MODEL, "predictions", "replay", 3) is not None
        assert t.answer("another", "predictions", "replay", 3) is None
    control.close()


def test_what_is_added_afterwards_has_its_place_after_it(address):
    """Batches go on being numbered, verdicts and commands keep the order of adding."""
    control = open_control(address)
    with control.transaction() as t:
        t.add_batch(Batch("new", MODEL, "predictions", "new.parquet", 1, Window(0, 1), 1))
        t.append(extend(t.ledger_head(), a_fact("next")))
        assert [batch.batch_id for batch in t.pending()][-1] == "new"
        assert verify(t.ledger()) == 4
    control.close()


def test_opening_twice_changes_nothing(address):
    """The second time there is nothing to do."""
    open_control(address).close()
    once = everything(address)
    open_control(address).close()
    assert everything(address) == once
    assert once["alembic_version"] == [repr((REVISION,))]
    assert set(once) == {"schema", "alembic_version", *metadata.tables}


def test_a_migration_that_fails_leaves_the_old_store_whole(address):
    """Whichever step it is: something is in the way of it, and when that is gone the store can be opened."""
    for obstacle in ("batches_before", "deliveries", "halves"):
        by_hand(address, f"CREATE TABLE {obstacle} (x INTEGER)")
        before = everything(address)
        with pytest.raises(OutsideError, match=obstacle):
            open_control(address)
        assert everything(address) == before
        by_hand(address, f"DROP TABLE {obstacle}")
    open_control(address).close()
    assert everything(address)["alembic_version"] == [repr((REVISION,))]


# Process after process dies, each one statement of the migration later than the one before, until one lives.
DYING = """
import os, signal, sys
from itertools import count
import sqlalchemy as sa
from killick.adapters import control

def strike(*_):
    if next(steps, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)

def upgrade(connection):
    sa.event.listen(connection, "after_cursor_execute", strike)
    upgrade_by_alembic(connection)

upgrade_by_alembic, control._upgrade = control._upgrade, upgrade
import alembic.command
for deaths in count():
    child = os.fork()
    if child == 0:
        steps = iter(range(deaths))
        control.open_control(sys.argv[1]).close()
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != -9:
        break
print(deaths)
"""


@pytest.mark.faults
def test_a_migration_that_is_killed_leaves_the_old_store_whole(address, addresses):
    """After each of its statements; who comes next finds nothing in the way, and ends as if nobody had died."""
    done = subprocess.run([sys.executable, "-c", DYING, address], check=True, capture_output=True, text=True)
    assert int(done.stdout) >= 20
    undisturbed = written_by_0001(addresses())
    open_control(undisturbed).close()
    assert everything(address) == everything(undisturbed)
