"""Deliveries apart from batches, and identities in the archive: a batch may hold many deliveries, and be merged.

Identities and labels that were counted stood in a table; they now stand in files that this revision cannot write. So
profiles are dropped and every batch is pending again: the next one who opens the store counts them anew, from the
files, which hold all of it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BIG = sa.BigInteger()
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BYTES = sa.LargeBinary()


def upgrade() -> None:
    # A copy and not the table under another name: its indexes would keep theirs.
    op.execute("CREATE TABLE batches_before AS SELECT * FROM batches")
    op.drop_table("batches")
    batches()
    removed()
    deliveries()
    telemetry()
    op.execute("DELETE FROM profiles")
    op.execute("DELETE FROM profile_series")
    op.execute(
        """INSERT INTO batches
        (batch_id, model, kind, path, rows, window_start, window_end, written_at, pending)
        SELECT batch_id, model, kind, path, rows,
        window_start, window_end, written_at, TRUE FROM batches_before ORDER BY written_at, kind, batch_id"""
    )
    op.execute(
        """INSERT INTO deliveries (model, kind, producer, first, last, receipt, at)
        SELECT model, kind, producer, sequence, sequence, NULL, written_at FROM batches_before
        WHERE kind <> 'shadows'"""
    )
    op.drop_table("batches_before")
    op.drop_table("identities")


def downgrade() -> None:
    raise NotImplementedError("a control store is not downgraded; restore the copy made before the upgrade")


def batches() -> None:
    op.create_table(
        "batches",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("batch_id", TEXT, nullable=False, unique=True),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("path", TEXT, nullable=False),
        sa.Column("rows", BIG, nullable=False),
        sa.Column("window_start", BIG, nullable=False),
        sa.Column("window_end", BIG, nullable=False),
        sa.Column("written_at", BIG, nullable=False),
        sa.Column("pending", sa.Boolean, nullable=False),
    )
    op.create_index("batches_by_window", "batches", ["model", "kind", "window_end", "window_start"])
    still_open = {"sqlite_where": sa.text("pending = 1"), "postgresql_where": sa.text("pending")}
    op.create_index("batches_pending", "batches", ["model", "number"], **still_open)


def removed() -> None:
    op.create_table(
        "removed",
        sa.Column("path", TEXT, primary_key=True),
        sa.Column("at", BIG, nullable=False),
        sqlite_with_rowid=False,
    )


def deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("model", TEXT, primary_key=True),
        sa.Column("kind", TEXT, primary_key=True),
        sa.Column("producer", TEXT, primary_key=True),
        sa.Column("first", BIG, primary_key=True, autoincrement=False),
        sa.Column("last", BIG, nullable=False),
        sa.Column("receipt", BYTES),
        sa.Column("at", BIG, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("deliveries_by_age", "deliveries", ["at"])
    answered = sa.text("receipt IS NOT NULL")
    op.create_index("deliveries_answered", "deliveries", ["at"], sqlite_where=answered, postgresql_where=answered)


def telemetry() -> None:
    op.create_table(
        "tallies",
        sa.Column("model", TEXT, primary_key=True),
        sa.Column("name", TEXT, primary_key=True),
        sa.Column("number", BIG, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "quarantine",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.Column("body", BYTES, nullable=False),
    )
    op.create_index("quarantine_of_model", "quarantine", ["model", "number"])
    op.create_table(
        "halves",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("model", TEXT, nullable=False),
        sa.Column("half_id", TEXT, nullable=False),
        sa.Column("part", TEXT, nullable=False),
        sa.Column("at", BIG, nullable=False),
        sa.Column("body", BYTES, nullable=False),
        sa.Column("paired", sa.Boolean, nullable=False),
        sa.UniqueConstraint("model", "half_id", "part", name="halves_once"),
    )
    # As SQLAlchemy asks each of them: SQLite takes an index of a part only for a question in its very words.
    paired = {"sqlite_where": sa.text("paired = 1"), "postgresql_where": sa.text("paired")}
    op.create_index("halves_paired", "halves", ["model", "number"], **paired)
    alone = {"sqlite_where": sa.text("paired = 0"), "postgresql_where": sa.text("NOT paired")}
    op.create_index("halves_alone", "halves", ["model", "at", "number"], **alone)
