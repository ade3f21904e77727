"""What is known of models: who sends, what was counted, what was put aside, how far the labels have come."""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Response

from killick.clock import Window, parse_instant
from killick.engine.look import (
    EVER,
    Counted,
    Maturity,
    counted_in,
    maturity_of,
    quarantined_of,
    reference_of,
    telemetry_of,
)
from killick.server.bodies import JSON
from killick.server.problems import Refused
from killick.server.routes import REFERENCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from litestar import Request

    from killick.clock import Clock, Instant
    from killick.engine.world import World
    from killick.server.intake import Intake
    from killick.server.known import Known

# An answer of some megabytes; who wants more asks for one stretch of time after another.
PROFILES_MAX = 10_000
# The store keeps no more of a model's rows (`QUARANTINED_MAX` in engine/receive.py).
QUARANTINED_MAX = 1_000
_INSTANT_MAX = 2**62


class Names(msgspec.Struct, frozen=True):
    """The models of which there is a spec, or telemetry."""

    models: tuple[str, ...]


class Profiled(msgspec.Struct, frozen=True):
    """What the stored profiles of a stretch of time count."""

    profiles: list[Counted]


class PutAside(msgspec.Struct, frozen=True):
    """A row that could not be used: when it came, of which kind, from whom, its index in its body, the field, and why.

    `producer` and `sequence` name the body: as they were sent, or as the server named what came without a name.
    """

    at: int
    kind: str
    producer: str
    sequence: int
    index: int
    field: str
    reason: str


class Quarantine(msgspec.Struct, frozen=True):
    """The newest rows that could not be used, newest first."""

    rows: list[PutAside]


class Matured(msgspec.Struct, frozen=True):
    """How far the labels of each window have come."""

    windows: list[Maturity]


class Models:
    """The handlers. Looking costs the store a transaction, so it takes its turn with what comes in."""

    def __init__(self, world: World, known: Known, intake: Intake, clock: Clock) -> None:
        self._world = world
        self._known = known
        self._intake = intake
        self._clock = clock

    async def names(self, _request: Request[Any, Any, Any]) -> Response[bytes]:
        """List the models."""
        await self._intake.run(self._known.refresh)
        return _json(Names(tuple(sorted(self._known.names))))

    async def telemetry(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Give a model's totals."""
        return await self._look(partial(telemetry_of, self._world, await self._model(request)))

    async def counted(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Give what was counted, by version, role, segment and window."""
        model, window, segment = await self._model(request), self._window(request), _segment(request)
        version = request.query_params.get("version")
        asked = partial(counted_in, self._world, model, window, version=version, segment=segment, most=PROFILES_MAX)
        return await self._look(lambda: Profiled(asked()))

    async def reference(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Give what a model is measured with."""
        model = await self._model(request)
        packed = await self._intake.run(partial(reference_of, self._world, model))
        if packed is None:
            raise Refused(404, f"{model!r} has no reference yet; name one in its spec, or send predictions")
        return Response(packed, status_code=HTTPStatus.OK, media_type=REFERENCE)

    async def quarantine(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Give the newest rows that could not be used."""
        model = await self._model(request)
        limit = _limit(request.query_params.get("limit"))

        def look() -> Quarantine:
            return Quarantine(msgspec.convert(quarantined_of(self._world, model, limit), list[PutAside]))

        return await self._look(look)

    async def maturity(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Give how many labels are in, and how many should be."""
        model, window, now = await self._model(request), self._window(request), self._clock.now()
        return await self._look(lambda: Matured(maturity_of(self._world, model, now, window)))

    async def _look(self, look: Callable[[], msgspec.Struct]) -> Response[bytes]:
        return _json(await self._intake.run(look))

    async def _model(self, request: Request[Any, Any, Any]) -> str:
        model: str = request.path_params["model"]
        # In a thread: another host may have stored it since, and then the store is asked.
        return await self._intake.run(partial(self._known.find, model))

    def _window(self, request: Request[Any, Any, Any]) -> Window:
        """Return the stretch of time that is asked for: all of it, unless it is said."""
        end = _instant("end", request.query_params.get("end"), EVER.end)
        start = _instant("start", request.query_params.get("start"), EVER.start)
        if start >= end:
            raise Refused(400, "start must be before end")
        return Window(start, end)


def _instant(name: str, text: str | None, otherwise: Instant) -> Instant:
    if text is None:
        return otherwise
    try:
        found = int(text) if text.isascii() and text.lstrip("-").isdigit() and len(text) < 20 else parse_instant(text)  # noqa: PLR2004 - int64
    except (ValueError, OverflowError):
        found = _INSTANT_MAX
    if not -_INSTANT_MAX < found < _INSTANT_MAX:
        raise Refused(400, f"{name} must be ISO 8601, or microseconds since 1970-01-01 UTC, and is {text[:100]!r}")
    return found


def _segment(request: Request[Any, Any, Any]) -> dict[str, str] | None:
    """Return the segment that is asked for: `segment=origin=JFK`, once for each column; empty for the whole."""
    asked = request.query_params.getall("segment", [])
    if not asked:
        return None
    parts = [part.partition("=") for part in asked if part]
    if any(not column or not equals for column, equals, _ in parts):
        raise Refused(400, "segment must be COLUMN=VALUE, once for each column; empty for all rows")
    return {column: value for column, _, value in parts}


def _limit(text: str | None) -> int:
    if text is None:
        return 100
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(QUARANTINED_MAX)) else 0
    if not 1 <= number <= QUARANTINED_MAX:
        raise Refused(400, f"limit must be a whole number from 1 to {QUARANTINED_MAX:,}, and is {text[:100]!r}")
    return number


def _json(value: msgspec.Struct) -> Response[bytes]:
    return Response(msgspec.json.encode(value), status_code=HTTPStatus.OK, media_type=JSON)
