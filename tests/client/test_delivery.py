"""From the spool to the server: what is sent again, what is given up, and how long anyone waits."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest

from killick_client import Answer, Client, HttpTransport
from killick_client.notices import Notices
from killick_client.ring import Ring
from killick_client.sender import (
    BACKOFF_SECONDS_FIRST,
    BACKOFF_SECONDS_MAX,
    RETRY_AFTER_SECONDS_MAX,
    Sender,
)
from killick_client.spool import Spool
from killick_client.writer import Writer
from tests.client.outside import Outside, Reply, Request, serving, until

if TYPE_CHECKING:
    from pathlib import Path

Make = Callable[..., Client]


def first(replies: list[Reply]) -> Callable[[Request], Reply]:
    """Give some answers in turn, and then take everything."""
    return lambda _: replies.pop(0) if replies else Reply()


@pytest.mark.parametrize("status", [0, 401, 403, 404, 408, 429, 500, 502, 503, 301, 202])
def test_what_the_server_does_not_have_is_sent_again_the_same(status: int, a_client: Make, outside: Outside) -> None:
    """With the same producer, number and body; nothing is dropped, and what comes after waits its turn."""
    outside.reply = first([Reply(status, {"Location": "http://127.0.0.1:9/"}), Reply(status)])
    client = a_client()
    client.log_prediction(prediction_id="a", features={})
    assert client.flush()
    client.log_prediction(prediction_id="b", features={})
    assert client.flush()

    assert [request.key[2] for request in outside.requests] == [0, 0, 0, 1]
    assert len({(request.key, request.body) for request in outside.requests}) == 2
    assert (client.statistics().acknowledged, client.statistics().dropped) == (2, {})


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
def test_what_the_server_refuses_is_given_up_counted_and_told(
    status: int, a_client: Make, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    """It is the batch's own fault: the next one goes through."""
    outside.reply = first([Reply(status, body=b'{"title": "Bad", "detail": "no such model"}')])
    client = a_client()
    with caplog.at_level(logging.WARNING, "killick_client"):
        client.log_prediction(prediction_id="bad", features={})
        assert client.flush()
    client.log_prediction(prediction_id="good", features={})
    assert client.flush()

    assert client.statistics().dropped == {"refused": 1}
    assert outside.ids() == ["bad", "good"]
    assert len(outside.batches()) == len([one for one in outside.requests if one.path.endswith("predictions")])
    assert f"{status}" in caplog.text
    assert "no such model" in caplog.text
    assert "Bad" not in caplog.text


