"""What is watched goes on as if it were not: blocks, functions and requests, timed and with their errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from killick_client import Client
from killick_client.asgi import KillickMiddleware, current_prediction, trace_of

if TYPE_CHECKING:
    from tests.client.outside import Outside

Make = Callable[..., Client]


def logged(client: Client, outside: Outside) -> list[dict[str, Any]]:
    """What arrived."""
    assert client.flush()
    return outside.events()


def test_a_block_is_timed_and_filled_in(a_client: Make, outside: Outside) -> None:
    """What is known only inside is added inside."""
    client = a_client()
    with client.prediction(prediction_id="a", features={"x": 1}) as prediction:
        prediction.score = 0.7
        prediction.metadata = {"pod": "b"}

    (event,) = logged(client, outside)
    assert (event["prediction_id"], event["score"], event["metadata"]) == ("a", 0.7, {"pod": "b"})
    assert 0 < event["latency_seconds"] < 60
    assert "status" not in event


def test_the_error_of_a_block_is_its_status_and_goes_on(a_client: Make, outside: Outside) -> None:
    """By name only: its text may hold anything."""
    client = a_client()
    with pytest.raises(ZeroDivisionError), client.prediction(features={"x": 1}):
        _ = 1 / 0

    assert logged(client, outside)[0]["status"] == "ZeroDivisionError"


def test_a_part_that_no_prediction_has_costs_the_event_and_not_the_service(a_client: Make) -> None:
    """Nothing raises in the call; it is counted as what cannot be encoded is."""
    client = a_client()
    with client.prediction(scroe=1, features={"x": 1}) as prediction:
        prediction.score = 0.5

    assert client.statistics().dropped == {"unencodable": 1}
    assert "AttributeError" in str(client.statistics().last_error)
    with pytest.raises(AttributeError):
        prediction.scroe = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("part", ["scroe", "trace_id"])
def test_a_middleware_with_a_part_that_cannot_be_is_refused_when_it_is_made(part: str, a_client: Make) -> None:
    """Not at every request."""
    with pytest.raises(TypeError, match=part):
        KillickMiddleware(application, a_client(), **{part: 1})


def test_a_watched_function_gives_what_it_gave(a_client: Make, outside: Outside) -> None:
    """Its arguments are the features, its result the score, the decision or the scores."""
    client = a_client()

    @client.watch
    def score(temp: float, *, night: bool = False) -> float:
        """Say how late."""
        return temp / 100

    @client.watch(features=lambda request: request["body"], entity_id=lambda request: request["user"])
    def decide(request: dict[str, Any]) -> str:
        return "hold" if request["body"]["x"] else "go"

    @client.watch
    def classes(features: dict[str, float]) -> dict[str, float]:
        return {"late": features["x"], "on time": 1 - features["x"]}

    assert score(50.0, night=True) == 0.5
    assert decide({"body": {"x": 1}, "user": "u"}) == "hold"
    assert classes({"x": 0.25}) == {"late": 0.25, "on time": 0.75}
    assert score.__doc__ == "Say how late."
    first, second, third = logged(client, outside)
    assert (first["features"], first["score"]) == ({"temp": 50.0, "night": True}, 0.5)
    assert (second["features"], second["entity_id"], second["decision"]) == ({"x": 1}, "u", "hold")
    assert third["scores"] == {"late": 0.25, "on time": 0.75}


def test_features_are_those_that_a_watched_function_was_given(a_client: Make, outside: Outside) -> None:
    """Whatever it does to them in their place, and each under its own name."""
    client = a_client()

    @client.watch
    def scales(row: dict[str, Any]) -> float:
        row["temp"] = (row["temp"] - 60) / 10
        del row["tail"]
        return 0.5

    @client.watch(features=lambda request: request["body"])
    def empties(request: dict[str, Any]) -> float:
        request["body"].clear()
        return 0.5

    @client.watch
    def gathers(temp: float, **others: float) -> float:
        return temp

    scales({"temp": 61.5, "tail": "N1"})
    empties({"body": {"x": 1}})
    gathers(61.5, wind=2.0)
    gathers(61.5)

    features = [event["features"] for event in logged(client, outside)]
    assert features == [{"temp": 61.5, "tail": "N1"}, {"x": 1}, {"temp": 61.5, "wind": 2.0}, {"temp": 61.5}]


def test_a_watched_function_raises_what_it_raised(a_client: Make, outside: Outside) -> None:
    """Also when it is called in the wrong way, and when the choice of features fails."""
    client = a_client()

    @client.watch(features=lambda x: {"x": x}, trace_id=lambda x: x["missing"])
    def fails(x: int) -> float:
        raise KeyError(x)

    with pytest.raises(KeyError):
        fails(1)
    with pytest.raises(TypeError):
        fails()  # type: ignore[call-arg]

    (event,) = logged(client, outside)
    assert (event["status"], event["features"]) == ("KeyError", {"x": 1})


def test_an_async_function_is_watched_to_its_end(a_client: Make, outside: Outside) -> None:
    """Many at a time, each with its own result; one that is cancelled says so."""
    client = a_client()

    @client.watch
    async def score(x: int) -> float:
        await asyncio.sleep(0.01 if x >= 0 else 60)
        return x / 10

    async def main() -> list[float]:
        hanging = asyncio.create_task(score(-1))
        scores = await asyncio.gather(*(score(x) for x in range(10)))
        hanging.cancel()
        with pytest.raises(asyncio.CancelledError):
            await hanging
        return scores

    assert asyncio.run(main()) == [x / 10 for x in range(10)]
    events = logged(client, outside)
    assert {(event["features"]["x"], event.get("score")) for event in events[:10]} == {(x, x / 10) for x in range(10)}
    assert all(event["latency_seconds"] >= 0.005 for event in events)
    assert events[10]["status"] == "CancelledError"


TRACEPARENT = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def application(scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """A service: scores, refuses, fails, streams, or does something else."""
    prediction = current_prediction()
    path = scope.get("path", "")
    if scope["type"] != "http":
        assert prediction is None
        return
    assert prediction is scope["state"]["killick"]
    if path != "/health":
        prediction.features = {"path": path}
        prediction.score = 0.5
    if path == "/fails":
        raise RuntimeError("no such column")
    await send({"type": "http.response.start", "status": 503 if path == "/busy" else 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a", "more_body": path == "/stream"})
    if path == "/stream":
        await asyncio.sleep(0.02)
        await send({"type": "http.response.body", "body": b"b"})
    scope["taken"] = prediction.latency_seconds
    await asyncio.sleep(0.02)


def ask(
    app: KillickMiddleware, path: str, headers: list[tuple[bytes, bytes]] | None = None, **scope: object
) -> list[dict[str, Any]]:
    """Call an application as an ASGI server does, and return what it sent, its scope last."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope |= {"type": "http", "method": "POST", "path": path, "headers": headers or [], "state": {"db": 1}}
    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    return [*sent, scope]


