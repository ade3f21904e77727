"""The commands of the server: `killick serve`, and `killick token` for who may ask it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

_Flag = Parameter(negative="")
_Store = Annotated[Path, Parameter(help="Where Killick keeps what it knows.")]
_Control = Annotated[
    str | None,
    Parameter(help="Where the control store is, such as postgresql://HOST/NAME; without it, SQLite in the store."),
]
_By = Annotated[str | None, Parameter(help="Who says so; it goes into the ledger. Without it, who is logged in.")]

token_app = App(name="token", help="Make, list and take back the tokens that open a server.")


def serve(  # noqa: PLR0913 - every option of the command is an argument
    specs: Annotated[list[Path] | None, Parameter(negative="")] = None,
    /,
    *,
    store: Path | None = None,
    control: _Control = None,
    host: str = "127.0.0.1",
    port: int = 8642,
    require_token: Annotated[bool, _Flag] = False,
    log: Literal["text", "json"] = "text",
    access_log: Annotated[bool, _Flag] = False,
    body_mib_max: int | None = None,
    inflated_mib_max: int | None = None,
    requests_per_second: float | None = None,
    burst: int | None = None,
) -> int:
    """Take in predictions and outcomes over HTTP, durably, and profile them as they come.

    Args:
        specs: The specs of the models; without any, telemetry of every model is taken.
        store: Where Killick keeps what it knows; without it, the folder store beside the first spec, or here.
        control: Where the control store is.
        host: The address to listen on; anything but this machine's own needs a token to be there.
        port: The port; 0 takes any that is free, and the log says which.
        require_token: Ask for a token on this machine too.
        log: How the log is written, on standard error.
        access_log: Write a line for each request.
        body_mib_max: The largest body, as it is sent, in MiB; 32 without it.
        inflated_mib_max: The largest body once it is unpacked, in MiB; 256 without it.
        requests_per_second: What one token, or one address without a token, may ask in the long run; 5000 without it.
        burst: And at once; 10000 without it.
    """
    from killick.cli.serving import How, limits_of, serve_specs

    limits = limits_of(body_mib_max, inflated_mib_max, requests_per_second, burst)
    how = How(host, port, require_token=require_token, log=log, access_log=access_log, limits=limits)
    return serve_specs(specs or [], store, control, how)


def forget(
    *,
    entity_id: str,
    by: _By = None,
    store: _Store = Path("store"),
    control: _Control = None,
    json: Annotated[bool, _Flag] = False,
) -> int:
    """Remove a person's rows from every file; what was counted stays counted, and the ledger records it.

    Args:
        entity_id: Who is to be forgotten, as predictions name them.
        by: Who asked for it.
        store: Where Killick keeps what it knows.
        control: Where the control store is.
        json: Write the answer as JSON.
    """
    from killick.cli.forgetting import forget_entity

    return forget_entity(store, control, entity_id, by, as_json=json)


@token_app.command
def create(
    *,
    name: str,
    scope: Annotated[list[Literal["ingest", "read", "operate", "admin"]], Parameter(negative="")],
    expires: str | None = None,
    by: _By = None,
    store: _Store = Path("store"),
    control: _Control = None,
) -> int:
    """Make a token, and show its secret: this once.

    Args:
        name: What the ledger calls whoever uses it.
        scope: What it is for: ingest sends telemetry, read looks, operate looks and acts, admin does everything.
        expires: After how long it opens nothing any more, such as 90d; without it, never.
        by: Who makes it.
        store: Where Killick keeps what it knows.
        control: Where the control store is.
    """
    from killick.cli.tokens import make_token

    return make_token(store, control, name, tuple(scope), expires, by)


@token_app.command(name="list")
def list_(*, store: _Store = Path("store"), control: _Control = None, json: Annotated[bool, _Flag] = False) -> int:
    """List the tokens: their names, what they are for, until when; no secret.

    Args:
        store: Where Killick keeps what it knows.
        control: Where the control store is.
        json: Write the answer as JSON.
    """
    from killick.cli.tokens import show_tokens

    return show_tokens(store, control, as_json=json)


@token_app.command
def revoke(name: str, *, by: _By = None, store: _Store = Path("store"), control: _Control = None) -> int:
    """Take a token back; servers that run know it within seconds.

    Args:
        name: The token's name.
        by: Who takes it back.
        store: Where Killick keeps what it knows.
        control: Where the control store is.
    """
    from killick.cli.tokens import take_back

    return take_back(store, control, name, by)
