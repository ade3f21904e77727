"""Two profiles that were measured apart: they share no bins, so the samples that their censuses hold are compared.

A census keeps distinct rows whose hash is small, and how often each came. Which of these can be set against each other
without a false alarm depends on whether rows repeat:

- Where (nearly) all rows differ, the kept ones are rows drawn at random, and each counts once.
- Where rows repeat, the kept ones are clumps, and another choice of clumps is another population. But below one
  threshold both tables keep the same rows: whether a row is kept then depends on nothing but what it says, and rows
  that are chosen by what they say are as independent, and as alike, as all were. So both are cut to the smaller
  threshold, and each row counts as often as it came: of a table that has far fewer kinds of rows, that is few.
- Where rows repeat and were hashed by other columns, nothing can be said.

How often rows and values repeat is judged of all rows, of which each census knows. Cost: a check of the samples.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import polars as pl

from killick.checks.distances import ROWS_MIN
from killick.checks.schema import SCHEMA, ColumnType
from killick.checks.verdict import Verdict
from killick.engine.fit import learn_fit
from killick.engine.table_profile import measure_source
from killick.errors import CallError, Mistake
from killick.ports.tables import FrameSource
from killick.profiles.outcome_rows import decided
from killick.spec.load import sealed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.engine.table_profile import TableProfile
    from killick.profiles.census import Census
    from killick.spec.document import Spec

SAMPLED_ROWS = "sampled_rows"
# With no more repeats, that each row counts once moves no share by more than this.
_REPEATS_MAX = 0.01
# As many as bins are learned from in any table; more would only be slower.
_ROWS_MAX = 131_072
_HINT = "profile one of them by the other: killick profile CURRENT --reference REFERENCE.killick"
_UNSAMPLED = "the two were measured apart, and the samples of rows that they hold are without this column"
_UNTIMED = "a sample does not know how windows differ, so this warns and does not fail"


def by_samples(current: TableProfile, reference: TableProfile) -> tuple[TableProfile, TableProfile, Verdict]:
    """Measure the samples of two profiles by one fit. A column that a sample does not hold is told, and not dropped.

    Returns:
        the two, with the true extents of the tables, and a verdict that tells how many rows were compared.

    Raises:
        CallError: one holds no sample, or the two cannot be compared.
    """
    now, before = _comparable(current, reference)
    fit = learn_fit(before, _spec_of_samples(reference.fit.spec))
    measured = [measure_source(FrameSource(rows, name="sample"), fit) for rows in (before, now)]
    # Under the reference's own spec again: what ids and times are called, and how the report names the spec.
    unsampled = {
        column: one if one.part else ColumnType(None, one.name, _UNSAMPLED)
        for column, one in reference.fit.columns.items()
        if column not in fit.columns
    }
    columns = {column: fit.columns.get(column) or unsampled[column] for column in reference.fit.columns} | {
        **fit.columns
    }
    fit = replace(fit, spec=reference.fit.spec, columns=columns)
    there = {
        column: measured[1].columns.get(column) or unsampled.get(column, own) for column, own in current.columns.items()
    } | {**measured[1].columns}
    return (
        _as_table(measured[1], replace(current, fit=fit, columns=there), reference),
        _as_table(measured[0], replace(reference, fit=fit, columns=columns), current),
        _told((reference, current), (before, now)),
    )


def by_chance(verdict: Verdict) -> Verdict:
    """Let what was tested warn at most: a sample of rows does not say how far windows stray when all is well."""
    if verdict.status != "fail" or verdict.p_adjusted is None:
        return verdict
    return msgspec.structs.replace(verdict, status="warn", reason=f"{verdict.reason}; {_UNTIMED}")


def _comparable(current: TableProfile, reference: TableProfile) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the rows of both samples that can be set against each other, under the operators' names."""
    now, before = _census(current), _census(reference)
    below = min(now.sample_theta, before.sample_theta)
    if now.is_whole and before.is_whole:
        rows = [census.sample_rows(most=_ROWS_MAX) for census in (now, before)]
    elif max(_repeating(now), _repeating(before)) <= _REPEATS_MAX:
        rows = [census.sample for census in (now, before)]
    elif _alike(now, before):
        rows = [census.sample_rows(below, most=_ROWS_MAX) for census in (now, before)]
    else:
        problem = "was made by another fit, of other columns, and its rows repeat: the samples cannot be compared"
        raise CallError(Mistake("profile", problem, hint=_HINT))
    if not rows[1].height:
        raise CallError(Mistake("profile", "was made by another fit, and the samples share no rows", hint=_HINT))
    return _named(rows[0], current), _named(rows[1], reference)


