"""The application: the table of routes, each with its handler, its guard, and what an error looks like."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from litestar import Litestar, Request, Response
from litestar.handlers import HTTPRouteHandler

from killick.server.problems import answer_error

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from typing import TypeAlias

    from litestar.types import ASGIApp, Message, Method, Receive, Scope, Send

    from killick.server.access import Access
    from killick.server.meters import Meters
    from killick.server.routes import Route

    Handling: TypeAlias = Callable[[Request[Any, Any, Any]], Awaitable[Response[bytes]]]

_access_log = logging.getLogger("killick.access")


def make_app(routes: Iterable[Route], handlers: Mapping[str, Handling], access: Access, meters: Meters) -> ASGIApp:
    """Return the application.

    Args:
        routes: what is served.
        handlers: by the routes' names.
        access: who may come in; asked before anything of a body is read.
        meters: count the answers.
    """
    app = Litestar(
        [_route_handler(route, handlers[route.name]) for route in routes],
        guards=[access],
        exception_handlers={Exception: answer_error},
        openapi_config=None,  # ours is made from the table
        logging_config=None,
        request_max_body_size=None,  # `Intake.read` counts, in this request and over all of them
    )
    return _counted(app, meters)


def _route_handler(route: Route, handle: Handling) -> HTTPRouteHandler:
    async def answer(request: Request[Any, Any, Any]) -> Response[bytes]:
        return await handle(request)

    path = route.path.replace("{model}", "{model:str}")
    # What asks nobody who he is, is asked by probes, and some ask for the head alone.
    methods: list[Method] = [route.method] if route.scope else [route.method, "HEAD"]
    return HTTPRouteHandler(path, http_method=methods, status_code=200, opt={"scope": route.scope})(answer)


def _counted(app: ASGIApp, meters: Meters) -> ASGIApp:
    """Count every answer by its status, and write the access log, where anybody listens to it."""

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                status = message["status"]
                meters.answered(status)
                if _access_log.isEnabledFor(logging.INFO):
                    seconds = time.monotonic() - began
                    who = scope.get("state", {}).get("actor") or "-"
                    _access_log.info("%s %s %d %s %.4f s", scope.get("method"), scope["path"], status, who, seconds)
            await send(message)

        await app(scope, receive, told)

    return counted
