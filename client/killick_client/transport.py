"""How a batch travels: one request, one answer. The sender's thread alone calls it, one request at a time.

Promise of `HttpTransport`: one kept-alive connection, a bound on every wait, no redirect followed, no proxy asked (what
is logged goes to the server that the operator named, and to nobody else).
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from http.client import HTTPConnection

# A server that makes a batch durable answers within milliseconds; ten seconds is what a loaded one may need.
TIMEOUT_SECONDS = 10.0
# The answer lists the rows that were quarantined; of a longer list the rest is not needed.
ANSWER_BYTES_MAX = 1 << 20


class Answer(msgspec.Struct, frozen=True):
    """What came back: the HTTP status, how long the server asks to be left alone, and its text."""

    status: int
    retry_after_seconds: float | None = None
    body: bytes = b""


class Transport(Protocol):
    """What the sender needs of a server. It may also have a `close()`, which may come from another thread."""

    def send(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Hand over a batch and wait for the answer.

        Raises:
            Exception: nobody answered; the same batch will be sent again.
        """
        ...


class HttpTransport:
    """Sends to a server over HTTP or HTTPS.

    Args:
        url: where the server is, such as `http://127.0.0.1:8642`; a path in it goes before every other.
        token: sent as `Authorization: Bearer`, if there is one; without the end of the line that a secret's file has.
        timeout_seconds: how long to wait for a connection, and for each part of an answer.

    Raises:
        ValueError: the URL is none, or the token cannot be sent.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        # Imported here, in the caller's thread, with the codec by which names of hosts are looked up: a fork while
        # another thread imports would leave the child waiting for that import for ever.
        from http.client import HTTPConnection, HTTPSConnection

        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError(f"{url!r} is no address of a server: write http://HOST:PORT or https://HOST:PORT")
        if parts.username or parts.query or parts.fragment:
            raise ValueError("an address is SCHEME://HOST:PORT/PATH and nothing more; hand the token over as token=")
        parts.hostname.encode("idna")
        token = (token or "").strip()
        if not (token.isascii() and token.isprintable()):  # the error at sending would quote it, into a log
            raise ValueError("token: it has characters that are not printable ASCII, and cannot be sent")
        self._kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._host, self._port, self._prefix = parts.hostname, parts.port, parts.path.rstrip("/")
        self._extra = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout_seconds = timeout_seconds
        self._connection: HTTPConnection | None = None  # kept alive, and nobody's
        self._under_way: HTTPConnection | None = None
        self._is_closed = False

    def send(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post a body and read the answer; a connection that failed is not used again.

        Raises:
            OSError, http.client.HTTPException: nobody answered.
        """
        kept, self._connection = self._connection, None
        if kept is not None:
            try:
                return self._post(kept, path, headers, body)
            except ConnectionError:  # the server has closed what was idle; a batch may come twice, it has its number
                if self._is_closed:
                    raise
        return self._post(self._connect(), path, headers, body)

    def close(self) -> None:
        """End the connection, also one that another thread waits on: its request then fails at once."""
        self._is_closed = True
        idle, self._connection = self._connection, None
        if idle is not None:
            idle.close()
        busy = self._under_way
        if busy is not None and busy.sock is not None:
            with contextlib.suppress(OSError):  # it was closed already
                busy.sock.shutdown(socket.SHUT_RDWR)

    def _post(self, connection: HTTPConnection, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self._under_way = connection
        try:
            connection.request("POST", self._prefix + path, body, {**headers, **self._extra})
            response = connection.getresponse()
            text = response.read(ANSWER_BYTES_MAX)
        except BaseException:
            connection.close()
            raise
        finally:
            self._under_way = None
        if response.isclosed():
            self._connection = connection
        else:
            connection.close()
        return Answer(response.status, _seconds(response.getheader("Retry-After")), text)

    def _connect(self) -> HTTPConnection:
        return self._kind(self._host, self._port, timeout=self._timeout_seconds)


def _seconds(retry_after: str | None) -> float | None:
    """Read a `Retry-After`: seconds or a date (RFC 9110, 10.2.3); None where it is neither."""
    if retry_after is None:
        return None
    with contextlib.suppress(ValueError):
        return float(min(max(0, int(retry_after)), sys.maxsize))
    with contextlib.suppress(ValueError, OverflowError):
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    return None
