"""A client without a server: what it logs is in a store, once, and is counted there."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import ClassVar

import polars as pl
import pytest

from killick.clock import DAY
from killick.engine.look import counted_in, telemetry_of
from killick.errors import CallError
from killick.local import open_local
from killick.wiring import open_world
from killick_client import Client


def log_all(client: Client, first: int, end: int) -> None:
    """Log so many predictions."""
    for number in range(first, end):
        client.log_prediction(
            prediction_id=f"p-{number}",
            features={"income": float(number % 17), "city": "Oslo" if number % 3 else "Rome"},
            score=(number % 10) / 10,
            latency_seconds=0.01,
        )


def rows_of(model: str, folder: Path) -> int:
    """How many predictions are counted."""
    return sum(one.rows for one in counted_in(open_world(folder, folder), model) if not one.segment)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A store's folder, and a spool beside it."""
    monkeypatch.setenv("KILLICK_SPOOL", str(tmp_path / "spool"))
    return tmp_path / "store"


def test_what_is_logged_is_counted_without_a_server(folder):
    """A model that nobody has described is watched by what it sends; labels are joined."""
    client = Client.local(folder, model="loans", version="v1")
    log_all(client, 0, 1_200)
    for number in range(0, 1_200, 2):
        client.log_outcome(prediction_id=f"p-{number}", label=number % 4 == 0)
    client.log_change(kind="pipeline", name="feed", version="2")
    client.log_gauge("queue", 3)
    assert client.flush(timeout_seconds=30)
    client.close(timeout_seconds=30)
    world = open_world(folder, folder)
    assert telemetry_of(world, "loans").totals["predictions.counted"] == 1_200
    found = [one for one in counted_in(world, "loans") if not one.segment]
    assert sum(one.rows for one in found) == 1_200
    assert sum(one.labels for one in found) == 600


def test_a_spec_in_the_folder_says_how_the_model_is_watched(folder):
    """With its reference, and its segments."""
    folder.mkdir()
    rows = 500
    train = pl.DataFrame(
        {
            "id": [f"t-{number}" for number in range(rows)],
            "at": pl.datetime_range(pl.datetime(2026, 1, 1), pl.datetime(2026, 1, 21, 19), "1h", eager=True).head(rows),
            "income": [float(number % 17) for number in range(rows)],
            "city": ["Oslo" if number % 3 else "Rome" for number in range(rows)],
            "score": [(number % 10) / 10 for number in range(rows)],
            "label": [number % 2 for number in range(rows)],
        }
    )
    train.write_parquet(folder / "train.parquet")
    (folder / "killick.yaml").write_text(
        textwrap.dedent("""
        killick: 1
        model: loans
        task: binary
        schema: {prediction_id: id, event_time: at, score: score, label: {column: label}}
        segments: [city]
        reference: {data: train.parquet}
        """)
    )
    client = Client.local(folder, model="loans", version="v1")
    log_all(client, 0, 30)
    client.close(timeout_seconds=30)
    found = {tuple(one.segment.values()): one.rows for one in counted_in(open_world(folder, folder), "loans")}
    assert found == {(): 30, ("Oslo",): 20, ("Rome",): 10}


def test_two_processes_log_into_one_folder(folder):
    """Each counts what is pending, whoever logged it."""
    code = textwrap.dedent("""
        import sys
        from killick_client import Client
        from tests.client.test_local import log_all
        client = Client.local(sys.argv[1], model="loans", version="v1")
        log_all(client, int(sys.argv[2]), int(sys.argv[3]))
        client.close(timeout_seconds=30)
    """)
    ends = [("0", "900"), ("600", "1500")]
    command = [sys.executable, "-c", code, str(folder)]
    running = [subprocess.Popen([*command, *end], env=os.environ | {"PYTHONPATH": ":".join(sys.path)}) for end in ends]
    assert [one.wait(60) for one in running] == [0, 0]
    client = Client.local(folder, model="loans")
    client.log_gauge("done", 1)
    client.close(timeout_seconds=30)
    assert rows_of("loans", folder) == 1_500
    totals = telemetry_of(open_world(folder, folder), "loans").totals
    assert totals["predictions.duplicates"] == 300


def test_a_store_that_fails_is_tried_again(folder):
    """A file lies where rows should go; when it is gone, everything gets there."""
    folder.mkdir()
    (folder / "telemetry").write_text("in the way")
    client = Client.local(folder, model="loans", version="v1")
    log_all(client, 0, 1_000)
    assert not client.flush(timeout_seconds=1)
    (folder / "telemetry").unlink()
    assert client.flush(timeout_seconds=60)
    client.close(timeout_seconds=30)
    assert rows_of("loans", folder) == 1_000


def test_history_may_be_logged_too(folder):
    """A prediction of last year is in last year's window."""
    client = Client.local(folder, model="loans", version="v1")
    last_year = time.time_ns() // 1_000 - 365 * DAY
    for number in range(1_000):
        client.log_prediction(
            prediction_id=f"p-{number}", features={"income": number % 7}, score=0.5, event_time=last_year + number
        )
    client.close(timeout_seconds=30)
    found = [one for one in counted_in(open_world(folder, folder), "loans") if not one.segment]
    assert {one.start <= last_year < one.end or one.start == last_year + 1_000 for one in found} == {True}
    assert sum(one.rows for one in found) == 1_000


GAUGE = {"Killick-Producer": "p", "Killick-Sequence": "0", "Content-Type": "application/x-ndjson"}
UNFORESEEN = [ZeroDivisionError, pl.exceptions.PanicException]


@pytest.mark.parametrize("error", UNFORESEEN)
def test_a_profile_that_fails_costs_no_batch(folder, error):
    """Its rows are stored and are not sent again; whoever else ends the transport is not kept waiting by it."""
    transport = open_local(str(folder))
    asked: list[int] = []

    class Failing:
        specs: ClassVar[dict[str, object]] = {}

        def tick(self, now: int) -> None:
            asked.append(now)
            raise error

    transport._live = Failing()
    answer = transport.send("/v1/models/m/gauges", GAUGE, b'{"name":"x","value":1,"at":0}\n')
    assert (answer.status, len(asked)) == (200, 1)

    stranger = threading.Thread(target=transport.close)
    stranger.start()
    stranger.join()
    assert len(asked) == 1
    transport.close()
    assert len(asked) == 2


@pytest.mark.parametrize("error", UNFORESEEN)
def test_a_mistake_of_ours_is_answered_as_a_server_does(folder, caplog, error):
    """So that the sender puts the batch aside in the end; the log has the details, the answer nothing of the data."""
    transport = open_local(str(folder))

    class Failing:
        @property
        def specs(self) -> None:
            raise error("J. Doe")

    transport._live = Failing()
    answer = transport.send("/v1/models/m/gauges", GAUGE, b"{}\n")
    assert answer.status == 500
    assert error.__name__.encode() in answer.body
    assert b"Doe" not in answer.body
    assert caplog.records[0].exc_info[0] is error


def test_a_url_is_no_folder_and_makes_none(tmp_path, monkeypatch):
    """It would be a folder of that name, with a password in it."""
    monkeypatch.chdir(tmp_path)
    for address in ("postgresql://killick:hunter2@host/killick", Path("sqlite:///killick.db")):
        with pytest.raises(CallError, match="is a URL, and no folder") as told:
            open_world(tmp_path, address)
        assert "hunter2" not in str(told.value)
    assert list(tmp_path.iterdir()) == []
