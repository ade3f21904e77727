"""What is looked at: whether the server lives and is ready, its numbers, its description, what is known of models."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec
from litestar import Response

from killick.server import meters as metering
from killick.server.bodies import JSON
from killick.server.problems import RETRY_SECONDS, Refused

if TYPE_CHECKING:
    from litestar import Request

    from killick.server.meters import Meters
    from killick.server.readiness import Readiness

# A store that lets a probe wait longer than this is as good as away; probes of Kubernetes wait a second by default.
_PATIENCE_SECONDS = 3.0


class Alive(msgspec.Struct, frozen=True):
    """The answer of /healthz and, when it is 200, of /readyz."""

    status: str


class Looking:
    """The handlers of what is about the server itself."""

    def __init__(self, meters: Meters, readiness: Readiness, description: dict[str, Any]) -> None:
        self._meters = meters
        self._readiness = readiness
        self._description = msgspec.json.encode(description)
        self._asking: asyncio.Task[tuple[str, ...]] | None = None

    async def healthz(self, _request: Request[Any, Any, Any]) -> Response[bytes]:
        """Say that the process lives: the event loop turns."""
        return _json(Alive("lives"))

    async def readyz(self, _request: Request[Any, Any, Any]) -> Response[bytes]:
        """Say whether the server can do its work, or why not."""
        reasons = await self._reasons()
        if reasons:
            raise Refused(503, "; ".join(reasons), retry_seconds=RETRY_SECONDS)
        return _json(Alive("ready"))

    async def metrics(self, _request: Request[Any, Any, Any]) -> Response[bytes]:
        """Tell Prometheus."""
        await self._reasons()  # the backlog and the lag, as they are now
        # A thousand models take a tenth of a second, in which nobody else would be answered.
        text = await asyncio.to_thread(self._meters.text)
        return Response(text, status_code=HTTPStatus.OK, media_type=metering.MEDIA)

    async def openapi(self, _request: Request[Any, Any, Any]) -> Response[bytes]:
        """Describe the API."""
        return Response(self._description, status_code=HTTPStatus.OK, media_type=JSON)

    async def _reasons(self) -> tuple[str, ...]:
        # Whoever asks while another's question is under way gets its answer: a store that hangs holds one thread.
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(asyncio.to_thread(self._readiness.reasons))
        try:
            return await asyncio.wait_for(asyncio.shield(self._asking), _PATIENCE_SECONDS)
        except TimeoutError:
            return ("the control store does not answer in time",)


def _json(value: msgspec.Struct) -> Response[bytes]:
    return Response(msgspec.json.encode(value), status_code=HTTPStatus.OK, media_type=JSON)
