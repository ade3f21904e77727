"""The profile: an additive summary of rows on a scale.

Promise: counts (int64, exact) and sums (float64) form a group under `+` and `-` with `empty` as unit. Adding profiles
equals profiling all the rows at once, however they were split and in whatever order; so any window, segment or version
is a sum of smaller ones, and a corrected label is one subtraction and one addition.
Cost: two vectors whose length the scale fixes, whatever the number of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import polars as pl

from killick.errors import CallError, Mistake
from killick.profiles.facets import with_facets
from killick.profiles.outcomes import ScoreScale
from killick.profiles.service import ServiceScale

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from killick.profiles.cells import Cells, Floats, Ints
    from killick.profiles.outcome_rows import Outcomes
    from killick.profiles.scale import ColumnScale, Scale

# Each row's group, and how many groups there are.
Groups: TypeAlias = "tuple[Ints, int]"
# As `map` does: a function and its arguments in, its results out, in order.
Each: TypeAlias = "Callable[..., Iterable[Any]]"


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Counts and sums of some rows. `counts[0]` is the number of rows; the scale says where the rest stands."""

    scale: Scale
    counts: Ints
    sums: Floats

    @classmethod
    def empty(cls, scale: Scale) -> Profile:
        """Return the profile of no rows."""
        return cls(scale, np.zeros(scale.counts_width, np.int64), np.zeros(scale.sums_width))

    @classmethod
    def merge(cls, scale: Scale, profiles: Iterable[Profile]) -> Profile:
        """Return the sum of profiles, `empty` when there is none."""
        parts = list(profiles)
        for part in parts:
            _refuse_other_scale(scale, part)
        if not parts:
            return cls.empty(scale)
        counts = np.sum([part.counts for part in parts], axis=0)
        return cls(scale, counts, np.sum([part.sums for part in parts], axis=0))

    @property
    def rows(self) -> int:
        """How many rows are in it."""
        return int(self.counts[0])

    def __add__(self, other: Profile) -> Profile:
        _refuse_other_scale(self.scale, other)
        return Profile(self.scale, self.counts + other.counts, self.sums + other.sums)

    def __sub__(self, other: Profile) -> Profile:
        _refuse_other_scale(self.scale, other)
        return Profile(self.scale, self.counts - other.counts, self.sums - other.sums)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Profile)
            and self.scale.fingerprint == other.scale.fingerprint
            and np.array_equal(self.counts, other.counts)
            and np.allclose(self.sums, other.sums, rtol=1e-9, atol=1e-9)
        )

    __hash__ = None  # type: ignore[assignment]  # sums are compared with a tolerance, which no hash can follow

    def counts_of(self, column: str) -> Ints:
        """Return a column's counts."""
        return self.counts[self.scale.counts[column]]

    def sums_of(self, column: str) -> Floats:
        """Return a column's sums."""
        return self.sums[self.scale.sums[column]]


def profile_rows(scale: Scale, table: pl.DataFrame, groups: Ints, number_of_groups: int) -> list[Profile]:
    """Profile rows by group: features and scores.

    Args:
        scale: what to measure with. Its columns that the table lacks count as missing in every row.
        table: the rows.
        groups: each row's group, shape `[rows]`, below `number_of_groups`.
        number_of_groups: how many profiles to return.
    """
    (profiles,) = profile_groupings(scale, table, [(groups, number_of_groups)])
    return profiles


def profile_groupings(
    scale: Scale, table: pl.DataFrame, groupings: Sequence[Groups], each: Each = map
) -> list[list[Profile]]:
    """Profile rows by several groupings at once, each as `profile_rows` does: a row's cells are looked up only once.

    Args:
        scale: what to measure with.
        table: the rows.
        groupings: each row's group in each grouping.
        each: applies a function to every column. They do not know one another, and sorting and comparing leave the
            interpreter free: with threads, two cores are twice as fast.
    """
    table = with_facets(table, scale.facets)
    tallied = list(each(lambda part: _tallied(part, table, groupings), scale.measured))
    rows = [np.bincount(groups, minlength=number)[:, None] for groups, number in groupings]
    return [
        _profiles(scale, [rows[at], *(one[at][0] for one in tallied)], [one[at][1] for one in tallied])
        for at in range(len(groupings))
    ]


