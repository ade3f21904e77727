"""What a server tells of its models: what came, what was counted, what was put aside."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from killick.clock import HOUR, format_instant
from tests.server.serving import Server, prediction, start
from tests.server.test_ingest import problem

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.serving import Answer

MODEL, ROWS = "looked-at", 1_200
# The beginning of an hour, so that all rows are of one window.
BEGAN = 1_700_000_000_000_000 // HOUR * HOUR
# When so many more are made, of which it is known how they ended.
LATER, SERVED = BEGAN + 5 * HOUR, 100


@pytest.fixture(scope="module")
def counted(server: Server) -> Answer:
    """A model that has sent predictions of two airports, some labels and a bad row, and what was counted of it."""
    airports = [{"origin": "JFK" if number % 3 else "EWR", "temp": float(number % 70)} for number in range(ROWS)]
    rows = [prediction(n, event_time=BEGAN + n, features=one, score=n % 10 / 10) for n, one in enumerate(airports)]
    server.post(f"/v1/models/{MODEL}/predictions", [*rows, {"score": 1, "features": {}}])
    told = [{"latency_seconds": 0.1 if n % 10 else 2.0, "status": "ok" if n % 4 else "timeout"} for n in range(SERVED)]
    later = [prediction(ROWS + n, event_time=LATER) | one for n, one in enumerate(told)]
    server.post(f"/v1/models/{MODEL}/predictions", later)
    labels = [{"prediction_id": f"p-{n}", "label": n % 2 == 0, "known_at": BEGAN + n} for n in range(100)]
    server.post(f"/v1/models/{MODEL}/outcomes", labels)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        answer = look(server)
        if answer.json["profiles"] and sum(one["labels"] for one in answer.json["profiles"]) == 100:
            return answer
        time.sleep(0.1)
    raise AssertionError(server.log.read_text())


def look(server: Server, *more: str) -> Answer:
    """Ask for the profiles of the hour."""
    return server.ask("GET", "&".join([f"/v1/models/{MODEL}/profiles?start={BEGAN}&end={BEGAN + HOUR}", *more]))


def test_what_was_sent_is_counted_without_being_asked(counted: Answer) -> None:
    """The live worker learns a scale from what came first, and counts every row and every label once."""
    (whole,) = [one for one in counted.json["profiles"] if not one["segment"]]

    assert (whole["version"], whole["role"], whole["rows"], whole["labels"]) == ("v1", "live", ROWS, 100)
    assert (whole["start"], whole["end"]) == (BEGAN, BEGAN + HOUR)


@pytest.mark.usefixtures("counted")
def test_profiles_can_be_narrowed(server: Server) -> None:
    """By time as ISO 8601 too, by version, by segment."""
    iso = f"/v1/models/{MODEL}/profiles?start={format_instant(BEGAN)}&end={format_instant(BEGAN + HOUR)}"

    assert len(server.ask("GET", iso).json["profiles"]) >= 1
    assert look(server, "version=v9").json["profiles"] == []
    assert look(server, "segment=origin=XXX").json["profiles"] == []
    assert len(look(server, "segment=", "version=v1").json["profiles"]) == 1
    every = server.ask("GET", f"/v1/models/{MODEL}/profiles?segment=").json["profiles"]
    assert [one["rows"] for one in every] == [ROWS, SERVED]


@pytest.mark.usefixtures("counted")
def test_how_answers_ended_and_how_long_they_took_is_told(server: Server) -> None:
    """Quantiles to 19 %; nothing where nobody said."""
    (untimed,) = look(server, "segment=").json["profiles"]
    (timed,) = server.ask("GET", f"/v1/models/{MODEL}/profiles?start={LATER}&segment=").json["profiles"]

    assert (untimed["failed"], untimed["latency"]) == (0, None)
    assert timed["failed"] == SERVED // 4
    assert timed["latency"] == pytest.approx({"p50": 0.1, "p95": 2.0, "p99": 2.0}, rel=0.19)


@pytest.mark.usefixtures("counted")
def test_totals_quarantine_and_maturity_are_told(server: Server) -> None:
    """Each a page of its own."""
    totals = server.ask("GET", f"/v1/models/{MODEL}").json
    (bad,) = server.ask("GET", f"/v1/models/{MODEL}/quarantine?limit=5").json["rows"]
    ripe = server.ask("GET", f"/v1/models/{MODEL}/maturity?start={BEGAN}&end={BEGAN + HOUR}")

    assert MODEL in server.ask("GET", "/v1/models").json["models"]
    assert totals["totals"]["predictions.accepted"] == ROWS + SERVED
    assert (bad["kind"], bad["index"], bad["field"]) == ("predictions", ROWS, "prediction_id")
    assert ripe.status == 200
    assert [(one["predictions"], one["labels"]) for one in ripe.json["windows"]] == [(ROWS, 100)]


@pytest.mark.parametrize("path", ["", "/profiles", "/quarantine", "/maturity"])
def test_a_model_that_nobody_knows_is_told(path: str, server: Server) -> None:
    """404, with the name that is near."""
    server.post("/v1/models/near-miss/predictions", [prediction(1)])

    assert "near-miss" in problem(server.ask("GET", f"/v1/models/near-mist{path}"), 404)["detail"]


def test_hosts_know_each_others_models(tmp_path: Path) -> None:
    """Of two servers on one store each tells of what the other has taken, a second later."""
    one, other = start(tmp_path), start(tmp_path)
    try:
        assert other.ask("GET", "/v1/models/shared").status == 404
        assert one.post("/v1/models/shared/predictions", [prediction(1)]).status == 200
        time.sleep(1.1)
        assert other.ask("GET", "/v1/models/shared").json["totals"]["predictions.accepted"] == 1
        assert other.ask("GET", "/v1/models").json["models"] == ["shared"]
        change = {"at": "2026-01-01T00:00Z", "kind": "release", "name": "x", "model": "shared"}
        assert other.post("/v1/changes", [change]).json["accepted"] == 1
    finally:
        assert (one.stop(), other.stop()) == (0, 0)


@pytest.mark.parametrize(
    "query",
    [
        *("profiles?start=x", "profiles?start=5&end=5", "profiles?end=99999999999999999999", "profiles?segment=origin"),
        *("quarantine?limit=0", "quarantine?limit=1001", "quarantine?limit=%C2%B2", "maturity?end="),
    ],
)
def test_a_question_that_cannot_be_understood_is_told(query: str, server: Server) -> None:
    """400, with what would be."""
    server.post("/v1/models/asked/predictions", [prediction(1)])

    problem(server.ask("GET", f"/v1/models/asked/{query}"), 400)
