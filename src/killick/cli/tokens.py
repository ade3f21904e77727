"""`killick token`: who may ask a server for what."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rich.text import Text

from killick.cli.console import err, grid, must_be_store, out, person, say_json, toned
from killick.clock import format_instant, parse_duration
from killick.errors import CallError, Mistake
from killick.server.tokens import create_token, list_tokens, revoke_token
from killick.wiring import open_world, system_clock

if TYPE_CHECKING:
    from pathlib import Path

    from killick.clock import Instant
    from killick.engine.world import World
    from killick.server.tokens import Scope, Token

HOLDS = 0


def make_token(
    store: Path, control: str | None, name: str, scopes: tuple[Scope, ...], expires: str | None, by: str | None
) -> int:
    """Make a token, and show its secret."""
    world, now = _opened(store, control), system_clock().now()
    expires_at = None if expires is None else now + _duration(expires)
    secret = create_token(world.control, name, scopes, expires_at=expires_at, actor=by or person(), now=now)
    # Alone on its line and on standard output, for `TOKEN=$(killick token create ...)`.
    sys.stdout.write(f"{secret}\n")
    err().print("Keep it: it is not shown again. It is sent as: Authorization: Bearer ...", style="dim")
    return HOLDS


def show_tokens(store: Path, control: str | None, *, as_json: bool) -> int:
    """List the tokens."""
    must_be_store(store, control)
    now = system_clock().now()
    tokens = list_tokens(_opened(store, control).control)
    if as_json:
        say_json([_values(token, now) for token in tokens])
        return HOLDS
    table = grid("token", "for", "until", "made", "by")
    for token in tokens:
        values = _values(token, now)
        state = toned("ok", token.name) if values["valid"] else Text(token.name, style="dim")
        until = f"revoked {values['revoked_at']}" if values["revoked_at"] else values["expires_at"] or "for ever"
        table.add_row(state, Text(", ".join(token.scopes)), until, values["created_at"], Text(token.created_by))
    out().print(table if tokens else "There is no token.")
    return HOLDS


def take_back(store: Path, control: str | None, name: str, by: str | None) -> int:
    """Take a token back."""
    token = revoke_token(_opened(store, control).control, name, actor=by or person(), now=system_clock().now())
    out().print(Text(f"token {token.name} is revoked since {format_instant(token.revoked_at or 0)}"))
    return HOLDS


def _opened(store: Path, control: str | None) -> World:
    return open_world(store.parent, store, control)


def _duration(text: str) -> Instant:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise CallError(Mistake("--expires", "is no duration", text, hint="such as 12h or 90d")) from error


def _values(token: Token, now: Instant) -> dict[str, Any]:
    times = {
        name: None if at is None else format_instant(at)
        for name, at in (
            ("created_at", token.created_at),
            ("expires_at", token.expires_at),
            ("revoked_at", token.revoked_at),
        )
    }
    return {"name": token.name, "scopes": token.scopes, "valid": token.valid(now), "by": token.created_by} | times
