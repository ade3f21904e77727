"""What is PostgreSQL's alone in a control store: how long anybody waits for anybody, and which indexes are used."""

import pytest
import sqlalchemy as sa

from killick.adapters.control import open_control
from killick.adapters.control_statements import Statements
from killick.errors import OutsideError
from killick.testing.control_examples import MODEL


@pytest.fixture
def control(database):
    """A store in a database of its own."""
    store = open_control(database(), patience_seconds=1.5)
    yield store
    store.close()


def test_nobody_waits_for_ever(control):
    """For the lock, for a host that is gone and holds it, for a server that does not answer."""
    with control.transaction() as t:
        shown = [
            t._connection.exec_driver_sql(f"SHOW {name}").scalar()
            for name in ("lock_timeout", "idle_in_transaction_session_timeout")
        ]
        parameters = t._connection.connection.driver_connection.info.get_parameters()
    assert shown == ["1500ms", "2min"]
    assert (parameters["connect_timeout"], parameters["tcp_user_timeout"]) == ("2", "1500")


def test_bounds_of_the_operators_own_stand(database):
    """What the URL says goes before what we would say."""
    store = open_control(database() + "&connect_timeout=7")
    with store.transaction() as t:
        parameters = t._connection.connection.driver_connection.info.get_parameters()
    store.close()
    assert parameters["connect_timeout"] == "7"


def test_a_connection_that_was_cut_is_told_once_and_replaced(control, postgres):
    """An administrator, a firewall, a restart: the transaction under way fails, the next one has a new connection."""
    everybody = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()"
    )
    with control.transaction() as t:
        name = t._connection.exec_driver_sql("SELECT current_database()").scalar()

    def be_cut(t):
        t.put("alias", MODEL, "live", b"lost", revision=0)
        postgres.run(everybody.format(name))
        t.put("alias", MODEL, "next", b"lost", revision=0)

    with pytest.raises(OutsideError, match="could not write"), control.transaction() as t:
        be_cut(t)
    postgres.run(everybody.format(name))  # in between nobody is told at all
    with control.transaction() as t:
        assert t.documents("alias", MODEL) == []


# These want all that there is, or all of a model.
WHOLE = {"ledger", "models", "paths"}
EXAMPLES = {"ids": "[]", str: "x", bytes: b""}


def test_every_question_finds_an_index(control):
    """No statement looks through a whole table, but for those that want all of it."""
    found = {}
    with control.transaction() as t:
        t._connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for name, statement in vars(Statements("postgresql")).items():
            if isinstance(statement, sa.Select | sa.Update | sa.Delete) and name not in WHOLE:
                plan = explained(t._connection, statement)
                if "Seq Scan" in plan:
                    found[name] = plan
    assert found == {}


def explained(connection, statement):
    """The plan of a statement for whatever values."""
    compiled = statement.compile(dialect=connection.dialect)
    values = {
        name: bound.value if bound.value is not None else EXAMPLES.get(name, EXAMPLES.get(bound.type.python_type, 1))
        for bound, name in compiled.bind_names.items()
    }
    return "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {compiled}", values))
