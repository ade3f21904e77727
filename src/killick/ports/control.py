"""The control store: all that Killick must remember and must never half remember.

`with control.transaction() as t:` spans everything below: state, ledger, outbox, manifest, profiles and verdicts become
true together or not at all. Transactions are serialised: what one reads, no other changes before it ends. An adapter
maps its own failures to `OutsideError`; after one, the transaction is to be left by its exception. Every implementation
passes `killick.testing.control_battery`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager  # noqa: TC003 - a public signature
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from killick.checks.verdict import Verdict
    from killick.clock import Instant, Window
    from killick.ledger.entry import Entry

# Producers of another kind: each idempotency key is one, and comes once, so there is a row for each; and so is a
# server, for what came without a name, which nobody can send again.
KEYS, SERVERS = "key:", "server:"


class Document(NamedTuple):
    """A named value that is replaced as a whole: a version, an alias, a traffic plan, an incident's state.

    `revision` counts its replacements from 1; a writer says which one it read, so that nobody's write is lost.
    """

    kind: str
    model: str
    key: str
    body: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Batch:
    """A manifest row: the batch exists if and only if this row is committed.

    `window` spans its event times. It is `pending` until its rows are in the profiles. `number` is its place in the
    order in which batches were committed, given by the store; a batch that takes the place of others keeps the first's.
    """

    batch_id: str
    model: str
    kind: str
    path: str
    rows: int
    window: Window
    written_at: Instant
    pending: bool = True
    number: int = field(default=0, compare=False)


class Half(NamedTuple):
    """A request or a response that was logged apart from the other half of its prediction."""

    half_id: str
    part: str
    at: Instant
    body: bytes


class Quarantined(NamedTuple):
    """A row that could not be used: when it came, and what was said of it."""

    at: Instant
    body: bytes


# Columns and their values, as a spec groups by them; empty for the whole.
Segment: TypeAlias = tuple[tuple[str, str], ...]


class ProfileKey(NamedTuple):
    """What a stored profile is of."""

    version: str
    role: str
    segment: Segment
    window: Window


class Stretch(NamedTuple):
    """Deliveries of one producer without a gap, whose answers are forgotten; `at` is when the last of them came."""

    model: str
    kind: str
    producer: str
    first: int
    last: int
    at: Instant


@dataclass(frozen=True, slots=True)
class Command:
    """Something to be done in the world, at least once, under a key that makes a second time harmless."""

    key: str
    model: str
    name: str
    body: bytes
    due: Instant


class Transaction(Protocol):
    """What can be read and written inside one transaction. It sees its own writes."""

    def get(self, kind: str, model: str, key: str) -> Document | None:
        """Return a document, or None."""
        ...

    def put(self, kind: str, model: str, key: str, body: bytes, *, revision: int) -> None:
        """Write a document over the revision that was read (0: there was none).

        Raises:
            StaleWrite: another revision stands there.
        """
        ...

    def documents(self, kind: str, model: str) -> list[Document]:
        """Return all documents of a kind, in order of their keys."""
        ...

    def models(self) -> list[str]:
        """Return the models of which anything was stored, in order. The empty name is the store's own, and no model."""
        ...

    def deliver(self, model: str, kind: str, producer: str, sequence: int, receipt: bytes, at: Instant) -> bytes | None:
        """Note that a delivery was taken and what was answered; None, or else the answer it was given before.

        The answer of one that is so old that `age_deliveries` has forgotten it is empty.
        """
        ...

    def answer(self, model: str, kind: str, producer: str, sequence: int) -> bytes | None:
        """Return what `deliver` would if it were not to note anything: None of a delivery that was not taken."""
        ...

    def redact(self, longer_than: int, rewrite: Callable[[bytes], bytes]) -> None:
        """Put what a function makes of it in the place of each answer, of whatever model, of more bytes than that.

        Of all answers a bounded number is in memory at once.
        """
        ...

    def age_deliveries(self, answers_before: Instant, keys_before: Instant, drop_before: Instant) -> bool:
        """Forget the answers to old deliveries, and of still older ones that they ever were: of `KEYS` before others.

        Which sequences of a producer were taken, gaps included, is remembered as ranges; of `SERVERS` nothing is. A
        call does a bounded part of it, and looks at no answer that was forgotten before.

        Returns:
            whether there is more to do, by the next call.
        """
        ...

    def add_batch(self, batch: Batch) -> None:
        """Add a manifest row.

        Raises:
            StaleWrite: a batch has this id already.
        """
        ...

    def batches(self, model: str, kind: str, window: Window | None = None) -> list[Batch]:
        """Return the batches whose event times touch the window (all, without one), oldest first, ties by id."""
        ...

    def batch(self, batch_id: str) -> Batch | None:
        """Return a batch by its id."""
        ...

    def pending(self, model: str | None = None, *, rows: int | None = None, limit: int | None = None) -> list[Batch]:
        """Return the batches that are not in the profiles yet, of one model or of all, in order of commit.

        With `rows`, no more of them than it takes to hold so many rows, and with `limit`, no more than so many: what
        comes after is not looked at.
        """
        ...

    def waiting(self) -> dict[str, int]:
        """Return how many batches of each model are pending, by the names of those that have any, in order."""
        ...

    def settle(self, batch_ids: Sequence[str]) -> None:
        """Mark batches as profiled.

        Raises:
            StaleWrite: one of them is not pending: somebody else was faster.
        """
        ...

    def replace_batches(self, batch_ids: Sequence[str], by: Sequence[Batch] = ()) -> None:
        """Put batches in the place of others, which are no more: merged files, or, without any, dropped ones.

        That their paths have left the manifest is noted, and when, by the host's clock.

        Raises:
            StaleWrite: one of the old ones is not there.
        """
        ...

    def paths(self) -> set[str]:
        """Return the paths of all batches there are, of every model and kind."""
        ...

    def removed(self, seconds: float | None = None) -> list[str]:
        """Return the noted paths that left the manifest so long ago (all, without a number), in order."""
        ...

    def forget_removed(self, paths: Sequence[str]) -> None:
        """Note no longer that these paths have left: their files are gone. One that is not noted is passed over."""
        ...

    def tally(self, model: str, counts: Mapping[str, int]) -> None:
        """Add to a model's running totals, by name."""
        ...

    def tallies(self, model: str) -> dict[str, int]:
        """Return a model's running totals."""
        ...

    def quarantine(self, model: str, rows: Sequence[Quarantined], *, keep: int) -> None:
        """Keep rows that could not be used, of all a model's the newest `keep`."""
        ...

    def quarantined(self, model: str, limit: int) -> list[Quarantined]:
        """Return the newest rows that could not be used, newest first."""
        ...

    def hold(self, model: str, halves: Sequence[Half]) -> None:
        """Hold halves of predictions; one that is held already (id and part) is passed over."""
        ...

    def holding(self) -> list[str]:
        """Return the models of which halves are held, in order."""
        ...

    def halves(self, model: str, before: Instant, limit: int) -> list[list[Half]]:
        """Return so many pairs of halves, and lone ones that were held before an instant, in the order of holding.

        Lone ones that are not so old are not looked at. Where there are more than `limit`, the first pairs and the
        oldest lone ones are taken.
        """
        ...

    def release(self, model: str, half_ids: Sequence[str]) -> None:
        """Hold no longer what has these ids."""
        ...

    def add_profiles(self, model: str, scale: str, profiles: Mapping[ProfileKey, bytes]) -> None:
        """Replace (or insert) the packed profiles of these keys, on the scale of this fingerprint."""
        ...

    def profiles(
        self, model: str, scale: str, window: Window, *, segment: Segment | None = None, version: str | None = None
    ) -> dict[ProfileKey, bytes]:
        """Return the packed profiles whose windows lie wholly inside the window, in order of their keys.

        Of one segment, the whole being `()`, or (None) of all; and of one version, or of all.
        """
        ...

    def profile_keys(self, model: str, scale: str, window: Window, *, version: str | None = None) -> list[ProfileKey]:
        """Return of what there are profiles, as `profiles` does, without a look at them."""
        ...

    def drop_profiles(self, model: str, scale: str, keys: Iterable[ProfileKey]) -> None:
        """Remove profiles: they were merged into a coarser window. One that is not there is passed over."""
        ...

    def expire_profiles(self, model: str, before: Instant, scale: str | None = None) -> int:
        """Remove the profiles, on one scale or any, whose windows end at an instant or before it; say how many."""
        ...

    def add_verdicts(self, model: str, verdicts: Sequence[Verdict]) -> None:
        """Store verdicts; a later one of the same fingerprint and window replaces the earlier, in its place."""
        ...

    def verdicts(self, model: str, window: Window | None = None, check: str | None = None) -> list[Verdict]:
        """Return verdicts whose windows lie inside the window, in order of window start, then as they were added.

        Those without a window are returned, first, when none is asked for.
        """
        ...

    def post(self, command: Command) -> None:
        """Put a command into the outbox; one whose key is there already, done or not, is not posted again."""
        ...

    def due(self, model: str, now: Instant) -> list[Command]:
        """Return the commands that are due and not done, in the order in which they were posted."""
        ...

    def finish(self, key: str, now: Instant) -> None:
        """Mark a command as done. Finishing twice is harmless, and so is a key that was never posted."""
        ...

    def ledger_head(self) -> Entry | None:
        """Return the newest ledger entry, and keep others from appending until this transaction ends."""
        ...

    def append(self, entry: Entry) -> None:
        """Append a ledger entry.

        Raises:
            StaleWrite: it does not follow the newest entry.
        """
        ...

    def ledger(self) -> list[Entry]:
        """Return the whole ledger, oldest first."""
        ...


class Control(Protocol):
    """A control store."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Begin a transaction; it commits when the block ends, and rolls back when the block raises.

        Raises:
            IllegalMove: this thread is inside a transaction of this store already.
        """
        ...

    def scrub(self) -> None:
        """See to it that the store's own journal holds nothing any more that was removed from the store.

        Raises:
            OutsideError: others have been busy with the store for too long, and the journal still holds it.
        """
        ...


def merge_stretches(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Join what follows without a gap; stretches come in the order of their names and firsts.

    >>> merge_stretches([Stretch("m", "k", "p", 0, 2, at=5), Stretch("m", "k", "p", 3, 3, at=9)])
    [Stretch(model='m', kind='k', producer='p', first=0, last=3, at=9)]
    """
    merged: list[Stretch] = []
    for one in stretches:
        before = merged[-1] if merged else None
        if before and before[:3] == one[:3] and before.last + 1 == one.first:
            merged[-1] = before._replace(last=one.last, at=max(before.at, one.at))
        else:
            merged.append(one)
    return merged
