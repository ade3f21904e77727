"""A worker works until it is told to end: it is started again when it dies, and does not outlive its server."""

import io
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from killick.server.pulse import Pulse
from killick.server.worker import Worker, report
from tests.server.serving import start

ONE = textwrap.dedent("""
    import sys
    from pathlib import Path
    from killick.server.pulse import Pulse
    from killick.server.worker import report

    class Script:
        last_error = {}
        def now(self):
            return 7
        def tick(self, now):
            with Path(sys.argv[1]).open("a") as file:
                file.write("tick\\n")

    script = Script()
    report(Pulse(script, script), sys.stdin.buffer, sys.stdout.buffer)
""")


def until(what, seconds=20.0):
    """Wait until something is so, and return it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError("it never came")


def workers_of(pid: int) -> list[int]:
    """The processes that a server has started."""
    # Of every thread: it is the keeper's child.
    children = " ".join(file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children")).split()
    return [int(child) for child in children if b"killick.cli.working" in Path(f"/proc/{child}/cmdline").read_bytes()]


def runs(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_it_tells_what_it_does_and_does_it_once_more_in_the_end(tmp_path):
    """When it last did all that was due is known to the server."""
    worker = Worker([sys.executable, "-c", ONE, str(tmp_path / "ticks")])
    worker.start()
    until(lambda: worker.last_done_at == 7)
    assert (worker.reason, worker.failures, worker.is_alive) == ("", 0, True)
    before = len((tmp_path / "ticks").read_text().split())
    worker.stop()
    assert len((tmp_path / "ticks").read_text().split()) > before
    assert not worker.is_alive


def test_one_that_dies_is_started_again_and_it_is_told(tmp_path):
    """A reason while it is away, and a failure that is counted."""
    worker = Worker([sys.executable, "-c", ONE, str(tmp_path / "ticks")])
    worker.start()
    until(lambda: worker.last_done_at)
    first = worker._process
    first.kill()
    assert "started again" in until(lambda: worker.reason)
    until(lambda: worker._process is not first and not worker.reason)
    assert worker.failures == 1
    worker.stop()


def test_one_that_cannot_start_is_no_busy_loop(tmp_path):
    """It is tried again, more and more seldom, and can be ended meanwhile."""
    worker = Worker([sys.executable, "-c", "open(__import__('sys').argv[1], 'a').write('x')", str(tmp_path / "tries")])
    worker.start()
    until(lambda: worker.failures >= 2)
    worker.stop()
    assert len((tmp_path / "tries").read_text()) <= 4


def test_one_whose_command_is_not_there_is_tried_again():
    """A machine out of processes, or a Python that is being replaced, may be well a moment later."""
    worker = Worker(["/nonexistent/python"])
    worker.start()
    until(lambda: worker.failures >= 2)
    assert worker.is_alive
    assert "started again" in worker.reason
    worker.stop()


def test_a_line_that_is_no_report_is_passed_over(tmp_path):
    """What a library prints does not end the keeper of the worker."""
    worker = Worker([sys.executable, "-c", "print('hello', flush=True)\n" + ONE, str(tmp_path / "ticks")])
    worker.start()
    until(lambda: worker.last_done_at == 7)
    assert worker.is_alive
    assert worker.failures == 0
    worker.stop()


def test_a_worker_whose_thread_has_ended_ends():
    """It would report for ever that all is well, and do nothing."""

    class Ended(Pulse):
        def _run(self) -> None:
            """Do nothing, and end."""

    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as control, os.fdopen(writing, "wb"):
        pulse = Ended(None, None)
        thread = threading.Thread(target=report, args=(pulse, control, io.BytesIO()), daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()


def test_what_a_library_prints_in_a_worker_is_no_report():
    """Its standard output is its server's alone; what else is printed goes where the log goes."""
    code = """
        import sys
        from killick.cli.working import _own_output
        own = _own_output()
        print("hello", flush=True)
        own.write(b"report")
        own.close()
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, check=True)
    assert done.stdout == b"report"
    assert b"hello" in done.stderr


@pytest.fixture
def server(tmp_path):
    """A server of its own."""
    running = start(tmp_path)
    until(lambda: running.ask("GET", "/readyz").status == 200)
    yield running
    if running.process.poll() is None:
        running.stop()


def test_a_servers_worker_may_be_killed_at_any_time(server):
    """The next one counts what came in meanwhile."""
    (first,) = until(lambda: workers_of(server.process.pid))
    os.kill(first, signal.SIGKILL)
    rows = [{"prediction_id": str(number), "features": {"x": number / 7}, "score": 0.5} for number in range(1_000)]
    sent = server.ask("POST", "/v1/models/m/predictions", json.dumps(rows).encode(), Content_Type="application/json")
    assert sent.status == 200
    until(lambda: server.ask("GET", "/v1/models/m").json["totals"].get("predictions.counted") == 1_000)
    assert workers_of(server.process.pid) != [first]


def test_a_worker_does_not_outlive_its_server(server):
    """Killed, the server tells nobody; its worker sees it, finishes what it does, and ends."""
    (worker,) = until(lambda: workers_of(server.process.pid))
    server.process.kill()
    server.process.wait()
    until(lambda: not runs(worker))


def test_ctrl_c_ends_both_once(server):
    """A terminal sends it to its whole group: the worker is in none but its own, and waits for its server's word."""
    (worker,) = until(lambda: workers_of(server.process.pid))
    assert os.getpgid(worker) == worker
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(20) == 0
    assert not runs(worker)
    assert "Traceback" not in server.log.read_text()
    assert "started again" not in server.log.read_text()


def test_a_worker_without_a_server_ends():
    """Started by hand with nothing on its standard input, it has nobody to work for."""
    done = subprocess.run(
        [sys.executable, "-m", "killick.cli.working", "{}"], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    assert done.returncode != 0
