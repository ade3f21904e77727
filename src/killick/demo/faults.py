"""The scripted faults: what goes wrong in the story, and what the world records of it.

A fault changes the data that the feed delivers, as a real one would; nothing tells Killick but the change that an
honest team records. Rows are changed from the first weather hour at or after the beginning to the last before the end.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from killick.clock import Instant, format_instant, parse_instant, to_datetime
from killick_client.events import Change

if TYPE_CHECKING:
    from collections.abc import Sequence

METRIC: Final = {
    "temp": (pl.col("temp") - 32) * 5 / 9,
    "dewp": (pl.col("dewp") - 32) * 5 / 9,
    "precip": pl.col("precip") * 25.4,
    "wind_speed": pl.col("wind_speed") * 1.609344,
    "wind_gust": pl.col("wind_gust") * 1.609344,
    "visib": pl.col("visib") * 1.609344,
}
"""What each weather column becomes in metric units: degC, mm, km/h, km."""


@dataclass(frozen=True, slots=True)
class UnitFault:
    """An airport's weather feed reports metric units from `start` to `end`."""

    airport: str
    start: Instant
    end: Instant
    columns: tuple[str, ...] = tuple(METRIC)

    def spoil(self, flights: pl.DataFrame) -> pl.DataFrame:
        """Return the flights as the faulty feed describes them."""
        hour = pl.col("departs_at").dt.truncate("1h")
        faulty = (pl.col("origin") == self.airport) & (hour >= to_datetime(self.start)) & (hour < to_datetime(self.end))
        return flights.with_columns(
            pl.when(faulty).then(METRIC[column]).otherwise(pl.col(column)).alias(column) for column in self.columns
        )

    @property
    def changes(self) -> tuple[Change, ...]:
        """What the feed's team records: the release that broke it, and the one that mended it."""
        return (
            Change(
                at=self.start,
                kind="pipeline",
                name="weather-feed",
                version="2.1",
                note=f"{self.airport} on the new provider",
            ),
            Change(at=self.end, kind="pipeline", name="weather-feed", version="2.1.1", note="units as documented"),
        )


@dataclass(frozen=True, slots=True)
class Script:
    """The whole script: faults in the data, a bad release, and a request to retrain."""

    faults: tuple[UnitFault, ...] = ()
    bad_release: Instant | None = None
    retrain: Instant | None = None

    def spoil(self, flights: pl.DataFrame) -> pl.DataFrame:
        """Return the flights with every fault in them."""
        for fault in self.faults:
            flights = fault.spoil(flights)
        return flights

    @property
    def changes(self) -> Sequence[Change]:
        """All that is recorded, in order of time."""
        changes = [change for fault in self.faults for change in fault.changes]
        if self.bad_release is not None:
            changes.append(
                Change(at=self.bad_release, kind="release", name="flight-delay", version="v2", note="tidier encoder")
            )
        if self.retrain is not None:
            changes.append(Change(at=self.retrain, kind="retrain", name="dana", note="quarterly retraining"))
        return sorted(changes, key=lambda change: change.at)


STORY: Final = Script(
    # Midnight of 10 May in New York; the feed is mended at midnight of 1 June.
    faults=(UnitFault("JFK", parse_instant("2013-05-10T04:00:00Z"), parse_instant("2013-06-01T04:00:00Z")),),
    bad_release=parse_instant("2013-06-10T13:00:00Z"),
    retrain=parse_instant("2013-10-01T13:00:00Z"),
)
"""The demo's script."""

CONTROL: Final = Script(retrain=STORY.retrain)
"""The same year without scripted faults."""


def as_json_lines(changes: Sequence[Change]) -> str:
    """Write changes as the operator's `changes.jsonl`."""
    lines = [
        json.dumps(
            {
                "at": format_instant(change.at),
                "kind": change.kind,
                "name": change.name,
                **({"version": change.version} if change.version else {}),
                "note": change.note,
            }
        )
        for change in changes
    ]
    return "".join(f"{line}\n" for line in lines)
