"""Who may come in: every route with every scope, tokens of every kind, and pages of other sites."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest
from litestar.connection import ASGIConnection

from killick.adapters.control import open_control
from killick.errors import CallError
from killick.server.access import Access, Address, is_loopback, must_be_bindable
from killick.server.problems import Refused
from killick.server.rates import Rates
from killick.server.routes import ROUTES
from killick.server.tokens import Keyring, Token, create_token, hash_of, revoke_token
from killick.testing.control import MemoryControl
from tests.server.serving import JSON, Server, prediction, start, token

if TYPE_CHECKING:
    from pathlib import Path

    from killick.server.routes import Route

NOW = 1_700_000_000_000_000
# The table: what a token of a scope may ask for.
ALLOWED = {
    "ingest": {"ingest"},
    "read": {"read"},
    "operate": {"operate", "read"},
    "admin": {"ingest", "read", "operate", "admin"},
}
CASES = [(route, scope) for route in ROUTES for scope in ALLOWED]


def path_of(route: Route) -> str:
    """A route's path for some model."""
    return route.path.replace("{model}", "flight-delay")


@pytest.mark.parametrize(("route", "scope"), CASES, ids=lambda one: getattr(one, "name", one))
def test_a_token_opens_what_it_is_for_and_nothing_else(route: Route, scope: str, guarded: Server) -> None:
    """Every route with every scope: let in (whatever is then said of the empty body), or refused by name."""
    answer = guarded.ask(route.method, path_of(route), token=guarded.tokens[scope])

    if route.scope is None or route.scope in ALLOWED[scope]:
        assert answer.status not in {401, 403}
    else:
        assert answer.status == 403
        assert f"'a {scope}'" in answer.json["detail"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_without_a_token_only_what_tells_nothing_is_open(route: Route, guarded: Server) -> None:
    """Probes and the description are for everybody; all else asks for Bearer credentials."""
    answer = guarded.ask(route.method, path_of(route))

    if route.scope is None:
        assert answer.status == 200
        probed = guarded.ask("HEAD", path_of(route))
        assert (probed.status, probed.body) == (200, b"")
    else:
        assert answer.status == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "given",
    [
        "Bearer",
        "Bearer ",
        "Bearer kk_wrong",
        "Basic a2s6cGFzcw==",
        "kk_x",
        "bearer\tkk_x",
        "Bearer \xff\xfe",
        "x" * 5000,
    ],
)
def test_what_is_no_token_of_ours_opens_nothing(given: str, guarded: Server, server: Server) -> None:
    """Neither where a token is needed nor where none is: a wrong token is a mistake that somebody wants to know of."""
    for one in (guarded, server):
        assert one.ask("GET", "/metrics", Authorization=given).status == 401


def test_a_hash_from_the_store_is_no_token(guarded: Server) -> None:
    """Who reads the store cannot come in by what stands there."""
    stolen = hash_of(guarded.tokens["admin"])

    assert guarded.ask("GET", "/metrics", token=stolen).status == 401
    assert guarded.ask("GET", "/metrics", token=f"kk_{stolen}").status == 401


def test_two_tokens_in_one_request_are_none(guarded: Server) -> None:
    """What a proxy and what we take for the token might differ."""
    head = f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {guarded.tokens['read']}\r\n"
    answer = guarded.raw((head + "Authorization: Bearer kk_other\r\nConnection: close\r\n\r\n").encode())

    assert answer.startswith(b"HTTP/1.1 401")


def test_a_new_token_opens_at_once_and_a_revoked_one_soon_nothing(guarded: Server) -> None:
    """A server that runs learns of both from the store."""
    secret = token(guarded.store, "guest", "read")
    assert guarded.ask("GET", "/metrics", token=secret).status == 200

    control = open_control(guarded.store / "control.sqlite")
    revoke_token(control, "guest", actor="a test", now=NOW)
    control.close()
    statuses = [200]
    while statuses[-1] == 200 and len(statuses) < 10_000:
        statuses.append(guarded.ask("GET", "/metrics", token=secret).status)
    assert statuses[-1] == 401


FOREIGN = [
    "evil.example",
    "evil.example:8642",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "",
    "[::2]",
    "10.0.0.1",
]


@pytest.mark.parametrize("host", FOREIGN)
def test_a_name_that_was_rebound_to_this_machine_is_not_served(host: str, server: Server) -> None:
    """DNS rebinding: the browser sends the name that it believes in, for reading as for writing."""
    assert server.ask("GET", "/metrics", Host=host).status == 403
    answer = server.ask("POST", "/v1/models/m/predictions", b"[]", Host=host, Content_Type=JSON)
    assert answer.status == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1", "127.8.8.8:1", "[::1]:8642"])