def profile_outcomes(scale: Scale, outcomes: Outcomes, groups: Ints, number_of_groups: int) -> list[Profile]:
    """Profile outcomes by group: what labels say of predictions, and business figures. What is missing counts nothing.

    To be added to the profiles of the same predictions, which hold all but this.

    Args:
        scale: what to measure with.
        outcomes: what is known of each row.
        groups: each row's group, shape `[rows]`, below `number_of_groups`.
        number_of_groups: how many profiles to return.
    """
    profiles = [Profile.empty(scale) for _ in range(number_of_groups)]
    for part in scale.awaited:
        counts: list[Ints] = []
        sums: list[Floats] = []
        _tally(part.outcome_cells(outcomes, len(groups)), groups, number_of_groups, counts, sums)
        all_sums = np.hstack(sums) if sums else np.empty((number_of_groups, 0))
        for profile, row_counts, row_sums in zip(profiles, np.hstack(counts), all_sums, strict=True):
            profile.counts_of(part.column)[:] = row_counts
            profile.sums_of(part.column)[:] = row_sums
    return profiles


def stack(profiles: Sequence[Profile], column: str) -> tuple[Ints, Floats]:
    """Return one column's counts and sums of several profiles, shapes `[profiles, cells]`."""
    return (
        np.stack([profile.counts_of(column) for profile in profiles]),
        np.stack([profile.sums_of(column) for profile in profiles]),
    )


def _refuse_other_scale(scale: Scale, profile: Profile) -> None:
    if scale is not profile.scale and scale.fingerprint != profile.scale.fingerprint:
        raise CallError(
            Mistake(
                "profile",
                "was made on another scale, so it cannot be added or compared",
                value=profile.scale.fingerprint[:12],
                hint=f"profile the rows again on scale {scale.fingerprint[:12]}",
            )
        )


def _tallied(
    part: ColumnScale | ServiceScale, table: pl.DataFrame, groupings: Sequence[Groups]
) -> list[tuple[Ints, Floats]]:
    """A column's counts and sums in each grouping, shapes `[groups, width]`."""
    if isinstance(part, ServiceScale):
        told = [_column(table, name) for name in part.columns]
        return [_both_tallied(tuple(part.cells_of(told)), *groups) for groups in groupings]
    series = _column(table, part.column)
    cells = None
    tallied = []
    for groups, number in groupings:
        if number == 1 and not isinstance(part, ScoreScale):
            counts, sums = part.totals(series)
            tallied.append((counts[None, :], sums[None, :]))
            continue
        cells = tuple(part.cells(series)) if cells is None else cells
        tallied.append(_both_tallied(cells, groups, number))
    return tallied


def _both_tallied(cells: Iterable[Cells], groups: Ints, number: int) -> tuple[Ints, Floats]:
    held: tuple[list[Ints], list[Floats]] = ([], [])
    _tally(cells, groups, number, *held)
    return np.hstack(held[0]), np.hstack(held[1]) if held[1] else np.empty((number, 0))


def _tally(cells: Iterable[Cells], groups: Ints, number: int, counts: list[Ints], sums: list[Floats]) -> None:
    for cell in cells:
        (counts if cell.weight is None else sums).append(cell.tally(groups, number))  # type: ignore[arg-type]


def _profiles(scale: Scale, counts: list[Ints], sums: list[Floats]) -> list[Profile]:
    number = len(counts[0])
    for part in scale.awaited:
        counts.append(np.zeros((number, part.counts_width), np.int64))
        sums.append(np.zeros((number, part.sums_width)))
    all_sums = np.hstack(sums) if sums else np.zeros((number, 0))
    return [Profile(scale, c, s) for c, s in zip(np.hstack(counts), all_sums, strict=True)]


def _column(table: pl.DataFrame, column: str) -> pl.Series:
    """A column of the table; one of nothing where it has none of this name."""
    if column in table.columns:
        return table[column]
    return pl.Series(column, [None], dtype=pl.Float64).new_from_index(0, table.height)
