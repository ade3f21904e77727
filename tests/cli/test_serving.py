"""`killick serve` and `killick token`, as an operator has them: starting, stopping, crashing, and what is said."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import polars as pl
import pytest

from killick.adapters.control import open_control
from killick.cli.main import run
from tests.server.serving import Server, prediction, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SENDER = {"Killick_Producer": "worker-1", "Killick_Sequence": "0"}
SPEC = """\
killick: 1
model: flight-delay
task: binary
schema: {prediction_id: flight_id, event_time: departs_at, score: p_delayed, label: {column: delayed}}
"""


class Done(NamedTuple):
    """What a command came to."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def killick(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Done]:
    """Run a command in this process, which costs no second of imports, and return what it came to."""
    monkeypatch.setenv("COLUMNS", "200")

    def command(*arguments: object) -> Done:
        capsys.readouterr()
        code = run([str(one) for one in arguments])
        return Done(code, *capsys.readouterr())

    return command


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Server]:
    """A server of one test's own, to be ended by it."""
    server = start(tmp_path / "store")
    yield server
    server.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that outlives what the tests do to its store."""
    server = start(tmp_path_factory.mktemp("lasting"))
    yield server
    assert server.stop() == 0


def stored_rows(store: Path) -> list[str]:
    """The ids of all predictions in the archive that the manifest knows."""
    control = open_control(store / "control.sqlite")
    with control.transaction() as t:
        paths = [batch.path for model in t.models() if model for batch in t.batches(model, "predictions")]
    control.close()
    return sorted(name for path in paths for name in pl.read_parquet(store / "telemetry" / path)["prediction_id"])


def test_a_signal_ends_it_with_zero(tmp_path: Path) -> None:
    """It says that it listens, that it stops, and that it has stopped; nothing else is on any output.

    Clients that never end do not keep it: one has sent half a body, one holds an idle connection.
    """
    server = start(tmp_path)
    server.post("/v1/models/m/predictions", [prediction(1)])
    head = b"POST /v1/models/m/predictions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with socket.create_connection((server.host, server.port)) as half, socket.create_connection(half.getpeername()):
        half.sendall(head + b"Content-Length: 100\r\n\r\n[")

        assert server.stop(signal.SIGTERM) == 0
    said = [line.split(maxsplit=2)[2] for line in server.log.read_text().splitlines()]
    assert said == [f"killick listens on http://127.0.0.1:{server.port}", "killick stops", "killick has stopped"]


def test_requests_that_are_in_flight_are_answered_before_it_ends(running: Server) -> None:
    """Senders that are answered at the moment of SIGTERM get a durable 200, or no answer: never a lie."""
    accepted: list[str] = []

    def send(worker: int) -> None:
        for number in range(worker * 1000, worker * 1000 + 1000):
            try:
                answer = running.post("/v1/models/m/predictions", [prediction(number)])
            except OSError:
                return
            if answer.status == 200:
                accepted.append(f"p-{number}")

    senders = [threading.Thread(target=send, args=(worker,)) for worker in range(4)]
    for sender in senders:
        sender.start()
    while len(accepted) < 40:
        pass
    assert running.stop() == 0
    for sender in senders:
        sender.join()

    stored = stored_rows(running.store)
    assert set(accepted) <= set(stored)
    assert len(stored) == len(set(stored))


def test_what_was_acknowledged_survives_sigkill_and_is_not_taken_twice(running: Server) -> None:
    """The next start finds it, and answers its repetition as a repetition."""
    first = running.post("/v1/models/m/predictions", [prediction(1), prediction(2)], **SENDER)
    running.stop(signal.SIGKILL)
    again = start(running.store)
    repeated = again.post("/v1/models/m/predictions", [prediction(1), prediction(2)], **SENDER)
    again.stop()

    assert (first.json["accepted"], first.json["duplicate"]) == (2, False)
    assert (repeated.json["accepted"], repeated.json["duplicate"]) == (2, True)
    assert stored_rows(running.store) == ["p-1", "p-2"]


def test_a_disk_that_fails_is_told_and_its_return_needs_no_restart(lasting: Server) -> None:
    """503 with Retry-After, nothing acknowledged, /readyz says why without a path; then the same batch is taken."""
    archive = lasting.store / "telemetry"
    archive.mkdir(exist_ok=True)
    archive.rename(lasting.store / "aside")
    archive.write_text("no folder")
    failed = lasting.post("/v1/models/m/predictions", [prediction(1)], **SENDER)
    while (ready := lasting.ask("GET", "/readyz")).status == 200:
        pass  # what was found a moment ago holds for a second
    archive.unlink()
    (lasting.store / "aside").rename(archive)
    mended = lasting.post("/v1/models/m/predictions", [prediction(1)], **SENDER)
    while lasting.ask("GET", "/readyz").status != 200:
        pass

    assert (failed.status, failed.headers["retry-after"]) == (503, "2")
    assert (ready.status, ready.json["detail"]) == (503, "the archive cannot be written")
    assert str(lasting.store).encode() not in failed.body + ready.body
    assert failed.json["instance"] in lasting.log.read_text()
    assert mended.json == {"accepted": 1, "quarantined": [], "duplicate": False}


def test_a_store_that_hangs_makes_it_unready_and_alive(lasting: Server) -> None:
    """Somebody keeps the store's lock: the process lives, and says that it cannot work; then it works again."""
    other = open_control(lasting.store / "control.sqlite")
    with other.transaction():
        while (waited := lasting.ask("GET", "/readyz")).status == 200:
            pass  # what was found a moment ago holds for a second
        alive = lasting.ask("GET", "/healthz")
    other.close()

    assert (waited.status, alive.status) == (503, 200)
    while lasting.ask("GET", "/readyz").status != 200:
        pass


