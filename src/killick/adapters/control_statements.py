"""Every statement that is run on the control store's tables, for SQLite and for PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from killick.adapters.control_tables import (
    BIG,
    batches,
    deliveries,
    documents,
    halves,
    ledger,
    models,
    outbox,
    profile_series,
    profiles,
    quarantine,
    removed,
    tallies,
    verdicts,
)
from killick.ports.control import KEYS

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Statements"]


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
        self.batch = sa.select(batches).where(table.batch_id == sa.bindparam("batch_id"))
        self.drop_batches = sa.delete(batches).where(those)
        leaving = sa.select(table.path, sa.bindparam("seconds", type_=BIG)).where(those)
        insert = self._insert(removed).from_select(["path", "at"], leaving)
        self.note_removed = insert.on_conflict_do_update(index_elements=["path"], set_={"at": insert.excluded.at})
        self.removed = sa.select(removed.c.path).where(removed.c.at <= sa.bindparam("seconds")).order_by(removed.c.path)
        self.forget_removed = sa.delete(removed).where(removed.c.path.in_(self._listed()))
        mine = [sent[name] == sa.bindparam(f"the_{name}") for name in ("model", "kind", "producer")]
        self.delivered = (
            sa.select(sent.last, sent.receipt)
            .where(*mine, sent.first <= sa.bindparam("sequence"))
            .order_by(sent.first.desc())
            .limit(1)
        )
        self.deliver = deliveries.insert()
        named = (sent.model, sent.kind, sent.producer, sent.first)
        after = sa.tuple_(*(sa.bindparam(f"after_{column.name}", type_=column.type) for column in named))
        self.long_receipts = (
            sa.select(*named, sent.receipt)
            .where(sa.func.length(sent.receipt) > sa.bindparam("longer_than"), sa.tuple_(*named) > after)
            .order_by(*named)
            .limit(sa.bindparam("limit"))
        )
        self.redact = (
            sa.update(deliveries)
            .where(*mine, sent.first == sa.bindparam("the_first"))
            .values(receipt=sa.bindparam("body"))
        )
        stretch = sa.select(sent.model, sent.kind, sent.producer, sent.first, sent.last, sent.at)
        oldest = stretch.where(sent.at < sa.bindparam("before")).order_by(sent.at).limit(sa.bindparam("limit"))
        self.old_deliveries, self.answered = oldest, oldest.where(sent.receipt.is_not(None))
        self.old_keys = oldest.where(sent.producer.startswith(KEYS))
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
        held = sa.join(profiles, profile_series, series.number == profiles.c.series)
        asked = (*scaled, *_inside(profiles), _if_given(series.segment), _if_given(series.version))
        self.profiles = sa.select(profiles).select_from(held).where(*asked)
        place = (profiles.c.series, profiles.c.window_start, profiles.c.window_end)
        self.profile_keys = sa.select(*place, sa.null()).select_from(held).where(*asked)
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


def _if_given(column: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    """Whether a column is what the parameter of its name says, if it says anything."""
    parameter = sa.bindparam(column.key, type_=sa.Text())
    return sa.or_(parameter.is_(None), column == parameter)
