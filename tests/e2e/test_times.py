"""Clocks that are wrong and times that are odd: each row lands in the window where it belongs, or is told why not."""

import os
import signal
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from killick.clock import DAY, HOUR, MINUTE, SECOND, align, format_instant
from killick.engine.aging import own_time
from killick.engine.turns import old_before
from killick.wiring import open_world
from killick_client import Client
from tests.e2e.chain import PATIENCE_SECONDS, end, serve, settled, totals
from tests.server.test_worker import until, workers_of

pytestmark = pytest.mark.e2e

NOW = time.time_ns() // 1_000
SPEC = """
killick: 1
model: {model}
task: binary
schema:
  prediction_id: id
  event_time: at
  score: p
  label: {{column: y, known_at: seen}}
  time_zone: {zone}
reference: {{data: ../train.parquet}}
keep: {{days: 40000}}
"""
MODELS = {"future": "UTC", "units": "UTC", "old": "UTC", "late": "UTC", "labels": "UTC", "local": "America/New_York"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with a model for each test."""
    folder = tmp_path_factory.mktemp("times")
    numbers = range(400)
    at = [datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=number) for number in numbers]
    pl.DataFrame(
        {
            "id": [f"training-{number}" for number in numbers],
            "at": at,
            "seen": [one + timedelta(hours=number % 50) for number, one in enumerate(at)],
            "p": [number % 10 / 10 for number in numbers],
            "y": [number % 3 == 0 for number in numbers],
            "x": [number * 0.37 % 7 for number in numbers],
        }
    ).write_parquet(folder / "train.parquet")
    specs = []
    for model, zone in MODELS.items():
        specs.append(folder / model / "killick.yaml")
        specs[-1].parent.mkdir()
        specs[-1].write_text(SPEC.format(model=model, zone=zone))
    running = serve(folder / "store", *specs)
    try:
        yield running
        assert running.stop() == 0, running.log.read_text()
    finally:
        end(running)


def send(server, model, times, kind="predictions"):
    """Send a row for each time, by name; return what was quarantined, and wait until the rest is counted."""
    if kind == "predictions":
        rows = [{"id": name, "at": at, "p": 0.5, "x": 1.5} for name, at in times.items()]
    else:
        rows = [{"id": name, "seen": at, "y": True} for name, at in times.items()]
    answer = server.post(f"/v1/models/{model}/{kind}", rows)
    assert answer.status == 200
    assert answer.json["accepted"] + len(answer.json["quarantined"]) == len(rows)
    settled(server, model)
    return answer.json["quarantined"]


def counted(server, model):
    """What is counted by window, as (start, end): rows and labels."""
    asked = f"/v1/models/{model}/profiles?start=0&end=2200-01-01T00:00:00Z&segment="
    found = server.ask("GET", asked).json["profiles"]
    windows = {(one["start"], one["end"]): (one["rows"], one["labels"]) for one in found}
    held = totals(server, model)
    # Nothing is lost on the way: what was accepted is counted or a duplicate, and stands in one window.
    assert len(windows) == len(found)
    assert sum(rows for rows, _ in windows.values()) == held["predictions.counted"]
    assert held["predictions.counted"] + held["predictions.duplicates"] == held["predictions.accepted"]
    assert sum(labels for _, labels in windows.values()) == held["labels.gained"] - held["labels.lost"]
    return windows


def expected(times, newest, labelled=()):
    """The windows in which times lie: hours, and whole days of what the newest has long left behind."""
    rows, labels = Counter(), Counter()
    for name, at in times.items():
        width = DAY if at < old_before(newest) else HOUR
        rows[align(at, width), align(at, width) + width] += 1
        labels[align(at, width), align(at, width) + width] += name in labelled
    return {window: (count, labels[window]) for window, count in rows.items()}


def test_an_event_from_the_future_is_put_aside_unless_it_may_be_a_clock(server):
    """Beyond a day it is a mistake, and anybody can see it; within one it is counted in its own window."""
    fine = {"now": NOW, "soon": NOW + 20 * HOUR, "before": NOW - HOUR}
    wrong = {"in two days": NOW + 2 * DAY, "written": format_instant(NOW + 30 * HOUR), "next year": NOW + 365 * DAY}
    refused = send(server, "future", wrong | fine)
    assert [(one["index"], one["field"]) for one in refused] == [(0, "at"), (1, "at"), (2, "at")]
    assert all("in the future: a clock is wrong" in one["reason"] for one in refused)
    shown = server.ask("GET", "/v1/models/future/quarantine").json["rows"]
    assert {one["reason"] for one in shown} == {one["reason"] for one in refused}
    assert totals(server, "future")["predictions.quarantined"] == 3
    assert counted(server, "future") == expected(fine, NOW)
    # A clock that ran ahead does not make the present old: what comes now has its hour still.
    send(server, "future", {"later": NOW + MINUTE})
    assert counted(server, "future") == expected(fine | {"later": NOW + MINUTE}, NOW)


def test_a_time_in_another_unit_is_put_aside_with_a_hint(server):
    """Seconds and milliseconds would be of January 1970, nanoseconds of the year 50,000: nobody means that."""
    units = {"seconds": NOW // SECOND, "milliseconds": NOW // 1_000, "nanoseconds": NOW * 1_000}
    for kind in ("predictions", "outcomes"):
        for unit, refused in zip(units, send(server, "units", units, kind), strict=True):
            assert f"in {unit}: give microseconds" in refused["reason"]
            assert format_instant(NOW)[:13] in refused["reason"]
    shown = server.ask("GET", "/v1/models/units/quarantine").json["rows"]
    assert Counter(one["kind"] for one in shown) == {"predictions": 3, "outcomes": 3}
    assert server.ask("GET", "/v1/models/units/profiles?start=0").json == {"profiles": []}


def test_what_is_old_is_counted_in_its_own_window_however_time_goes(server):
    """Back by decades between two batches, forth and back again: each row is in the day or the hour of its own time."""
    batches = [
        {"now": NOW, "an hour ago": NOW - HOUR},
        {
            "the first": 1,
            "the first hour": 59 * MINUTE,
            "of 1987": 549_864_182 * SECOND,
            "of 1999": "1999-12-31T23:59:59Z",
        },
        {"a minute ago": NOW - MINUTE, "last month": NOW - 30 * DAY},
        {"of 1987, too": 549_864_182 * SECOND + HOUR, "last week": NOW - 7 * DAY, "yesterday": NOW - DAY},
        {"now again": NOW - 1},
    ]
    for batch in batches:
        assert send(server, "old", batch) == []
    times = {name: at for batch in batches for name, at in batch.items()}
    times["of 1999"] = 946_684_799 * SECOND
    assert counted(server, "old") == expected(times, NOW)


def test_rows_that_come_after_their_hours_have_become_a_day_are_in_the_day(server):
    """And nothing that was in the hours is lost: predictions, labels and copies come late as they like."""
    then = align(NOW - 30 * DAY, DAY)
    early = {f"early {number}": then + number * 5 * HOUR // 2 for number in range(9)}
    send(server, "late", early)
    assert counted(server, "late") == expected(early, then)
    send(server, "late", {"now": NOW})
    # Two days go by: what was the newest event a day ago is believed. A worker ages windows when it starts.
    world = open_world(server.store, server.store)
    for days in (1, 2):
        own_time(world, "late", NOW + days * DAY + HOUR)
    world.control.close()
    for pid in workers_of(server.process.pid):
        os.kill(pid, signal.SIGKILL)
    until(lambda: (then, then + DAY) in counted(server, "late"), PATIENCE_SECONDS)
    late = {f"late {number}": then + number * 3 * HOUR for number in range(8)}
    send(server, "late", late | early)
    labelled = {name: NOW - number * HOUR for number, name in enumerate([*early, *late])}
    send(server, "late", labelled, "outcomes")
    assert counted(server, "late") == expected(early | late | {"now": NOW}, NOW, labelled)
    assert totals(server, "late")["predictions.duplicates"] == len(early)


def test_labels_may_be_known_before_their_prediction_or_years_later(server):
    """A label belongs to its prediction's window, whenever it was known; the latest by its own time stands."""
    years = 3_000 * DAY
    times = {"early": NOW - 2 * DAY, "late": NOW - years, "both": NOW - HOUR, "none": NOW}
    send(server, "labels", {"early": NOW - 2 * DAY - HOUR, "late": NOW}, "outcomes")
    send(server, "labels", times)
    send(server, "labels", {"both": NOW - 2 * HOUR}, "outcomes")
    send(server, "labels", {"both": NOW - years}, "outcomes")
    assert counted(server, "labels") == expected(times, NOW, {"early", "late", "both"})
    assert totals(server, "labels")["labels.gained"] - totals(server, "labels")["labels.lost"] == 3


# What people in New York write on the days that clocks change, and what it is in UTC.
LOCAL = {
    "2025-11-02T00:30:00": "2025-11-02T04:30:00Z",
    "2025-11-02T01:30:00": "2025-11-02T05:30:00Z",  # comes twice: the first is meant
    "2025-11-02T01:30:00-05:00": "2025-11-02T06:30:00Z",  # unless it says that it is the second
    "2025-11-02T02:30:00": "2025-11-02T07:30:00Z",
    "2025-03-09T01:59:59.999999": "2025-03-09T06:59:59.999999Z",
    "2025-03-09T02:30:00": "2025-03-09T07:30:00Z",  # never comes: as if the clock had not leapt
    "2025-03-09T03:30:00": "2025-03-09T07:30:00Z",
    "2025-03-08T23:30:00": "2025-03-09T04:30:00Z",
    "2025-07-01T12:00:00": "2025-07-01T16:00:00Z",
    "2025-07-01T12:00:00+05:30": "2025-07-01T06:30:00Z",
    "2025-07-01T12:00:00Z": "2025-07-01T12:00:00Z",
}


def test_local_times_are_those_of_the_models_zone_also_when_clocks_change(server, tmp_path):
    """In JSON as text, in a table as times without a zone or with one; labels know their times alike."""
    meant = {text: _microseconds(datetime.fromisoformat(utc)) for text, utc in LOCAL.items()}
    assert send(server, "local", dict(zip(LOCAL, LOCAL, strict=True))) == []
    naive = {text: datetime.fromisoformat(text) for text in LOCAL if datetime.fromisoformat(text).tzinfo is None}
    zoned = {text: datetime.fromisoformat(utc).astimezone(ZoneInfo("Asia/Tokyo")) for text, utc in LOCAL.items()}
    with Client(f"http://127.0.0.1:{server.port}", model="local", spool=tmp_path) as client:
        for word, held in (("naive", naive), ("zoned", zoned)):
            rows = {"id": [f"{word} {text}" for text in held], "at": [*held.values()]}
            client.log_predictions(pl.DataFrame(rows | {"p": [0.5] * len(held), "x": [1.5] * len(held)}))
        client.log_outcomes(pl.DataFrame({"id": [*naive], "seen": [*naive.values()], "y": [True] * len(naive)}))
        assert client.flush(PATIENCE_SECONDS)
        assert client.statistics().quarantined == 0
    settled(server, "local")
    times = meant | {f"naive {text}": meant[text] for text in naive} | {f"zoned {text}": meant[text] for text in zoned}
    assert counted(server, "local") == expected(times, max(times.values()), naive)
    delays = server.ask("GET", "/v1/models/local/maturity?start=0").json["windows"]
    assert sum(one["labels"] for one in delays) == len(naive)


def _microseconds(at):
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
