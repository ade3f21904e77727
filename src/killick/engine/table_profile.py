"""What is kept of a table: its profiles by segment and window, its census, its extent; and how it is measured.

A table profile adds up: batches of one table, partitions of a warehouse, the days of a week. So a table that is larger
than memory is the sum of its batches, and nothing here needs to see two of them at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl

from killick.checks.reference import EVERYTHING, HealthyWindow
from killick.clock import Window
from killick.engine.fit import arrange_table, column_types
from killick.engine.measure import profile_table
from killick.engine.saved import BYTES_MAX, Kept, pack_table, unpack_table
from killick.engine.threads import ahead, over_columns
from killick.errors import CallError, DataError, Mistake, OutsideError
from killick.profiles.census import take_census
from killick.reports.report import Extent
from killick.reports.words import counted
from killick.telemetry.columns import EVENT_TIME
from killick.telemetry.kinds import alike_type

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from killick.checks.reference import BySegment, SegmentKey
    from killick.checks.schema import ColumnType
    from killick.clock import Instant
    from killick.engine.fit import Fit
    from killick.ports.tables import Source
    from killick.profiles.census import Census, Questions
    from killick.profiles.profile import Each, Profile

# A census of a million rows of twenty columns at once would hold 100 MB more, for a twentieth less time.
_CENSUS_ROWS = 524_288


@dataclass(frozen=True, slots=True, repr=False)
class TableProfile(Kept):
    """A table in profiles: see `Kept` for what it holds."""

    def __repr__(self) -> str:
        return f"<Profile of {counted(self.rows, 'row')} in {counted(len(self.segments), 'segment')}>"

    @property
    def rows(self) -> int:
        """How many rows are in it."""
        return self.extent.rows

    @property
    def segments(self) -> tuple[SegmentKey, ...]:
        """Every segment that has rows; the whole is the empty one."""
        return tuple(segment for segment, profile in self.by_segment.items() if profile.rows)

    @property
    def window(self) -> Window | None:
        """Its event time; what is subtracted does not shorten it."""
        start, end = self.extent.start, self.extent.end
        return None if start is None or end is None else Window(start, end)

    @property
    def middle(self) -> Instant | None:
        """The event time before which half of the rows are, to the window; None without windows."""
        rows = np.array([healthy.profiles[EVERYTHING].rows for healthy in self.windows])
        if not len(rows):
            return None
        window = self.windows[int(np.searchsorted(rows.cumsum(), rows.sum() / 2))].window
        return window.start + window.width // 2

    def __add__(self, other: TableProfile) -> TableProfile:
        self._refuse_other_fit(other)
        times = [time for e in (self.extent, other.extent) for time in (e.start, e.end) if time is not None]
        span = (min(times), max(times)) if times else (None, None)
        return TableProfile(
            fit=self.fit,
            by_segment=_added(self.by_segment, other.by_segment),
            columns=_columns_added(self, other),
            extent=Extent(self.rows + other.rows, *span),
            windows=_windows_added(self.windows, other.windows),
            timeless=self.timeless + other.timeless,
            census=self.census + other.census if self.census and other.census else None,
        )

    def __sub__(self, other: TableProfile) -> TableProfile:
        self._refuse_other_fit(other)
        lacking = [segment for segment in other.segments if segment not in self.by_segment]
        if lacking or other.rows > self.rows:
            found = f"{other.rows} of {self.rows} rows"
            raise CallError(Mistake("profile", "cannot be subtracted: it holds rows that are not in there", found))
        left = {s: p - other.by_segment[s] if s in other.by_segment else p for s, p in self.by_segment.items()}
        return replace(
            self,
            by_segment={segment: profile for segment, profile in left.items() if profile.rows or not segment},
            extent=Extent(self.rows - other.rows, self.extent.start, self.extent.end),
            windows=(),
            timeless=self.timeless - other.timeless,
            census=self.census - other.census if self.census and other.census else None,
        )

    def save(self, path: str | Path) -> None:
        """Write the profile to a file: what `killick check` takes in place of the table.

        Raises:
            OutsideError: the file could not be written.
        """
        try:
            Path(path).write_bytes(pack_table(self))
        except OSError as error:
            raise OutsideError(f"{path} could not be written: {error.strerror or error}") from error

    @classmethod
    def load(cls, path: str | Path) -> TableProfile:
        """Read a profile from a file.

        Raises:
            DataError: it is not there, or no profile.
        """
        try:
            if Path(path).stat().st_size > BYTES_MAX:
                raise DataError(Mistake(str(path), f"is no profile: it is larger than {BYTES_MAX >> 20} MB"))
            packed = Path(path).read_bytes()
        except OSError as error:
            raise DataError(Mistake(str(path), f"cannot be read: {error.strerror or error}")) from None
        return unpack_table(packed, cls, name=str(path))

    def _refuse_other_fit(self, other: TableProfile) -> None:
        if self.fit.fingerprint != other.fit.fingerprint:
            hint = "profile both tables by the same reference"
            raise CallError(Mistake("profile", "was made by another reference, so it cannot be added", hint=hint))


def measure_source(
    source: Source, fit: Fit, *, windows: bool = False, tell: Callable[[int], None] | None = None
) -> TableProfile:
    """Measure a table of any size, batch by batch.

    Args:
        source: the table.
        fit: how to measure.
        windows: keep its windows too, so that it can be a reference of its own.
        tell: is told the number of rows of each batch, as it is done.

    Raises:
        DataError: the table is broken, or not what the spec says.
    """
    found, columns = None, None
    with over_columns(source.size()) as each:
        for batch in ahead(source.batches()):
            present = _present(batch, fit)
            columns = columns or column_types(present, fit.spec, name=source.name, like=fit.columns)
            measured = _measured(present, columns, fit, Measuring(source.name, windows, each))
            found = measured if found is None else found + measured
            if tell:
                tell(batch.height)
    if found is not None:
        return found
    nothing = source.schema.to_frame()
    columns = column_types(_present(nothing, fit), fit.spec, name=source.name, like=fit.columns)
    return _measured(_present(nothing, fit), columns, fit, Measuring(source.name, windows, map))


class Measuring(NamedTuple):
    """What to call a table in a message, whether its windows are kept, and what applies a function to every column."""

    name: str
    windows: bool
    each: Each


def _measured(present: pl.DataFrame, columns: Mapping[str, ColumnType], fit: Fit, how: Measuring) -> TableProfile:
    """Measure a table in memory. What the reference has not, or has otherwise, is not measured."""
    usable = {c for c, one in columns.items() if c in fit.columns and one.kind == fit.columns[c].kind}
    label = fit.spec.schema.label
    if label and fit.schema.get(label.column, pl.Null()) == pl.Null:
        usable.add(label.column)  # the reference had none yet: performance is compared with what was declared
    kept = replace(
        fit.spec,
        segments=tuple(by for by in fit.spec.segments if all(_can_divide(present, b.column, fit) for b in by)),
    )
    arranged = arrange_table(present.drop(c for c in columns if c not in usable), kept, name=how.name)
    for by in kept.segments:
        arranged = arranged.with_columns(present[b.column] for b in by if b.column not in arranged.columns)
    times = arranged[EVENT_TIME].drop_nulls() if EVENT_TIME in arranged.columns else pl.Series([], dtype=pl.Int64)
    span = (int(times.min()), int(times.max()) + 1) if len(times) else (None, None)  # type: ignore[arg-type]
    width = fit.width if how.windows and len(times) else None
    made = profile_table(fit.scale, arranged, kept, width, fit.segments, each=how.each)
    return TableProfile(
        fit=fit,
        by_segment=made.profiles,
        columns=columns,
        extent=Extent(present.height, *span),
        windows=made.windows,
        timeless=arranged.height - len(times) if EVENT_TIME in arranged.columns else 0,
        census=_census(arranged, fit.asked, how.each) if fit.asked else None,
    )


def _census(arranged: pl.DataFrame, asked: Questions, each: Each) -> Census:
    """Take the census of some rows after others, so that the arrays of the next have the room of the last."""
    starts = range(0, max(1, arranged.height), _CENSUS_ROWS)
    return reduce(add, (take_census(arranged.slice(start, _CENSUS_ROWS), asked, each) for start in starts))


def _present(table: pl.DataFrame, fit: Fit) -> pl.DataFrame:
    """Give a table the reference's types where its own say no more (`alike_type`)."""
    casts = []
    for column, dtype in table.schema.items():
        known = fit.schema.get(column)
        if known is None or known == dtype:
            continue
        if alike := alike_type(table[column], known):
            casts.append(pl.col(column).cast(alike, strict=False))
    return table.with_columns(casts)


