"""The control store in memory: the fake of `killick.adapters.control`, for tests, the simulator and replays.

It passes the same battery. A transaction writes in place and notes how to undo each write, so that beginning one costs
nothing, whatever the store holds, and rolling back costs as much as was written.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import msgspec

from killick.clock import Instant, Window
from killick.errors import IllegalMove, StaleWrite
from killick.identity import canonical_json
from killick.ledger.entry import GENESIS, Entry
from killick.ports.control import Batch, Command, Document, Half, ProfileKey, Quarantined, Segment, Stretch
from killick.testing.control_stored import ByWindow, Stored, aged, touches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from killick.checks.verdict import Verdict

K = TypeVar("K")
V = TypeVar("V")

# "No window" sorts before every window and lies inside none.
_NO_WINDOW = Window(-(2**63), 2**63 - 1)
_PAIR = 2


class MemoryControl:
    """A `Control` that forgets everything with the process. Threads take turns, as they do on a real one."""

    def __init__(self) -> None:
        self._stored = Stored()
        self._turn = threading.Lock()
        self._owner: int | None = None

    def copy(self) -> MemoryControl:
        """Return another store that holds the same: what a crash leaves behind, to be tried more than once.

        Raises:
            IllegalMove: a transaction is open, so nobody can say what is held.
        """
        if self._owner is not None:
            raise IllegalMove("a transaction is open; copy the store when it has ended")
        other = MemoryControl()
        other._stored = self._stored.copy()
        return other

    @contextmanager
    def transaction(self) -> Iterator[MemoryTransaction]:
        """Begin a transaction, which the block's end commits; one inside another of the same thread is refused."""
        if self._owner == threading.get_ident():
            raise IllegalMove("a transaction is open in this thread already; pass it on instead of beginning another")
        with self._turn:
            self._owner = threading.get_ident()
            transaction = MemoryTransaction(self._stored)
            try:
                yield transaction
            except BaseException:
                transaction.undo()
                raise
            finally:
                transaction.is_open = False
                self._owner = None

    def scrub(self) -> None:
        """Do nothing: there is no journal."""


