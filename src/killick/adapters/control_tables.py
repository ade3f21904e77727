"""Every table of the control store and every statement that is run on them, for SQLite and for PostgreSQL.

What repeats in every profile (model, scale, version, role, segment) stands once, in `profile_series`: a profile's key
then costs three integers, which helps to keep 90 days of 200 models within their 20 GB (DESIGN 6).

The two dialects differ in three places: who makes an upsert, how a list of texts is passed as one parameter, and what
keeps transactions apart (`control.py`). Text is compared by code point in both, as Python does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

if TYPE_CHECKING:
    from collections.abc import Callable

# The newest migration; a test holds it to the folder `migrations/versions`.
REVISION = "0002"

# "No window" is stored as the whole of time, so that it is unique like any other and lies inside no finite window.
TIME_MIN, TIME_MAX = -(2**63), 2**63 - 1

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
BIG = sa.BigInteger()
# Only a plain INTEGER numbers itself in SQLite.
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

metadata = sa.MetaData()

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
# SQLite takes an index of a part only for a question in its very words, and SQLAlchemy asks it for `pending = 1`.
sa.Index(
    "batches_pending",
    batches.c.model,
    batches.c.number,
    sqlite_where=sa.text("pending = 1"),
    postgresql_where=batches.c.pending,
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
sa.Index(
    "deliveries_answered",
    deliveries.c.at,
    sqlite_where=deliveries.c.receipt.is_not(None),
    postgresql_where=deliveries.c.receipt.is_not(None),
)

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
sa.Index(
    "halves_paired",
    halves.c.model,
    halves.c.number,
    sqlite_where=sa.text("paired = 1"),
    postgresql_where=halves.c.paired,
)
sa.Index(
    "halves_alone",
    halves.c.model,
    halves.c.at,
    halves.c.number,
    sqlite_where=sa.not_(halves.c.paired),
    postgresql_where=sa.not_(halves.c.paired),
)

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
sa.Index(
    "outbox_open",
    outbox.c.model,
    outbox.c.due,
    sqlite_where=outbox.c.done_at.is_(None),
    postgresql_where=outbox.c.done_at.is_(None),
)

# Append-only: triggers refuse to change or to remove what stands here (migrations/versions/0001_control.py).
ledger = sa.Table(
    "ledger",
    metadata,
    sa.Column("sequence", BIG, primary_key=True, autoincrement=False),
    sa.Column("hash", TEXT, nullable=False),
    sa.Column("entry", sa.LargeBinary, nullable=False),
)


class Statements:
    """The statements in one dialect, built once. What they are for, the methods of `SqlTransaction` say."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        # Both dialects' inserts have the same `on_conflict_*` methods.
        makers = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
        self._insert = cast("Callable[[sa.Table], sqlite.Insert]", makers[dialect])
        self._documents_and_models()
        self._batches_and_deliveries()
        self._tallies_and_halves()
        self._profiles_and_verdicts()
        self._outbox_and_ledger()

    def _documents_and_models(self) -> None:
        one = [documents.c[name] == sa.bindparam(f"the_{name}") for name in ("kind", "model", "key")]
        self.get = sa.select(documents.c.body, documents.c.revision).where(*one)
        self.put_first = self._insert(documents).on_conflict_do_nothing()
        self.put_next = (
            sa.update(documents)
            .where(*one, documents.c.revision == sa.bindparam("the_revision"))
            .values(body=sa.bindparam("body"), revision=documents.c.revision + 1)
        )
        self.documents = sa.select(documents).where(*one[:2]).order_by(documents.c.key)
        self.note_model = self._insert(models).on_conflict_do_nothing()
        self.models = sa.select(models.c.model).order_by(models.c.model)

    def _batches_and_deliveries(self) -> None:
        table, sent = batches.c, deliveries.c
        self.add_batch = self._insert(batches).on_conflict_do_nothing()
        self.batches = (
            sa.select(batches)
            .where(table.model == sa.bindparam("model"), table.kind == sa.bindparam("kind"))
            .where(table.window_end > sa.bindparam("start"), table.window_start < sa.bindparam("end"))
            .order_by(table.window_start, table.batch_id)
        )
        self.paths = sa.select(table.path)
        self.pending = sa.select(batches).where(table.pending).order_by(table.number)
        self.pending_of = self.pending.where(table.model == sa.bindparam("model"))
        count = sa.func.count()
        self.waiting = sa.select(table.model, count).where(table.pending).group_by(table.model).order_by(table.model)
        those = table.batch_id.in_(self._listed())
        self.settle = sa.update(batches).where(those, table.pending).values(pending=False)
        self.drop_batches = sa.delete(batches).where(those)
        mine = [sent[name] == sa.bindparam(f"the_{name}") for name in ("model", "kind", "producer")]
        self.delivered = (
            sa.select(sent.last, sent.receipt)
            .where(*mine, sent.first <= sa.bindparam("sequence"))
            .order_by(sent.first.desc())
            .limit(1)
        )
        self.deliver = deliveries.insert()
        stretch = sa.select(sent.model, sent.kind, sent.producer, sent.first, sent.last, sent.at)
        oldest = stretch.where(sent.at < sa.bindparam("before")).order_by(sent.at).limit(sa.bindparam("limit"))
        self.old_deliveries, self.answered = oldest, oldest.where(sent.receipt.is_not(None))
        # The two that stand nearest to a stretch that is not there, if they are merged ones.
        self.beside = (
            stretch.add_columns(sent.receipt.is_(None))
            .where(*mine, sent.first <= sa.bindparam("after"))
            .order_by(sent.first.desc())
            .limit(2)
        )
        self.drop_delivery = sa.delete(deliveries).where(*mine, sent.first == sa.bindparam("the_first"))

    def _tallies_and_halves(self) -> None:
        insert = self._insert(tallies)
        self.tally = insert.on_conflict_do_update(
            index_elements=["model", "name"], set_={"number": tallies.c.number + insert.excluded.number}
        )
        self.tallies = sa.select(tallies.c.name, tallies.c.number).where(tallies.c.model == sa.bindparam("model"))
        bad, half = quarantine.c, halves.c
        self.quarantine = quarantine.insert()
        self.quarantined = (
            sa.select(bad.at, bad.body)
            .where(bad.model == sa.bindparam("model"))
            .order_by(bad.number.desc())
            .limit(sa.bindparam("limit"))
        )
        newest = (
            sa.select(bad.number)
            .where(bad.model == sa.bindparam("the_model"))
            .order_by(bad.number.desc())
            .offset(sa.bindparam("keep"))
            .limit(1)
        )
        self.drop_quarantined = sa.delete(quarantine).where(
            bad.model == sa.bindparam("the_model"), bad.number <= newest.scalar_subquery()
        )
        self.hold = self._insert(halves).on_conflict_do_nothing()
        # A look at each model that is known: there are far fewer of them than there may be halves.
        held = sa.exists().where(half.model == models.c.model)
        self.holding = sa.select(models.c.model).where(held).order_by(models.c.model)
        other = halves.alias("other")
        belongs = sa.and_(other.c.model == half.model, other.c.half_id == half.half_id, other.c.part != half.part)
        self.pair = (
            sa.update(halves)
            .where(half.model == sa.bindparam("the_model"), half.half_id.in_(self._listed()), sa.not_(half.paired))
            .where(sa.exists().where(belongs))
            .values(paired=True)
        )
        one, mine = (half.number, half.half_id, half.part, half.at, half.body), half.model == sa.bindparam("model")
        self.pairs = (
            sa.select(*one, other.c.part, other.c.at, other.c.body)
            .join_from(halves, other, belongs)
            .where(mine, half.paired, other.c.number > half.number)
            .order_by(half.number)
            .limit(sa.bindparam("limit"))
        )
        self.alone = (
            sa.select(*one)
            .where(mine, sa.not_(half.paired), half.at < sa.bindparam("before"))
            .order_by(half.at, half.number)
            .limit(sa.bindparam("limit"))
        )
        self.release = sa.delete(halves).where(
            half.model == sa.bindparam("the_model"), half.half_id.in_(self._listed())
        )

    def _profiles_and_verdicts(self) -> None:
        series = profile_series.c
        scaled = (series.model == sa.bindparam("model"), series.scale == sa.bindparam("scale"))
        self.series = sa.select(series.number, series.version, series.role, series.segment).where(*scaled)
        self.add_series = self._insert(profile_series).on_conflict_do_nothing()
        insert = self._insert(profiles)
        self.add_profile = insert.on_conflict_do_update(
            index_elements=["series", "window_start", "window_end"], set_={"body": insert.excluded.body}
        )
        self.profiles = (
            sa.select(profiles)
            .join(profile_series, series.number == profiles.c.series)
            .where(*scaled, *_inside(profiles))
        )
        self.profiles_of_segment = self.profiles.where(series.segment == sa.bindparam("segment"))
        self.drop_profile = sa.delete(profiles).where(
            *(profiles.c[name] == sa.bindparam(f"the_{name}") for name in ("series", "window_start", "window_end"))
        )
        mine = sa.select(series.number).where(series.model == sa.bindparam("the_model"))
        old = sa.delete(profiles).where(profiles.c.window_end <= sa.bindparam("before"))
        self.expire_profiles = old.where(profiles.c.series.in_(mine))
        self.expire_scale = old.where(profiles.c.series.in_(mine.where(series.scale == sa.bindparam("the_scale"))))
        insert = self._insert(verdicts)
        self.add_verdict = insert.on_conflict_do_update(
            index_elements=["model", "window_start", "window_end", "fingerprint"],
            set_={"body": insert.excluded.body, "check_name": insert.excluded.check_name},
        )
        of_model = sa.select(verdicts.c.body).where(verdicts.c.model == sa.bindparam("model"))
        self.verdicts = of_model.where(*_inside(verdicts)).order_by(verdicts.c.window_start, verdicts.c.number)
        self.verdicts_of_check = self.verdicts.where(verdicts.c.check_name == sa.bindparam("check"))

    def _outbox_and_ledger(self) -> None:
        box = outbox.c
        self.post = self._insert(outbox).on_conflict_do_nothing(index_elements=["key"])
        self.due = (
            sa.select(box.key, box.model, box.name, box.body, box.due)
            .where(box.model == sa.bindparam("model"), box.done_at.is_(None), box.due <= sa.bindparam("now"))
            .order_by(box.number)
        )
        self.finish = (
            sa.update(outbox)
            .where(box.key == sa.bindparam("the_key"), box.done_at.is_(None))
            .values(done_at=sa.bindparam("now"))
        )
        self.ledger = sa.select(ledger.c.entry).order_by(ledger.c.sequence)
        self.head = sa.select(ledger.c.entry).order_by(ledger.c.sequence.desc()).limit(1)
        self.head_place = sa.select(ledger.c.sequence, ledger.c.hash).order_by(ledger.c.sequence.desc()).limit(1)
        self.append = ledger.insert()

    def _listed(self) -> sa.Select[Any]:
        """Select the texts of the parameter `ids`, a JSON array: one parameter for any number of them."""
        parameter = sa.bindparam("ids", type_=sa.Text())
        if self._dialect == "sqlite":
            return sa.select(sa.func.json_each(parameter).table_valued("value").c.value)
        array = sa.func.json_array_elements_text(sa.cast(parameter, postgresql.JSON))
        return sa.select(array.table_valued("value").c.value)


def _inside(table: sa.Table) -> tuple[sa.ColumnElement[bool], ...]:
    # The second condition follows from the others, and bounds the part of the index that is read.
    start, end = table.c.window_start, table.c.window_end
    return start >= sa.bindparam("start"), start <= sa.bindparam("end"), end <= sa.bindparam("end")
