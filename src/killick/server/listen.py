"""One process that listens: granian inside our own event loop, from the first connection to a clean end.

To stop (SIGTERM, SIGINT) is to take no new connection, to answer what is in flight, to do once more what is due, and to
be gone within ten seconds. What cannot be finished by then is left as a crash would leave it, which is safe.

`granian.server.embed` rather than its supervisor with one worker: one process answers, and is watched and signalled.
The live worker is one beside it (`worker.py`).
"""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

from killick.errors import CallError, Mistake, OutsideError
from killick.server.access import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from granian.server.embed import Server
    from litestar.types import ASGIApp

    from killick.server.limits import Limits

# Ten seconds are what container platforms give a process at least. Of these: bodies that still come, answers, the last
# tick.
_HURRY_SECONDS, _ANSWERS_SECONDS, _END_SECONDS = 2.0, 5.0, 9.0
# What is read from a connection at once, for which granian has one word with how long a request's head may be: longer
# ones are refused (431). Each piece of a body costs a change of threads, a twentieth of the time at a quarter of this.
_PIECE_BYTES_MAX = 256 * 1024
_LOOK_SECONDS = 0.01
_PORT_MAX = 65_535
# A body of ten thousand rows makes fewer, and memory for so many is some ten megabytes.
_OBJECTS_BETWEEN_LOOKS = 100_000
_STARTING_SECONDS_MAX = 10.0

_log = logging.getLogger("killick.server")


def free_address(host: str, port: int) -> Address:
    """Return where to listen; port 0 stands for any that is free.

    granian shares a port with whoever else would share it, so two servers of one port would each get half of the
    requests: that nobody listens there is asked first.

    Raises:
        OutsideError: the port is taken.
        CallError: the host is no address of this machine, or the port may not be used.
    """
    if not 0 <= port <= _PORT_MAX:
        raise CallError(Mistake("--port", f"must be from 0 to {_PORT_MAX}", port, hint="0 takes any that is free"))
    name = "127.0.0.1" if host == "localhost" else host
    try:
        family = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((name, port))
            return Address(name, probe.getsockname()[1])
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise OutsideError(
                f"port {port} of {host} is taken; another server runs there, or choose --port"
            ) from error
        raise CallError(Mistake("--host", f"cannot be bound: {error.strerror or error}", f"{host}:{port}")) from error


def run(
    app: ASGIApp, address: Address, limits: Limits, *, hurry: Callable[[float], None], end: Callable[[], None]
) -> None:
    """Serve until a signal comes, and end.

    Args:
        app: answers.
        address: where to listen, as `free_address` found it.
        limits: of connections and headers.
        hurry: gives what is still being received no more than so many seconds.
        end: does the last that is due, once everybody has an answer.

    Raises:
        OutsideError: the server could not begin to listen.
    """
    # What is there now is there to the end, and a body makes thousands of objects that are all free when it is done:
    # looking through either again and again would cost a quarter of the time of reading a body.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_LOOKS)
    asyncio.run(_serve(_server(app, address, limits), address, hurry, end))


async def _serve(server: Server, address: Address, hurry: Callable[[float], None], end: Callable[[], None]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopped.set))
    serving = asyncio.ensure_future(server.serve())
    await _reachable(address, serving)
    _log.info("killick listens on %s", address.url)
    stopping = asyncio.ensure_future(stopped.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not stopped.is_set():
        raise OutsideError("the HTTP server ended by itself")
    _end_in(_END_SECONDS)
    _log.info("killick stops")
    server.stop()  # type: ignore[no-untyped-call]
    hurry(_HURRY_SECONDS)
    await asyncio.wait({serving}, timeout=_ANSWERS_SECONDS)
    # granian, where we did not wait for its last connections, reports to a future that is cancelled by then.
    loop.set_exception_handler(lambda *_: None)
    await asyncio.to_thread(end)
    _log.info("killick has stopped")


def _server(app: ASGIApp, address: Address, limits: Limits) -> Server:
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.server.embed import Server

    return Server(
        app,
        address=address.host,
        port=address.port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        websockets=False,
        backpressure=limits.connections_max,
        http1_settings=HTTP1Settings(
            header_read_timeout=int(limits.header_seconds * 1000), max_buffer_size=_PIECE_BYTES_MAX
        ),
        log_enabled=False,
    )


async def _reachable(address: Address, serving: asyncio.Future[None]) -> None:
    """Wait until a connection is taken: what the log says of an address is then so."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104 - to reach it, not to bind
    loop = asyncio.get_running_loop()
    patience = loop.time() + _STARTING_SECONDS_MAX
    while not serving.done() and loop.time() < patience:
        try:
            _, writer = await asyncio.open_connection(host, address.port)
        except OSError:
            await asyncio.sleep(_LOOK_SECONDS)
        else:
            writer.close()
            return
    reason = serving.exception() if serving.done() else None
    raise OutsideError(f"the HTTP server did not begin to listen on {address.url}: {reason or 'nobody answers there'}")


def _end_in(seconds: float) -> None:
    """End the process with 0 after so long, whatever still runs: it is as safe as a crash, and in time."""
    timer = threading.Timer(seconds, os._exit, (0,))
    timer.daemon = True
    timer.start()
