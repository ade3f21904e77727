"""Synthetic worlds for the tests of checks: scales, and tables and windows whose rows are drawn from known laws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from killick.checks.comparison import Comparison, compare
from killick.checks.reference import EVERYTHING, HealthyWindow, Reference
from killick.checks.watched import Watched
from killick.clock import DAY, Window
from killick.profiles.categorical import category_counts, fit_categorical
from killick.profiles.facets import LongList, fit_facets, with_facets
from killick.profiles.numeric import fit_numeric
from killick.profiles.profile import Profile, profile_rows
from killick.profiles.scale import Scale, fit_scale

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from killick.checks.reference import SegmentKey
    from killick.checks.verdict import Verdict

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


# ------------------------------------------------------------------------------------------------ two tables

KINDS = {
    **dict.fromkeys(("normal", "skewed", "heavy", "count", "zeros", "gaps"), "numeric"),
    **dict.fromkeys(("few", "rare", "zipf", "even"), "categorical"),
}
_ZIPF = 1 / np.arange(1, 301)
_TEXTS = pl.Series([f"v{at:03}" for at in range(300)])


def a_table(rng: np.random.Generator, rows: int, copies: int = 1) -> pl.DataFrame:
    """Draw rows of one unchanging world, each kind of column so many times.

    Atoms, tails, gaps, and categories: few, hardly ever another, and two long lists. Columns are independent.
    """
    size = (copies, rows)
    drawn = {
        "normal": rng.normal(size=size),
        "skewed": np.exp(2 * rng.normal(size=size)),
        "heavy": rng.standard_t(2, size),
        "count": rng.poisson(1.5, size).astype(float),
        "zeros": np.where(rng.uniform(size=size) < 0.8, 0.0, rng.exponential(size=size)),
        "gaps": np.where(rng.uniform(size=size) < 0.1, np.nan, rng.normal(size=size)),
    }
    codes = {
        "few": rng.choice(4, size, p=[0.5, 0.3, 0.15, 0.05]),
        "rare": (rng.uniform(size=size) < 0.03).astype(int),
        "zipf": rng.choice(300, size, p=_ZIPF / _ZIPF.sum()),
        "even": rng.integers(0, 200, size),
    }
    numbers = {f"{name} {k}": pl.Series(held[k]).fill_nan(None) for name, held in drawn.items() for k in range(copies)}
    texts = {f"{name} {k}": _TEXTS.gather(held[k]) for name, held in codes.items() for k in range(copies)}
    return pl.DataFrame(numbers | texts)


class Learned:
    """What a check learns of a reference table: a scale, how its columns are watched, and their profile."""

    def __init__(self, table: pl.DataFrame) -> None:
        kinds = {column: KINDS[column.split(" ", maxsplit=1)[0]] for column in table.columns}
        counts = {column: category_counts(table[column]) for column, kind in kinds.items() if kind == "categorical"}
        self.facets = fit_facets(table, kinds, counts, None)
        plain = [
            fit_numeric(series) if kinds[series.name] == "numeric" else fit_categorical(series) for series in table
        ]
        self.scale = Scale((*plain, *(scale for one in self.facets for scale in one.scales(table))), None, self.facets)
        self.watched = tuple(self._watched(column, kinds[column]) for column in table.columns)
        self.reference = Reference(self.scale, {EVERYTHING: self.profile(table)})

    def profile(self, table: pl.DataFrame) -> Profile:
        """Profile rows on the reference's scale."""
        return profile_rows(self.scale, with_facets(table, self.facets), np.zeros(table.height, np.int64), 1)[0]

    def _watched(self, column: str, kind: str) -> Watched:
        own = self.scale[column]
        for one in self.facets:
            if isinstance(one, LongList) and one.column == column:
                buckets, seen = self.scale[one.buckets], self.scale[one.seen]
                return Watched(column, kind, (buckets,), own, seen=seen, new_share=one.new_share)
        return Watched(column, kind, (own,), own)


def judged(learned: Learned, table: pl.DataFrame, **how: object) -> list[Verdict]:
    """Compare a table with a reference, in all columns."""
    return compare(learned.reference, {EVERYTHING: learned.profile(table)}, Comparison(learned.watched, **how))[0]


def found(verdicts: Sequence[Verdict], *statuses: str) -> set[tuple[str, str | None]]:
    """Which checks have one of these statuses, and where."""
    return {(verdict.check, verdict.column) for verdict in verdicts if verdict.status in (statuses or ("fail",))}