def test_each_name_of_this_machine_is_served(host: str, server: Server) -> None:
    """A forwarded port or another name of loopback is no attack."""
    assert server.ask("GET", "/metrics", Host=host).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
    ids=str,
)
def test_a_page_of_another_site_changes_nothing(headers: dict[str, str], server: Server) -> None:
    """A form or a fetch that needs no preflight would otherwise write what its author likes."""
    answer = server.post("/v1/models/forged/predictions", [prediction(1)], **headers)

    assert answer.status == 403
    assert b"forged" not in server.ask("GET", "/metrics").body


def test_a_page_of_our_own_may(server: Server) -> None:
    """Same origin is the dashboard."""
    own = f"{server.host}:{server.port}"
    answer = server.post(
        "/v1/models/m/predictions", [prediction(1)], Origin=f"http://{own}", Host=own, Sec_Fetch_Site="same-origin"
    )

    assert answer.status == 200


def test_no_page_is_told_that_it_may_read_us(server: Server) -> None:
    """No CORS: a preflight is answered by no permission, and no answer carries one."""
    preflight = server.ask(
        "OPTIONS", "/v1/models/m/predictions", Origin="http://evil.example", Access_Control_Request_Method="POST"
    )
    answers = [preflight, server.ask("GET", "/healthz", Origin="http://evil.example")]

    assert preflight.status == 405
    assert not [name for answer in answers for name in answer.headers if name.startswith("access-control-")]


def test_a_client_cannot_say_that_it_is_another(tmp_path: Path) -> None:
    """The rate is of the address that the connection has, whatever X-Forwarded-For says; 429 says how long to wait."""
    slow = start(tmp_path, "--requests-per-second", "0.01", "--burst", "3")
    answers = [slow.ask("GET", "/metrics", X_Forwarded_For=f"10.0.0.{number}") for number in range(5)]

    assert [answer.status for answer in answers] == [200, 200, 200, 429, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 100
    assert slow.ask("GET", "/healthz").status == 200
    assert slow.stop() == 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.com"])  # noqa: S104 - none is bound
def test_others_are_let_in_only_where_a_token_is(host: str) -> None:
    """The way out is in the message; a token that opens nothing any more does not count."""
    revoked = Token("x", "", ("read",), 0, "me", revoked_at=1)
    with pytest.raises(CallError, match="killick token create"):
        must_be_bindable(host, [revoked], NOW)

    must_be_bindable(host, [Token("x", "", ("read",), 0, "me")], NOW)
    assert not is_loopback(host)


def test_an_address_is_written_as_one_types_it() -> None:
    """Six's addresses have brackets."""
    assert Address("::1", 1).url == "http://[::1]:1"
    assert Address("127.0.0.1", 8642).url == "http://127.0.0.1:8642"


class _Ring:
    """A keyring's world: a clock that a test turns, and one token."""

    def __init__(self) -> None:
        self.passed = 1_000.0
        self.control = MemoryControl()
        self.secret = create_token(self.control, "ci", ("ingest",), expires_at=None, actor="a test", now=NOW)
        keyring = Keyring(self.control, self.seconds)
        rates, address = Rates(500.0, 2_000), Address("0.0.0.0", 1)  # noqa: S104 - nothing listens
        self.access = Access(keyring, rates, address, self, self.seconds, require_token=True)

    def seconds(self) -> float:
        return self.passed

    def now(self) -> int:
        return NOW

    async def ask(self) -> int:
        """Come with the token once; return what a client would be answered."""
        scope = {
            "type": "http",
            "method": "GET",
            "headers": [(b"authorization", f"Bearer {self.secret}".encode())],
            "client": ("192.0.2.1", 1),
            "state": {},
        }
        handler = SimpleNamespace(opt={"scope": "ingest"})
        try:
            await self.access(ASGIConnection(scope), handler)  # type: ignore[arg-type]
        except Refused as refused:
            return refused.status_code
        return 200


def test_a_token_that_comes_seldom_is_let_in_every_time() -> None:
    """Prometheus may scrape every two minutes: the ring is read before it is asked, not after."""

    async def scrape() -> list[int]:
        ring, answers = _Ring(), []
        for _ in range(3):
            answers.append(await ring.ask())
            ring.passed += 120.0
        return answers

    assert asyncio.run(scrape()) == [200, 200, 200]


def test_a_revoked_token_opens_nothing_after_a_silence() -> None:
    """Not even the first door."""

    async def come_back() -> list[int]:
        ring = _Ring()
        answers = [await ring.ask()]
        revoke_token(ring.control, "ci", actor="a test", now=NOW)
        ring.passed += 50.0
        return [*answers, await ring.ask()]

    assert asyncio.run(come_back()) == [200, 401]
