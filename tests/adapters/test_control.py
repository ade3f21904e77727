"""The control store in SQL: what the battery cannot ask of every store. Addresses, schema, failures, rivals."""

import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects.postgresql import dialect as postgresql_dialect

import killick.adapters.control as adapter
from killick.adapters.control import open_control
from killick.adapters.control_tables import REVISION, Statements, metadata
from killick.clock import Window
from killick.errors import CallError, DataError, OutsideError
from killick.ledger.chain import extend
from killick.ports.control import Half, Quarantined, Transaction
from killick.testing.control_examples import MODEL, SCALE, a_batch, a_command, a_fact, a_key, a_verdict

MIGRATIONS = Path(adapter.__file__).parent / "migrations"


@pytest.fixture
def path(tmp_path):
    """Where the store is."""
    return tmp_path / "control.db"


@pytest.fixture
def control(path):
    """A store that loses patience quickly."""
    store = open_control(path, patience_seconds=0.2)
    yield store
    store.close()


def by_hand(path, *statements):
    """Run statements behind the store's back."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return [connection.execute(statement).fetchall() for statement in statements]
    finally:
        connection.close()


# --------------------------------------------------------------------------------------------------- addresses


def test_a_store_is_made_with_its_folder_and_found_again(tmp_path):
    """By its path, as text or not, or by its URL; names may hold what URLs give a meaning."""
    for address in (tmp_path / "a" / "b" / "c.db", str(tmp_path / "odd ?#%41.db"), f"sqlite:///{tmp_path}/url.db"):
        first = open_control(address)
        with first.transaction() as t:
            t.put("alias", MODEL, "live", b"v1", revision=0)
        first.close()
        second = open_control(address)
        with second.transaction() as t:
            assert t.get("alias", MODEL, "live") is not None
        second.close()
    assert (tmp_path / "odd ?#%41.db").exists()


@pytest.mark.parametrize("address", ["", ":memory:", "sqlite://", "mysql://host/db", "http://host", "://"])
def test_an_address_that_cannot_be_used_is_a_mistake_in_the_call(address):
    """It says what can be."""
    with pytest.raises(CallError, match="postgresql://"):
        open_control(address)


def test_power_loss_is_survived_by_settings(control):
    """Write-ahead log, synchronous FULL (2), foreign keys."""
    with control.transaction() as t:
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        assert [t._connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas] == ["wal", 2, 1]


# --------------------------------------------------------------------------------------------------- schema


def test_the_migrations_lead_to_the_tables(control):
    """Alembic finds no difference, and SQLite itself the same tables and indexes."""
    fresh = sa.create_engine("sqlite://")
    metadata.create_all(fresh)
    listed = "SELECT type, name, sql FROM sqlite_master WHERE type IN ('table', 'index') AND name != 'alembic_version'"

    def schema(connection):
        rows = connection.exec_driver_sql(listed)
        return {
            (kind, name): " ".join(sql.split()) if sql else None
            for kind, name, sql in rows
            if "alembic_version" not in name
        }

    with control.transaction() as t, fresh.connect() as other:
        context = MigrationContext.configure(t._connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert schema(t._connection) == schema(other)
    fresh.dispose()


def test_the_head_is_the_newest_migration(control, path):
    """What the adapter compares with, what the folder ends in, and what the store says."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION
    assert by_hand(path, "SELECT version_num FROM alembic_version") == [[(REVISION,)]]


def test_downgrade_is_not_offered(control):
    """It says what to do instead."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with control.transaction() as t:
        config.attributes["connection"] = t._connection
        with pytest.raises(NotImplementedError, match="restore the copy"):
            command.downgrade(config, "base")


def test_the_migrations_are_written_for_postgresql_too(capsys):
    """Offline: the DDL that would be run, with the trigger in it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["dialect_name"] = "postgresql"
    command.upgrade(config, "head", sql=True)
    ddl = capsys.readouterr().out
    assert "CREATE TABLE ledger" in ddl
    assert "BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger" in ddl
    assert 'TEXT COLLATE "C"' in ddl


