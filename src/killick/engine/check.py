"""Check two tables: the current one against a reference, as a spec says. Nothing is read or written here.

The two become profiles on one scale, learned from the reference; what they differ in is judged in the room `checks`.
The score and the label are judged like features, on bins of their own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from killick.checks.comparison import BUDGET, Comparison, compare
from killick.checks.reference import Reference
from killick.checks.schema import ColumnType, judge_freshness, judge_schema
from killick.clock import Window
from killick.engine.long_lists import values_of, with_buckets
from killick.engine.measure import profile_table, profile_windows
from killick.engine.pictures import draw
from killick.errors import CallError, DataError, Mistake
from killick.profiles.categorical import fit_categorical
from killick.profiles.numeric import fit_numeric
from killick.profiles.outcomes import OutcomeScale
from killick.profiles.scale import Scale
from killick.reports.report import Extent, Report
from killick.telemetry.columns import EVENT_TIME, LABEL, PARTS, SCORE
from killick.telemetry.door import arrange, features_of
from killick.telemetry.infer import column_kinds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.checks.reference import BySegment, HealthyWindow, SegmentKey
    from killick.checks.usual import Comparable
    from killick.checks.verdict import Verdict
    from killick.clock import Duration, Instant
    from killick.engine.long_lists import Values
    from killick.spec.document import Spec

# The windows that the reference is cut into: enough to merge eight from, and no more than anybody would look at.
_WINDOWS_MIN, _WINDOWS_MAX = 16, 400
_OUTCOME = f"{SCORE} x {LABEL}"


@dataclass(frozen=True, slots=True)
class Profiles:
    """A table in profiles, by segment, and what it covers. Batches add up: `+` and `-` are those of their rows."""

    profiles: BySegment
    extent: Extent

    @property
    def rows(self) -> int:
        """How many rows are in it."""
        return self.extent.rows

    @property
    def segments(self) -> tuple[SegmentKey, ...]:
        """Every segment that has rows; the whole is the empty one."""
        return tuple(segment for segment, profile in self.profiles.items() if profile.rows)

    @property
    def window(self) -> Window | None:
        """Its event time; what is subtracted does not shorten it."""
        start, end = self.extent.start, self.extent.end
        return None if start is None or end is None else Window(start, end)

    def __add__(self, other: Profiles) -> Profiles:
        profiles = dict(self.profiles)
        for segment, profile in other.profiles.items():
            profiles[segment] = profiles[segment] + profile if segment in profiles else profile
        times = [time for e in (self.extent, other.extent) for time in (e.start, e.end) if time is not None]
        span = (min(times), max(times)) if times else (None, None)
        return Profiles(profiles, Extent(self.rows + other.rows, *span))

    def __sub__(self, other: Profiles) -> Profiles:
        lacking = [segment for segment in other.segments if segment not in self.profiles]
        if lacking or other.rows > self.rows:
            found = f"{other.rows} of {self.rows} rows"
            raise CallError(Mistake("profiles", "cannot be subtracted: they hold rows that are not in there", found))
        profiles = {s: p - other.profiles[s] if s in other.profiles else p for s, p in self.profiles.items()}
        return Profiles(profiles, Extent(self.rows - other.rows, self.extent.start, self.extent.end))


@dataclass(frozen=True, slots=True)
class Fitted:
    """A reference, ready to check against.

    Attributes:
        spec: what it was fitted by.
        reference: the profiles, on a scale that holds the score and the label as columns.
        columns: every column that the model sees or makes, under the operator's names, and its type.
        types: the table's types, for a current table that is empty or null where this one is not.
        long_lists: the columns with more categories than a scale knows.
        names: the operator's names of the columns that have another one in the house.
        extent: how many rows, from when to when.
        middle: the median event time.
    """

    spec: Spec
    reference: Reference
    columns: Mapping[str, ColumnType]
    types: Mapping[str, pl.DataType]
    long_lists: Mapping[str, Values]
    names: Mapping[str, str]
    extent: Extent
    middle: Instant | None

    @property
    def comparable(self) -> frozenset[str]:
        """The columns that are measured, under the operator's names."""
        measured = {self.names.get(part.column, part.column) for part in self.reference.scale.columns}
        return frozenset(measured & set(self.columns))


def check_tables(current: pl.DataFrame, reference: pl.DataFrame, spec: Spec, *, false_alarms: float = BUDGET) -> Report:
    """Check a table against a reference.

    Args:
        current: the rows to check.
        reference: the rows to check them against.
        spec: which column plays which part, and what is a segment.
        false_alarms: the chance of any failure in the whole run, if nothing had changed.

    Raises:
        DataError: a table cannot be read as the spec says.
    """
    fitted = fit(reference, spec)
    present = _present(current, fitted)
    types = column_types(present, spec, name="current")
    schema, comparable = judge_schema(fitted.columns, _without_label(types, fitted, spec))
    measured = measure_table(present, fitted, comparable)
    found, tests = judge(fitted, measured, comparable, false_alarms=false_alarms)
    window = measured.window
    about_columns = [msgspec.structs.replace(verdict, window=window) for verdict in schema]
    freshness = judge_freshness(Profiles({}, fitted.extent).window, window, fitted.middle)
    return Report(
        model=spec.model,
        spec_hash=spec.fingerprint,
        false_alarm_budget=false_alarms,
        tests=tests,
        reference=fitted.extent,
        current=measured.extent,
        verdicts=(*about_columns, *freshness, *found),
        pictures=draw(fitted.reference, measured.profiles, found, fitted.names),
    )


