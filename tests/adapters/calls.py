"""What the tests of the control store share: every call, the schema, and a way in behind its back."""

from pathlib import Path

import sqlalchemy as sa

import killick.adapters.control as adapter
from killick.clock import Window
from killick.ledger.chain import extend
from killick.ports.control import Half, Quarantined
from killick.testing.control_examples import MODEL, SCALE, a_batch, a_command, a_fact, a_key, a_verdict

MIGRATIONS = Path(adapter.__file__).parent / "migrations"
# All that a database says of its own schema, in rows of text.
SCHEMA = {
    "sqlite": ["SELECT type, name, tbl_name, sql FROM sqlite_master WHERE type IN ('table', 'index')"],
    "postgresql": [
        """SELECT table_name, column_name, ordinal_position, data_type, is_nullable, column_default, collation_name
        FROM information_schema.columns WHERE table_schema = 'public'""",
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
        """SELECT conrelid::regclass, conname, pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
    ],
}


def engine_of(address):
    """An engine on the same database, of which the store knows nothing."""
    url = sa.make_url(address) if "://" in str(address) else sa.URL.create("sqlite", database=str(address))
    return sa.create_engine(url.set(drivername="postgresql+psycopg") if "postgresql" in url.drivername else url)


def by_hand(address, *statements):
    """Run statements behind the store's back, in one transaction, and return the rows of the last."""
    engine = engine_of(address)
    try:
        with engine.begin() as connection:
            results = [connection.execute(sa.text(it) if isinstance(it, str) else it) for it in statements]
            return [tuple(row) for row in results[-1]] if results[-1].returns_rows else []
    finally:
        engine.dispose()


def every_call(t):
    """Every method of a transaction, as a call that reaches the store."""
    return {
        "get": lambda: t.get("alias", MODEL, "live"),
        "put": lambda: t.put("alias", MODEL, "live", b"", revision=0),
        "documents": lambda: t.documents("alias", MODEL),
        "models": t.models,
        "add_batch": lambda: t.add_batch(a_batch(1)),
        "batches": lambda: t.batches(MODEL, "predictions"),
        "deliver": lambda: t.deliver(MODEL, "predictions", "host", 1, b"", 1),
        "pending": t.pending,
        "waiting": t.waiting,
        "paths": t.paths,
        "expire_profiles": lambda: t.expire_profiles(MODEL, 1),
        "answer": lambda: t.answer(MODEL, "predictions", "host", 1),
        "batch": lambda: t.batch("batch-1"),
        "settle": lambda: t.settle(["batch-1"]),
        "replace_batches": lambda: t.replace_batches(["batch-1"]),
        "redact": lambda: t.redact(1, bytes),
        "removed": t.removed,
        "forget_removed": lambda: t.forget_removed(["predictions/1"]),
        "age_deliveries": lambda: t.age_deliveries(3, 2, 1),
        "tally": lambda: t.tally(MODEL, {"accepted": 1}),
        "tallies": lambda: t.tallies(MODEL),
        "quarantine": lambda: t.quarantine(MODEL, [Quarantined(1, b"")], keep=1),
        "quarantined": lambda: t.quarantined(MODEL, 1),
        "hold": lambda: t.hold(MODEL, [Half("a", "request", 1, b"")]),
        "halves": lambda: t.halves(MODEL, 1, 1),
        "holding": t.holding,
        "release": lambda: t.release(MODEL, ["a"]),
        "add_profiles": lambda: t.add_profiles(MODEL, SCALE, {a_key(1): b""}),
        "profiles": lambda: t.profiles(MODEL, SCALE, Window(0, 1)),
        "profile_keys": lambda: t.profile_keys(MODEL, SCALE, Window(0, 1)),
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
