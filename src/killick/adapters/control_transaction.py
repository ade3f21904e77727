"""The transaction of the control store in SQL: what `killick.adapters.control` yields.

Every statement goes through `_rows` or `_write`, so that no failure of the store leaves here as anything but one of our
errors, and a transaction that has ended or failed runs none.
"""

from __future__ import annotations

import time
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from killick.adapters.control_errors import mapped
from killick.adapters.control_rows import (
    as_batch,
    as_entry,
    as_verdict,
    keyed,
    listed,
    of_delivery,
    of_producer,
    profile_row,
    segment_text,
    series_name,
    verdict_row,
)
from killick.adapters.control_tables import TIME_MAX, TIME_MIN
from killick.errors import IllegalMove, OutsideError, StaleWrite
from killick.identity import canonical_json
from killick.ledger.entry import GENESIS, Entry
from killick.ports.control import (
    SERVERS,
    Batch,
    Command,
    Document,
    Half,
    ProfileKey,
    Quarantined,
    Segment,
    Stretch,
    merge_stretches,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import sqlalchemy as sa

    from killick.adapters.control_statements import Statements
    from killick.checks.verdict import Verdict
    from killick.clock import Instant, Window

__all__ = ["SqlTransaction"]

# Deliveries of which a call forgets the answers: some 50 ms, in which nobody else can write.
_AGED_AT_ONCE = 1_000
# Answers in memory at once: an old one may have 120 kB.
_REDACTED_AT_ONCE = 100


class SqlTransaction:
    """A `Transaction` on one connection. `killick.ports.control.Transaction` says all that each method promises."""

    def __init__(self, connection: sa.Connection, statements: Statements, name: str) -> None:
        self.is_open = True
        self.has_failed = False
        self._connection = connection
        self._run = statements
        self._name = name
        self._noted: set[str] = {""}  # what belongs to no model belongs to the store itself

    def get(self, kind: str, model: str, key: str) -> Document | None:
        """Return a document, or None."""
        rows = self._rows(self._run.get, the_kind=kind, the_model=model, the_key=key)
        return Document(kind, model, key, rows[0][0], rows[0][1]) if rows else None

    def put(self, kind: str, model: str, key: str, body: bytes, *, revision: int) -> None:
        """Write a document over the revision that was read; anything else is a `StaleWrite`."""
        if revision == 0:
            row = {"kind": kind, "model": model, "key": key, "body": body, "revision": 1}
            written = self._write(self._run.put_first, row)
        else:
            row = {"the_kind": kind, "the_model": model, "the_key": key, "the_revision": revision, "body": body}
            written = self._write(self._run.put_next, row)
        if not written:
            raise StaleWrite(f"{kind} {key!r} of {model!r} is no longer at revision {revision}; read it again")
        self._note(model)

    def documents(self, kind: str, model: str) -> list[Document]:
        """Return all documents of a kind, in order of their keys."""
        return [Document(*row) for row in self._rows(self._run.documents, the_kind=kind, the_model=model)]

    def models(self) -> list[str]:
        """Return the models of which anything was stored, in order."""
        return [row[0] for row in self._rows(self._run.models)]

    def deliver(self, model: str, kind: str, producer: str, sequence: int, receipt: bytes, at: Instant) -> bytes | None:
        """Note a delivery; None, or the answer that it was given before."""
        answer = self.answer(model, kind, producer, sequence)
        if answer is None:
            key = {"model": model, "kind": kind, "producer": producer}
            self._write(self._run.deliver, key | {"first": sequence, "last": sequence, "receipt": receipt, "at": at})
        return answer

    def answer(self, model: str, kind: str, producer: str, sequence: int) -> bytes | None:
        """Return what `deliver` would if it were not to note anything: None of a delivery that was not taken."""
        mine = {"the_model": model, "the_kind": kind, "the_producer": producer}
        rows = self._rows(self._run.delivered, **mine, sequence=sequence)
        return rows[0][1] or b"" if rows and rows[0][0] >= sequence else None

    def redact(self, longer_than: int, rewrite: Callable[[bytes], bytes]) -> None:
        """Put what a function makes of it in the place of each long answer."""
        after: Sequence[object] = ("", "", "", TIME_MIN)
        those = {"longer_than": longer_than, "limit": _REDACTED_AT_ONCE}
        while rows := self._rows(self._run.long_receipts, **those, **of_delivery("after", after)):
            for *key, receipt in rows:
                self._write(self._run.redact, of_delivery("the", key) | {"body": rewrite(receipt)})
            after = rows[-1][:-1]

    def age_deliveries(self, answers_before: Instant, keys_before: Instant, drop_before: Instant) -> bool:
        """Forget the answers to old deliveries, and of still older ones that they ever were."""
        ancient = self._oldest(self._run.old_deliveries, drop_before)
        keys = self._oldest(self._run.old_keys, keys_before)
        self._drop_stretches([*ancient, *keys])
        answered = self._oldest(self._run.answered, answers_before)
        self._drop_stretches(answered)
        for stretch in merge_stretches(one for one in sorted(answered) if not one.producer.startswith(SERVERS)):
            beside = self._rows(self._run.beside, **of_producer(stretch), after=stretch.last + 1)
            near = [Stretch(*row) for *row, is_merged in beside if is_merged]
            near = [one for one in near if one.first == stretch.last + 1 or one.last + 1 == stretch.first]
            self._drop_stretches(near)
            (whole,) = merge_stretches(sorted([stretch, *near]))
            self._write(self._run.deliver, whole._asdict() | {"receipt": None})
        return _AGED_AT_ONCE in (len(ancient), len(keys), len(answered))

    def _oldest(self, statement: sa.Select[Any], before: Instant) -> list[Stretch]:
        return [Stretch(*row) for row in self._rows(statement, before=before, limit=_AGED_AT_ONCE)]

    def _drop_stretches(self, stretches: Iterable[Stretch]) -> None:
        self._write(self._run.drop_delivery, [of_producer(one) | {"the_first": one.first} for one in stretches])

    def add_batch(self, batch: Batch) -> None:
        """Add a manifest row; a `StaleWrite` when its id is there already."""
        row: dict[str, Any] = {"batch_id": batch.batch_id, "model": batch.model, "kind": batch.kind, "path": batch.path}
        row |= {"rows": batch.rows, "window_start": batch.window.start, "window_end": batch.window.end}
        row |= {"written_at": batch.written_at, "pending": batch.pending}
        row |= {"number": batch.number} if batch.number else {}
        if not self._write(self._run.add_batch, row):
            raise StaleWrite(f"batch {batch.batch_id!r} is there already")
        self._note(batch.model)

    def batches(self, model: str, kind: str, window: Window | None = None) -> list[Batch]:
        """Return the batches that touch the window, oldest first, ties by id."""
        start, end = (window.start, window.end) if window else (TIME_MIN, TIME_MAX)
        return [as_batch(row) for row in self._rows(self._run.batches, model=model, kind=kind, start=start, end=end)]

    def batch(self, batch_id: str) -> Batch | None:
        """Return a batch by its id."""
        rows = self._rows(self._run.batch, batch_id=batch_id)
        return as_batch(rows[0]) if rows else None

    def pending(self, model: str | None = None, *, rows: int | None = None, limit: int | None = None) -> list[Batch]:
        """Return the batches that are not in the profiles yet, in order of commit."""
        statement, of = (self._run.pending, {}) if model is None else (self._run.pending_of, {"model": model})
        found: list[Batch] = []
        held = 0
        self.check()
        # Row by row, or PostgreSQL's driver would fetch what nobody looks at.
        options = {"stream_results": True}
        run = self._connection.execute
        with mapped(self._name, "read", self), run(statement, of, execution_options=options) as they_come:
            for row in they_come:
                found.append(as_batch(row))
                held += found[-1].rows
                if (rows is not None and held >= rows) or len(found) == limit:
                    break
        return found

    def waiting(self) -> dict[str, int]:
        """Return how many batches of each model are pending."""
        return dict(self._rows(self._run.waiting))

    def settle(self, batch_ids: Sequence[str]) -> None:
        """Mark batches as profiled; a `StaleWrite` when one is not pending."""
        self._each_of(self._run.settle, batch_ids, "is not pending")

    def replace_batches(self, batch_ids: Sequence[str], by: Sequence[Batch] = ()) -> None:
        """Put batches in the place of others, which are no more, and note that their paths have left."""
        for ids in listed(batch_ids, "batch_id"):
            self._write(self._run.note_removed, {"ids": ids, "seconds": int(time.time())})
        self._each_of(self._run.drop_batches, batch_ids, "is not there")
        for batch in by:
            self.add_batch(batch)

    def paths(self) -> set[str]:
        """Return the paths of all batches there are."""
        return {row[0] for row in self._rows(self._run.paths)}

    def removed(self, seconds: float | None = None) -> list[str]:
        """Return the noted paths that left the manifest so long ago."""
        until = TIME_MAX if seconds is None else int(time.time() - seconds)
        return [row[0] for row in self._rows(self._run.removed, seconds=until)]

    def forget_removed(self, paths: Sequence[str]) -> None:
        """Note no longer that these paths have left."""
        for ids in listed(paths, "path"):
            self._write(self._run.forget_removed, {"ids": ids})

    def tally(self, model: str, counts: Mapping[str, int]) -> None:
        """Add to a model's running totals, by name."""
        self._write(self._run.tally, [{"model": model, "name": name, "number": n} for name, n in counts.items() if n])
        if any(counts.values()):
            self._note(model)

    def tallies(self, model: str) -> dict[str, int]:
        """Return a model's running totals."""
        return dict(sorted((name, number) for name, number in self._rows(self._run.tallies, model=model)))

    def quarantine(self, model: str, rows: Sequence[Quarantined], *, keep: int) -> None:
        """Keep rows that could not be used, of all a model's the newest `keep`."""
        self._write(self._run.quarantine, [{"model": model, "at": row.at, "body": row.body} for row in rows])
        self._write(self._run.drop_quarantined, {"the_model": model, "keep": keep})
        if rows:
            self._note(model)

    def quarantined(self, model: str, limit: int) -> list[Quarantined]:
        """Return the newest rows that could not be used, newest first."""
        return [Quarantined(*row) for row in self._rows(self._run.quarantined, model=model, limit=limit)]

    def hold(self, model: str, halves: Sequence[Half]) -> None:
        """Hold halves of predictions; one that is held already is passed over."""
        self._write(self._run.hold, [{"model": model, "paired": False} | half._asdict() for half in halves])
        for ids in listed((half.half_id for half in halves), "half_id"):
            self._write(self._run.pair, {"the_model": model, "ids": ids})
        if halves:
            self._note(model)

    def holding(self) -> list[str]:
        """Return the models of which halves are held, in order."""
        return [row[0] for row in self._rows(self._run.holding)]

    def halves(self, model: str, before: Instant, limit: int) -> list[list[Half]]:
        """Return so many pairs of halves, and lone ones that were held before an instant, in the order of holding."""
        pairs = self._rows(self._run.pairs, model=model, limit=limit)
        alone = self._rows(self._run.alone, model=model, before=before, limit=limit)
        held = sorted([*pairs, *alone], key=itemgetter(0))[:limit]
        return [[Half(half_id, *one[:3]), *([Half(half_id, *one[3:])] if one[3:] else [])] for _, half_id, *one in held]

    def release(self, model: str, half_ids: Sequence[str]) -> None:
        """Hold no longer what has these ids."""
        for ids in listed(half_ids, "half_id"):
            self._write(self._run.release, {"the_model": model, "ids": ids})

    def add_profiles(self, model: str, scale: str, profiles: Mapping[ProfileKey, bytes]) -> None:
        """Replace (or insert) the packed profiles of these keys."""
        names = {(key.version, key.role, segment_text(key.segment)) for key in profiles}
        numbers = self._series(model, scale)
        if missing := sorted(names - numbers.keys()):
            common = {"model": model, "scale": scale}
            rows = [common | {"version": name[0], "role": name[1], "segment": name[2]} for name in missing]
            self._write(self._run.add_series, rows)
            numbers = self._series(model, scale)
            self._note(model)
        self._write(
            self._run.add_profile, [profile_row(numbers, key) | {"body": body} for key, body in profiles.items()]
        )

    def profiles(
        self, model: str, scale: str, window: Window, *, segment: Segment | None = None, version: str | None = None
    ) -> dict[ProfileKey, bytes]:
        """Return the packed profiles inside the window, in order of their keys."""
        asked = {"version": version, "segment": None if segment is None else segment_text(segment)}
        return dict(self._keyed(self._run.profiles, model, scale, window, **asked))

    def profile_keys(self, model: str, scale: str, window: Window, *, version: str | None = None) -> list[ProfileKey]:
        """Return of what there are profiles inside the window, in order."""
        held = self._keyed(self._run.profile_keys, model, scale, window, version=version, segment=None)
        return [key for key, _ in held]

    def _keyed(
        self, statement: sa.Select[Any], model: str, scale: str, window: Window, **asked: object
    ) -> Iterator[tuple[ProfileKey, bytes]]:
        rows = self._rows(statement, model=model, scale=scale, start=window.start, end=window.end, **asked)
        return keyed(rows, {number: name for name, number in self._series(model, scale).items()})

    def drop_profiles(self, model: str, scale: str, keys: Iterable[ProfileKey]) -> None:
        """Remove profiles."""
        numbers = self._series(model, scale)
        places = [profile_row(numbers, key) for key in keys if series_name(key) in numbers]
        self._write(
            self._run.drop_profile, [{f"the_{name}": value for name, value in place.items()} for place in places]
        )

    def expire_profiles(self, model: str, before: Instant, scale: str | None = None) -> int:
        """Remove the profiles, on one scale or any, whose windows end at an instant or before it; say how many."""
        those = {"the_model": model, "before": before}
        if scale is None:
            return self._write(self._run.expire_profiles, those)
        return self._write(self._run.expire_scale, those | {"the_scale": scale})

    def add_verdicts(self, model: str, verdicts: Sequence[Verdict]) -> None:
        """Store verdicts; a later one of the same fingerprint and window replaces the earlier, in its place."""
        self._write(self._run.add_verdict, [verdict_row(model, verdict) for verdict in verdicts])
        if verdicts:
            self._note(model)

    def verdicts(self, model: str, window: Window | None = None, check: str | None = None) -> list[Verdict]:
        """Return verdicts inside the window, in order of window start, then as they were added."""
        start, end = (window.start, window.end) if window else (TIME_MIN, TIME_MAX)
        if check is None:
            rows = self._rows(self._run.verdicts, model=model, start=start, end=end)
        else:
            rows = self._rows(self._run.verdicts_of_check, model=model, start=start, end=end, check=check)
        with mapped(self._name, "read a verdict"):
            return [as_verdict(row[0]) for row in rows]

    def post(self, command: Command) -> None:
        """Put a command into the outbox, unless its key is there already."""
        row = {"key": command.key, "model": command.model, "name": command.name}
        self._write(self._run.post, row | {"body": command.body, "due": command.due})
        self._note(command.model)

    def due(self, model: str, now: Instant) -> list[Command]:
        """Return the commands that are due and not done, in the order of posting."""
        return [Command(*row) for row in self._rows(self._run.due, model=model, now=now)]

    def finish(self, key: str, now: Instant) -> None:
        """Mark a command as done."""
        self._write(self._run.finish, {"the_key": key, "now": now})

    def ledger_head(self) -> Entry | None:
        """Return the newest ledger entry."""
        entries = self._entries(self._run.head)
        return entries[0] if entries else None

    def append(self, entry: Entry) -> None:
        """Append a ledger entry; one that does not follow the head is a `StaleWrite`."""
        place = self._rows(self._run.head_place)
        sequence, head = place[0] if place else (0, GENESIS)
        if (entry.sequence, entry.previous) != (sequence + 1, head):
            raise StaleWrite(f"ledger entry {entry.sequence} does not follow entry {sequence}; read the head again")
        body = canonical_json(entry)
        self._write(self._run.append, {"sequence": entry.sequence, "hash": entry.hash, "entry": body})
        self._note(entry.fact.model)

    def ledger(self) -> list[Entry]:
        """Return the whole ledger, oldest first."""
        return self._entries(self._run.ledger)

    def _entries(self, statement: sa.Select[Any]) -> list[Entry]:
        rows = self._rows(statement)
        with mapped(self._name, "read a ledger entry"):
            return [as_entry(row[0]) for row in rows]

    def _each_of(self, statement: sa.Executable, batch_ids: Sequence[str], otherwise: str) -> None:
        """Run a statement on batches, each of which it must change."""
        changed = sum(self._write(statement, {"ids": ids}) for ids in listed(batch_ids, "batch_id"))
        if changed < len(set(batch_ids)):
            raise StaleWrite(f"one of {len(batch_ids)} batches {otherwise}; read the manifest again")

    def _series(self, model: str, scale: str) -> dict[tuple[str, str, str], int]:
        rows = self._rows(self._run.series, model=model, scale=scale)
        return {(version, role, segment): number for number, version, role, segment in rows}

    def _note(self, model: str) -> None:
        if model not in self._noted:
            self._write(self._run.note_model, {"model": model})
            self._noted.add(model)

    def _rows(self, statement: sa.Select[Any], **parameters: object) -> Sequence[Any]:
        self.check()
        with mapped(self._name, "read", self):
            return self._connection.execute(statement, parameters).all()

    def _write(self, statement: sa.Executable, rows: Mapping[str, object] | Sequence[Mapping[str, object]]) -> int:
        """Run a statement for one row or for many, and return how many rows of the store it changed."""
        self.check()
        if not rows:
            return 0
        with mapped(self._name, "write", self):
            # Without the option, the count of an INSERT is not kept.
            return self._connection.execute(statement, rows, execution_options={"preserve_rowcount": True}).rowcount

    def check(self) -> None:
        """Hold that more can be done.

        Raises:
            IllegalMove: the block was left.
            OutsideError: a statement has failed. SQLite or PostgreSQL may have rolled back by now, and would take what
                comes after it for another transaction, or for none.
        """
        if not self.is_open:
            raise IllegalMove("the transaction has ended; begin another one")
        if self.has_failed:
            raise OutsideError(f"control store {self._name} has failed in this transaction; begin another one")
