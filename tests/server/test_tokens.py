"""Tokens: shown once, kept as hashes, for a purpose and a time, and every one in the ledger."""

from __future__ import annotations

import re

import pytest

from killick.clock import DAY
from killick.errors import CallError, OutsideError
from killick.ledger.chain import verify
from killick.server.tokens import SCOPES, Keyring, Token, create_token, hash_of, list_tokens, revoke_token
from killick.testing.control import MemoryControl

NOW = 1_700_000_000_000_000


def make(control: MemoryControl, name: str = "ci", *scopes: str, expires_at: int | None = None, now: int = NOW) -> str:
    """Make a token as dana would."""
    return create_token(control, name, scopes or ("ingest",), expires_at=expires_at, actor="dana", now=now)


def test_a_token_is_random_and_can_be_told_from_other_texts() -> None:
    """256 bits after a mark that secret scanners can look for; no two alike."""
    secrets = {make(MemoryControl()) for _ in range(20)}

    assert len(secrets) == 20
    assert all(re.fullmatch(r"kk_[A-Za-z0-9_-]{43}", secret) for secret in secrets)


def test_the_store_has_nothing_that_opens_anything() -> None:
    """Neither its documents nor its ledger hold the secret or a part of it."""
    control = MemoryControl()
    secret = make(control)

    with control.transaction() as t:
        kept = repr(t.documents("token", "")) + repr(t.ledger())
    assert secret[3:15] not in kept
    assert hash_of(secret) in kept


def test_making_and_taking_back_are_in_the_ledger_in_somebodys_name() -> None:
    """Who may ask for what is a decision, and is recorded as one."""
    control = MemoryControl()
    make(control, "ci", "ingest", "read", expires_at=NOW + DAY)
    revoke_token(control, "ci", actor="kim", now=NOW + 1)

    with control.transaction() as t:
        entries = t.ledger()
    assert verify(entries) == 2
    assert [(entry.fact.actor, entry.fact.action, entry.fact.subject) for entry in entries] == [
        ("dana", "create token", "ci"),
        ("kim", "revoke token", "ci"),
    ]
    assert entries[0].fact.evidence == {"scopes": ["ingest", "read"], "expires_at": NOW + DAY}


@pytest.mark.parametrize(
    ("held", "allowed"),
    [
        ("ingest", {"ingest"}),
        ("read", {"read"}),
        ("operate", {"operate", "read"}),
        ("admin", {"ingest", "read", "operate", "admin"}),
    ],
)
def test_a_scope_includes_what_it_says(held: str, allowed: set[str]) -> None:
    """Who operates looks as well; only an admin does everything."""
    token = Token("x", "", (held,), 0, "me")

    assert {scope for scope in SCOPES if token.allows(scope)} == allowed


def test_a_token_ends_when_it_was_said_to() -> None:
    """The instant of its expiry is the first at which it opens nothing."""
    token = Token("x", "", ("read",), 0, "me", expires_at=NOW)

    assert token.valid(NOW - 1)
    assert not token.valid(NOW)


def test_a_name_is_free_again_once_its_token_opens_nothing() -> None:
    """A valid token is not replaced by accident; a revoked or expired one makes room, and its secret stays dead."""
    control = MemoryControl()
    first = make(control, expires_at=NOW + 1)
    with pytest.raises(CallError, match="revoke ci"):
        make(control)

    second = make(control, now=NOW + 1)
    revoke_token(control, "ci", actor="dana", now=NOW + 2)
    third = make(control, now=NOW + 3)

    assert [token.hash for token in list_tokens(control)] == [hash_of(third)]
    assert len({first, second, third}) == 3


@pytest.mark.parametrize(
    ("name", "scopes", "expires_at"),
    [
        ("", ("read",), None),
        ("a\nb", ("read",), None),
        ("x" * 101, ("read",), None),
        ("x", (), None),
        ("x", ("read",), NOW),
    ],
)
def test_a_token_that_cannot_be_is_not_made(name: str, scopes: tuple[str, ...], expires_at: int | None) -> None:
    """Empty and endless names, no purpose, a time that has passed: nothing is written."""
    control = MemoryControl()

    with pytest.raises(CallError):
        create_token(control, name, scopes, expires_at=expires_at, actor="dana", now=NOW)
    assert list_tokens(control) == []


def test_taking_back_twice_is_harmless_and_a_wrong_name_is_told() -> None:
    """The second time changes nothing; a typing mistake gets a hint."""
    control = MemoryControl()
    make(control)
    first = revoke_token(control, "ci", actor="dana", now=NOW + 1)

    assert revoke_token(control, "ci", actor="kim", now=NOW + 2) == first
    with pytest.raises(CallError, match="did you mean 'ci'"):
        revoke_token(control, "cii", actor="dana", now=NOW)


class Stopwatch:
    """A clock that a test moves, and a store that it can take away."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.control = MemoryControl()
        self.is_away = False

    def now(self) -> float:
        """Return the seconds."""
        return self.seconds

    def transaction(self) -> object:
        """Begin a transaction, if the store is there."""
        if self.is_away:
            raise OutsideError("the store is away")
        return self.control.transaction()


def test_a_keyring_learns_of_new_and_revoked_tokens_when_it_reads_again() -> None:
    """And it reads no more often than it is allowed to."""
    world = Stopwatch()
    ring = Keyring(world, world.now)
    ring.read(unless_since=world.seconds)
    secret = make(world.control)

    ring.read(unless_since=world.seconds - 1)
    assert ring.known(secret) is None
    world.seconds += 2
    ring.read(unless_since=world.seconds - 1)
    assert ring.known(secret).name == "ci"
    revoke_token(world.control, "ci", actor="dana", now=NOW)
    world.seconds += 2
    ring.read(unless_since=world.seconds - 1)
    assert not ring.known(secret).valid(NOW + 1)


def test_a_store_that_is_away_closes_the_door_after_a_while() -> None:
    """For a minute what was read goes on to hold; then nobody knows any more whom a token was taken from."""
    world = Stopwatch()
    ring = Keyring(world, world.now)
    assert not ring.usable
    ring.read(unless_since=world.seconds)
    world.is_away = True
    world.seconds += 59

    with pytest.raises(OutsideError):
        ring.read(unless_since=world.seconds - 1)
    assert ring.usable
    world.seconds += 2
    assert not ring.usable