def _census(profile: TableProfile) -> Census:
    if profile.census is None:
        raise CallError(Mistake("profile", "was made by another fit, and holds no sample to compare by", hint=_HINT))
    return profile.census


def _alike(one: Census, other: Census) -> bool:
    """Whether equal rows have equal hashes in both."""
    return one.hashed_by == other.hashed_by and dict(one.sample.schema) == dict(other.sample.schema)


def _repeating(census: Census) -> float:
    """The share of the rows that repeat another one."""
    return 1.0 - census.repeats.distinct().value / max(census.rows, 1)


def _named(rows: pl.DataFrame, profile: TableProfile) -> pl.DataFrame:
    output = profile.fit.asked.output if profile.fit.asked else None
    if output and output.decision and output.decision.positive and output.decision.column in rows.columns:
        # Its positive word was learned from all rows, and with the label's, which samples hold no more.
        rows = rows.with_columns(decided(rows, output.decision).cast(pl.Boolean))
    return rows.rename({house: said for house, said in profile.fit.names.items() if house in rows.columns})


def _spec_of_samples(spec: Spec) -> Spec:
    """Return the spec by which samples are compared: they have no ids and no times, and their labels are read."""
    schema, label = spec.schema, spec.schema.label
    kept = replace(
        schema,
        prediction_id=None,
        event_time=None,
        entity_id=None,
        label=replace(label, known_at=None, positive=None) if label else None,
    )
    return sealed(replace(spec, schema=kept))


def _as_table(sample: TableProfile, table: TableProfile, other: TableProfile) -> TableProfile:
    """A sample's profiles, with what is known of the whole table: its extent, and how its rows and values repeat."""
    found, own, others = sample.census, table.census, other.census
    if found is not None and own is not None and others is not None:
        same = set(own.asked.row) == set(others.asked.row)
        identity = own.asked.identity if own.asked.identity == others.asked.identity else None
        found = replace(
            found,
            asked=msgspec.structs.replace(found.asked, identity=identity),
            repeats=own.repeats if same else found.repeats,
            identities=own.identities if identity else found.identities,
            values={n: own.values[n] if n in own.values and n in others.values else s for n, s in found.values.items()},
        )
    return replace(table, by_segment=sample.by_segment, windows=(), census=found)


def _told(tables: Sequence[TableProfile], rows: Sequence[pl.DataFrame]) -> Verdict:
    """Tell that samples were compared, and how large they are: in order, of the reference and of the current table."""
    of = [f"{held.height:,} of {table.rows:,} rows" for held, table in zip(rows, tables, strict=True)]
    reason = (
        f"the two were measured apart, so samples are compared: {of[0]} of the reference, {of[1]} of the current table"
    )
    censuses = [_census(table) for table in tables]
    if not all(one.is_whole or _repeating(one) <= _REPEATS_MAX for one in censuses):
        reason += "; rows repeat, so where one column moved others can seem to"
    return Verdict(
        check=SCHEMA,
        metric=SAMPLED_ROWS,
        status="inconclusive" if min(held.height for held in rows) < ROWS_MIN else "ok",
        reason=f"{reason}; to compare every row, {_HINT}",
        value=float(rows[1].height),
        window=tables[1].window,
        n_reference=rows[0].height,
        n_current=rows[1].height,
    )
