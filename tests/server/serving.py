"""A real server in a process of its own, on a free port of this machine, and ways to talk to it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from killick.adapters.clock import SystemClock
from killick.adapters.control import open_control
from killick.server.tokens import create_token

if TYPE_CHECKING:
    from pathlib import Path

    from killick.server.tokens import Scope

JSON, NDJSON, ARROW = "application/json", "application/x-ndjson", "application/vnd.apache.arrow.stream"
ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("KILLICK_")} | {"COLUMNS": "200"}
# A machine that runs other tests beside these may be slow to start Python; nobody waits so long otherwise.
_PATIENCE_SECONDS = 60.0

# Runs the same as `killick serve`, with limits that are no settings of it, to reach them within a test's time.
WITH_LIMITS = """
import json, sys
from pathlib import Path
from killick.cli.serving import How, serve_specs
from killick.server.limits import Limits
store, specs, how, limits = json.loads(sys.argv[1])
serve_specs([Path(one) for one in specs], Path(store), None, How(**how, limits=Limits(**limits)))
"""


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


@dataclass
class Server:
    """A server that runs."""

    process: subprocess.Popen[bytes]
    host: str
    port: int
    log: Path
    store: Path
    tokens: dict[str, str] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, token: str | None = None, **headers: str
    ) -> Answer:
        """Send one request; an underscore in a header's name is a hyphen."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def post(self, path: str, rows: Any, **headers: str) -> Answer:
        """Send rows as JSON."""
        return self.ask("POST", path, json.dumps(rows).encode(), **{"Content_Type": JSON} | headers)

    def raw(self, data: bytes, *, wait_seconds: float = 10.0, then_close: bool = False) -> bytes:
        """Write bytes to a connection, and return all that comes back until the server ends it or has answered."""
        with socket.create_connection((self.host, self.port), timeout=wait_seconds) as connection:
            connection.sendall(data)
            if then_close:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            try:
                while piece := connection.recv(65536):
                    received += piece
                    if _is_whole(received):
                        break
            except (TimeoutError, ConnectionResetError):
                pass
            return received

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(_PATIENCE_SECONDS)


def prediction(number: int, **more: Any) -> dict[str, Any]:
    """A prediction in its canonical form."""
    return {
        "prediction_id": f"p-{number}",
        "event_time": 1_700_000_000_000_000 + number,
        "features": {"temp": 20.5, "origin": "JFK"},
        "version": "v1",
        "score": 0.25,
    } | more


def start(store: Path, *arguments: str, **limits: float) -> Server:
    """Start a server: by its command, or with limits that the command does not offer."""
    store.mkdir(parents=True, exist_ok=True)
    log = store / "log.txt"
    if limits:
        flags = {"require_token": "--require-token" in arguments}
        how = {"host": "127.0.0.1", "port": 0, "log": "text", "access_log": False} | flags
        specs = [one for one in arguments if not one.startswith("--")]
        command = [sys.executable, "-c", WITH_LIMITS, json.dumps([str(store), specs, how, limits])]
    else:
        command = [sys.executable, "-m", "killick", "serve", "--store", str(store), "--port", "0", *arguments]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env=ENVIRONMENT)
    url = _address(process, log)
    return Server(process, url.hostname or "", url.port or 0, log, store)


def token(store: Path, name: str, *scopes: Scope) -> str:
    """Make a token, as `killick token create` does, and return its secret."""
    control = open_control(store / "control.sqlite")
    secret = create_token(control, name, scopes, expires_at=None, actor="a test", now=SystemClock().now())
    control.close()
    return secret


def _address(process: subprocess.Popen[bytes], log: Path) -> Any:
    until = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < until and process.poll() is None:
        said = log.read_text()
        if "listens on " in said:
            return urlsplit(said.partition("listens on ")[2].split('"')[0].split()[0])
        time.sleep(0.02)
    process.kill()
    process.wait()
    raise AssertionError(f"the server did not start: {log.read_text()}")


def _is_whole(received: bytes) -> bool:
    head, found, body = received.partition(b"\r\n\r\n")
    if found and head.startswith(b"HTTP/1.1 100"):
        return _is_whole(body)
    lengths = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return bool(found and lengths) and len(body) >= int(lengths[0])
