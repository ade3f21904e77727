"""HTTP that no library would send: broken, slow, cut off. It is refused or dropped, and the server goes on."""

from __future__ import annotations

import http.client
import json
import socket
import time
from typing import TYPE_CHECKING

import pytest

from tests.server.serving import JSON, Server, prediction, start

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEAD = b"POST /v1/models/wire/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

MALFORMED = {
    "nonsense": (b"NONSENSE\r\n\r\n", b"400"),
    "a negative length": (HEAD + b"Content-Length: -3\r\n\r\n[]", b"400"),
    "two lengths": (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]", b"400"),
    "a length in words": (HEAD + b"Content-Length: two\r\n\r\n[]", b"400"),
    "a broken chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n[]\r\n0\r\n\r\n", b"400"),
    "endless headers": (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 1_000_000 + b"\r\n\r\n", b"431"),
    "a line break in a path": (b"GET /heal\x00thz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"400"),
    "another protocol": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100), b""),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), b""),
    "no Host": (b"GET /metrics HTTP/1.0\r\n\r\n", b"403"),
    "a proxy's request": (b"GET http://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n", b"404"),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_malformed_http_is_refused_and_the_server_goes_on(what: str, server: Server) -> None:
    """A status of 4xx, or a closed connection where no HTTP was spoken."""
    sent, status = MALFORMED[what]
    answer = server.raw(sent)

    assert answer.split(b" ")[1] == status if status else not answer.startswith(b"HTTP/1.1 2")
    assert server.ask("GET", "/healthz").status == 200


@pytest.mark.parametrize("sent", [10, 100])
def test_a_body_that_ends_before_its_length_stores_nothing(sent: int, server: Server) -> None:
    """What was cut off on the way could be half of the rows."""
    body = b"\n".join(json.dumps(prediction(number)).encode() for number in range(100))[: sent * 10]
    head = HEAD.replace(b"json", b"x-ndjson").replace(b"/wire/", b"/cut-off/")
    server.raw(head + b"Content-Length: 100000\r\n\r\n" + body, then_close=True)

    assert b"cut-off" not in server.ask("GET", "/metrics").body


def test_a_client_that_leaves_in_the_middle_of_an_answer_harms_nobody(server: Server) -> None:
    """Connections that are reset while a body is read or stored."""
    body = json.dumps([prediction(number) for number in range(200)]).encode()
    for _ in range(30):
        connection = socket.create_connection((server.host, server.port))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        connection.close()

    assert server.post("/v1/models/wire/predictions", [prediction(1)]).status == 200


def test_two_requests_in_one_write_are_answered_in_turn(server: Server) -> None:
    """Pipelining is allowed, and mixes nothing up."""
    both = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        connection.sendall(both)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece

    assert answer.index(b"200 OK") < answer.index(b"404 Not Found")


def test_headers_that_trickle_in_are_cut_off(hasty: Server) -> None:
    """Slow loris: the connection ends, and nothing of a request has reached us."""
    assert hasty.raw(b"GET /healthz HTTP/1.1\r\nX: ") == b""


def test_a_body_that_trickles_in_is_cut_off(hasty: Server) -> None:
    """408, and the connection is closed."""
    answer = hasty.raw(HEAD + b"Content-Length: 100\r\n\r\n[")

    assert answer.startswith(b"HTTP/1.1 408")
    assert b"connection: close" in answer.lower()


def test_slow_clients_do_not_keep_others_out_for_long(hasty: Server) -> None:
    """All connections are taken by clients that say nothing; who comes next is served when they are cut off."""
    silent = [socket.create_connection((hasty.host, hasty.port)) for _ in range(12)]

    assert hasty.ask("GET", "/healthz").status == 200
    for connection in silent:
        connection.close()


def test_more_than_the_memory_for_bodies_is_sent_back(tmp_path: Path) -> None:
    """503 with Retry-After while another body is held; 200 when it has gone."""
    full = start(tmp_path, body_bytes_max=1_000_000, held_bytes_max=1_500_000, inflated_bytes_max=1_000_000)
    body = json.dumps([prediction(0)]).encode() + b" " * 900_000
    first = socket.create_connection((full.host, full.port), timeout=10)
    first.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body[:-1])
    _until(lambda: _held(full) > 800_000)

    second = full.ask("POST", "/v1/models/wire/predictions", body, Content_Type=JSON)
    first.close()
    _until(lambda: _held(full) == 0)

    assert (second.status, second.headers["retry-after"]) == (503, "2")
    assert full.ask("POST", "/v1/models/wire/predictions", body, Content_Type=JSON).status == 200
    assert full.stop() == 0


def _until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def _held(server: Server) -> float:
    lines = server.ask("GET", "/metrics").body.decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith("killick_held_bytes "))


def test_one_connection_serves_many_requests(server: Server) -> None:
    """Kept alive, after refusals too: a sender does not pay for a connection each time."""
    connection = http.client.HTTPConnection(server.host, server.port, timeout=10)
    connection.connect()
    port = connection.sock.getsockname()[1]
    statuses = []
    for method, path in (("GET", "/healthz"), ("GET", "/nowhere"), ("PUT", "/healthz"), ("GET", "/metrics")):
        connection.request(method, path)
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)

    assert statuses == [200, 404, 405, 200]
    assert connection.sock.getsockname()[1] == port
    connection.close()