def test_a_port_that_is_taken_is_one_clear_message(tmp_path: Path, killick: Callable[..., Done]) -> None:
    """Exit 3, also where granian would have shared the port with whoever has it."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:
        port = other.getsockname()[1]
        done = killick("serve", "--store", tmp_path, "--port", port)

    assert done.returncode == 3
    assert done.stderr.count("\n") == 1
    assert f"port {port} of 127.0.0.1 is taken" in done.stderr


def test_others_are_not_let_in_without_a_token(tmp_path: Path, killick: Callable[..., Done]) -> None:
    """Exit 2, and the message has the command that helps."""
    done = killick("serve", "--store", tmp_path, "--host", "0.0.0.0")  # noqa: S104 - it is refused

    assert done.returncode == 2
    assert "killick token create" in done.stderr
    assert "Traceback" not in done.stderr


def test_with_a_token_others_are_let_in_and_asked_for_it(tmp_path: Path, killick: Callable[..., Done]) -> None:
    """On any address the token is needed, also by who comes from this machine; Host is not looked at then."""
    made = killick("token", "create", "--name", "ci", "--scope", "read", "--store", tmp_path)
    server = start(tmp_path, "--host", "0.0.0.0")  # noqa: S104 - behind a token, for as long as this test takes
    local = Server(server.process, "127.0.0.1", server.port, server.log, server.store)
    statuses = [
        local.ask("GET", "/metrics").status,
        local.ask("GET", "/metrics", token=made.stdout.strip()).status,
        local.ask("GET", "/metrics", token=made.stdout.strip(), Host="killick.example").status,
        local.ask("GET", "/healthz", Host="killick.example").status,
    ]

    assert local.stop() == 0
    assert statuses == [401, 200, 200, 200]


def test_only_models_of_its_specs_are_taken(tmp_path: Path) -> None:
    """404 with the name that was meant; rows may go by the names of the spec."""
    (tmp_path / "killick.yaml").write_text(SPEC)
    server = start(tmp_path / "store", str(tmp_path / "killick.yaml"))
    row = {"flight_id": "f-1", "departs_at": "2026-01-01T10:00:00Z", "p_delayed": 0.3, "temp": 12.5}
    taken = server.post("/v1/models/flight-delay/predictions", [row])
    missed = server.post("/v1/models/flight-delays/predictions", [row])
    models = server.ask("GET", "/v1/models").json

    assert server.stop() == 0
    assert taken.json == {"accepted": 1, "quarantined": [], "duplicate": False}
    assert missed.status == 404
    assert "did you mean 'flight-delay'?" in missed.json["detail"]
    assert models == {"models": ["flight-delay"]}


MISTAKES = {
    "a spec that is not there": ("nowhere.yaml",),
    "a spec with mistakes": ("wrong.yaml",),
    "two specs of one model": ("killick.yaml", "same.yaml"),
    "a limit that lets nothing through": ("killick.yaml", "--burst", "0"),
    "a host that is none of this machine": ("killick.yaml", "--host", "127.0.0.1.nowhere.invalid"),
}


@pytest.mark.parametrize("what", MISTAKES)
def test_a_mistake_in_the_call_is_told_before_anybody_is_let_in(
    what: str, tmp_path: Path, killick: Callable[..., Done]
) -> None:
    """Exit 2, a message, no traceback, no server."""
    (tmp_path / "killick.yaml").write_text(SPEC)
    (tmp_path / "same.yaml").write_text(SPEC)
    (tmp_path / "wrong.yaml").write_text("killick: 1\nmodel: m\ntask: binery\n")
    arguments = [str(tmp_path / one) if one.endswith(".yaml") else one for one in MISTAKES[what]]
    done = killick("serve", *arguments, "--store", tmp_path / "store", "--port", "0")

    assert done.returncode == 2, done.stderr
    assert "mistake" in done.stderr
    assert "Traceback" not in done.stderr


def test_specs_of_several_folders_each_speak_of_what_lies_beside_them(tmp_path: Path) -> None:
    """Both name the folder `in`; a folder that is not there is said in the log, once."""
    specs = []
    for model in ("here", "there"):
        (tmp_path / model / "in").mkdir(parents=True)
        specs.append(tmp_path / model / "killick.yaml")
        told = SPEC.replace("flight-delay", model) + "folders: [{path: in/, format: csv}, {path: away/, format: csv}]\n"
        specs[-1].write_text(told)
        rows = "flight_id,departs_at,p_delayed\n" + "".join(f"{model}-{n},2026-11-01T00:00:00Z,0.5\n" for n in range(3))
        (tmp_path / model / "in" / "rows.csv").write_text(rows)
    server = start(tmp_path / "store", *map(str, specs))
    until = time.monotonic() + 60
    while len(stored_rows(server.store)) < 6:
        assert time.monotonic() < until, server.log.read_text()
        time.sleep(0.2)

    assert stored_rows(server.store) == [f"{model}-{n}" for model in ("here", "there") for n in range(3)]
    assert server.ask("GET", "/v1/models").json["models"] == ["here", "there"]
    assert server.stop() == 0
    assert server.log.read_text().count("the watched folder away/ is not there") == 2


def test_the_log_can_be_json_and_tell_of_each_request(tmp_path: Path) -> None:
    """One object a line, whatever is asked; a path cannot forge a line. Ctrl-C ends it as SIGTERM does."""
    server = start(tmp_path, "--log", "json", "--access-log")
    server.ask("GET", "/nowhere%0A2026-01-01T00:00Z%20info%20forged")
    assert server.stop(signal.SIGINT) == 0
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]

    assert [line["logger"] for line in lines].count("killick.access") >= 1
    assert any("/nowhere" in line["message"] and " 404 " in line["message"] for line in lines)
    assert {"at", "level", "logger", "message"} <= set(lines[0])


def test_a_token_is_made_listed_and_taken_back(tmp_path: Path, killick: Callable[..., Done]) -> None:
    """The secret is alone on standard output, this once; the list has no secret; the ledger verifies."""
    made = killick("token", "create", "--name", "ci", "--scope", "ingest", "--scope", "read", "--expires", "90d",
                   "--by", "dana", "--store", tmp_path)  # fmt: skip
    twice = killick("token", "create", "--name", "ci", "--scope", "read", "--store", tmp_path)
    listed = killick("token", "list", "--store", tmp_path, "--json")
    table = killick("token", "list", "--store", tmp_path)
    revoked = killick("token", "revoke", "ci", "--store", tmp_path)
    after = killick("token", "list", "--store", tmp_path, "--json")

    assert re.fullmatch(r"kk_[A-Za-z0-9_-]{43}\n", made.stdout)
    assert twice.returncode == 2
    (token,) = json.loads(listed.stdout)
    assert (token["name"], token["scopes"], token["valid"], token["by"]) == ("ci", ["ingest", "read"], True, "dana")
    assert made.stdout.strip()[3:] not in listed.stdout + table.stdout
    assert "ingest, read" in table.stdout
    assert revoked.returncode == 0
    assert json.loads(after.stdout)[0]["valid"] is False
    assert killick("ledger", "verify", "--store", tmp_path).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "--name", "x", "--scope", "root"),
        ("create", "--name", "x", "--scope", "read", "--expires", "soon"),
        ("create", "--name", "", "--scope", "read"),
        ("revoke", "nobody"),
    ],
    ids=" ".join,
)
def test_a_mistake_about_a_token_is_told(
    arguments: tuple[str, ...], tmp_path: Path, killick: Callable[..., Done]
) -> None:
    """Exit 2, and no token is made."""
    assert killick("token", "create", "--name", "first", "--scope", "read", "--store", tmp_path).returncode == 0
    assert killick("token", *arguments, "--store", tmp_path).returncode == 2
    listed = json.loads(killick("token", "list", "--store", tmp_path, "--json").stdout)
    assert [one["name"] for one in listed] == ["first"]
