"""The world outside of the client: a server on loopback that keeps what it gets and answers as it is told."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ACCEPTED = json.dumps({"accepted": 1, "quarantined": [], "duplicate": False}).encode()


@dataclass
class Request:
    """What came in."""

    path: str
    headers: dict[str, str]
    body: bytes
    peer: int

    @property
    def key(self) -> tuple[str, str, int]:
        """Under which a server knows that it has had it."""
        return self.path, self.headers["killick-producer"], int(self.headers["killick-sequence"])

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its events."""
        return [json.loads(line) for line in self.body.splitlines()]


@dataclass
class Reply:
    """What goes out; with status 0 the connection is closed without a word."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = ACCEPTED


class Outside:
    """What a test asks of the server, and tells it."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.reply: Callable[[Request], Reply] = lambda _: Reply()
        self.url = ""
        self.closes_after_answer = False  # without a word, as a server does that keeps nobody's idle connection

    def batches(self, kind: str = "predictions") -> list[Request]:
        """The batches of a kind, each once, however often it came; the same key always has the same body."""
        found: dict[tuple[str, str, int], Request] = {}
        for request in list(self.requests):
            if request.path.endswith(f"/{kind}"):
                assert found.setdefault(request.key, request).body == request.body
        return list(found.values())

    def events(self, kind: str = "predictions") -> list[dict[str, Any]]:
        """The events of a kind, each once."""
        return [line for batch in self.batches(kind) for line in batch.lines]

    def ids(self, kind: str = "predictions") -> list[str]:
        """The events' ids."""
        return [event["prediction_id"] for event in self.events(kind)]


@contextmanager
def serving(port: int = 0) -> Iterator[Outside]:
    """Serve on loopback for as long as the block lasts."""
    outside = Outside()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece: or else its second one waits 40 ms for the first to be confirmed

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.path, headers, body, self.client_address[1])
            outside.requests.append(request)
            reply = outside.reply(request)
            if not reply.status:
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)
            self.close_connection = outside.closes_after_answer or self.close_connection

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def handle(self) -> None:
            try:
                super().handle()
            except OSError:  # the client is gone, as some tests want it
                self.close_connection = True

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_: object) -> None:
            """Say nothing."""

    with Server(("127.0.0.1", port), Handler) as server:
        outside.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield outside
        finally:
            server.shutdown()
            thread.join()


def until(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    """Wait until something holds; False if it never does."""
    waiting = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if holds():
            return True
        waiting.wait(0.01)
    return holds()
