"""The hash chain: why nobody, not even its owner, can change or drop an entry without being found out.

An entry's hash covers the one before it, so a changed entry breaks every later one, and an entry removed from the end
is missed by whoever wrote the head's hash down (`ledger verify --head HASH`). There is one chain for a control store;
its head is read and extended in the transaction that does what the entry tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from killick.errors import Tampered
from killick.identity import fingerprint
from killick.ledger.entry import GENESIS, Entry, Fact

if TYPE_CHECKING:
    from collections.abc import Iterable


def extend(head: Entry | None, fact: Fact) -> Entry:
    """Return the entry that tells a fact after the head, the first one after None."""
    sequence = head.sequence + 1 if head else 1
    previous = head.hash if head else GENESIS
    return Entry(sequence=sequence, fact=fact, previous=previous, hash=_hash(sequence, fact, previous))


def verify(entries: Iterable[Entry], head: str | None = None) -> int:
    """Check a whole chain, oldest first, and return its length.

    Args:
        entries: every entry of the ledger.
        head: the hash that the newest entry, or one on the way to it, was known to have.

    Raises:
        Tampered: an entry was changed, is missing, or the head was never in the chain.
    """
    previous, sequence, seen_head = GENESIS, 0, head is None
    for entry in entries:
        sequence += 1
        if entry.sequence != sequence:
            raise Tampered(f"entry {sequence} is missing; entry {entry.sequence} stands in its place")
        if entry.previous != previous:
            raise Tampered(
                f"entry {sequence} does not follow the one before it: {entry.previous[:12]} is not {previous[:12]}"
            )
        if _hash(sequence, entry.fact, previous) != entry.hash:
            raise Tampered(f"entry {sequence} ({entry.fact.action} {entry.fact.subject}) is not what was written")
        previous = entry.hash
        seen_head = seen_head or previous == head
    if not seen_head:
        raise Tampered(
            f"the head {head!r} is not in the ledger: entries were cut off after {sequence}, or it is another's"
        )
    return sequence


def _hash(sequence: int, fact: Fact, previous: str) -> str:
    return fingerprint([sequence, msgspec.to_builtins(fact), previous])
