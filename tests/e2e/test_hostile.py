"""Use that nobody meant: thousands of columns, segments without end, a crowd of models. Counted, and bounded."""

import json
import re
from collections import Counter
from pathlib import Path
from random import Random

import polars as pl
import pytest

from tests.e2e.chain import end, seed_of_run, serve, settled
from tests.server.serving import NDJSON
from tests.server.test_worker import workers_of

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

NOW = 1_763_000_000_000_000
VALUES, MODELS = 100_000, 300
SERIES_OF_A_MODEL_MAX = 50
# Measured: 290 MiB at most. What grew with columns, values or models would be beyond it.
PEAK_MIB_MAX = 600
SPEC = """
killick: 1
model: crowded
task: binary
schema: {prediction_id: prediction_id, event_time: event_time, score: score, label: {column: label}}
segments: [city]
reference: {data: train.parquet}
"""


def peaks(server):
    """The most memory that the server and its worker have had so far, in MiB."""
    pids = {"server": server.process.pid, "worker": workers_of(server.process.pid)[0]}
    status = {who: Path(f"/proc/{pid}/status").read_text() for who, pid in pids.items()}
    return {who: int(re.search(r"VmHWM:\s+(\d+) kB", text)[1]) // 1024 for who, text in status.items()}


def series_by_model(server):
    """How many series Prometheus is told of each model."""
    return Counter(re.findall(r'model="([^"]+)"', server.ask("GET", "/metrics").body.decode()))


def prediction(name, **more):
    """A prediction."""
    return {"prediction_id": name, "event_time": NOW, "score": 0.5} | more


def post(server, model, rows):
    """Send predictions as lines of JSON."""
    body = "".join(json.dumps(row) + "\n" for row in rows).encode()
    answer = server.ask("POST", f"/v1/models/{model}/predictions", body, Content_Type=NDJSON)
    assert (answer.status, answer.json["accepted"]) == (200, len(rows)), answer.body[:500]


@pytest.fixture
def serving(tmp_path):
    """Start a server of one test's own, and end it."""
    running = []

    def started(*specs):
        running.append(serve(tmp_path / "store", *specs))
        return running[-1]

    yield started
    for server in running:
        code = server.stop()
        end(server)
        assert code == 0, server.log.read_text()


def holds(server, record_property):
    """Memory stays far from what was sent a few times over, Prometheus is told no more of any model than it should."""
    most = peaks(server)
    for who, mebibytes in most.items():
        record_property(f"{who}_peak_rss_mib", mebibytes)
    assert max(most.values()) < PEAK_MIB_MAX, most
    assert 0 < max(series_by_model(server).values()) <= SERIES_OF_A_MODEL_MAX


def test_a_model_of_two_thousand_columns_is_counted(serving, record_property):
    """Without a spec: adopted with all its columns, in bodies of eight mebibytes."""
    server, chance = serving(), Random(seed_of_run())
    for batch in range(6):
        features = [{f"column {at}": chance.random() for at in range(2_000)} for _ in range(200)]
        post(server, "wide", [prediction(f"{batch}-{at}", features=one) for at, one in enumerate(features)])
    assert settled(server, "wide", predictions_counted=1_200)["predictions.counted"] == 1_200
    holds(server, record_property)


def test_a_hundred_thousand_values_of_a_segment_are_four_segments(tmp_path, serving, record_property):
    """The reference knows three cities; whatever else is sent as one, an id perhaps, is the rest, and is counted."""
    cities = ("Oslo", "Rome", "Bern")
    train = [prediction(f"training-{at}", score=at % 10 / 10, city=cities[at % 3]) for at in range(600)]
    rows = pl.DataFrame(train).with_columns(pl.from_epoch("event_time", "us"), label=pl.col("score") > 0.4)
    rows.write_parquet(tmp_path / "train.parquet")
    (tmp_path / "killick.yaml").write_text(SPEC)
    server = serving(tmp_path / "killick.yaml")
    for first in range(0, VALUES, 20_000):
        named = [(at, cities[at % 3] if at % 10 == 0 else f"city {at}") for at in range(first, first + 20_000)]
        post(server, "crowded", [prediction(f"{at}", features={"city": city}) for at, city in named])
    assert settled(server, "crowded", predictions_counted=VALUES)["predictions.counted"] == VALUES
    found = server.ask("GET", "/v1/models/crowded/profiles?start=0").json["profiles"]
    counts = Counter()
    for one in found:
        counts[one["segment"].get("city", "all")] += one["rows"]
    known = Counter(cities[at % 3] for at in range(0, VALUES, 10))
    assert counts == {"all": VALUES, "(rest)": VALUES * 9 // 10, **known}
    holds(server, record_property)


def test_three_hundred_models_that_nobody_announced_are_counted(serving, record_property):
    """One batch each, and each adopted: the thousandth costs no more than the first."""
    server = serving()
    rows = [
        prediction(f"{at}", score=at % 100 / 100, features={"x": at % 17 / 7, "city": f"{at % 5}"})
        for at in range(1_000)
    ]
    for number in range(MODELS):
        post(server, f"model-{number}", rows)
    for number in range(MODELS):
        assert settled(server, f"model-{number}", predictions_counted=1_000)["predictions.counted"] == 1_000
    assert len(series_by_model(server)) == MODELS
    holds(server, record_property)
