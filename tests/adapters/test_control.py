"""The control store in SQL: what the battery cannot ask of every store. Addresses, schema, failures, rivals."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects.postgresql import dialect as postgresql_dialect

from killick.adapters.control import open_control
from killick.adapters.control_statements import Statements
from killick.adapters.control_tables import REVISION, ledger, metadata, verdicts
from killick.clock import Window
from killick.errors import CallError, DataError, OutsideError
from killick.ledger.chain import extend
from killick.ports.control import Quarantined, Transaction
from killick.testing.control_examples import MODEL, SCALE, a_fact, a_key
from tests.adapters.calls import MIGRATIONS, SCHEMA, by_hand, engine_of, every_call


@pytest.fixture
def address(addresses):
    """Where the store is: a file, and then a database."""
    return addresses()


@pytest.fixture
def control(address):
    """A store that loses patience quickly."""
    store = open_control(address, patience_seconds=0.2)
    yield store
    store.close()


@pytest.fixture
def in_a_file(tmp_path):
    """A store in SQLite, where SQLite alone is the matter."""
    store = open_control(tmp_path / "control.db")
    yield store
    store.close()


def test_what_was_removed_is_not_left_in_the_file(tmp_path):
    """SQLite would leave it on free pages, for whoever reads the file with other tools."""
    store = open_control(tmp_path / "control.db")
    secret = b"their very own value"
    with store.transaction() as t:
        t.quarantine(MODEL, [Quarantined(at, secret * 200) for at in range(50)], keep=50)
    store.close()
    assert secret in (tmp_path / "control.db").read_bytes()
    store = open_control(tmp_path / "control.db")
    with store.transaction() as t:
        t.quarantine(MODEL, [], keep=0)
    store.close()
    assert secret not in (tmp_path / "control.db").read_bytes()


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


def test_power_loss_is_survived_by_settings(in_a_file):
    """Write-ahead log, synchronous FULL (2), foreign keys."""
    with in_a_file.transaction() as t:
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        assert [t._connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas] == ["wal", 2, 1]


# --------------------------------------------------------------------------------------------------- schema


def test_the_migrations_lead_to_the_tables(control, addresses):
    """Alembic finds no difference, and the database itself the same columns, keys and indexes under the same names."""
    fresh = engine_of(addresses())

    def schema(connection):
        rows = [row for question in SCHEMA[connection.dialect.name] for row in connection.exec_driver_sql(question)]
        return {" ".join(" ".join(map(str, row)).split()) for row in rows if "alembic_version" not in str(row)}

    with control.transaction() as t, fresh.connect() as other:
        metadata.create_all(other)
        context = MigrationContext.configure(t._connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert schema(t._connection) == schema(other)
        assert len(schema(other)) > len(metadata.tables)
    fresh.dispose()


def test_the_head_is_the_newest_migration(control, address):
    """What the adapter compares with, what the folder ends in, and what the store says."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == REVISION
    assert by_hand(address, "SELECT version_num FROM alembic_version") == [(REVISION,)]


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


def test_a_store_at_head_is_opened_without_alembic(control, address):
    """Importing it costs more than all the rest of opening."""
    code = "import sys; from killick.adapters.control import open_control; open_control(sys.argv[1]).close(); "
    code += "assert 'sqlalchemy' in sys.modules; assert 'alembic' not in sys.modules"
    subprocess.run([sys.executable, "-c", code, address], check=True)


