"""Synthetic worlds for the tests of checks: a scale, and windows whose rows are drawn from known laws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from killick.checks.reference import EVERYTHING, HealthyWindow, Reference
from killick.clock import DAY, Window
from killick.profiles.profile import Profile, profile_rows
from killick.profiles.scale import Scale, fit_scale

if TYPE_CHECKING:
    from collections.abc import Callable

    from killick.checks.reference import SegmentKey

JFK: SegmentKey = (("origin", "JFK"),)
LGA: SegmentKey = (("origin", "LGA"),)
EWR: SegmentKey = (("origin", "EWR"),)
AIRPORTS = (JFK, LGA, EWR)
ROWS = 300

_first = np.random.default_rng(0)
SCALE: Scale = fit_scale(
    pl.DataFrame(
        {"temp": _first.normal(50, 10, 5000), "carrier": _first.choice(["UA", "B6", "DL"], 5000, p=[0.5, 0.3, 0.2])}
    ),
    {"temp": "numeric", "carrier": "categorical"},
)


def a_profile(temp: object, carrier: object, scale: Scale = SCALE) -> Profile:
    """Profile rows of the two columns."""
    table = pl.DataFrame({"temp": pl.Series(temp, dtype=pl.Float64), "carrier": pl.Series(carrier, dtype=pl.String)})
    return profile_rows(scale, table, np.zeros(table.height, np.int64), 1)[0]


def a_day(
    rng: np.random.Generator, day: int, *, change: Callable[[SegmentKey, np.ndarray], np.ndarray] | None = None
) -> HealthyWindow:
    """Draw a day at three airports: common weather, airports that always differ a little, and noise of each.

    Args:
        rng: where chance comes from.
        day: which day, after the epoch.
        change: what becomes of an airport's temperatures.
    """
    weather = rng.normal(0, 2)
    profiles: dict[SegmentKey, Profile] = {}
    for at, airport in enumerate(AIRPORTS):
        temp = 50 + 2 * at + weather + rng.normal(0, 0.5) + rng.normal(0, 10, ROWS)
        shares = rng.dirichlet(np.array([0.5, 0.3, 0.2]) * 400)
        profiles[airport] = a_profile(
            change(airport, temp) if change else temp, rng.choice(["UA", "B6", "DL"], ROWS, p=shares)
        )
    whole = Profile.merge(SCALE, profiles.values())
    return HealthyWindow(Window(day * DAY, (day + 1) * DAY), {EVERYTHING: whole, **profiles})


def a_reference(windows: list[HealthyWindow]) -> Reference:
    """Return the reference that holds these windows."""
    segments = windows[0].profiles
    sums = {segment: Profile.merge(SCALE, [held.profiles[segment] for held in windows]) for segment in segments}
    return Reference(SCALE, sums, tuple(windows))
