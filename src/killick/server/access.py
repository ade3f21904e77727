"""Who may come in, before a byte of a body is read: where the request comes from, its token, and how often it comes.

On loopback no token is needed, unless the operator wants one. What comes without a token must then come from this
machine on purpose: its Host must be an address of ours (a page that rebinds its name to 127.0.0.1 sends its own), and a
request that changes something must not come from a page of another site. A token cannot be sent by such a page
unasked, so with one neither is looked at. A header that names another client (X-Forwarded-For) is never believed.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from killick.errors import CallError, Mistake, OutsideError
from killick.server.problems import RETRY_SECONDS, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestar.connection import ASGIConnection
    from litestar.handlers.base import BaseRouteHandler

    from killick.clock import Clock, Instant
    from killick.server.rates import Rates
    from killick.server.tokens import Keyring, Scope, Token

# A token that was taken back opens nothing after so long; reading them costs a millisecond.
FRESH_SECONDS = 2.0
# A token that was made a moment ago is looked for in the store; guessers make it read no more often than this.
_GUESS_SECONDS = 0.25
# A token that was good so short a time ago is let in while the store is asked; later, its request waits for the store.
_TRUSTED_SECONDS = 5.0
_SAFE = frozenset({"GET", "HEAD"})
# What a browser says of a request that its own page, or a person at the address line, made.
_OWN_SITES = frozenset({"same-origin", "none"})


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens, and whether that is this machine alone."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether nobody but this machine can reach it."""
        return is_loopback(self.host)

    @property
    def url(self) -> str:
        """The address as one types it."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine, and no other can claim it.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "localhost.example.com")]
    [True, True, True, False, False]
    """
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def must_be_bindable(host: str, tokens: list[Token], now: Instant) -> None:
    """Refuse to listen to others while nobody needs a token.

    Raises:
        CallError: the address is not this machine alone, and no valid token is in the store.
    """
    if not is_loopback(host) and not any(token.valid(now) for token in tokens):
        hint = "make one first: killick token create --name NAME --scope ingest; or bind 127.0.0.1"
        raise CallError(Mistake("--host", "can be reached by others, and there is no token", host, hint=hint))


class Access:
    """The guard before every route. `route_handler.opt["scope"]` says what a route asks for; None: nothing."""

    def __init__(
        self,
        keyring: Keyring,
        rates: Rates,
        address: Address,
        clock: Clock,
        seconds: Callable[[], float],
        *,
        require_token: bool,
    ) -> None:
        self._keyring = keyring
        self._rates = rates
        self._address = address
        self._clock = clock
        self._seconds = seconds
        self._needed = require_token or not address.is_loopback
        self._reading: asyncio.Future[None] | None = None

    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Let a request in, and note in its state who asks; or refuse it.

        Raises:
            Refused: 401, 403, 405 (what no route of ours serves), 429, or 503 when the tokens cannot be read.
        """
        if "scope" not in handler.opt:
            raise Refused(405, "this method is not served here")
        scope: Scope | None = handler.opt["scope"]
        if scope is None:
            return
        token = None
        remote = connection.client.host if connection.client else "an unknown address"
        if given := connection.headers.getall("authorization", []):
            token = await self._token(given, remote)
            self._pace(f"token {token.name}")
        else:
            self._pace(remote)
            if self._needed:
                raise _unauthorized("a token is needed: Authorization: Bearer kk_...")
            _must_come_from_here(connection, self._address)
        if token and not token.allows(scope):
            raise Refused(403, f"the token {token.name!r} is for {', '.join(token.scopes)}; this asks for {scope}")
        connection.state["actor"] = token.name if token else ""

    async def _token(self, given: list[str], remote: str) -> Token:
        scheme, _, secret = given[0].partition(" ")
        secret = secret.strip()
        if len(given) > 1 or scheme.lower() != "bearer" or not secret:
            self._pace(remote)
            raise _unauthorized("Authorization must be: Bearer kk_...")
        token = self._keyring.known(secret)
        if token is None:
            self._pace(remote)
            await self._read_again()
            token = self._keyring.known(secret)
        elif self._keyring.age_seconds > FRESH_SECONDS:
            # It was good a moment ago. Whether it still is, the next request will know: this one does not wait.
            reading = self._refresh()
            if self._keyring.age_seconds > _TRUSTED_SECONDS:
                # Nobody asked for a while, and much may have been revoked. Whoever leaves does not end it for the rest.
                await asyncio.shield(reading)
                token = self._keyring.known(secret)
        if not self._keyring.usable:
            raise Refused(503, "the store that holds the tokens does not answer", retry_seconds=RETRY_SECONDS)
        if token is None or not token.valid(self._clock.now()):
            raise _unauthorized("this token is unknown, expired or revoked")
        return token

    def _refresh(self) -> asyncio.Future[None]:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(self._read(self._seconds()))
        return self._reading

    async def _read_again(self) -> None:
        """See to it that the tokens are read once more from now on, together with all who want that meanwhile."""
        asked = self._seconds()
        await asyncio.sleep(max(0.0, _GUESS_SECONDS - self._keyring.age_seconds))
        await self._read(asked)

    async def _read(self, unless_since: float) -> None:
        # What was read before goes on to hold for a while: `usable` says for how long.
        with suppress(OutsideError):
            await asyncio.to_thread(self._keyring.read, unless_since=unless_since)

    def _pace(self, name: str) -> None:
        wait = self._rates.wait(name, self._seconds())
        if wait:
            said = f"{name} asks too often; wait, and send more in each request"
            raise Refused(429, said, retry_seconds=max(1, math.ceil(wait)))


def _must_come_from_here(connection: ASGIConnection[Any, Any, Any, Any], address: Address) -> None:
    host = connection.headers.get("host", "")
    name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    if not is_loopback(name) and name != address.host:
        raise Refused(403, f"without a token, the Host must be an address of this machine, and is {host[:100]!r}")
    if connection.scope.get("method") in _SAFE:
        return
    origin = connection.headers.get("origin")
    if origin not in {None, f"http://{host}"} or connection.headers.get("sec-fetch-site", "none") not in _OWN_SITES:
        raise Refused(403, "without a token, a page of another site may change nothing here")


def _unauthorized(said: str) -> Refused:
    return Refused(401, said, headers={"WWW-Authenticate": 'Bearer realm="killick"'})
