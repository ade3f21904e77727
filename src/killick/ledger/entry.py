"""One entry of the ledger: who did or decided what, when, why, and on which evidence."""

from __future__ import annotations

from typing import Any

import msgspec

# Before the first entry there is nothing to hash.
GENESIS = "0" * 64


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry says. `actor` is `killick` or a person; `subject` is an id or a name."""

    at: int
    model: str
    actor: str
    action: str
    subject: str
    reason: str
    evidence: dict[str, Any] = {}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A fact in its place in the chain. `hash` is SHA-256 of the canonical JSON of sequence, fact and previous hash."""

    sequence: int
    fact: Fact
    previous: str
    hash: str
