"""The control store in memory: the fake of `killick.adapters.control`, for tests, the simulator and replays.

It passes the same battery. A transaction writes in place and notes how to undo each write, so that beginning one costs
nothing, whatever the store holds, and rolling back costs as much as was written.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from contextlib import contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from killick.clock import Instant, Window
from killick.errors import IllegalMove, StaleWrite
from killick.identity import canonical_json
from killick.ledger.entry import GENESIS, Entry
from killick.ports.control import Batch, Command, Document, Identity, ProfileKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from killick.checks.verdict import Verdict

K = TypeVar("K")
V = TypeVar("V")

# "No window" sorts before every window and lies inside none.
_NO_WINDOW = Window(-(2**63), 2**63 - 1)


class MemoryControl:
    """A `Control` that forgets everything with the process. Threads take turns, as they do on a real one."""

    def __init__(self) -> None:
        self._stored = _Stored()
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
        """Begin a transaction; it commits when the block ends, and rolls back when the block raises.

        Raises:
            IllegalMove: this thread is inside a transaction of this store already.
        """
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


class _ByWindow(Generic[K, V]):
    """Values under a key and a window; finding those inside a window costs as much as they are."""

    def __init__(self) -> None:
        self.rows: dict[Window, dict[K, V]] = {}
        self._windows: list[Window] = []

    def copy(self) -> _ByWindow[K, V]:
        """Return another of these with the same values."""
        other: _ByWindow[K, V] = _ByWindow()
        other.rows = {window: dict(row) for window, row in self.rows.items()}
        other._windows = list(self._windows)
        return other

    def row(self, window: Window) -> dict[K, V]:
        """Return the values of one window, to be read and written."""
        if window not in self.rows:
            self.rows[window] = {}
            insort(self._windows, window)
        return self.rows[window]

    def inside(self, window: Window) -> Iterator[tuple[Window, dict[K, V]]]:
        """Yield the windows that lie inside this one, in order, and their values."""
        for place in range(bisect_left(self._windows, window.start, key=attrgetter("start")), len(self._windows)):
            found = self._windows[place]
            if found.start > window.end:
                return
            if window.covers(found):
                yield found, self.rows[found]


class _Stored:
    """What is kept. Numbers count additions and are never given twice, so gaps in them mean nothing."""

    def __init__(self) -> None:
        self.models: dict[str, None] = {}
        self.documents: dict[tuple[str, str], dict[str, Document]] = {}
        self.batches: dict[str, Batch] = {}
        self.batch_keys: dict[tuple[str, str, str, int], str] = {}
        self.batches_of: dict[tuple[str, str], dict[str, Batch]] = {}
        self.identities: dict[str, dict[str, Identity]] = {}
        self.profiles: dict[tuple[str, str], _ByWindow[tuple[Any, ...], bytes]] = {}
        self.verdicts: dict[str, _ByWindow[str, tuple[int, Verdict]]] = {}
        self.commands: dict[str, Command] = {}
        self.open: dict[str, dict[str, int]] = {}  # model -> key of what is not done -> its number
        self.ledger: dict[int, Entry] = {}
        self.number = 0

    def copy(self) -> _Stored:
        other = _Stored()
        for name, held in vars(self).items():
            copied = {key: _copied(value) for key, value in held.items()} if isinstance(held, dict) else held
            setattr(other, name, copied)
        return other

    def next_number(self) -> int:
        self.number += 1
        return self.number


class MemoryTransaction:
    """A `Transaction` in memory. `killick.ports.control.Transaction` says all that each method promises."""

    def __init__(self, stored: _Stored) -> None:
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

    def add_batch(self, batch: Batch) -> bool:
        """Add a manifest row; False when its key is there already."""
        kept = self._read()
        key = (batch.model, batch.kind, batch.producer, batch.sequence)
        if key in kept.batch_keys:
            return False
        if batch.batch_id in kept.batches:
            raise StaleWrite(
                f"batch {batch.batch_id!r} is there already, from another producer or under another sequence"
            )
        self._set(kept.batch_keys, key, batch.batch_id)
        self._set(kept.batches, batch.batch_id, batch)
        self._set(kept.batches_of.setdefault((batch.model, batch.kind), {}), batch.batch_id, batch)
        self._note(batch.model)
        return True

    def batches(self, model: str, kind: str, window: Window | None = None) -> list[Batch]:
        """Return the batches that touch the window, oldest first, ties by id."""
        every = self._read().batches_of.get((model, kind), {}).values()
        found = [batch for batch in every if window is None or _touches(batch.window, window)]
        return sorted(found, key=lambda batch: (batch.window.start, batch.batch_id))

    def batch(self, batch_id: str) -> Batch | None:
        """Return a batch by its id."""
        return self._read().batches.get(batch_id)

    def claim(self, model: str, prediction_ids: Sequence[str], batch_id: str) -> list[bool]:
        """Claim identities for a batch; False marks a duplicate."""
        known = self._read().identities.setdefault(model, {})
        identity = Identity(batch_id, None)
        fresh: list[str] = []
        self._undo.append(lambda: [known.pop(name) for name in fresh])
        flags = []
        for prediction_id in prediction_ids:
            is_fresh = prediction_id not in known
            if is_fresh:
                known[prediction_id] = identity
                fresh.append(prediction_id)
            flags.append(is_fresh)
        if flags:
            self._note(model)
        return flags

    def identities(self, model: str, prediction_ids: Iterable[str]) -> dict[str, Identity]:
        """Return what is known of these predictions."""
        known = self._read().identities.get(model, {})
        return {name: known[name] for name in prediction_ids if name in known}

    def set_labels(self, model: str, labels: Mapping[str, int]) -> None:
        """Remember which label of each prediction is counted."""
        known = self._read().identities.get(model, {})
        before = {name: known[name] for name in labels if name in known}
        self._undo.append(lambda: known.update(before))
        known.update({name: Identity(before[name].batch_id, labels[name]) for name in before})

    def add_profiles(self, model: str, scale: str, profiles: Mapping[ProfileKey, bytes]) -> None:
        """Replace (or insert) the packed profiles of these keys."""
        by_window = self._read().profiles.setdefault((model, scale), _ByWindow())
        for key, body in profiles.items():
            self._set(by_window.row(key.window), key[:3], body)
        if profiles:
            self._note(model)

    def profiles(self, model: str, scale: str, window: Window) -> dict[ProfileKey, bytes]:
        """Return the packed profiles inside the window, in order of their keys."""
        series: dict[tuple[Any, ...], list[tuple[Window, bytes]]] = {}
        for found, row in self._read().profiles.get((model, scale), _ByWindow()).inside(window):
            for name, body in row.items():
                series.setdefault(name, []).append((found, body))
        return {
            ProfileKey(name[0], name[1], name[2], found): body
            for name in sorted(series)
            for found, body in series[name]
        }

    def drop_profiles(self, model: str, scale: str, keys: Iterable[ProfileKey]) -> None:
        """Remove profiles."""
        by_window = self._read().profiles.get((model, scale), _ByWindow())
        for key in keys:
            self._drop(by_window.row(key.window), key[:3])

    def add_verdicts(self, model: str, verdicts: Sequence[Verdict]) -> None:
        """Store verdicts; a later one of the same fingerprint and window replaces the earlier, in its place."""
        kept = self._read()
        by_window = kept.verdicts.setdefault(model, _ByWindow())
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
        for at, row in self._read().verdicts.get(model, _ByWindow()).inside(window or _NO_WINDOW):
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

    def _read(self) -> _Stored:
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


def _touches(one: Window, other: Window) -> bool:
    return one.start < other.end and other.start < one.end


def _copied(held: Any) -> Any:  # noqa: ANN401 - a container of the store, or one of the frozen values in it
    return held.copy() if isinstance(held, dict | _ByWindow) else held
