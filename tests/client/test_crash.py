"""Processes that die, fork and exit: what was logged is sent, by somebody, once, under the name it was given."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from killick_client import Client
from tests.client.outside import Outside, Reply, serving, until

Make = Callable[..., Client]

# A turn of the writer takes its time on a busy machine; without it nothing would be on disk after that.
SPARED_SECONDS = 0.5

LOGS = """
    import sys, time
    from killick_client import Client
    url, spool = sys.argv[1:]
    client = Client(url, model="m", spool=spool, flush_seconds=0.01)
    number = 0
    while True:
        client.log_prediction(prediction_id=f"{client.statistics().producer}/{number}", features={"x": number})
        print(number, client.statistics().producer, time.monotonic(), flush=True)
        number += 1
        time.sleep(0.0005)
"""


def a_process(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run a service in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def run(code: str, *arguments: object) -> str:
    """Run a service to its end."""
    service = a_process(code, *arguments)
    said, _ = service.communicate(timeout=60)
    assert service.returncode == 0
    return said


@pytest.mark.parametrize("answers", ["at once", "late", "never"])
def test_a_killed_process_loses_at_most_its_last_moments(
    answers: str, outside: Outside, a_client: Make, tmp_path: Path
) -> None:
    """Killed at a random moment, and again, with a server that answers or does not: the next start sends the rest."""
    chance = random.Random(answers)
    if answers != "at once":
        outside.reply = lambda _: (time.sleep(0.02), Reply(200 if answers == "late" else 503))[1]
    logged: dict[str, list[float]] = {}
    died: dict[str, float] = {}
    for _ in range(2):
        service = a_process(LOGS, outside.url, tmp_path / "spool")
        assert service.stdout is not None
        producer = service.stdout.readline().split()[1]
        threading.Timer(SPARED_SECONDS + 0.3 + chance.random() / 2, service.send_signal, (signal.SIGKILL,)).start()
        for line in service.stdout:
            if len(said := line.split()) == 3:
                logged.setdefault(producer, []).append(float(said[2]))
        service.wait()
        service.stdout.close()
        died[producer] = time.monotonic()
    outside.reply = lambda _: Reply()

    heir = a_client()
    heir.log_gauge("x", 1)

    def numbers(producer: str) -> list[int]:
        return [int(name.rpartition("/")[2]) for name in outside.ids() if name.startswith(producer)]

    assert until(lambda: not _dead(tmp_path, heir))
    for producer, times in logged.items():
        found = numbers(producer)
        safe = sum(at < died[producer] - SPARED_SECONDS for at in times)
        assert 20 < safe <= len(found)
        sequences = [one.key[2] for one in outside.batches() if one.key[1] == producer]
        assert found == list(range(len(found)))
        assert sequences == list(range(len(sequences)))
    assert set(logged) == {one.key[1] for one in outside.batches()}
    service.stdout.close()


def _dead(tmp_path: Path, heir: Client) -> list[Path]:
    """Folders that somebody left."""
    return [path for path in tmp_path.glob("spool/*/*") if path.name != heir.statistics().producer]


@pytest.mark.parametrize("way", ["end", "sys.exit(3)", "raise ValueError"])
def test_what_was_logged_last_is_sent_at_exit(way: str, outside: Outside, tmp_path: Path) -> None:
    """Without `close`, and however the interpreter comes to its end."""
    code = f"""
        import sys
        from killick_client import Client
        client = Client(sys.argv[1], model="m", spool=sys.argv[2], flush_seconds=60)
        client.log_prediction(prediction_id="last", features={{}})
        {"" if way == "end" else way}
    """
    service = a_process(code, outside.url, tmp_path)
    service.communicate(timeout=60)

    assert outside.ids() == ["last"]
    assert not list(tmp_path.rglob("*.segment"))


@pytest.mark.parametrize("status", [422, 500])
def test_what_the_server_will_not_have_of_the_dead_is_counted_and_reported(
    status: int, outside: Outside, a_client: Make, tmp_path: Path, nowhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else is left to tell of it."""
    monkeypatch.setattr("killick_client.sender.BACKOFF_SECONDS_FIRST", 0.0)
    gone = a_client(nowhere)
    for _ in range(7):
        gone.log_prediction(features={})
    gone.close(0)
    outside.reply = lambda request: Reply(status if request.path.endswith("predictions") else 200)
    heir = a_client()
    (left,) = (tmp_path / "spool").iterdir()
    left.rename(heir._pipeline._spool._folder)
    heir.log_gauge("x", 1)

    assert until(lambda: len(outside.events("gauges")) == 2)
    assert heir.flush()
    counts = heir.statistics()
    assert outside.events("gauges")[1]["value"] == 7
    assert counts.dropped == {"adopted": 7}
    assert counts.logged == counts.acknowledged + sum(counts.dropped.values())