def test_a_server_that_does_not_let_it_in_yet_is_quoted(
    a_client: Make, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    """A token that is wrong, a model that nobody knows, a proxy's page: nobody needs the server's log to see why."""
    page = b"<html>\n<h1>no   backend</h1>" + b" " * 5_000
    outside.reply = first([Reply(401, body=b'{"title": "T", "detail": "token expired"}'), Reply(502, body=page)])
    client = a_client()
    with caplog.at_level(logging.WARNING, "killick_client"):
        client.log_prediction(features={})
        assert client.flush(timeout_seconds=30)

    assert "answered 401 token expired" in caplog.text
    assert client.statistics().last_error.endswith("answered 502 <html> <h1>no backend</h1>")


def test_quarantined_rows_are_counted_and_the_first_is_told(
    a_client: Make, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    """The batch stands, and the client knows of the rows that do not."""
    bad = b'{"accepted": 1, "quarantined": [{"index": 1, "field": "score", "reason": "text"}], "duplicate": false}'
    outside.reply = lambda _: Reply(body=bad)
    client = a_client()
    with caplog.at_level(logging.WARNING, "killick_client"):
        client.log_prediction(features={})
        assert client.flush()

    assert (client.statistics().acknowledged, client.statistics().quarantined) == (1, 1)
    assert "1 of 1 rows are quarantined, the first for its score: text" in caplog.text


class Waits:
    """What a sender is told to wait, instead of waiting."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> bool:
        """Do not wait."""
        self.seconds.append(seconds)
        return False


def rested(tmp_path: Path, answers: list[Answer]) -> list[float]:
    """Deliver one batch through these answers, and return how long the sender rested after each."""

    class Scripted:
        def send(self, *_: object) -> Answer:
            return answers.pop(0)

    ring, notices = Ring(1 << 20), Notices()
    spool = Spool(tmp_path, "p", bytes_max=1 << 20, fsync_seconds=1.0)
    writer = Writer(ring, spool, "p", {"gauges": "/gauges"}, notices)
    sender = Sender(writer, spool, ring, "p", Scripted, notices)
    sender._chance.seed(7)
    waits = Waits()
    sender._stopping.wait = waits  # type: ignore[method-assign]
    ring.put_line("gauges", b"{}")
    writer.turn()
    assert sender._step()
    spool.close()
    return waits.seconds


def test_back_off_doubles_with_full_jitter_up_to_its_cap(tmp_path: Path) -> None:
    """Each wait lies between nothing and twice the last bound; neither all short nor all long."""
    seconds = rested(tmp_path, [Answer(503)] * 40 + [Answer(200)])

    assert len(seconds) == 40
    assert all(0 <= wait <= min(BACKOFF_SECONDS_MAX, 0.2 * 2**n) for n, wait in enumerate(seconds))
    capped = seconds[8:]
    assert 0.3 * BACKOFF_SECONDS_MAX < sum(capped) / len(capped) < 0.7 * BACKOFF_SECONDS_MAX
    assert len(set(seconds)) == 40


def test_the_servers_word_goes_before_the_back_off(tmp_path: Path) -> None:
    """`Retry-After` is kept to, but for what would be for ever."""
    asked = [3.0, 0.5, 1e9, 0.0]
    waits = rested(tmp_path, [*(Answer(503, seconds) for seconds in asked), Answer(200)])

    for wait, least in zip(waits, [3.0, 0.5, RETRY_AFTER_SECONDS_MAX, BACKOFF_SECONDS_FIRST], strict=True):
        assert least < wait <= 1.5 * least


def test_clients_that_are_asked_for_the_same_rest_come_back_one_by_one(tmp_path: Path) -> None:
    """A server that says the same to everybody does not get them all at once."""
    waits = rested(tmp_path, [Answer(503, 5.0)] * 20 + [Answer(200)])

    assert len(set(waits)) == 20


def test_a_server_that_is_away_puts_nothing_aside(tmp_path: Path) -> None:
    """However often its proxy says so."""
    assert len(rested(tmp_path, [Answer(502), Answer(503), Answer(504)] * 40 + [Answer(200)])) == 120


def test_retry_after_is_read_as_seconds_or_a_date(outside: Outside) -> None:
    """RFC 9110, 10.2.3; what is neither says nothing."""
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    said = ["7", date, "soon", "-3", "9" * 400, "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"]
    outside.reply = first([Reply(503, {"Retry-After": one}) for one in said])
    transport = HttpTransport(outside.url)
    seconds = [transport.send("/", HEADERS, b"").retry_after_seconds for _ in said]
    transport.close()

    assert seconds[0] == 7
    assert seconds[1] is not None
    assert 3_000 < seconds[1] <= 3_600
    assert seconds[2:] == [None, 0, float(sys.maxsize), None]


HEADERS = {"Killick-Producer": "p", "Killick-Sequence": "0"}


def test_one_connection_is_kept(outside: Outside) -> None:
    """And a new one is made when the server has closed it."""
    outside.reply = first([Reply(), Reply(headers={"Connection": "close"})])
    transport = HttpTransport(f"{outside.url}/behind/a/proxy/", "t")
    for _ in range(4):
        transport.send("/v1", HEADERS, b"")
    transport.close()

    peers = [request.peer for request in outside.requests]
    assert peers[0] == peers[1] != peers[2] == peers[3]
    assert {request.path for request in outside.requests} == {"/behind/a/proxy/v1"}


def test_a_connection_that_the_server_closed_while_it_was_idle_is_no_failure(
    a_client: Make, outside: Outside, caplog: pytest.LogCaptureFixture
) -> None:
    """A new one is opened at once: no warning, no back-off."""
    outside.closes_after_answer = True
    client = a_client()
    with caplog.at_level(logging.WARNING, "killick_client"):
        for number in range(3):
            client.log_prediction(prediction_id=str(number), features={})
            assert client.flush()

    assert [request.key[2] for request in outside.requests] == [0, 1, 2]
    assert len({request.peer for request in outside.requests}) == 3
    assert caplog.messages == []


def test_a_closed_transport_does_not_begin_again(outside: Outside) -> None:
    """A request that `close` broke off is over."""
    reply = threading.Event()
    transport = HttpTransport(outside.url)
    transport.send("/", HEADERS, b"")
    outside.reply = lambda _: (reply.wait(30), Reply())[1]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(transport.send, "/", HEADERS, b"")
        assert until(lambda: len(outside.requests) == 2)
        transport.close()
        with pytest.raises(ConnectionError):
            waiting.result(20)
        reply.set()

    assert len(outside.requests) == 2


def test_a_hanging_server_holds_up_nobody(a_client: Make, outside: Outside) -> None:
    """While it is silent the service logs, what it logs is on disk, and flush and close come back."""
    answer = threading.Event()
    outside.reply = lambda _: (answer.wait(30), Reply())[1]
    client = a_client()
    client.log_prediction(prediction_id="0", features={})
    assert until(lambda: len(outside.requests) == 1)
    for number in range(1, 1_000):
        client.log_prediction(prediction_id=str(number), features={})

    assert until(lambda: client.statistics().waiting_bytes == 0)
    assert client.statistics().spooled_bytes > 999 * 40
    assert not client.flush(timeout_seconds=0.05)
    client.close(timeout_seconds=0.05)
    assert not answer.is_set()
    assert not any(thread.is_alive() for thread in client._pipeline._threads)
    answer.set()

    again = a_client()
    again.log_prediction(prediction_id="1000", features={})
    assert until(lambda: len(set(outside.ids())) == 1_001)


def test_a_server_that_comes_late_gets_everything(a_client: Make, tmp_path: Path) -> None:
    """In the order in which it was logged, numbered without a gap."""
    with serving() as gone:
        port = int(gone.url.rpartition(":")[2])
    client = a_client(gone.url)
    for number in range(50):
        client.log_prediction(prediction_id=str(number), features={})
        client._pipeline._turn()
    with serving(port) as back:
        assert client.flush(20)

        assert back.ids() == [str(number) for number in range(50)]
        assert [batch.key[2] for batch in back.batches()] == list(range(len(back.batches())))


def test_flush_is_over_at_once_when_the_server_is_to_be_left_alone(a_client: Make, outside: Outside) -> None:
    """Nobody waits ten seconds for what is known not to happen in them."""
    outside.reply = lambda _: Reply(503, {"Retry-After": "200"})
    client = a_client()
    client.log_gauge("x", 1)
    assert until(lambda: client._pipeline._sender.quiet_until > 0)

    assert not client.flush(timeout_seconds=100)


def test_memory_is_bounded_and_what_is_dropped_is_counted_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With no server and no room on disk; once both are back, the server is told how much is missing."""
    with serving() as gone:
        port = int(gone.url.rpartition(":")[2])
    with caplog.at_level(logging.WARNING, "killick_client"):
        client = Client(
            gone.url, model="m", spool=tmp_path, memory_bytes_max=50_000, spool_bytes_max=100_000, flush_seconds=0.01
        )
        most = 0
        for number in range(3_000):
            client.log_prediction(prediction_id=str(number), features={"text": "x" * 100})
            most = max(most, client.statistics().waiting_bytes)
            if number % 100 == 0:
                client._pipeline._turn()
        dropped = client.statistics().dropped
        on_disk = sum(path.stat().st_size for path in tmp_path.rglob("*.segment"))
        with serving(port) as back:
            assert client.flush(30)
            assert until(lambda: any(gauge["name"] == "killick_client.dropped" for gauge in back.events("gauges")))
            assert client.flush(30)
            counts = client.statistics()
            client.close()
            kept = back.ids()
            told = sum(gauge["value"] for gauge in back.events("gauges"))

    assert most <= 50_000
    assert on_disk <= 100_000
    assert set(dropped) == {"full"}
    assert kept == sorted(kept, key=int)
    assert len(kept) + dropped["full"] == 3_000
    assert told == dropped["full"]
    assert counts.logged == counts.acknowledged + sum(counts.dropped.values()) == 3_001
    assert len([line for line in caplog.messages if "dropped" in line]) == 1


def test_a_spool_that_is_too_small_for_a_batch_stops_nothing(a_client: Make, outside: Outside) -> None:
    """Neither one event that is larger than all of it, nor many that are not; their order is kept."""
    client = a_client(spool_bytes_max=100_000, flush_seconds=0.05)
    for number in range(2_000):
        client.log_prediction(prediction_id=str(number), features={"text": "x" * 400})
    client.log_prediction(prediction_id="2000", features={"text": "x" * 300_000})
    client.log_predictions(pl.DataFrame({"prediction_id": [str(number) for number in range(2_001, 22_001)]}))
    client.log_prediction(prediction_id="22001", features={})
    assert client.flush()

    *lines, large, table, last = outside.batches()
    assert [line["prediction_id"] for batch in lines for line in batch.lines] == [str(at) for at in range(2_000)]
    assert max(len(batch.body) for batch in lines) <= 25_000
    assert large.lines[0]["prediction_id"] == "2000"
    assert pl.read_ipc_stream(table.body).height == 20_000
    assert last.lines[0]["prediction_id"] == "22001"
    assert client.statistics().acknowledged == 22_002


def test_many_threads_log_at_once(a_client: Make, outside: Outside) -> None:
    """Every event arrives once, and each thread's in its order."""
    client = a_client()

    def log(thread: int) -> None:
        for number in range(1_000):
            client.log_prediction(prediction_id=f"{thread}/{number}", features={"x": number})

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(log, range(8)))
    assert client.flush()

    ids = outside.ids()
    assert len(ids) == len(set(ids)) == 8_000 == client.statistics().acknowledged
    for thread in range(8):
        assert [name for name in ids if name.startswith(f"{thread}/")] == [f"{thread}/{n}" for n in range(1_000)]


def test_logging_in_asyncio_lets_the_loop_go_on(a_client: Make, nowhere: str) -> None:
    """Nothing is awaited, and with no server at all other tasks have their turns."""
    client = a_client(nowhere)

    async def main() -> int:
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        counting = asyncio.create_task(count())
        for _ in range(500):
            client.log_prediction(features={"x": 1})
            await asyncio.sleep(0)
        flushed = await asyncio.to_thread(client.flush, 0.05)
        counting.cancel()
        assert not flushed
        return turns

    assert asyncio.run(main()) >= 500
    assert client.statistics().logged == 500


def test_a_handler_of_signals_may_log_while_logging(tmp_path: Path) -> None:
    """The same thread comes a second time, in the midst of the first: neither waits for the other."""
    ring = Ring(1 << 20)
    with ring._lock:
        ring.put_line("gauges", b"{}")

    assert ring.logged == 1


def test_a_transport_that_cannot_be_opened_is_tried_again(a_client: Make) -> None:
    """An embedded store that somebody else holds is as good as a server that is down."""
    tried: list[int] = []

    class Store:
        def send(self, *_: object) -> Answer:
            return Answer(200)

    def opened() -> Store:
        tried.append(1)
        if len(tried) == 1:
            raise OSError("locked")
        return Store()

    client = a_client(transport=opened)
    client.log_gauge("x", 1)

    assert client.flush()
    assert len(tried) == 2
