"""Check two tables: the current one against a reference, as a spec says. Nothing is read or written here.

A fit is learned from the reference, both tables are measured by it, and what they differ in is judged in the room
`checks`. Measuring and judging are apart, so either side may be a profile that was measured elsewhere, at another time.
"""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from killick.checks.business import judge_kpis
from killick.checks.comparison import BUDGET, Comparison, compare
from killick.checks.concept import judge_concept
from killick.checks.correlation import judge_correlation
from killick.checks.drift import CHECK as DRIFT
from killick.checks.factors import unit_factor
from killick.checks.integrity import judge_cardinality, judge_duplicates
from killick.checks.output import judge_output
from killick.checks.realised import judge_realised
from killick.checks.reference import EVERYTHING
from killick.checks.schema import ColumnType, judge_freshness, judge_schema
from killick.checks.skew import judge_skew
from killick.checks.surplus import judge_times
from killick.checks.usual import windows_like
from killick.clock import MINUTE
from killick.engine.fit import arrange_table, learn_fit
from killick.engine.pictures import draw, draw_calibration
from killick.engine.samples import by_chance, by_samples
from killick.engine.table_profile import measure_source
from killick.errors import DataError, Mistake
from killick.ports.tables import FrameSource
from killick.profiles.pairs import compare_rows
from killick.reports.report import Report
from killick.telemetry.columns import ENTITY_ID, EVENT_TIME, LABEL, PARTS, PREDICTION_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from killick.checks.sharing import Draft
    from killick.checks.verdict import Verdict
    from killick.clock import Duration, Window
    from killick.engine.fit import Fit
    from killick.engine.table_profile import TableProfile
    from killick.ports.tables import Source
    from killick.profiles.census import Census
    from killick.spec.document import Spec

# Bins, categories and components are learned from so many rows; what is counted afterwards is every row.
FIT_ROWS = 131_072
# The windows that a reference is cut into: enough to merge eight from, and no more than anybody would look at.
_WINDOWS_MIN, _WINDOWS_MAX = 16, 400
_EDGE = 0.01
EVERY_CHECK = ("*",)
# What is judged from the census, which costs as much as everything else together.
_OF_THE_CENSUS = ("quality.duplicates", "quality.cardinality", "quality.correlation", "quality.output", "drift.concept")


def needs_census(checks: Collection[str]) -> bool:
    """Whether any of the checks that are wanted is judged from a census."""
    return any(_wanted(check, checks) for check in _OF_THE_CENSUS)


def fit_rows(source: Source) -> pl.DataFrame:
    """Return the rows that a fit is learned from: all that are in memory, or a sample.

    Raises:
        DataError: the table is broken.
    """
    return source.frame if isinstance(source, FrameSource) else source.sample(FIT_ROWS)


def learn(
    source: Source,
    spec: Spec,
    rows: pl.DataFrame | None = None,
    *,
    census: bool = True,
    tell: Callable[[int], None] | None = None,
) -> TableProfile:
    """Learn a fit from a reference, and measure the reference by it.

    Args:
        source: the rows.
        spec: which column plays which part.
        rows: its `fit_rows`, where they are at hand already.
        census: take one of every table.
        tell: is told the number of rows of each batch, as it is done.

    Raises:
        DataError: there are no rows, or nothing that can be compared.
    """
    sample = fit_rows(source) if rows is None else rows
    fit = learn_fit(sample, spec, width=_width(sample, spec), census=census)
    return measure_source(source, fit, windows=True, tell=tell)


