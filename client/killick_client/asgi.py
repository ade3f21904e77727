"""ASGI middleware: each request may turn out to be a prediction, timed from the first byte in to the last byte out.

    app = KillickMiddleware(app, client)

    async def handler(request):
        prediction = current_prediction()            # or request.state.killick
        prediction.features = ...
        prediction.score = model(prediction.features)

A request for which no handler fills in features is none, and is not logged. The status is `ok` below 400, `http_503`
and its like beyond, or the name of the error that escaped; the trace comes from `traceparent` (W3C Trace Context) or
else `x-request-id`.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from killick_client.watch import PARTS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    from killick_client.client import Client
    from killick_client.watch import OpenPrediction

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    App = Callable[[Message, Receive, Send], Awaitable[None]]

_CURRENT: ContextVar[OpenPrediction | None] = ContextVar("killick_prediction", default=None)
_FAILED = 400
# version "-" trace-id "-" parent-id "-" flags, https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
# Somebody else's text; longer than any id is.
_TRACE_CHARACTERS_MAX = 200


def current_prediction() -> OpenPrediction | None:
    """Return the prediction of the request that is being handled; None outside of one."""
    return _CURRENT.get()


class KillickMiddleware:
    """Wraps an ASGI application.

    Args:
        app: what answers.
        client: who logs.
        parts: what all its predictions have in common, such as `role="shadow"`.

    Raises:
        TypeError: a prediction has no such part, or the middleware gives it itself.
    """

    def __init__(self, app: App, client: Client, **parts: object) -> None:
        if unknown := parts.keys() - ({*PARTS} - {"trace_id"}):
            raise TypeError(f"{min(unknown)!r} is no part that all predictions can have in common")
        self._app, self._client, self._parts = app, client, parts

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Handle one connection; all but requests over HTTP are passed through."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        prediction = self._client.prediction(**self._parts, trace_id=trace_of(scope.get("headers", ())))
        scope.setdefault("state", {})["killick"] = prediction

        async def send_on(message: Message) -> None:
            await send(message)
            if message["type"] == "http.response.start" and message["status"] >= _FAILED and prediction.status == "ok":
                prediction.status = f"http_{message['status']}"
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                prediction.pause()  # what the application does after its answer, nobody waits for

        token = _CURRENT.set(prediction)
        error: BaseException | None = None
        try:
            await self._app(scope, receive, send_on)
        except BaseException as raised:
            error = raised
            raise
        finally:
            _CURRENT.reset(token)
            prediction.end(error)


def trace_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the trace that a request belongs to.

    >>> trace_of([(b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")])
    '4bf92f3577b34da6a3ce929d0e0e4736'
    """
    found = {bytes(name).lower(): bytes(value).decode("latin-1") for name, value in headers}
    traced = _TRACEPARENT.fullmatch(found.get(b"traceparent", "").strip())
    return traced[1] if traced else found.get(b"x-request-id", "")[:_TRACE_CHARACTERS_MAX] or None