def test_a_store_of_a_newer_killick_is_not_touched(control, address):
    """Its tables may mean something else."""
    by_hand(address, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(CallError, match=r"newer Killick.*9999"):
        open_control(address)


def test_many_who_open_an_empty_store_at_once_find_one(address):
    """One of them creates it, the others wait for him."""
    with ThreadPoolExecutor(4) as pool:
        controls = list(pool.map(lambda _: open_control(address), range(4)))
    for number, store in enumerate(controls):
        with store.transaction() as t:
            t.put("alias", MODEL, str(number), b"", revision=0)
            assert len(t.documents("alias", MODEL)) == number + 1
        store.close()


def test_the_ledger_refuses_whoever_comes_by_the_back_door(control, address):
    """Whoever changes it must drop a trigger first, and `verify` finds it out even so."""
    with control.transaction() as t:
        t.append(extend(None, a_fact("first")))
    doors = ["UPDATE ledger SET hash = 'forged'", "DELETE FROM ledger"]
    doors += ["TRUNCATE ledger"] if "://" in address else []
    doors += [] if "://" in address else ["REPLACE INTO ledger SELECT sequence, 'forged', entry FROM ledger"]
    for statement in doors:
        with pytest.raises(sa.exc.DBAPIError, match="append-only"):
            by_hand(address, statement)


# Which index answers what is asked several times a second, or after a year of it.
BY_INDEX = {
    "pairs": "halves_paired",
    "alone": "halves_alone",
    "pending_of": "batches_pending",
    "waiting": "batches_pending",
    "answered": "deliveries_answered",
    "old_deliveries": "deliveries_by_age",
}


@pytest.mark.parametrize("name", BY_INDEX)
def test_what_is_asked_all_the_time_is_answered_by_an_index_of_its_own(name, in_a_file):
    """Young lone halves, settled batches and aged deliveries cost nothing; and nothing is sorted."""
    with in_a_file.transaction() as t:
        compiled = getattr(Statements("sqlite"), name).compile(dialect=t._connection.dialect)
        values = tuple(1 for _ in compiled.positiontup)
        plan = [row[3] for row in t._connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", values)]
    assert BY_INDEX[name] in plan[0], plan
    assert not [step for step in plan if "TEMP B-TREE" in step or step.startswith("SCAN halves")], plan


def test_a_mistake_in_an_id_names_what_it_is_the_id_of(in_a_file):
    """A batch or a half, and not a prediction."""
    for spoil, name in (
        (lambda t: t.settle(["a\0"]), "batch_id"),
        (lambda t: t.release(MODEL, ["a\ud800"]), "half_id"),
    ):
        with pytest.raises(DataError, match=name), in_a_file.transaction() as t:
            spoil(t)


# --------------------------------------------------------------------------------------------------- failures


METHODS = sorted(name for name in vars(Transaction) if not name.startswith("_"))


def test_no_method_lets_a_foreign_error_out(control, address):
    """Every one of the protocol's, on a store whose tables somebody has dropped."""
    by_hand(address, *(f"DROP TABLE {table.name}" for table in reversed(metadata.sorted_tables)))
    for name in METHODS:
        said = r"could not (read|write): (no such table|relation .* does not exist)"
        with pytest.raises(OutsideError, match=said), control.transaction() as t:
            every_call(t)[name]()


def test_what_cannot_be_decoded_is_the_worlds_fault(control, address):
    """Somebody wrote into the store, or a later release did."""
    window = {"window_start": 0, "window_end": 1}
    by_hand(
        address,
        verdicts.insert().values(model=MODEL, **window, fingerprint="f", check_name="c", body=b"\0"),
        ledger.insert().values(sequence=1, hash="h", entry=b"{}"),
    )
    for name in ("verdicts", "ledger_head", "ledger"):
        with pytest.raises(OutsideError, match="could not read a"), control.transaction() as t:
            every_call(t)[name]()


def test_nothing_is_committed_after_a_failure_that_was_passed_over(control, address):
    """The database has rolled back, or half of it is there: what follows is refused, and so is the commit."""
    by_hand(address, "DROP TABLE tallies")

    def pass_over(t):
        t.put("alias", MODEL, "live", b"v1", revision=0)
        with pytest.raises(OutsideError, match="could not write"):
            t.tally(MODEL, {"accepted": 1})
        with pytest.raises(OutsideError, match="has failed in this transaction"):
            t.put("alias", MODEL, "next", b"v2", revision=0)

    with pytest.raises(OutsideError, match="has failed in this transaction"), control.transaction() as t:
        pass_over(t)
    with control.transaction() as t:
        assert t.documents("alias", MODEL) == []


def test_begin_waits_for_another_process_and_then_gives_up(control, address):
    """Its transaction ends, or our patience does; afterwards everything works."""
    rival = open_control(address)
    given_up = pytest.raises(OutsideError, match=r"could not begin a transaction: .*(locked|lock timeout)")
    with rival.transaction(), given_up, control.transaction():
        pass
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


def test_a_full_disk_is_the_worlds_fault_and_leaves_nothing_half(in_a_file):
    """The transaction is undone; when there is room again, the next one is made."""
    with in_a_file.transaction() as t:
        pages = t._connection.exec_driver_sql("PRAGMA page_count").scalar()
        t._connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 5}")
    with pytest.raises(OutsideError, match="full"), in_a_file.transaction() as t:
        t.add_profiles(MODEL, SCALE, {a_key(number): bytes(10_000) for number in range(100)})
    with in_a_file.transaction() as t:
        assert t.profiles(MODEL, SCALE, Window(0, 2**62)) == {}
        t._connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
    with in_a_file.transaction() as t:
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
        lambda t: t.tally(MODEL, {"accepted": -(2**63) - 1}),
    ],
)
def test_values_that_no_store_can_hold_are_mistakes(control, call):
    """Lone surrogates, NUL in an id, integers beyond 64 bits: refused, where cutting them would mix predictions up."""
    with pytest.raises(DataError), control.transaction() as t:
        call(t)


@pytest.mark.parametrize(
    "address",
    [
        *("postgresql://user:hunter2@host:port/killick", "http://user:hunter2@host/killick"),
        *("postgresql://user:hunter2@127.0.0.1:1/killick", "postgres://user:hunter2@127.0.0.1:1/killick"),
        *("postgresql://127.0.0.1:1/killick?user=user&password=hunter2", "postgresql+asyncpg://:hunter2@127.0.0.1:1/k"),
    ],
)
def test_passwords_are_not_in_messages(address):
    """Whether the address is at fault, or nobody listens there."""
    with pytest.raises((CallError, OutsideError)) as caught:
        open_control(address, patience_seconds=0.2)
    assert "hunter2" not in str(caught.value)


def test_without_the_driver_it_is_said_what_to_install(monkeypatch):
    """Killick does without it; who has the URL of a PostgreSQL does not."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(CallError, match=r"killick\[postgres\]") as caught:
        open_control("postgresql://user:hunter2@localhost/killick")
    assert "hunter2" not in str(caught.value)