def fit(table: pl.DataFrame, spec: Spec) -> Fitted:
    """Learn a reference from a table.

    Raises:
        DataError: it has no rows, or nothing that can be compared; or a column's values are not what the spec says.
    """
    _has_segment_columns(table, spec)
    columns = column_types(table, spec, name="reference")
    arranged = _arranged(table, spec, name="reference")
    names = {SCORE: spec.schema.score or SCORE, LABEL: spec.schema.label.column if spec.schema.label else LABEL}
    watched = {name: column for name, column in columns.items() if column.kind}
    long_lists = values_of(arranged, [name for name, column in watched.items() if column.kind != "numeric"])
    arranged = with_buckets(arranged, long_lists)
    scale = _learn_scale(arranged, spec, watched, names, long_lists)
    profiles = profile_table(scale, arranged, spec)
    return Fitted(
        spec=spec,
        reference=Reference(scale, profiles, _windows(scale, arranged, spec)),
        columns=MappingProxyType(columns),
        types=MappingProxyType(dict(table.schema)),
        long_lists=MappingProxyType(long_lists),
        names=MappingProxyType(names),
        extent=_extent(arranged),
        middle=_middle(arranged),
    )


def measure_table(table: pl.DataFrame, fitted: Fitted, comparable: frozenset[str] | None = None) -> Profiles:
    """Profile a table on the reference's scale. Segments of columns that cannot be compared are left out."""
    usable = fitted.comparable if comparable is None else comparable
    present = _present(table, fitted)
    kept = replace(
        fitted.spec,
        segments=tuple(by for by in fitted.spec.segments if all(_can_divide(present, b.column, fitted) for b in by)),
    )
    # What the reference has not, or has otherwise, is said elsewhere, and measured nowhere.
    seen = [column for column in column_types(present, fitted.spec, name="current") if column not in usable]
    arranged = _arranged(present.drop(seen), kept, name="current")
    for by in kept.segments:
        arranged = arranged.with_columns(present[b.column] for b in by if b.column not in arranged.columns)
    arranged = with_buckets(arranged, fitted.long_lists)
    return Profiles(profile_table(fitted.reference.scale, arranged, kept), _extent(arranged))


def judge(
    fitted: Fitted, measured: Profiles, comparable: frozenset[str] | None = None, *, false_alarms: float = BUDGET
) -> tuple[list[Verdict], int]:
    """Judge what was measured against a reference; return the verdicts, under the operator's names, and the tests."""
    wanted = fitted.comparable if comparable is None else comparable
    scale = fitted.reference.scale
    columns: tuple[Comparable, ...] = tuple(
        part  # type: ignore[misc]  # the scales of `_learn_scale` are all numeric or categorical
        for part in scale.columns
        if fitted.names.get(part.column, part.column) in wanted
    )
    long_lists = {name: held.judged(scale) for name, held in fitted.long_lists.items() if name in wanted}
    how = Comparison(columns, long_lists, LABEL, measured.window, fitted.spec.objectives, false_alarms)
    verdicts, tests = compare(fitted.reference, measured.profiles, how)
    return [_named(verdict, fitted) for verdict in verdicts], tests


def column_types(table: pl.DataFrame, spec: Spec, *, name: str) -> dict[str, ColumnType]:
    """Return the columns that a model sees or makes, under the operator's names, and what each is watched as.

    Raises:
        DataError: the table has no columns.
    """
    if not table.width:
        raise DataError(Mistake(name, "holds no columns", hint="give a table with a header"))
    features = features_of(table, spec)
    schema = spec.schema
    made = [schema.score, schema.decision, schema.label.column if schema.label else None]
    wanted = [*features, *(column for column in made if column and column in table.columns)]
    kinds = column_kinds(table, wanted, spec.features.override)
    return {column: ColumnType(kinds[column], str(table.schema[column])) for column in wanted}


# ------------------------------------------------------------------------------------------------ the tables


def _present(table: pl.DataFrame, fitted: Fitted) -> pl.DataFrame:
    """Give the current table the reference's types where its own say nothing: all null, or whole numbers as floats.

    A column of nulls has the type that its reader guessed; pandas makes floats of whole numbers beside a null.
    """
    casts = []
    for column, dtype in table.schema.items():
        known = fitted.types.get(column)
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


