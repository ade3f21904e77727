"""Every table of the control store, for SQLite and for PostgreSQL.

What repeats in every profile (model, scale, version, role, segment) stands once, in `profile_series`: a profile's key
then costs three integers, which helps to keep 90 days of 200 models within their 20 GB (DESIGN 6).

The two dialects differ in three places: who makes an upsert, how a list of texts is passed as one parameter, and what
keeps transactions apart (`control.py`). Text is compared by code point in both, as Python does.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

# The newest migration; a test holds it to the folder `migrations/versions`.
REVISION = "0002"

# "No window" is stored as the whole of time, so that it is unique like any other and lies inside no finite window.
TIME_MIN, TIME_MAX = -(2**63), 2**63 - 1

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BIG = sa.BigInteger()
# Only a plain INTEGER numbers itself in SQLite.
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

metadata = sa.MetaData()


def _index_where(where: sa.ColumnElement[bool], name: str, *columns: sa.Column[Any]) -> None:
    """Index the rows of which something holds.

    SQLite takes such an index only for a question in its very words, and of a flag SQLAlchemy asks it for `flag = 1`.
    """
    words = sa.text(f"{where.name} = 1") if isinstance(where, sa.Column) else where
    sa.Index(name, *columns, sqlite_where=words, postgresql_where=where)


models = sa.Table("models", metadata, sa.Column("model", TEXT, primary_key=True), sqlite_with_rowid=False)

documents = sa.Table(
    "documents",
    metadata,
    sa.Column("kind", TEXT, primary_key=True),
    sa.Column("model", TEXT, primary_key=True),
    sa.Column("key", TEXT, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("revision", BIG, nullable=False),
)

batches = sa.Table(
    "batches",
    metadata,
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
    # The end leads: nearly every question is about the recent past, and the older batches are then never looked at.
    sa.Index("batches_by_window", "model", "kind", "window_end", "window_start"),
)
# What is pending is next to nothing of the manifest, and is asked for several times a second.
_index_where(batches.c.pending, "batches_pending", batches.c.model, batches.c.number)

# Paths that left the manifest, and when, in seconds since 1970: readers may hold their names for a while.
removed = sa.Table(
    "removed",
    metadata,
    sa.Column("path", TEXT, primary_key=True),
    sa.Column("at", BIG, nullable=False),
    sqlite_with_rowid=False,
)

# Deliveries of one producer whose answers are forgotten are one row for each stretch without a gap.
deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("model", TEXT, primary_key=True),
    sa.Column("kind", TEXT, primary_key=True),
    sa.Column("producer", TEXT, primary_key=True),
    sa.Column("first", BIG, primary_key=True, autoincrement=False),
    sa.Column("last", BIG, nullable=False),
    sa.Column("receipt", sa.LargeBinary),
    sa.Column("at", BIG, nullable=False),
    sa.Index("deliveries_by_age", "at"),
    sqlite_with_rowid=False,
)
# What is to be aged: a year of what was aged is next to it.
_index_where(deliveries.c.receipt.is_not(None), "deliveries_answered", deliveries.c.at)

tallies = sa.Table(
    "tallies",
    metadata,
    sa.Column("model", TEXT, primary_key=True),
    sa.Column("name", TEXT, primary_key=True),
    sa.Column("number", BIG, nullable=False),
    sqlite_with_rowid=False,
)

quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("number", NUMBER, primary_key=True),
    sa.Column("model", TEXT, nullable=False),
    sa.Column("at", BIG, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Index("quarantine_of_model", "model", "number"),
)

halves = sa.Table(
    "halves",
    metadata,
    sa.Column("number", NUMBER, primary_key=True),
    sa.Column("model", TEXT, nullable=False),
    sa.Column("half_id", TEXT, nullable=False),
    sa.Column("part", TEXT, nullable=False),
    sa.Column("at", BIG, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("paired", sa.Boolean, nullable=False),
    sa.UniqueConstraint("model", "half_id", "part", name="halves_once"),
)
# Requests wait by the thousand for their responses, and are asked about four times a second: neither index has to pass
# over one that is young and alone.
_index_where(halves.c.paired, "halves_paired", halves.c.model, halves.c.number)
_index_where(sa.not_(halves.c.paired), "halves_alone", halves.c.model, halves.c.at, halves.c.number)

profile_series = sa.Table(
    "profile_series",
    metadata,
    sa.Column("number", NUMBER, primary_key=True),
    sa.Column("model", TEXT, nullable=False),
    sa.Column("scale", TEXT, nullable=False),
    sa.Column("version", TEXT, nullable=False),
    sa.Column("role", TEXT, nullable=False),
    sa.Column("segment", TEXT, nullable=False),
    sa.UniqueConstraint("model", "scale", "version", "role", "segment", name="profile_series_once"),
)

profiles = sa.Table(
    "profiles",
    metadata,
    sa.Column("series", BIG, sa.ForeignKey("profile_series.number"), primary_key=True),
    sa.Column("window_start", BIG, primary_key=True),
    sa.Column("window_end", BIG, primary_key=True),
    sa.Column("body", sa.LargeBinary, nullable=False),
)

verdicts = sa.Table(
    "verdicts",
    metadata,
    sa.Column("number", NUMBER, primary_key=True),
    sa.Column("model", TEXT, nullable=False),
    sa.Column("window_start", BIG, nullable=False),
    sa.Column("window_end", BIG, nullable=False),
    sa.Column("fingerprint", TEXT, nullable=False),
    sa.Column("check_name", TEXT, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.UniqueConstraint("model", "window_start", "window_end", "fingerprint", name="verdicts_once"),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("number", NUMBER, primary_key=True),
    sa.Column("key", TEXT, nullable=False, unique=True),
    sa.Column("model", TEXT, nullable=False),
    sa.Column("name", TEXT, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("due", BIG, nullable=False),
    sa.Column("done_at", BIG),
)
# What is done is most of the outbox, and nobody asks for it.
_index_where(outbox.c.done_at.is_(None), "outbox_open", outbox.c.model, outbox.c.due)

# Append-only: triggers refuse to change or to remove what stands here (migrations/versions/0001_control.py).
ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("sequence", BIG, primary_key=True, autoincrement=False),
    sa.Column("hash", TEXT, nullable=False),
    sa.Column("entry", sa.LargeBinary, nullable=False),
)
