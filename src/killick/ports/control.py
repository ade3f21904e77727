"""The control store: all that Killick must remember and must never half remember.

`with control.transaction() as t:` spans everything below: state, ledger, outbox, manifest, profiles and verdicts become
true together or not at all. Transactions are serialised: what one reads, no other changes before it ends. An adapter
maps its own failures to `OutsideError`; after one, the transaction is to be left by its exception. Every implementation
passes `killick.testing.control_battery`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager  # noqa: TC003 - a public signature
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from killick.checks.verdict import Verdict
    from killick.clock import Instant, Window
    from killick.ledger.entry import Entry


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
    """A manifest row: the batch exists if and only if this row is committed. `window` spans its event times."""

    batch_id: str
    model: str
    kind: str
    producer: str
    sequence: int
    path: str
    rows: int
    window: Window
    written_at: Instant


class Identity(NamedTuple):
    """What is known of a prediction by its id: the batch that holds it, and the label that was counted, if any."""

    batch_id: str
    label: int | None


class ProfileKey(NamedTuple):
    """What a stored profile is of."""

    version: str
    role: str
    segment: tuple[tuple[str, str], ...]
    window: Window


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

    def add_batch(self, batch: Batch) -> bool:
        """Add a manifest row; False, and nothing changed, when its (model, kind, producer, sequence) is there already.

        Raises:
            StaleWrite: another batch has this id.
        """
        ...

    def batches(self, model: str, kind: str, window: Window | None = None) -> list[Batch]:
        """Return the batches whose event times touch the window (all, without one), oldest first, ties by id."""
        ...

    def batch(self, batch_id: str) -> Batch | None:
        """Return a batch by its id."""
        ...

    def claim(self, model: str, prediction_ids: Sequence[str], batch_id: str) -> list[bool]:
        """Claim identities for a batch; False where an id was claimed before, in this call too: a duplicate."""
        ...

    def identities(self, model: str, prediction_ids: Iterable[str]) -> dict[str, Identity]:
        """Return what is known of these predictions; unknown ids are absent."""
        ...

    def set_labels(self, model: str, labels: Mapping[str, int]) -> None:
        """Remember which label of each prediction is counted; ids that nobody claimed are passed over."""
        ...

    def add_profiles(self, model: str, scale: str, profiles: Mapping[ProfileKey, bytes]) -> None:
        """Replace (or insert) the packed profiles of these keys, on the scale of this fingerprint."""
        ...

    def profiles(self, model: str, scale: str, window: Window) -> dict[ProfileKey, bytes]:
        """Return the packed profiles whose windows lie wholly inside the window, in order of their keys."""
        ...

    def drop_profiles(self, model: str, scale: str, keys: Iterable[ProfileKey]) -> None:
        """Remove profiles: they were merged into a coarser window. One that is not there is passed over."""
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
