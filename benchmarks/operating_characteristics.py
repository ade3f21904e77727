"""What the check of two tables promises, measured: false alarms where nothing changed, and the smallest drift it finds.

Columns are normal numbers, of every second a tenth missing, and lists of six categories of which the rarest has one row
in a hundred. A reference is drawn row by row, because bins, fences and ranges are learned from it; what is compared
with it is drawn as counts of its cells, which has the same law and costs the same for fifty rows and for a hundred
thousand. All checks of `compare` are on. A cell is condemned when its rate of alarms (any failure or warning in a run)
is above the budget with 99.9 % confidence; what is found in 80 of 100 runs is searched on a grid, among ten columns.

    python -m benchmarks operating_characteristics          a few minutes on one core
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy import special, stats

from benchmarks.table import Row
from killick.checks.comparison import BUDGET, Comparison, compare
from killick.checks.drift import CHECK
from killick.checks.methods import METHODS
from killick.checks.reference import EVERYTHING, Reference
from killick.checks.watched import Watched
from killick.profiles.categorical import fit_categorical
from killick.profiles.numeric import NumericScale, fit_numeric
from killick.profiles.profile import Profile, profile_rows
from killick.profiles.scale import Scale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BEFORE = (500, 1_000, 1_001, 5_000, 100_000)
NOW = (50, 100, 200, 1_000, 100_000)
PAIRS = ((1_000, 200), (1_000, 1_000), (5_000, 1_000), (100_000, 100_000))
RUNS, RUNS_WIDE, RUNS_POWER = 100, 40, 50
SHARES = np.array([0.4, 0.3, 0.15, 0.09, 0.05, 0.01])
FOUND = 0.8
# How much of a drift is tried, from the least: standard deviations, a factor, and shares of rows.
GRIDS = {
    "mean shift": np.round(np.arange(0.1, 1.51, 0.05), 2),
    "scale": np.round(np.arange(1.1, 4.01, 0.1), 1),
    "rare category": np.round(np.arange(0.01, 0.5, 0.01), 2),
    "missing surge": np.round(np.arange(0.01, 0.5, 0.01), 2),
}
UNITS = {"mean shift": "sd", "scale": "times", "rare category": "of rows more", "missing surge": "of rows more"}


@dataclass(frozen=True, slots=True)
class World:
    """What the columns are like now: a drift of the first number (0) and the first list (1).

    `rare` and `missing` are shares of all rows that go to the rarest category, or missing.
    """

    shift: float = 0.0
    scale: float = 1.0
    rare: float = 0.0
    missing: float = 0.0


HEALTHY = World()
DRIFTS: dict[str, Callable[[float], World]] = {
    "mean shift": lambda much: World(shift=much),
    "scale": lambda much: World(scale=much),
    "rare category": lambda much: World(rare=much),
    "missing surge": lambda much: World(missing=much),
}


class Learned:
    """A reference of so many rows and columns: a number and a list in turn."""

    def __init__(self, rng: np.random.Generator, rows: int, columns: int) -> None:
        self.rng = rng
        letters = np.array(list("abcdef"))
        drawn: dict[str, pl.Series] = {}
        for at in range(columns):
            if at % 2:
                drawn[f"c{at}"] = pl.Series(letters[rng.choice(6, rows, p=SHARES)])
            else:
                values = pl.Series(rng.normal(size=rows))
                drawn[f"x{at}"] = values.set(pl.Series(rng.random(rows) < _gaps(at)), None)
        table = pl.DataFrame(drawn)
        scales = [fit_categorical(s) if s.dtype == pl.String else fit_numeric(s) for s in table]
        scale = Scale(tuple(scales))
        profile = profile_rows(scale, table, np.zeros(rows, np.int64), 1)[0]
        self.reference = Reference(scale, {EVERYTHING: profile})
        self.watched = tuple(
            Watched(one.column, "numeric" if isinstance(one, NumericScale) else "categorical", (one,), one)
            for one in scales
        )

    def draw(self, rows: int, world: World = HEALTHY) -> Profile:
        """Draw the profile of a table of so many rows."""
        profile = Profile.empty(self.reference.scale)
        profile.counts[0] = rows
        for at, watched in enumerate(self.watched):
            one = watched.facets[0]
            drift = world if at < 2 else HEALTHY  # noqa: PLR2004 - the first number, and the first list
            if isinstance(one, NumericScale):
                self._draw_number(profile, one, rows, at, drift)
            else:
                shares = SHARES * (1.0 - drift.rare) + drift.rare * (SHARES.min() == SHARES)
                known = [shares["abcdef".index(category)] for category in one.categories]
                left = max(1.0 - sum(known), 0.0)
                profile.counts_of(one.column)[: one.bins] = self.rng.multinomial(rows, [*known, left])
        return profile

    def _draw_number(self, profile: Profile, scale: NumericScale, rows: int, at: int, world: World) -> None:
        gone = _gaps(at) + (world.missing if at == 0 else 0.0)
        inner = (np.asarray(scale.edges) - world.shift) / world.scale
        cuts = np.concatenate([[-np.inf], inner, [np.inf]])
        below, density = special.ndtr(cuts), np.exp(-0.5 * cuts**2) / np.sqrt(2 * np.pi)
        shares, moments = np.diff(below), -np.diff(density)
        means = np.divide(moments, shares, out=np.zeros_like(shares), where=shares > 0)
        counts = self.rng.multinomial(rows, np.append(shares * (1 - gone), gone))
        profile.counts_of(scale.column)[: scale.bins] = counts[:-1]
        profile.counts_of(scale.column)[scale.bins] = counts[-1]
        # Within a bin the values of so many rows add up to nearly a normal, about a third of the bin's width each.
        finite = np.clip(cuts, -9.0, 9.0)
        noise = self.rng.normal(size=len(shares)) * np.diff(finite) * np.sqrt(counts[:-1] / 12)
        sums = world.shift * counts[:-1] + world.scale * (means * counts[:-1] + noise)
        profile.sums_of(scale.column)[: scale.bins] = sums
        profile.sums_of(scale.column)[scale.bins] = counts[:-1].sum() * (world.scale**2 + world.shift**2)

    def found(self, now: Profile, watched: tuple[Watched, ...], *statuses: str) -> set[tuple[str, str | None]]:
        """Which checks have one of these statuses, and in which column."""
        verdicts, _ = compare(self.reference, {EVERYTHING: now}, Comparison(watched))
        return {(verdict.check, verdict.column) for verdict in verdicts if verdict.status in statuses}


def _gaps(at: int) -> float:
    """Of every second number a tenth is missing."""
    return 0.1 if at % 4 else 0.0


def by_method(watched: tuple[Watched, ...], name: str) -> tuple[Watched, ...]:
    """Return the columns, judged by a method where it fits."""
    ordered = METHODS[name].ordered
    return tuple(replace(one, method=one.method if ordered and one.kind != "numeric" else name) for one in watched)


def false_alarms(columns: int, runs: int, method: str = "psi") -> Iterator[tuple[int, int, int]]:
    """Yield rows of the reference, current rows, and how many of the runs alarmed."""
    for before in BEFORE:
        rng = np.random.default_rng([41, columns, before])
        alarms = dict.fromkeys(NOW, 0)
        for _ in range(runs):
            learned = Learned(rng, before, columns)
            watched = by_method(learned.watched, method)
            for now in NOW:
                alarms[now] += bool(learned.found(learned.draw(now), watched, "fail", "warn"))
        yield from ((before, now, number) for now, number in alarms.items())


def smallest_found(drift: str, before: int, now: int, method: str = "psi") -> float | None:
    """Return the least drift on the grid that is found in 80 of 100 runs; None where none is."""
    rng = np.random.default_rng([43, before, now])
    references = [Learned(rng, before, 10) for _ in range(5)]
    grid = GRIDS[drift]
    low, high = -1, len(grid)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(references, now, drift, float(grid[middle]), method) else (middle, high)
    return float(grid[high]) if high < len(grid) else None


def _power(references: list[Learned], now: int, drift: str, much: float, method: str) -> bool:
    column = "c1" if drift == "rare category" else "x0"
    hits = 0
    for at in range(RUNS_POWER):
        learned = references[at % len(references)]
        found = learned.found(learned.draw(now, DRIFTS[drift](much)), by_method(learned.watched, method), "fail")
        hits += any(name == column and (drift == "missing surge" or check == CHECK) for check, name in found)
    return hits >= FOUND * RUNS_POWER


def main() -> list[Row]:
    """Print both tables; a rate that is surely above the budget, and power below the floor, are wrong answers."""
    worst = 0.0
    print(f"{'runs with any alarm, in %':<46}" + "".join(f"{now:>9,}" for now in NOW) + "  current rows")
    cases = [(columns, RUNS if columns < 100 else RUNS_WIDE, "psi") for columns in (2, 10, 100)]  # noqa: PLR2004 - wide
    cases += [(10, RUNS, name) for name in METHODS if name != "psi"]
    for columns, runs, method in cases:
        rates: dict[int, list[float]] = {}
        for before, _, alarms in false_alarms(columns, runs, method):
            rates.setdefault(before, []).append(100 * alarms / runs)
            surely = stats.beta.ppf(0.001, alarms, runs - alarms + 1) if alarms else 0.0
            worst = max(worst, 100 * float(surely))
        for before, cells in rates.items():
            title = f"{METHODS[method].called}, {columns} columns, reference {before:,}"
            print(f"{title:<46}" + "".join(f"{cell:>9.1f}" for cell in cells), flush=True)
    print(f"\n{'smallest drift found in 80 of 100 runs':<46}" + "".join(f"{f'{n:,}/{m:,}':>18}" for n, m in PAIRS))
    rows = [Row("any false alarm in a run, lower limit, worst cell", worst, "%", budget=100 * BUDGET, strict=True)]
    asked = [(drift, "psi") for drift in GRIDS] + [("mean shift", name) for name in METHODS if name != "psi"]
    for drift, method in asked:
        least = [smallest_found(drift, n, m, method) for n, m in PAIRS]
        told = "".join(f"{'none' if one is None else f'{one:g}':>18}" for one in least)
        print(f"{f'{drift}, {UNITS[drift]} ({METHODS[method].called})':<46}{told}", flush=True)
        if (drift, method) == ("mean shift", "psi"):
            # A rule that never alarms keeps every budget: the floor is what is useful to find.
            rows += [
                Row(
                    f"mean shift found 80 % of the time, {n:,} / {m:,} rows",
                    one or np.inf,
                    budget=bound,
                    unit="",
                    strict=True,
                )
                for (n, m), one, bound in zip(PAIRS, least, (0.8, 0.5, 0.5, 0.2), strict=True)
            ]
    return rows