def _without_label(types: Mapping[str, ColumnType], fitted: Fitted, spec: Spec) -> dict[str, ColumnType]:
    """A label that has not come yet is no missing column; nor is one that only the current table has a new one."""
    found = dict(types)
    label = spec.schema.label.column if spec.schema.label else None
    if label and label in fitted.columns and label not in found:
        found[label] = fitted.columns[label]
    elif label and label not in fitted.columns:
        found.pop(label, None)
    return found


def _arranged(table: pl.DataFrame, spec: Spec, *, name: str) -> pl.DataFrame:
    """Arrange a table, with its decision and its segments' columns beside the features, and labels as they are said."""
    label = spec.schema.label
    if label and label.column in table.columns and table[label.column].null_count() == table.height:
        table = table.drop(label.column)
    arranged = arrange(table, spec, name=name)
    more = [spec.schema.decision, *(band.column for by in spec.segments for band in by)]
    arranged = arranged.with_columns(
        table[column] for column in dict.fromkeys(more) if column in table.columns and column not in arranged.columns
    )
    if spec.task == "binary" and LABEL in arranged.columns:
        arranged = arranged.with_columns(pl.col(LABEL).cast(pl.Boolean))
    return arranged


def _has_segment_columns(table: pl.DataFrame, spec: Spec) -> None:
    columns = dict.fromkeys(band.column for by in spec.segments for band in by)
    absent = [column for column in columns if column not in table.columns]
    if absent:
        raise DataError(
            *(Mistake(f"reference.{column}", "is missing; the spec makes segments of it") for column in absent)
        )


def _can_divide(table: pl.DataFrame, column: str, fitted: Fitted) -> bool:
    """Whether a column can make segments of the current table: it is there, and of the reference's kind."""
    if column not in table.columns:
        return False
    now, then = table.schema[column], fitted.types[column]
    return now == then or now.is_numeric() == then.is_numeric()


# ------------------------------------------------------------------------------------------------ scale and windows


def _learn_scale(
    arranged: pl.DataFrame,
    spec: Spec,
    watched: Mapping[str, ColumnType],
    names: Mapping[str, str],
    long_lists: Mapping[str, Values],
) -> Scale:
    """Learn the scale of features, decision, score and label: what a check compares."""
    if not arranged.height:
        hint = "give the rows that the model was trained on, or a time when it was well"
        raise DataError(Mistake("reference", "holds no rows", hint=hint))
    ranges = {name: override.range for name, override in spec.features.override.items() if override.range}
    inside = {operators: house for house, operators in names.items() if house in arranged.columns}
    columns: list[Comparable] = []
    for operators, column in watched.items():
        house = inside.get(operators, operators)
        if house not in arranged.columns or (house in PARTS and operators not in inside):
            continue
        series = arranged[house]
        numeric = column.kind == "numeric" and not (house == LABEL and spec.task != "regression")
        declared = (0.0, 1.0) if house == SCORE and spec.task == "binary" else ranges.get(operators)
        columns.append(fit_numeric(series, declared) if numeric else fit_categorical(series))
    if not columns:
        raise DataError(Mistake("reference", "holds no column that can be compared", hint="see features.include"))
    for held in long_lists.values():
        columns += [held.buckets, held.seen]
    judged = spec.task == "binary" and {SCORE, LABEL} <= set(arranged.columns)
    return Scale(tuple(columns), OutcomeScale(_OUTCOME, spec.schema.decision_threshold) if judged else None)


def _windows(scale: Scale, arranged: pl.DataFrame, spec: Spec) -> tuple[HealthyWindow, ...]:
    """Profile the reference's windows: as wide as the spec evaluates, unless that makes too few or too many."""
    if EVENT_TIME not in arranged.columns:
        return ()
    timed = arranged.filter(pl.col(EVENT_TIME).is_not_null())
    span = _extent(timed)
    if span.start is None or span.end is None:
        return ()
    lasts = span.end - span.start
    width: Duration = min(spec.evaluate_every, max(lasts // _WINDOWS_MIN, 1))
    return profile_windows(scale, timed, spec, max(width, -(-lasts // _WINDOWS_MAX)))


def _extent(arranged: pl.DataFrame) -> Extent:
    times = arranged[EVENT_TIME].drop_nulls() if EVENT_TIME in arranged.columns else None
    if times is None or not len(times):
        return Extent(arranged.height)
    return Extent(arranged.height, int(times.min()), int(times.max()) + 1)  # type: ignore[arg-type]


def _middle(arranged: pl.DataFrame) -> Instant | None:
    middle = arranged[EVENT_TIME].median() if EVENT_TIME in arranged.columns else None
    return None if middle is None else int(middle)  # type: ignore[arg-type]


def _named(verdict: Verdict, fitted: Fitted) -> Verdict:
    name = fitted.names.get(verdict.column or "")
    return msgspec.structs.replace(verdict, column=name) if name else verdict
