"""What is kept of a table: its profiles by segment and window, its census, its extent; and how it is measured.

A table profile adds up: batches of one table, partitions of a warehouse, the days of a week. So a table that is larger
than memory is the sum of its batches, and nothing here needs to see two of them at once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from killick.checks.reference import HealthyWindow, Reference
from killick.clock import Window
from killick.engine.fit import arrange_table, column_types
from killick.engine.measure import profile_table
from killick.engine.saved import Held, pack_table, unpack_table
from killick.engine.threads import ahead, over_columns
from killick.errors import CallError, DataError, Mistake, OutsideError
from killick.profiles.census import take_census
from killick.reports.report import Extent
from killick.telemetry.columns import EVENT_TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from killick.checks.reference import BySegment, SegmentKey
    from killick.checks.schema import ColumnType
    from killick.clock import Instant
    from killick.engine.fit import Fit
    from killick.ports.tables import Source
    from killick.profiles.census import Census
    from killick.profiles.profile import Each, Profile


@dataclass(frozen=True, slots=True)
class TableProfile:
    """A table in profiles.

    Attributes:
        fit: how it was measured. Only profiles of the same fit add up and can be compared.
        by_segment: its rows' profile in each segment; the whole is the empty one.
        windows: the same for each window of event time, where these were asked for.
        columns: which columns it has, under the operator's names, and what they are watched as.
        extent: how many rows, from when to when.
        middle: the median event time.
        timeless: how many rows should have an event time, and have none.
        census: what is kept of all rows besides counts, where one is taken.
    """

    fit: Fit
    by_segment: BySegment
    columns: Mapping[str, ColumnType]
    extent: Extent
    middle: Instant | None = None
    windows: tuple[HealthyWindow, ...] = ()
    census: Census | None = None
    timeless: int = 0

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
    def reference(self) -> Reference:
        """The profiles as what others are compared with."""
        return Reference(self.fit.scale, self.by_segment, self.windows)

    def __add__(self, other: TableProfile) -> TableProfile:
        self._refuse_other_fit(other)
        times = [time for e in (self.extent, other.extent) for time in (e.start, e.end) if time is not None]
        span = (min(times), max(times)) if times else (None, None)
        return TableProfile(
            fit=self.fit,
            by_segment=_added(self.by_segment, other.by_segment),
            columns={**self.columns, **other.columns},
            extent=Extent(self.rows + other.rows, *span),
            middle=_between(self, other),
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
        held = Held(self.fit, self.reference, self.columns, self.extent, self.middle, self.census, self.timeless)
        try:
            Path(path).write_bytes(pack_table(held))
        except OSError as error:
            raise OutsideError(f"{path} could not be written: {error.strerror or error}") from error

    @classmethod
    def load(cls, path: str | Path) -> TableProfile:
        """Read a profile from a file.

        Raises:
            DataError: it is not there, or no profile.
        """
        try:
            packed = Path(path).read_bytes()
        except OSError as error:
            raise DataError(Mistake(str(path), f"cannot be read: {error.strerror or error}")) from None
        held = unpack_table(packed, name=str(path))
        return cls(
            fit=held.fit,
            by_segment=held.reference.profiles,
            columns=held.columns,
            extent=held.extent,
            middle=held.middle,
            windows=held.reference.windows,
            census=held.census,
            timeless=held.timeless,
        )

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
    made = profile_table(fit.scale, arranged, kept, width, each=how.each)
    return TableProfile(
        fit=fit,
        by_segment=made.profiles,
        columns=columns,
        extent=Extent(present.height, *span),
        middle=int(times.median()) if len(times) else None,  # type: ignore[arg-type]
        windows=made.windows,
        timeless=arranged.height - len(times) if EVENT_TIME in arranged.columns else 0,
        census=take_census(arranged, fit.asked, how.each) if fit.asked else None,
    )


def _present(table: pl.DataFrame, fit: Fit) -> pl.DataFrame:
    """Give a table the reference's types where its own say nothing: all null, or whole numbers as floats.

    A column of nulls has the type that its reader guessed; pandas makes floats of whole numbers beside a null.
    """
    casts = []
    for column, dtype in table.schema.items():
        known = fit.schema.get(column)
        if known is None or known == dtype:
            continue
        if table[column].null_count() == table.height or (
            dtype.is_float() and known.is_integer() and _whole(table[column])
        ):
            casts.append(pl.col(column).cast(known, strict=False))
    return table.with_columns(casts)


def _whole(series: pl.Series) -> bool:
    values = series.fill_nan(None).drop_nulls()
    return bool(values.is_finite().all() and (values % 1 == 0).all())


def _can_divide(table: pl.DataFrame, column: str, fit: Fit) -> bool:
    """Whether a column can make segments of a table: it is there, and of the reference's kind."""
    if column not in table.columns:
        return False
    now, then = table.schema[column], fit.schema[column]
    return now == then or now.is_numeric() == then.is_numeric()


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


def _between(one: TableProfile, other: TableProfile) -> Instant | None:
    """The middle of two middles, by rows: what is known of the median of a sum."""
    if one.middle is None or other.middle is None:
        return other.middle if one.middle is None else one.middle
    rows = max(one.rows + other.rows, 1)
    return (one.middle * one.rows + other.middle * other.rows) // rows
