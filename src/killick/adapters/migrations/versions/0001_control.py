"""The control store as it first was. A release freezes this file: what changes later is another revision."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BIG = sa.BigInteger()
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BYTES = sa.LargeBinary()

APPEND_ONLY = {
    "sqlite": [
        """CREATE TRIGGER ledger_refuses_update BEFORE UPDATE ON ledger
        BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
        """CREATE TRIGGER ledger_refuses_delete BEFORE DELETE ON ledger
        BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
        # INSERT OR REPLACE deletes without asking the trigger above.
        """CREATE TRIGGER ledger_refuses_replace BEFORE INSERT ON ledger
        WHEN EXISTS (SELECT 1 FROM ledger WHERE sequence = NEW.sequence)
        BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END""",
    ],
    "postgresql": [
        """CREATE FUNCTION ledger_refuses() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$""",
        """CREATE TRIGGER ledger_refuses BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger
        FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses()""",
    ],
}


def upgrade() -> None:
    documents_and_batches()
    identities_and_profiles()
    verdicts_and_outbox()
    op.create_table(
        "ledger",
        sa.Column("sequence", BIG, primary_key=True, autoincrement=False),
        sa.Column("hash", TEXT, nullable=False),
        sa.Column("entry", BYTES, nullable=False),
    )
    for statement in APPEND_ONLY[op.get_context().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("a control store is not downgraded; restore the copy made before the upgrade")


def documents_and_batches() -> None:
    op.create_table("models", sa.Column("model", TEXT, primary_key=True), sqlite_with_rowid=False)
    op.create_table(
        "documents",
        sa.Column("kind", TEXT, primary_key=True),
        sa.Column("model", TEXT, primary_key=True),
        sa.Column("key", TEXT, primary_key=True),
        sa.Column("body", BYTES, nullable=False),
        sa.Column("revision", BIG, nullable=False),
    )
    op.create_table(
        "batches",
        sa.Column("batch_id", TEXT, primary_key=True),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("producer", TEXT, nullable=False),
        sa.Column("sequence", BIG, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("rows", BIG, nullable=False),
        sa.Column("window_start", BIG, nullable=False),
        sa.Column("window_end", BIG, nullable=False),
        sa.Column("written_at", BIG, nullable=False),
        sa.UniqueConstraint("model", "kind", "producer", "sequence", name="batches_once"),
    )
    op.create_index("batches_by_window", "batches", ["model", "kind", "window_end", "window_start"])


def identities_and_profiles() -> None:
    op.create_table(
        "identities",
        sa.Column("model", TEXT, primary_key=True),
        sa.Column("prediction_id", TEXT, primary_key=True),
        sa.Column("batch_id", TEXT, nullable=False),
        sa.Column("label", BIG),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "profile_series",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("scale", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("segment", TEXT, nullable=False),
        sa.UniqueConstraint("model", "scale", "version", "role", "segment", name="profile_series_once"),
    )
    op.create_table(
        "profiles",
        sa.Column("series", BIG, sa.ForeignKey("profile_series.number"), primary_key=True),
        sa.Column("window_start", BIG, primary_key=True),
        sa.Column("window_end", BIG, primary_key=True),
        sa.Column("body", BYTES, nullable=False),
    )


def verdicts_and_outbox() -> None:
    op.create_table(
        "verdicts",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("window_start", BIG, nullable=False),
        sa.Column("window_end", BIG, nullable=False),
        sa.Column("fingerprint", TEXT, nullable=False),
        sa.Column("check_name", TEXT, nullable=False),
        sa.Column("body", BYTES, nullable=False),
        sa.UniqueConstraint("model", "window_start", "window_end", "fingerprint", name="verdicts_once"),
    )
    op.create_table(
        "outbox",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("key", TEXT, nullable=False, unique=True),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("body", BYTES, nullable=False),
        sa.Column("due", BIG, nullable=False),
        sa.Column("done_at", BIG),
    )
    still_open = sa.text("done_at IS NULL")
    op.create_index("outbox_open", "outbox", ["model", "due"], sqlite_where=still_open, postgresql_where=still_open)