class MemoryTransaction:
    """A `Transaction` in memory. `killick.ports.control.Transaction` says all that each method promises."""

    def __init__(self, stored: Stored) -> None:
        self.is_open = True
        self._kept = stored
        self._undo: list[Callable[[], object]] = []

    def undo(self) -> None:
        """Take every write back, the last one first."""
        while self._undo:
            self._undo.pop()()

    def get(self, kind: str, model: str, key: str) -> Document | None:
        """Return a document, or None."""
        return self._read().documents.get((kind, model), {}).get(key)

    def put(self, kind: str, model: str, key: str, body: bytes, *, revision: int) -> None:
        """Write a document over the revision that was read; anything else is a `StaleWrite`."""
        documents = self._read().documents.setdefault((kind, model), {})
        standing = documents[key].revision if key in documents else 0
        if standing != revision:
            raise StaleWrite(f"{kind} {key!r} of {model!r} is no longer at revision {revision}; read it again")
        self._set(documents, key, Document(kind, model, key, body, revision + 1))
        self._note(model)

    def documents(self, kind: str, model: str) -> list[Document]:
        """Return all documents of a kind, in order of their keys."""
        return [document for _, document in sorted(self._read().documents.get((kind, model), {}).items())]

    def models(self) -> list[str]:
        """Return the models of which anything was stored, in order."""
        return sorted(self._read().models)

    def deliver(self, model: str, kind: str, producer: str, sequence: int, receipt: bytes, at: Instant) -> bytes | None:
        """Note a delivery; None, or the answer that it was given before."""
        if (answer := self.answer(model, kind, producer, sequence)) is None:
            stretch = Stretch(model, kind, producer, sequence, sequence, at)
            self._set(self._read().deliveries, (model, kind, producer, sequence), (stretch, receipt))
        return answer

    def answer(self, model: str, kind: str, producer: str, sequence: int) -> bytes | None:
        """Return what `deliver` would if it were not to note anything: None of a delivery that was not taken."""
        for (*key, first), (stretch, receipt) in self._read().deliveries.items():
            if key == [model, kind, producer] and first <= sequence <= stretch.last:
                return receipt
        return None

    def redact(self, longer_than: int, rewrite: Callable[[bytes], bytes]) -> None:
        """Put what a function makes of it in the place of each long answer."""
        deliveries = self._read().deliveries
        for key, (stretch, receipt) in list(deliveries.items()):
            if len(receipt) > longer_than:
                self._set(deliveries, key, (stretch, rewrite(receipt)))

    def age_deliveries(self, answers_before: Instant, keys_before: Instant, drop_before: Instant) -> bool:
        """Forget the answers to old deliveries, and of still older ones that they ever were."""
        deliveries = self._read().deliveries
        old = sorted(stretch for stretch, _ in deliveries.values() if stretch.at < answers_before)
        for stretch in old:
            self._drop(deliveries, stretch[:4])
        for stretch in aged(old, keys_before, drop_before):
            self._set(deliveries, stretch[:4], (stretch, b""))
        return False

    def add_batch(self, batch: Batch) -> None:
        """Add a manifest row; a `StaleWrite` when its id is there already."""
        kept = self._read()
        if batch.batch_id in kept.batches:
            raise StaleWrite(f"batch {batch.batch_id!r} is there already")
        self._set(kept.batches, batch.batch_id, replace(batch, number=batch.number or kept.next_number()))
        if batch.pending:
            self._set(kept.pending, batch.batch_id, None)
        self._note(batch.model)

    def batches(self, model: str, kind: str, window: Window | None = None) -> list[Batch]:
        """Return the batches that touch the window, oldest first, ties by id."""
        mine = [batch for batch in self._read().batches.values() if (batch.model, batch.kind) == (model, kind)]
        found = [batch for batch in mine if window is None or touches(batch.window, window)]
        return sorted(found, key=lambda batch: (batch.window.start, batch.batch_id))

    def batch(self, batch_id: str) -> Batch | None:
        """Return a batch by its id."""
        return self._read().batches.get(batch_id)

    def pending(self, model: str | None = None, *, rows: int | None = None, limit: int | None = None) -> list[Batch]:
        """Return the batches that are not in the profiles yet, in order of commit."""
        kept = self._read()
        found: list[Batch] = []
        for batch in sorted((kept.batches[name] for name in kept.pending), key=lambda batch: batch.number):
            if len(found) == limit or (rows is not None and found and sum(one.rows for one in found) >= rows):
                break
            if model in (None, batch.model):
                found.append(batch)
        return found

    def waiting(self) -> dict[str, int]:
        """Return how many batches of each model are pending."""
        kept = self._read()
        return dict(sorted(Counter(kept.batches[name].model for name in kept.pending).items()))

    def settle(self, batch_ids: Sequence[str]) -> None:
        """Mark batches as profiled; a `StaleWrite` when one is not pending."""
        kept = self._read()
        if set(batch_ids) - kept.pending.keys():
            raise StaleWrite(f"one of {len(batch_ids)} batches is not pending; read the manifest again")
        for name in set(batch_ids):
            self._drop(kept.pending, name)
            self._set(kept.batches, name, replace(kept.batches[name], pending=False))

    def replace_batches(self, batch_ids: Sequence[str], by: Sequence[Batch] = ()) -> None:
        """Put batches in the place of others, which are no more, and note that their paths have left."""
        kept = self._read()
        if set(batch_ids) - kept.batches.keys():
            raise StaleWrite(f"one of {len(batch_ids)} batches is not there; read the manifest again")
        for name in set(batch_ids):
            self._set(kept.removed, kept.batches[name].path, time.time())
            self._drop(kept.batches, name)
            self._drop(kept.pending, name)
        for batch in by:
            self.add_batch(batch)

    def paths(self) -> set[str]:
        """Return the paths of all batches there are."""
        return {batch.path for batch in self._read().batches.values()}

    def removed(self, seconds: float | None = None) -> list[str]:
        """Return the noted paths that left the manifest so long ago."""
        until = None if seconds is None else time.time() - seconds
        return sorted(path for path, at in self._read().removed.items() if until is None or at <= until)

    def forget_removed(self, paths: Sequence[str]) -> None:
        """Note no longer that these paths have left."""
        for path in paths:
            self._drop(self._read().removed, path)

    def tally(self, model: str, counts: Mapping[str, int]) -> None:
        """Add to a model's running totals, by name."""
        totals = self._read().tallies.setdefault(model, {})
        for name, number in counts.items():
            if number:
                self._set(totals, name, totals.get(name, 0) + number)
                self._note(model)

    def tallies(self, model: str) -> dict[str, int]:
        """Return a model's running totals."""
        return dict(sorted(self._read().tallies.get(model, {}).items()))

    def quarantine(self, model: str, rows: Sequence[Quarantined], *, keep: int) -> None:
        """Keep rows that could not be used, of all a model's the newest `keep`."""
        kept = self._read()
        held = kept.quarantine.setdefault(model, {})
        for row in rows:
            self._set(held, kept.next_number(), row)
            self._note(model)
        for number in sorted(held)[: max(len(held) - keep, 0)]:
            self._drop(held, number)

    def quarantined(self, model: str, limit: int) -> list[Quarantined]:
        """Return the newest rows that could not be used, newest first."""
        held = self._read().quarantine.get(model, {})
        return [held[number] for number in sorted(held, reverse=True)[:limit]]

    def hold(self, model: str, halves: Sequence[Half]) -> None:
        """Hold halves of predictions; one that is held already is passed over."""
        held = self._read().halves.setdefault(model, {})
        for half in halves:
            if half[:2] not in held:
                self._set(held, half[:2], half)
            self._note(model)

    def holding(self) -> list[str]:
        """Return the models of which halves are held, in order."""
        return sorted(model for model, held in self._read().halves.items() if held)

    def halves(self, model: str, before: Instant, limit: int) -> list[list[Half]]:
        """Return so many pairs of halves, and lone ones that were held before an instant, in the order of holding."""
        found: dict[str, list[Half]] = {}
        for half in self._read().halves.get(model, {}).values():
            found.setdefault(half.half_id, []).append(half)
        pairs = [held for held in found.values() if len(held) == _PAIR]
        alone = [held for held in found.values() if len(held) < _PAIR and held[0].at < before]
        chosen = {held[0] for held in pairs[:limit] + sorted(alone, key=lambda held: held[0].at)[:limit]}
        return [held for held in found.values() if held[0] in chosen][:limit]

    def release(self, model: str, half_ids: Sequence[str]) -> None:
        """Hold no longer what has these ids."""
        held = self._read().halves.get(model, {})
        for key in [key for key in held if key[0] in set(half_ids)]:
            self._drop(held, key)

    def add_profiles(self, model: str, scale: str, profiles: Mapping[ProfileKey, bytes]) -> None:
        """Replace (or insert) the packed profiles of these keys."""
        by_window = self._read().profiles.setdefault((model, scale), ByWindow())
        for key, body in profiles.items():
            self._set(by_window.row(key.window), key[:3], body)
        if profiles:
            self._note(model)

    def profiles(
        self, model: str, scale: str, window: Window, *, segment: Segment | None = None, version: str | None = None
    ) -> dict[ProfileKey, bytes]:
        """Return the packed profiles inside the window, in order of their keys."""
        return {
            ProfileKey(name[0], name[1], name[2], found): body
            for name, found, body in self._read().profiles.get((model, scale), ByWindow()).in_order(window)
            if segment in (None, name[2]) and version in (None, name[0])
        }

    def profile_keys(self, model: str, scale: str, window: Window, *, version: str | None = None) -> list[ProfileKey]:
        """Return of what there are profiles inside the window, in order."""
        return list(self.profiles(model, scale, window, version=version))

    def drop_profiles(self, model: str, scale: str, keys: Iterable[ProfileKey]) -> None:
        """Remove profiles."""
        by_window = self._read().profiles.get((model, scale), ByWindow())
        for key in keys:
            self._drop(by_window.row(key.window), key[:3])

    def expire_profiles(self, model: str, before: Instant, scale: str | None = None) -> int:
        """Remove the profiles, on one scale or any, whose windows end at an instant or before it; say how many."""
        held = self._read().profiles.items()
        mine = [by_window for (owner, own), by_window in held if owner == model and scale in (None, own)]
        old = [row for one in mine for window, row in one.rows.items() if window.end <= before]
        went = [(row, key) for row in old for key in row]
        for row, key in went:
            self._drop(row, key)
        return len(went)

    def add_verdicts(self, model: str, verdicts: Sequence[Verdict]) -> None:
        """Store verdicts; a later one of the same fingerprint and window replaces the earlier, in its place."""
        kept = self._read()
        by_window = kept.verdicts.setdefault(model, ByWindow())
        for verdict in verdicts:
            row = by_window.row(verdict.window or _NO_WINDOW)
            fingerprint = verdict.fingerprint
            number = row[fingerprint][0] if fingerprint in row else kept.next_number()
            self._set(row, fingerprint, (number, verdict))
        if verdicts:
            self._note(model)

    def verdicts(self, model: str, window: Window | None = None, check: str | None = None) -> list[Verdict]:
        """Return verdicts inside the window, in order of window start, then as they were added."""
        found: list[tuple[int, int, Verdict]] = []
        for at, row in self._read().verdicts.get(model, ByWindow()).inside(window or _NO_WINDOW):
            found += [(at.start, number, it) for number, it in row.values() if check is None or it.check == check]
        return [verdict for _, _, verdict in sorted(found, key=lambda it: it[:2])]

    def post(self, command: Command) -> None:
        """Put a command into the outbox, unless its key is there already."""
        kept = self._read()
        if command.key not in kept.commands:
            self._set(kept.commands, command.key, command)
            self._set(kept.open.setdefault(command.model, {}), command.key, kept.next_number())
        self._note(command.model)

    def due(self, model: str, now: Instant) -> list[Command]:
        """Return the commands that are due and not done, in the order of posting."""
        kept = self._read()
        numbers = kept.open.get(model, {})
        return [kept.commands[key] for key in sorted(numbers, key=numbers.__getitem__) if kept.commands[key].due <= now]

    def finish(self, key: str, now: Instant) -> None:  # noqa: ARG002 - nobody asks a fake when it was
        """Mark a command as done."""
        kept = self._read()
        if key in kept.commands:
            self._drop(kept.open[kept.commands[key].model], key)

    def ledger_head(self) -> Entry | None:
        """Return the newest ledger entry."""
        ledger = self._read().ledger
        return ledger.get(len(ledger))

    def append(self, entry: Entry) -> None:
        """Append a ledger entry; one that does not follow the head is a `StaleWrite`."""
        head = self.ledger_head()
        sequence, previous = (head.sequence, head.hash) if head else (0, GENESIS)
        if (entry.sequence, entry.previous) != (sequence + 1, previous):
            raise StaleWrite(f"ledger entry {entry.sequence} does not follow entry {sequence}; read the head again")
        # Through JSON, as on disk: evidence is a dict, and a caller may go on writing into its own.
        self._set(self._kept.ledger, entry.sequence, msgspec.json.decode(canonical_json(entry), type=Entry))
        self._note(entry.fact.model)

    def ledger(self) -> list[Entry]:
        """Return the whole ledger, oldest first."""
        return list(self._read().ledger.values())

    def _read(self) -> Stored:
        if not self.is_open:
            raise IllegalMove("the transaction has ended; begin another one")
        return self._kept

    def _note(self, model: str) -> None:
        if model and model not in self._kept.models:  # what belongs to no model belongs to the store itself
            self._set(self._kept.models, model, None)

    def _set(self, rows: dict[K, V], key: K, value: V) -> None:
        if key in rows:
            before = rows[key]
            self._undo.append(lambda: rows.__setitem__(key, before))
        else:
            self._undo.append(lambda: rows.pop(key))
        rows[key] = value

    def _drop(self, rows: dict[K, V], key: K) -> None:
        if key in rows:
            before = rows.pop(key)
            self._undo.append(lambda: rows.__setitem__(key, before))