def test_an_exit_without_a_server_leaves_everything_in_the_spool(tmp_path: Path, nowhere: str) -> None:
    """And does not take long over it: the next start sends it."""
    run(
        """
        import sys
        from killick_client import Client
        client = Client(sys.argv[1], model="m", spool=sys.argv[2], flush_seconds=60)
        for number in range(10_000):
            client.log_prediction(prediction_id=str(number), features={})
        """,
        nowhere,
        tmp_path,
    )
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*.segment"))

    assert kept.count(b"prediction_id") == 10_000


@pytest.mark.parametrize("closes", [True, False])
def test_events_logged_while_the_interpreter_ends_are_kept(closes: bool, outside: Outside, tmp_path: Path) -> None:
    """No thread can be started any more: they are written without one, for the next start."""
    code = """
        import atexit, sys
        from killick_client import Client
        client = Client(sys.argv[1], model="m", spool=sys.argv[2])
        if sys.argv[3] == "True":
            atexit.register(client.close)
        atexit.register(client.log_prediction, prediction_id="late", features={})
    """
    run(code, outside.url, tmp_path, closes)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*.segment"))

    assert outside.ids() == ["late"] or b'"late"' in kept


FORKS = """
    import os, sys
    from killick_client import Client
    client = Client(sys.argv[1], model="m", spool=sys.argv[2], flush_seconds=0.01)
    for number in range(100):
        client.log_prediction(prediction_id=f"master/{number}", features={})
    workers = []
    for worker in range(3):
        pid = os.fork()
        if not pid:
            assert client.statistics().logged == 0
            for number in range(100):
                client.log_prediction(prediction_id=f"{worker}/{number}", features={})
            sys.exit(0)  # as gunicorn's workers do
        workers.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in workers] == [0, 0, 0]
    for number in range(100, 200):
        client.log_prediction(prediction_id=f"master/{number}", features={})
    assert client.flush()
"""


def test_forked_workers_each_send_their_own(outside: Outside, tmp_path: Path) -> None:
    """Under names of their own; what the master logged before is sent by the master alone."""
    run(FORKS, outside.url, tmp_path)

    expected = [f"master/{number}" for number in range(200)]
    expected += [f"{worker}/{number}" for worker in range(3) for number in range(100)]
    assert sorted(outside.ids()) == sorted(expected)
    makers: dict[str, set[str]] = {}
    for one in outside.batches():
        makers.setdefault(one.key[1], set()).update(line["prediction_id"].partition("/")[0] for line in one.lines)
    assert sorted(map(sorted, makers.values())) == [["0"], ["1"], ["2"], ["master"]]


def test_a_child_sends_nothing_of_its_parents(outside: Outside, tmp_path: Path) -> None:
    """Not even at its exit, when what the parent logged last was still in memory as it forked."""
    code = """
        import os, sys
        from killick_client import Client
        client = Client(sys.argv[1], model="m", spool=sys.argv[2], flush_seconds=60)
        client.log_prediction(prediction_id="parent", features={})
        pid = os.fork()
        if not pid:
            client.log_prediction(prediction_id="child", features={})
            sys.exit(0)
        assert os.waitpid(pid, 0)[1] == 0
    """
    run(code, outside.url, tmp_path)

    assert [one.lines[0]["prediction_id"] for one in outside.requests] == ["child", "parent"]
    assert len({one.key for one in outside.requests}) == 2


def test_a_child_does_not_hold_its_dead_parents_spool(
    outside: Outside, a_client: Make, tmp_path: Path, nowhere: str
) -> None:
    """The parent is killed and the child lives on: somebody else may send what the parent left."""
    code = """
        import os, signal, sys, time
        from killick_client import Client
        url, spool, end = sys.argv[1:]
        client = Client(url, model="m", spool=spool, flush_seconds=0.01)
        client.log_prediction(prediction_id="parent", features={})
        while client.statistics().waiting_bytes:
            time.sleep(0.001)
        if os.fork():
            sys.stdin.readline()
            os.kill(os.getpid(), signal.SIGKILL)
        print("alive", flush=True)
        while not os.path.exists(end):  # and not by standard input: the line is the parent's
            time.sleep(0.01)
        os._exit(0)
    """
    service = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), nowhere, str(tmp_path / "spool"), str(tmp_path / "end")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert service.stdout is not None
    assert service.stdin is not None
    assert service.stdout.readline() == "alive\n"
    service.stdin.write("die\n")
    service.stdin.flush()
    service.wait()
    heir = a_client()
    (old,) = (tmp_path / "spool").iterdir()
    old.rename(heir._pipeline._spool._folder)  # of the address of this test's server
    heir.log_gauge("x", 1)

    assert until(lambda: outside.ids() == ["parent"])
    service.stdin.close()
    (tmp_path / "end").touch()
    service.stdout.read()  # until the child has ended
    service.stdout.close()