def check_profiles(
    current: TableProfile,
    reference: TableProfile,
    *,
    false_alarms: float = BUDGET,
    checks: Collection[str] = EVERY_CHECK,
    more: Sequence[Draft] = (),
) -> Report:
    """Check what was measured of a table against what was measured of a reference.

    Two profiles that were not measured by the same fit are compared by the samples of rows that they hold.
    """
    told = None
    if current.fit.fingerprint != reference.fit.fingerprint:
        current, reference, told = by_samples(current, reference)
    verdicts, tests = judge(current, reference, false_alarms=false_alarms, checks=checks, more=more)
    if told:
        timed = reference.window is not None
        verdicts = [told, *(by_chance(verdict) if timed else verdict for verdict in verdicts)]
    return Report(
        model=reference.fit.spec.model,
        spec_hash=reference.fit.spec.fingerprint,
        false_alarm_budget=false_alarms,
        tests=tests,
        reference=reference.extent,
        current=current.extent,
        verdicts=tuple(verdicts),
        pictures=draw(reference.reference, current.by_segment, verdicts, reference.fit.names),
        kinds={name: column.kind for name, column in reference.fit.columns.items() if column.kind},
        calibration=draw_calibration(reference.by_segment.get(EVERYTHING), current.by_segment.get(EVERYTHING)),
    )


def judge(
    current: TableProfile,
    reference: TableProfile,
    *,
    false_alarms: float = BUDGET,
    checks: Collection[str] = EVERY_CHECK,
    more: Sequence[Draft] = (),
) -> tuple[list[Verdict], int]:
    """Judge a table that was measured by a reference's fit.

    Args:
        current: what was measured of the table.
        reference: what was measured of the reference, by the same fit.
        false_alarms: the chance of any false failure.
        checks: patterns of the checks that are wanted.
        more: drafts of checks that need rows; they share the budget.

    Returns:
        the verdicts, under the operator's names, and how many tests shared the budget.
    """
    fit, window = reference.fit, current.window
    schema, comparable = judge_schema(fit.columns, _without_label(current.columns, fit), window, current.rows)
    how = Comparison(
        watched=tuple(one for one in fit.watched if fit.named(one.column) in comparable),
        label=LABEL,
        window=window,
        budget=false_alarms,
        wanted=lambda check: _wanted(check, checks),
        own=_own_columns(fit),
    )
    drafts = [*_drafts(current, reference, comparable), *more]
    drafts = [draft for draft in drafts if _wanted(draft.verdict.check, checks)]
    ordered = dict.fromkeys((*reference.by_segment, *sorted(current.by_segment)))
    now = {segment: current.by_segment[segment] for segment in ordered if segment in current.by_segment}
    compared, tests = compare(reference.reference, now, how, drafts)
    told = [*schema, *judge_freshness(reference.window, window, reference.middle)]
    found = [verdict for verdict in told if _wanted(verdict.check, checks)]
    found += [_named(one, fit, reference.census, current.census) for one in compared]
    return found, tests


def _named(verdict: Verdict, fit: Fit, before: Census | None, now: Census | None) -> Verdict:
    """Give a column its operator's name, and say so where it moved by the factor of a unit."""
    reason, column = verdict.reason, verdict.column or ""
    if verdict.check == DRIFT and verdict.status in ("fail", "warn") and not verdict.segment and before and now:
        factor = unit_factor(before.sizes[column], now.sizes[column]) if column in before.sizes else None
        reason = f"{reason}; values are {factor}" if factor else reason
    return msgspec.structs.replace(verdict, column=fit.named(verdict.column), reason=reason)


def skewed(online: Source, offline: Source, fit: Fit) -> list[Draft]:
    """Compare what was logged online with what an offline store says of the same rows, joined by id or entity and time.

    Raises:
        DataError: the two have no key in common.
    """
    here, there = (
        # A table without rows has no batch, and its columns all the same.
        arrange_table(pl.concat([side.schema.to_frame(), *side.batches()]), fit.spec, name=side.name)
        for side in (online, offline)
    )
    shared = set(here.columns) & set(there.columns)
    keys = [PREDICTION_ID] if PREDICTION_ID in shared else [k for k in (ENTITY_ID, EVENT_TIME) if k in shared]
    if not keys:
        hint = "name a prediction_id, or entity_id and event_time, in the spec"
        raise DataError(Mistake(offline.name, "has no key in common with the current table", hint=hint))
    # A store of features need not have what the model made of them; of a feature that it lacks, that is told.
    made = {*PARTS, fit.spec.schema.decision, *fit.spec.schema.scores.values()} - (shared - set(PARTS))
    columns = [one.column for one in fit.watched if one.column not in made]
    return judge_skew(compare_rows(here, there, keys, columns))


