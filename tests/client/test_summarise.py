"""Rows stay where they are, and their profiles are counted by the server as if the rows had come."""

from datetime import UTC, datetime

import polars as pl
import pytest

import killick
from killick.engine.look import counted_in
from killick.errors import DataError
from killick.wiring import open_world
from killick_client import Client
from tests.server.serving import start

SPEC = """
killick: 1
model: loans
task: binary
schema: {prediction_id: id, event_time: at, score: p, label: {column: repaid, known_at: due}}
segments: [city]
reference: {data: train.parquet}
"""


def loans(first: int, end: int) -> pl.DataFrame:
    """Loans with their outcomes."""
    numbers = range(first, end)
    hour = 3_600_000_000
    begin = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 1_000_000
    return pl.DataFrame(
        {
            "id": [f"loan-{number}" for number in numbers],
            "at": [begin + number % 48 * hour for number in numbers],
            "due": [begin + (number % 48 + 30) * hour for number in numbers],
            "income": [float(number * 37 % 101) for number in numbers],
            "city": [("Oslo", "Rome", "Bern")[number % 3] for number in numbers],
            "p": [number * 13 % 100 / 100 for number in numbers],
            "repaid": [number * 13 % 100 > 40 for number in numbers],
        }
    ).with_columns(pl.from_epoch("at", "us"), pl.from_epoch("due", "us"))


@pytest.fixture
def server(tmp_path):
    """A server that knows the model."""
    loans(0, 900).write_parquet(tmp_path / "train.parquet")
    (tmp_path / "killick.yaml").write_text(SPEC)
    running = start(tmp_path / "store", str(tmp_path / "killick.yaml"))
    yield running
    assert running.stop() == 0, running.log.read_text()


def counted(server) -> dict:
    """Rows and labels of each segment."""
    found: dict = {}
    for one in counted_in(open_world(server.store.parent, server.store), "loans"):
        place = tuple(one.segment.values())
        rows, labels = found.get(place, (0, 0))
        found[place] = (rows + one.rows, labels + one.labels)
    return found


def test_only_profiles_leave_the_process(server, tmp_path):
    """By segment, with labels; sent by the client like everything else, and counted once."""
    reference = server.ask("GET", "/v1/models/loans/reference")
    assert reference.status == 200
    packed = killick.summarise(loans(1_000, 1_300), spec=tmp_path / "killick.yaml", reference=reference.body)
    assert b"loan-1000" not in packed
    client = Client(f"http://{server.host}:{server.port}", model="loans", spool=tmp_path / "spool")
    client.log_profile(packed)
    assert client.flush(timeout_seconds=20), client.statistics()
    client.close()
    assert counted(server) == {(): (300, 300), ("Bern",): (100, 100), ("Oslo",): (100, 100), ("Rome",): (100, 100)}


def test_a_reference_that_is_none_is_refused(tmp_path):
    """Whatever a proxy may have put in its place."""
    (tmp_path / "killick.yaml").write_text(SPEC)
    with pytest.raises(DataError):
        killick.summarise(loans(0, 10), spec=tmp_path / "killick.yaml", reference=b"<html>")