def test_every_statement_can_be_said_in_postgresql():
    """They compile, under the names that they have for SQLite."""
    postgresql, ours = (
        {name: it for name, it in vars(Statements(dialect)).items() if isinstance(it, sa.Executable)}
        for dialect in ("postgresql", "sqlite")
    )
    assert postgresql.keys() == ours.keys()
    for statement in postgresql.values():
        assert str(statement.compile(dialect=postgresql_dialect()))


def test_a_store_at_head_is_opened_without_alembic(control, path):
    """Importing it costs more than all the rest of opening."""
    code = "import sys; from killick.adapters.control import open_control; open_control(sys.argv[1]).close(); "
    code += "assert 'sqlalchemy' in sys.modules; assert 'alembic' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)


def test_a_store_of_a_newer_killick_is_not_touched(control, path):
    """Its tables may mean something else."""
    by_hand(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CallError, match=r"newer Killick.*9999"):
        open_control(path)


def test_many_who_open_an_empty_store_at_once_find_one(path):
    """One of them creates it, the others wait for him."""
    with ThreadPoolExecutor(4) as pool:
        controls = list(pool.map(lambda _: open_control(path), range(4)))
    for number, store in enumerate(controls):
        with store.transaction() as t:
            t.put("alias", MODEL, str(number), b"", revision=0)
            assert len(t.documents("alias", MODEL)) == number + 1
        store.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger SET hash = 'forged'",
        "DELETE FROM ledger",
        "REPLACE INTO ledger SELECT sequence, 'forged', entry FROM ledger",
    ],
)
def test_the_ledger_refuses_whoever_comes_by_the_back_door(control, path, statement):
    """Whoever changes it must drop a trigger first, and `verify` finds it out even so."""
    with control.transaction() as t:
        t.append(extend(None, a_fact("first")))
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        by_hand(path, statement)


# --------------------------------------------------------------------------------------------------- failures


def every_call(t):
    """Every method of a transaction, as a call that reaches the store."""
    return {
        "get": lambda: t.get("alias", MODEL, "live"),
        "put": lambda: t.put("alias", MODEL, "live", b"", revision=0),
        "documents": lambda: t.documents("alias", MODEL),
        "models": t.models,
        "add_batch": lambda: t.add_batch(a_batch(1)),
        "batches": lambda: t.batches(MODEL, "predictions"),
        "batch": lambda: t.batch("batch-1"),
        "deliver": lambda: t.deliver(MODEL, "predictions", "host", 1, b"", 1),
        "pending": t.pending,
        "paths": t.paths,
        "expire_profiles": lambda: t.expire_profiles(MODEL, 1),
        "is_delivered": lambda: t.is_delivered(MODEL, "predictions", "host", 1),
        "settle": lambda: t.settle(["batch-1"]),
        "replace_batches": lambda: t.replace_batches(["batch-1"]),
        "repend": lambda: t.repend(MODEL),
        "age_deliveries": lambda: t.age_deliveries(2, 1),
        "tally": lambda: t.tally(MODEL, {"accepted": 1}),
        "tallies": lambda: t.tallies(MODEL),
        "quarantine": lambda: t.quarantine(MODEL, [Quarantined(1, b"")], keep=1),
        "quarantined": lambda: t.quarantined(MODEL, 1),
        "hold": lambda: t.hold(MODEL, [Half("a", "request", 1, b"")]),
        "holding": t.holding,
        "halves": lambda: t.halves(MODEL, 1, 1),
        "release": lambda: t.release(MODEL, ["a"]),
        "add_profiles": lambda: t.add_profiles(MODEL, SCALE, {a_key(1): b""}),
        "profiles": lambda: t.profiles(MODEL, SCALE, Window(0, 1)),
        "drop_profiles": lambda: t.drop_profiles(MODEL, SCALE, [a_key(1)]),
        "add_verdicts": lambda: t.add_verdicts(MODEL, [a_verdict(1)]),
        "verdicts": lambda: t.verdicts(MODEL),
        "post": lambda: t.post(a_command(1)),
        "due": lambda: t.due(MODEL, 1),
        "finish": lambda: t.finish("key", 1),
        "ledger_head": t.ledger_head,
        "append": lambda: t.append(extend(None, a_fact("first"))),
        "ledger": t.ledger,
    }