def _can_divide(table: pl.DataFrame, column: str, fit: Fit) -> bool:
    """Whether a column can make segments of a table: it is there, and of the reference's kind."""
    if column not in table.columns:
        return False
    now, then = table.schema[column], fit.schema.get(column)
    return then is not None and (now == then or now.is_numeric() == then.is_numeric())


def _columns_added(one: TableProfile, other: TableProfile) -> dict[str, ColumnType]:
    """The columns of both; of two types of one column, that which is not the reference's: it is what must be told."""
    known = one.fit.columns
    strange = {
        column: held
        for column, held in other.columns.items()
        if column in one.columns and column in known and held.kind != known[column].kind
    }
    return {**other.columns, **one.columns, **strange}


def _added(one: BySegment, other: BySegment) -> dict[SegmentKey, Profile]:
    profiles = dict(one)
    for segment, profile in other.items():
        profiles[segment] = profiles[segment] + profile if segment in profiles else profile
    return profiles


def _windows_added(one: tuple[HealthyWindow, ...], other: tuple[HealthyWindow, ...]) -> tuple[HealthyWindow, ...]:
    held = {healthy.window: healthy.profiles for healthy in one}
    for healthy in other:
        held[healthy.window] = _added(held.get(healthy.window, {}), healthy.profiles)
    return tuple(HealthyWindow(window, held[window]) for window in sorted(held, key=lambda window: window.start))
