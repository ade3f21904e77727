"""Tokens: who may ask the server for what. The store keeps their SHA-256 only; the secret is shown once.

A token has a name, which the ledger gives as the actor, and scopes: `ingest` sends telemetry, `read` looks, `operate`
looks and acts, `admin` may do everything. Creating and revoking are entries of the ledger.
"""

from __future__ import annotations

import secrets
import threading
from hashlib import sha256
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import msgspec

from killick.engine.record import Book
from killick.errors import CallError, Mistake, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

    from killick.clock import Instant
    from killick.ports.control import Control, Document, Transaction

Scope: TypeAlias = Literal["ingest", "read", "operate", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
_INCLUDED: dict[Scope, tuple[Scope, ...]] = {"operate": ("operate", "read"), "admin": SCOPES}

# What secret scanners can look for, and a person who finds one in a log.
PREFIX = "kk_"
# 256 bits: nobody guesses one, so a fast hash without salt keeps it as well as a slow one would.
_SECRET_BYTES = 32
_NAME_CHARACTERS_MAX = 100
_KIND = "token"


class Token(msgspec.Struct, frozen=True):
    """What the store knows of a token. Times are microseconds UTC; one that never expires has none."""

    name: str
    hash: str
    scopes: tuple[Scope, ...]
    created_at: int
    created_by: str
    expires_at: int | None = None
    revoked_at: int | None = None

    def valid(self, now: Instant) -> bool:
        """Whether it opens anything at this instant."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)

    def allows(self, scope: Scope) -> bool:
        """Whether its scopes include one.

        >>> Token("ci", "", ("operate",), 0, "me").allows("read")
        True
        """
        return any(scope in _INCLUDED.get(held, (held,)) for held in self.scopes)


def create_token(
    control: Control,
    name: str,
    scopes: tuple[Scope, ...],
    *,
    expires_at: Instant | None,
    actor: str,
    now: Instant,
) -> str:
    """Make a token, write it into store and ledger, and return its secret: nobody can show it again.

    Raises:
        CallError: a name that cannot be used, no scope, or a valid token of this name.
    """
    if not name or not name.isprintable() or len(name) > _NAME_CHARACTERS_MAX:
        hint = f"one line of at most {_NAME_CHARACTERS_MAX} characters"
        raise CallError(Mistake("--name", "cannot be a token's name", name, hint=hint))
    if not scopes:
        raise CallError(Mistake("--scope", "is needed", hint=f"one or more of {', '.join(SCOPES)}"))
    if expires_at is not None and expires_at <= now:
        raise CallError(Mistake("--expires", "has passed already"))
    secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    token = Token(name, hash_of(secret), tuple(dict.fromkeys(scopes)), now, actor, expires_at)
    with control.transaction() as t:
        document = t.get(_KIND, "", name)
        if document and _token(document).valid(now):
            hint = f"killick token revoke {name}, or choose another name"
            raise CallError(Mistake("--name", "is the name of a valid token", name, hint=hint))
        t.put(_KIND, "", name, msgspec.json.encode(token), revision=document.revision if document else 0)
        said = f"for {', '.join(token.scopes)}"
        Book(t, "", now, actor).note("create token", name, said, scopes=token.scopes, expires_at=expires_at)
    return secret


def revoke_token(control: Control, name: str, *, actor: str, now: Instant) -> Token:
    """Take a token back. Servers that run know it within seconds. One that was taken back before stays as it is.

    Raises:
        CallError: there is no such token.
    """
    with control.transaction() as t:
        document = t.get(_KIND, "", name)
        if document is None:
            known = [token.name for token in _tokens(t)]
            hint = did_you_mean(name, known) if known else "there is none at all"
            raise CallError(Mistake("NAME", "is no token's name", name, hint=hint))
        token = _token(document)
        if token.revoked_at is None:
            token = msgspec.structs.replace(token, revoked_at=now)
            t.put(_KIND, "", name, msgspec.json.encode(token), revision=document.revision)
            Book(t, "", now, actor).note("revoke token", name, "taken back")
    return token


def list_tokens(control: Control) -> list[Token]:
    """Return every token that was ever made, by name; the newest of each name."""
    with control.transaction() as t:
        return _tokens(t)


def hash_of(secret: str) -> str:
    """Return what a token is looked up by. Comparing hashes tells nobody how much of a guess was right."""
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


class Keyring:
    """The tokens as a running server knows them: read again when it is asked about them and they have become old.

    Threads share it. While the store does not answer, what was read last holds for `stale_seconds`.
    """

    def __init__(self, control: Control, seconds: Callable[[], float], *, stale_seconds: float = 60.0) -> None:
        self._control = control
        self._seconds = seconds
        self._stale_seconds = stale_seconds
        self._turn = threading.Lock()
        self._tokens: dict[str, Token] = {}
        self._read_at = float("-inf")

    @property
    def age_seconds(self) -> float:
        """How long ago the tokens were read; infinite when they never were."""
        return self._seconds() - self._read_at

    @property
    def usable(self) -> bool:
        """Whether what was read is young enough to let anybody in by it."""
        return self.age_seconds <= self._stale_seconds

    def known(self, secret: str) -> Token | None:
        """Return the token of a secret, as far as was read."""
        return self._tokens.get(hash_of(secret))

    def read(self, *, unless_since: float) -> None:
        """Read the tokens again, unless somebody did since this second of the clock. It may wait for the store.

        Raises:
            OutsideError: the store does not answer.
        """
        with self._turn:
            if self._read_at < unless_since:
                at = self._seconds()
                self._tokens = {token.hash: token for token in list_tokens(self._control)}
                self._read_at = at


def _tokens(t: Transaction) -> list[Token]:
    return [_token(document) for document in t.documents(_KIND, "")]


def _token(document: Document) -> Token:
    return msgspec.json.decode(document.body, type=Token)
