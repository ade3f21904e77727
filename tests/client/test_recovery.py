"""What goes wrong around a client (a disk, a server, a transport, threads, forks), and that it goes on afterwards."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from killick_client import Answer, Client
from killick_client.ring import Parcel, Ring
from killick_client.sender import FAILURES_MAX
from tests.client.outside import Outside, Reply, until
from tests.client.test_crash import run

if TYPE_CHECKING:
    from pathlib import Path

Make = Callable[..., Client]


def test_a_disk_that_comes_back_is_used_again(a_client: Make, outside: Outside, tmp_path: Path, nowhere: str) -> None:
    """The batch that waits in memory goes there first; nothing is sent twice, and the numbers have no gap."""
    (tmp_path / "spool").write_text("in the way")
    client = a_client(nowhere)
    writer = client._pipeline._writer
    client.log_prediction(prediction_id="0", features={})
    assert until(lambda: writer.in_memory is not None)
    (tmp_path / "spool").unlink()
    writer._disk_again_at = 0.0  # 30 s have passed
    assert until(lambda: writer.in_memory is None)
    for number in range(1, 40):
        client.log_prediction(prediction_id=str(number), features={})
        client._pipeline._turn()
    client.close(0)
    assert client.statistics().waiting_bytes == 0

    (left,) = (tmp_path / "spool").iterdir()
    again = a_client()
    left.rename(again._pipeline._spool._folder)
    again.log_gauge("x", 1)
    assert until(lambda: again.statistics().adopted == 40)
    assert outside.ids() == [str(number) for number in range(40)]
    assert [one.key[2] for one in outside.batches()] == list(range(len(outside.batches())))


def test_the_last_turn_tries_the_disk_at_once(a_client: Make, tmp_path: Path, nowhere: str) -> None:
    """An end does not wait for thirty seconds to pass: what is in memory would be lost."""
    (tmp_path / "spool").write_text("in the way")
    client = a_client(nowhere)
    client.log_prediction(prediction_id="0", features={})
    assert until(lambda: client._pipeline._writer.in_memory is not None)
    (tmp_path / "spool").unlink()
    client.log_prediction(prediction_id="1", features={})
    client.close(0)

    content = b"".join(path.read_bytes() for path in tmp_path.rglob("*.segment"))
    assert all(f'"prediction_id":"{number}"'.encode() in content for number in range(2))


def test_what_went_to_the_disk_while_it_was_sent_is_done_there(
    a_client: Make, outside: Outside, tmp_path: Path
) -> None:
    """The answer to the batch that was in memory is the answer to the one on the disk."""
    (tmp_path / "spool").write_text("in the way")
    answer = threading.Event()
    outside.reply = lambda _: (answer.wait(30), Reply())[1]
    client = a_client()
    client.log_prediction(prediction_id="0", features={})
    assert until(lambda: len(outside.requests) == 1)
    (tmp_path / "spool").unlink()
    client._pipeline._writer._disk_again_at = 0.0
    assert until(lambda: client.statistics().spooled_bytes > 0)
    client.log_prediction(prediction_id="1", features={})
    answer.set()
    assert client.flush()

    assert [request.lines[0]["prediction_id"] for request in outside.requests] == ["0", "1"]
    assert (client.statistics().acknowledged, client.statistics().spooled_bytes) == (2, 0)


def test_a_batch_at_which_the_server_fails_for_ever_is_put_aside(
    a_client: Make, outside: Outside, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What comes after goes on; it is counted, kept where it can be looked at, and can be sent later after all."""
    monkeypatch.setattr("killick_client.sender.BACKOFF_SECONDS_FIRST", 0.0)
    outside.reply = lambda request: Reply(500 if b"bad" in request.body else 200)
    client = a_client()
    client.log_prediction(prediction_id="bad", features={})
    assert client.flush()
    client.log_prediction(prediction_id="good", features={})
    assert client.flush()

    assert sum(b"bad" in request.body for request in outside.requests) == FAILURES_MAX
    assert client.statistics().dropped == {"aside": 1}
    client.close()
    (aside,) = tmp_path.glob("spool/*/aside")
    (aside / "lock").touch()
    aside.rename(aside.with_name("again"))
    outside.reply = lambda _: Reply()
    again = a_client()
    again.log_gauge("x", 1)
    assert until(lambda: again.statistics().adopted == 1)
    assert outside.ids() == ["bad", "good"]


class Panic(BaseException):
    """As what pyo3 raises: no `Exception`."""


