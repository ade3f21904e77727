"""`killick serve`: a world, what is done in it, and the server that lets others in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from killick.cli.working import Place
from killick.engine.receive import Receiver
from killick.errors import CallError, Mistake
from killick.server.access import must_be_bindable
from killick.server.limits import MEBIBYTE, Limits
from killick.server.listen import free_address, run
from killick.server.logs import begin_logging
from killick.server.service import make_service
from killick.server.tokens import list_tokens
from killick.server.worker import Worker
from killick.wiring import otlp_reader, system_clock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.server.logs import Form

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
    settings = dict(zip(asked, ("body-mib-max", "inflated-mib-max", "requests-per-second", "burst"), strict=True))
    wrong = {settings[name]: value for name, value in given.items() if value <= 0}
    if mistakes := [Mistake(f"--{name}", "must be more than 0", value) for name, value in wrong.items()]:
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
    root = paths[0].parent if paths else Path()
    place = Place(tuple(map(str, paths)), str(store or root / "store"), control, how.log)
    clock = system_clock()
    world, live, specs = place.open()
    must_be_bindable(how.host, list_tokens(world.control), clock.now())
    address = free_address(how.host, how.port)
    begin_logging(how.log, access=how.access_log)
    # Here and not in the worker alone: what is wrong with a reference is told before anybody sends.
    live.open(clock.now())
    service = make_service(
        world,
        Receiver(world, clock.now),
        Worker(place.command),
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