def test_a_fork_in_the_midst_of_logging_does_not_stand_still(outside: Outside, tmp_path: Path) -> None:
    """Locks that other threads of the parent hold at that moment are not the child's."""
    code = """
        import os, sys, threading
        from killick_client import Client
        client = Client(sys.argv[1], model="m", spool=sys.argv[2], flush_seconds=0.001)
        stop = threading.Event()
        def log():
            while not stop.is_set():
                client.log_prediction(features={"text": "x" * 1000})
                stop.wait(0.0001)
        threads = [threading.Thread(target=log) for _ in range(3)]
        for thread in threads:
            thread.start()
        for child in range(8):
            pid = os.fork()
            if not pid:
                client.log_prediction(prediction_id=f"child/{child}", features={})
                client.close(5)
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
        stop.set()
        for thread in threads:
            thread.join()
        client.close(0)
    """
    run(code, outside.url, tmp_path)

    arrived = {name for name in outside.ids() if name.startswith("child/")}
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*.segment"))
    assert all(f"child/{child}" in arrived or f'"child/{child}"'.encode() in kept for child in range(8))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_processes_of_multiprocessing_send_what_they_logged_last(method: str, outside: Outside, tmp_path: Path) -> None:
    """They end without the interpreter's usual farewell."""
    (tmp_path / "service.py").write_text(
        textwrap.dedent("""
        import multiprocessing, sys
        from killick_client import Client

        def work(url, spool, worker):
            client = Client(url, model="m", spool=spool, flush_seconds=60)
            client.log_prediction(prediction_id=f"{worker}", features={})

        if __name__ == "__main__":
            context = multiprocessing.get_context(sys.argv[1])
            workers = [context.Process(target=work, args=(*sys.argv[2:], worker)) for worker in range(2)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
        """)
    )
    subprocess.run(
        [sys.executable, str(tmp_path / "service.py"), method, outside.url, str(tmp_path / "spool")],
        check=True,
        timeout=60,
    )

    assert sorted(outside.ids()) == ["0", "1"]


def test_a_worker_that_is_killed_is_replaced_by_one_that_sends_for_it(tmp_path: Path) -> None:
    """A prefork server with its master alive throughout: the master holds no lock of its workers'."""
    code = """
        import json, os, signal, sys, time
        from killick_client import Client
        url, spool = sys.argv[1:]
        client = Client(url, model="m", spool=spool, flush_seconds=0.01)
        client.log_prediction(prediction_id="master", features={})
        def worker(name, forever):
            pid = os.fork()
            if pid:
                return pid
            client.log_prediction(prediction_id=name, features={})
            while client.statistics().waiting_bytes:
                time.sleep(0.001)
            if forever:
                os.kill(os.getpid(), signal.SIGKILL)
            while not client.statistics().adopted:
                time.sleep(0.01)
            client.close()
            os._exit(0)
        os.waitpid(worker("killed", True), 0)
        print("killed", flush=True)
        sys.stdin.readline()
        assert os.waitpid(worker("replacement", False), 0)[1] == 0
    """
    with serving() as gone:
        port = int(gone.url.rpartition(":")[2])
    service = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), gone.url, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert service.stdout is not None
    assert service.stdout.readline() == "killed\n"
    with serving(port) as back:
        service.communicate("go\n", timeout=60)
        assert service.returncode == 0
        assert sorted(back.ids()) == ["killed", "master", "replacement"]
        assert len({one.key[1] for one in back.batches()}) == 3


def test_the_callers_random_numbers_are_left_alone(a_client: Make, nowhere: str) -> None:
    """A seeded service gives the same numbers with the client as without it."""
    random.seed(1)
    before = random.random()
    random.seed(1)
    client = a_client(nowhere)
    client.log_gauge("x", 1)
    assert until(lambda: client._pipeline._sender.quiet_until > 0)

    assert random.random() == before


def test_it_fits_a_serving_image() -> None:
    """At most two megabytes, all of it counted."""
    import killick_client

    home = Path(killick_client.__file__).parent
    assert sum(path.stat().st_size for path in home.rglob("*") if path.is_file()) <= 2_000_000