def test_a_request_that_predicts_is_logged(a_client: Make, outside: Outside) -> None:
    """With what the handler filled in, its trace and its latency; the answer is passed on as it is."""
    client = a_client()
    app = KillickMiddleware(application, client, role="shadow")

    sent = ask(app, "/predict", [(b"TraceParent", TRACEPARENT), (b"x-request-id", b"r")])

    (event,) = logged(client, outside)
    assert [message["type"] for message in sent[:-1]] == ["http.response.start", "http.response.body"]
    assert (event["features"], event["score"], event["role"]) == ({"path": "/predict"}, 0.5, "shadow")
    assert event["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert event["latency_seconds"] > 0
    assert current_prediction() is None


def test_a_request_that_predicts_nothing_is_not_logged(a_client: Make, outside: Outside) -> None:
    """Health checks and pages are none of a model's business; nor are web sockets and the lifespan."""
    client = a_client()
    app = KillickMiddleware(application, client)
    ask(app, "/health")
    asyncio.run(app({"type": "lifespan"}, None, None))  # type: ignore[arg-type]

    assert logged(client, outside) == []


def test_a_request_that_fails_says_how(a_client: Make, outside: Outside) -> None:
    """By the answer's status, or by the error that escaped."""
    client = a_client()
    app = KillickMiddleware(application, client)
    ask(app, "/busy")
    with pytest.raises(RuntimeError, match="no such column"):
        ask(app, "/fails")

    assert [event["status"] for event in logged(client, outside)] == ["http_503", "RuntimeError"]


def test_the_latency_ends_with_the_last_byte(a_client: Make, outside: Outside) -> None:
    """A streamed answer is timed to its end; work done after it is nobody's wait."""
    client = a_client()
    app = KillickMiddleware(application, client)
    taken = [ask(app, path)[-1]["taken"] for path in ("/stream", "/predict")]

    assert [event["latency_seconds"] for event in logged(client, outside)] == taken
    assert taken[0] >= 0.02


@pytest.mark.parametrize(
    ("headers", "trace"),
    [
        ([], None),
        ([(b"traceparent", TRACEPARENT)], "4bf92f3577b34da6a3ce929d0e0e4736"),
        ([(b"x-request-id", b"r-1")], "r-1"),
        ([(b"traceparent", b"nonsense"), (b"x-request-id", b"r-1")], "r-1"),
        ([(b"x-request-id", b"r" * 5_000)], "r" * 200),
        ([(b"x-request-id", b"\xff\xfe")], "\xff\xfe"),
    ],
)
def test_the_trace_is_the_callers(headers: list[tuple[bytes, bytes]], trace: str | None) -> None:
    """W3C's header goes before the older one; what is no trace is none."""
    assert trace_of(headers) == trace