def test_a_transport_that_panics_and_cannot_be_closed_spoils_nothing(a_client: Make, tmp_path: Path) -> None:
    """The batch is sent again; the end is silent and lets the spool go."""
    sent: list[bytes] = []

    class Store:
        def send(self, _path: str, _headers: object, body: bytes) -> Answer:
            sent.append(body)
            if len(sent) == 1:
                raise Panic
            return Answer(200)

        def close(self) -> None:
            raise OSError("no")

    client = a_client(transport=Store())
    client.log_gauge("x", 1)
    assert client.flush()
    client.close()

    assert sent[0] == sent[1]
    assert not list(tmp_path.rglob("lock"))
    assert client.statistics().last_error == "OSError while hanging up"


def test_drops_of_the_last_minute_are_reported_at_the_end(a_client: Make, outside: Outside) -> None:
    """The server was told of the first a moment ago, and nobody comes after to tell of the others."""
    client = a_client()
    for name in ("first", "second"):
        client.log_prediction(prediction_id=name, features={"x": object()})
        client.log_prediction(prediction_id=f"{name}, whole", features={})
        client._pipeline._turn()
    client.close(10)

    assert sum(gauge["value"] for gauge in outside.events("gauges")) == 2


def test_a_machine_without_threads_is_asked_again(
    a_client: Make, outside: Outside, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Not at every event; it is told once, and everything arrives once there is a thread again."""
    tried: list[str] = []
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name != "killick-send":
            start(thread)
            return
        tried.append(thread.name)
        raise RuntimeError("can't start new thread")

    client = a_client()
    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING, "killick_client"):
        patch.setattr(threading.Thread, "start", refuse)
        patch.setattr("killick_client.pipeline._START_AGAIN_SECONDS", 3_600.0)
        for number in range(10):
            client.log_prediction(prediction_id=str(number), features={})
    assert tried == ["killick-send"]
    assert [line for line in caplog.messages if "nothing is sent yet" in line] == caplog.messages != []

    client._pipeline._start_at = 0.0  # the time has come
    client.log_prediction(prediction_id="10", features={})
    assert client.flush()
    assert outside.ids() == [str(number) for number in range(11)]


def test_a_handler_that_logs_while_a_batch_begins_doubles_nothing() -> None:
    """It comes in the midst of `append`, where the batch is half known: each line is there once, and whole."""
    ring = Ring(1 << 20)

    class Interrupted(deque[Parcel]):
        def append(self, parcel: Parcel) -> None:
            super().append(parcel)
            if len(self) == 1:
                ring.put_line("gauges", b"inner")

    ring._parcels = Interrupted()
    ring.put_line("gauges", b"outer")
    taken = ring.take()
    for parcel in taken:
        ring.release(parcel)

    assert sorted(b"".join(bytes(parcel.body) for parcel in taken).splitlines()) == [b"inner", b"outer"]
    assert (sum(parcel.events for parcel in taken), ring.kept["gauges"], ring.bytes) == (2, 2, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_forked_child_of_a_process_with_polars_keeps_what_it_cannot_store(tmp_path: Path) -> None:
    """It says so and does not hang; the next start stores it. A parent that only makes a client loads no Polars."""
    said = run(
        """
        import logging, os, sys, time
        from killick_client import Client
        client = Client.local(sys.argv[1], model="m", spool=sys.argv[2], flush_seconds=0.01)
        print("polars" in sys.modules)
        client.log_gauge("parent", 1)
        assert client.flush(60)
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            client.log_gauge("child", 1)
            while client.statistics().last_error is None:
                time.sleep(0.01)
            print(client.statistics().last_error, flush=True)
            client.close(0)
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        client.close(0)
        again = Client.local(sys.argv[1], model="m", spool=sys.argv[2])
        again.log_gauge("again", 1)
        assert again.flush(60)
        while again.statistics().adopted < 1:
            time.sleep(0.01)
        again.close()
        """,
        tmp_path / "store",
        tmp_path / "spool",
    )

    assert said.startswith("False\n")
    assert "forked after polars had been loaded" in said


def test_clients_that_come_and_go_leave_no_hook_behind() -> None:
    """A service may make one for every request, and is then slow at worst."""
    run("""
        import gc, multiprocessing.util, weakref
        from killick_client import Client
        from killick_client.client import _CLIENTS
        from killick_client.pipeline import _BEGUN
        before = len(multiprocessing.util._finalizer_registry)
        for _ in range(20):
            client = Client("http://127.0.0.1:9", model="m")
            client.log_gauge("x", 1)
            client.close(0)
        last = weakref.ref(client._pipeline)
        del client
        gc.collect()
        assert last() is None
        assert len(_CLIENTS) == len(_BEGUN) == 0
        assert len(multiprocessing.util._finalizer_registry) <= before + 1
    """)