def _drafts(current: TableProfile, reference: TableProfile, comparable: Collection[str]) -> list[Draft]:
    """Ask every room that judges something else than a column's distribution."""
    fit, window = reference.fit, current.window
    # In the reference's order: that in which batches brought segments says nothing.
    known = {segment: current.by_segment[segment] for segment in reference.by_segment if segment in current.by_segment}
    spans = [healthy.profiles for healthy in windows_like(reference.reference, window).each]
    drafts = judge_realised(reference.by_segment, known, window, fit.spec.objectives, _declared(fit.spec), spans)
    drafts += judge_kpis(reference.by_segment, known, fit.spec.schema.kpis, window, spans)
    if current.timeless or reference.timeless:
        rows = [(side.timeless, side.rows) for side in (reference, current)]
        drafts.append(judge_times(fit.spec.schema.event_time or EVENT_TIME, rows[0], rows[1], window))
    before, now = reference.census, current.census
    if before is None or now is None:
        return drafts
    # Rows that lack a column are alike for that reason alone, which is told already.
    whole = all(column in comparable for column, one in fit.columns.items() if one.kind)
    drafts += judge_duplicates(before, now, window) if whole else []
    alike = [
        *judge_cardinality(before, now, window, narrower=_narrower(window, reference.window)),
        *judge_correlation(before, now, window),
        *judge_concept(before, now, window),
    ]
    # These take rows for independent. Rows that are close in time are not, and no window of the reference says how much
    # they are alike.
    drafts += [replace(draft, mild=reference.window is not None) for draft in alike]
    drafts += judge_output(before, now, window)
    absent = {column for column, one in fit.columns.items() if column not in comparable and not one.part}
    return [draft for draft in drafts if fit.named(draft.verdict.column) not in absent]


def _own_columns(fit: Fit) -> dict[str, str]:
    """Return the columns, under the house's names, whose values are segments as they are, by the names of the bands."""
    house = {said: name for name, said in fit.names.items()}
    return {b.name: house.get(b.column, b.column) for by in fit.spec.segments for b in by if not b.bins}


def _narrower(window: Window | None, reference: Window | None) -> bool:
    """Whether the current rows span less time: then they have fewer days, weeks and seasons, however many they are."""
    return window is not None and reference is not None and window.width < reference.width


def _declared(spec: Spec) -> Mapping[str, float]:
    """Return the metrics that a version had when it was made: the live one's, or the first that has any."""
    held = sorted((one for one in spec.versions if one.metrics), key=lambda one: one.role != "live")
    return held[0].metrics if held else {}


def _wanted(check: str, patterns: Collection[str]) -> bool:
    return any(fnmatchcase(check, pattern) for pattern in patterns)


def _width(sample: pl.DataFrame, spec: Spec) -> Duration | None:
    """Return how wide the reference's windows are: as the spec evaluates, unless that makes too few or too many."""
    column = spec.schema.event_time
    if column is None or column not in sample.columns:
        return None
    times = arrange_table(sample.select(column), spec, name="reference")[EVENT_TIME].drop_nulls()
    if not len(times):
        return None
    # Of most rows: one that is dated 1970 must not make windows of years.
    first, last = (int(times.quantile(share, "nearest")) for share in (_EDGE, 1.0 - _EDGE))  # type: ignore[arg-type]
    lasts = last + 1 - first
    width: Duration = min(spec.evaluate_every, max(lasts // _WINDOWS_MIN, 1))
    # A minute more than needed, since most rows are not all, and a sample need not hold the first or last of them.
    return max(width, -(-lasts // _WINDOWS_MAX) + MINUTE if lasts > width * _WINDOWS_MAX else width)


def _without_label(types: Mapping[str, ColumnType], fit: Fit) -> dict[str, ColumnType]:
    """A label that has not come yet is no missing column; nor is one that only the current table has a new one."""
    found, label = dict(types), fit.spec.schema.label
    if label and label.column in fit.columns and label.column not in found:
        found[label.column] = fit.columns[label.column]
    elif label and label.column not in fit.columns:
        found.pop(label.column, None)
    return found
