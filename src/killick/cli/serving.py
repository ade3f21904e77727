"""`killick serve` and `killick token`: the server, and who may ask it for what."""

from __future__ import annotations

import getpass
import os
import secrets
import sys
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from platform import node
from typing import TYPE_CHECKING, Any

from rich.text import Text

from killick.api import load_spec
from killick.cli.console import grid, out, say_json, toned
from killick.clock import format_instant, parse_duration
from killick.engine.live import Live
from killick.engine.receive import Receiver
from killick.errors import CallError, Mistake
from killick.server.access import must_be_bindable
from killick.server.limits import MEBIBYTE, Limits
from killick.server.listen import free_address, run
from killick.server.logs import begin_logging
from killick.server.service import make_service
from killick.server.tokens import create_token, list_tokens, revoke_token
from killick.wiring import open_world, otlp_reader, system_clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.clock import Instant
    from killick.engine.world import World
    from killick.server.logs import Form
    from killick.server.tokens import Scope, Token
    from killick.spec.document import Spec

HOLDS = 0


@dataclass(frozen=True, slots=True)
class How:
    """How the operator wants the server to be."""

    host: str
    port: int
    require_token: bool
    log: Form
    access_log: bool
    limits: Limits


def limits_of(
    body_mib_max: int | None, inflated_mib_max: int | None, requests_per_second: float | None, burst: int | None
) -> Limits:
    """Return the limits with what the operator wants otherwise.

    Raises:
        CallError: one of them lets nothing through.
    """
    limits = Limits()
    asked = {
        "body_bytes_max": body_mib_max and body_mib_max * MEBIBYTE,
        "inflated_bytes_max": inflated_mib_max and inflated_mib_max * MEBIBYTE,
        "requests_per_second": requests_per_second,
        "burst": burst,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    if mistakes := [Mistake(f"--{name}", "must be more than 0", value) for name, value in given.items() if value <= 0]:
        raise CallError(*mistakes)
    limits = replace(limits, **given)  # type: ignore[arg-type]
    # The largest body, sent and inflated, must fit twice: one must not keep all others out.
    held = max(limits.held_bytes_max, 2 * (limits.body_bytes_max + limits.inflated_bytes_max))
    return replace(limits, held_bytes_max=held)


def serve_specs(paths: Sequence[Path], store: Path | None, control: str | None, how: How) -> int:
    """Serve until a signal comes.

    Raises:
        CallError: the address needs a token and there is none, or the specs do not go together.
        OutsideError: the port is taken, or the store cannot be opened.
    """
    specs, root = _specs(paths), paths[0].parent if paths else Path()
    clock = system_clock()
    begin_logging(how.log, access=how.access_log)
    # Files are named by who writes them: a process that comes after a crash must not write over what that one left.
    world = replace(open_world(root, store or root / "store", control), host=f"{node()}-{secrets.token_hex(8)}")
    must_be_bindable(how.host, list_tokens(world.control), clock.now())
    address = free_address(how.host, how.port)
    live = Live(world, specs)
    live.open(clock.now())
    service = make_service(
        world,
        Receiver(world, clock.now),
        live,
        specs,
        address,
        clock,
        limits=how.limits,
        require_token=how.require_token,
        version=version("killick"),
        read_protobuf=otlp_reader(),
    )
    service.start()
    run(service.app, address, how.limits, hurry=service.intake.hurry, end=service.end)
    return HOLDS


def make_token(
    store: Path, control: str | None, name: str, scopes: tuple[Scope, ...], expires: str | None, by: str | None
) -> int:
    """Make a token, and show its secret."""
    world, now = _opened(store, control), system_clock().now()
    expires_at = None if expires is None else now + _duration(expires)
    secret = create_token(world.control, name, scopes, expires_at=expires_at, actor=by or _person(), now=now)
    # Alone on its line and on standard output, for `TOKEN=$(killick token create ...)`.
    sys.stdout.write(f"{secret}\n")
    print("Keep it: it is not shown again. Send it as: Authorization: Bearer ...", file=sys.stderr)
    return HOLDS


def show_tokens(store: Path, control: str | None, *, as_json: bool) -> int:
    """List the tokens."""
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
    token = revoke_token(_opened(store, control).control, name, actor=by or _person(), now=system_clock().now())
    out().print(Text(f"token {token.name} is revoked since {format_instant(token.revoked_at or 0)}"))
    return HOLDS


def _specs(paths: Sequence[Path]) -> dict[str, Spec]:
    folders = {path.resolve().parent for path in paths}
    if len(folders) > 1:
        hint = "files that a spec names are looked for beside it; serve other folders by servers of their own"
        raise CallError(Mistake("specs", "lie in several folders", ", ".join(sorted(map(str, folders))), hint=hint))
    specs: dict[str, Spec] = {}
    for path in paths:
        spec = load_spec(path)
        if spec.model in specs:
            hint = "each spec is of another model"
            raise CallError(Mistake(str(path), "names a model that another spec names too", spec.model, hint=hint))
        specs[spec.model] = spec
    return specs


def _opened(store: Path, control: str | None) -> World:
    return open_world(store.parent, store, control)


def _duration(text: str) -> Instant:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise CallError(Mistake("--expires", "is no duration", text, hint="such as 12h or 90d")) from error


def _person() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container may run as a number that has no name.
        return f"user {os.getuid()}"


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