METHODS = sorted(name for name in vars(Transaction) if not name.startswith("_"))


@pytest.mark.parametrize("name", METHODS)
def test_no_method_lets_a_foreign_error_out(control, path, name):
    """Every one of the protocol's, on a store whose tables somebody has dropped."""
    tables = [table.name for table in reversed(metadata.sorted_tables)]
    by_hand(path, *(f"DROP TABLE {table}" for table in tables))
    with pytest.raises(OutsideError, match=r"could not (read|write): no such table"), control.transaction() as t:
        every_call(t)[name]()


@pytest.mark.parametrize("name", ["verdicts", "ledger_head", "ledger"])
def test_what_cannot_be_decoded_is_the_worlds_fault(control, path, name):
    """Somebody wrote into the store, or a later release did."""
    by_hand(
        path,
        "INSERT INTO verdicts VALUES (1, 'flight-delay', 0, 1, 'f', 'c', x'00')",
        "INSERT INTO ledger VALUES (1, 'h', x'7B7D')",
    )
    with pytest.raises(OutsideError, match="could not read a"), control.transaction() as t:
        every_call(t)[name]()


def test_begin_waits_for_another_process_and_then_gives_up(control, path):
    """Its transaction ends, or our patience does; afterwards everything works."""
    rival = sqlite3.connect(path, isolation_level=None)
    rival.execute("BEGIN IMMEDIATE")
    with pytest.raises(OutsideError, match=r"could not begin a transaction: database is locked"), control.transaction():
        pass
    rival.execute("ROLLBACK")
    rival.close()
    with control.transaction() as t:
        t.put("alias", MODEL, "live", b"v1", revision=0)


def test_begin_waits_for_another_thread_and_then_gives_up(control):
    """The other one has forgotten to end, it seems."""
    is_begun, may_end = threading.Event(), threading.Event()

    def hold():
        with control.transaction():
            is_begun.set()
            may_end.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    is_begun.wait(10)
    with pytest.raises(OutsideError, match="another thread"), control.transaction():
        pass
    may_end.set()
    thread.join()
    with control.transaction():
        pass


def test_a_full_disk_is_the_worlds_fault_and_leaves_nothing_half(control):
    """The transaction is undone; when there is room again, the next one is made."""
    with control.transaction() as t:
        pages = t._connection.exec_driver_sql("PRAGMA page_count").scalar()
        t._connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 5}")
    with pytest.raises(OutsideError, match="full"), control.transaction() as t:
        t.add_profiles(MODEL, SCALE, {a_key(number): bytes(10_000) for number in range(100)})
    with control.transaction() as t:
        assert t.profiles(MODEL, SCALE, Window(0, 2**62)) == {}
        t._connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    with control.transaction() as t:
        t.put("alias", MODEL, "big", bytes(1_000_000), revision=0)


def test_a_file_that_is_no_store_is_the_worlds_fault(tmp_path):
    """Text, a folder, a place where nothing can be written."""
    (tmp_path / "text.db").write_text("this is no database, " * 100)
    (tmp_path / "folder.db").mkdir()
    for name in ("text.db", "folder.db", "text.db/control.db"):
        with pytest.raises(OutsideError, match=r"could not (open it|begin)"):
            open_control(tmp_path / name)


@pytest.mark.parametrize(
    "call",
    [
        lambda t: t.put("alias", "\ud800", "live", b"", revision=0),
        lambda t: t.release(MODEL, ["\ud800"]),
        lambda t: t.release(MODEL, ["a\0b"]),
        lambda t: t.due(MODEL, 2**63),
    ],
)
def test_values_that_no_store_can_hold_are_mistakes(control, call):
    """Lone surrogates, NUL in an id, integers beyond 64 bits: refused, where cutting them would mix predictions up."""
    with pytest.raises(DataError), control.transaction() as t:
        call(t)


def test_passwords_are_not_in_messages(monkeypatch):
    """Nor in the name by which the store is spoken of."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(CallError, match=r"killick\[postgres\]") as caught:
        open_control("postgresql://user:hunter2@localhost/killick")
    assert "hunter2" not in str(caught.value)
