"""The fit: all that is learned from a reference's rows before anything is counted.

A fit says which columns are watched, as what, and on which scale; every table that is compared by it, the reference
itself too, is measured the same way. It is learned from rows in memory: of a table that is larger, from a sample of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from killick.checks.methods import default_method
from killick.checks.schema import ColumnType
from killick.checks.watched import Comparable, Watched
from killick.engine.measure import DECIDED, outcomes_of
from killick.engine.threads import over_columns
from killick.errors import DataError, Mistake, SpecError, did_you_mean
from killick.identity import fingerprint
from killick.profiles.categorical import CategoricalScale, category_counts, fit_categorical
from killick.profiles.census import Questions
from killick.profiles.facets import LongList, Text, Time, fit_facets
from killick.profiles.faults import Output
from killick.profiles.kpis import fit_kpi
from killick.profiles.numeric import NumericScale, fit_numeric
from killick.profiles.outcome_rows import Decision, decision_words
from killick.profiles.outcomes_binary import BinaryOutcome
from killick.profiles.outcomes_classes import fit_classes
from killick.profiles.outcomes_values import fit_values
from killick.profiles.residuals import Outcome
from killick.profiles.scale import Scale
from killick.profiles.scores import ScoreScale
from killick.telemetry.columns import EVENT_TIME, LABEL, PARTS, PREDICTION_ID, SCORE
from killick.telemetry.door import arrange, features_of
from killick.telemetry.kinds import band_mistakes, column_kinds, override_mistakes
from killick.telemetry.positive import positive_decision
from killick.telemetry.segments import group_by

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from killick.checks.reference import SegmentKey
    from killick.clock import Duration
    from killick.profiles.facets import Facets
    from killick.profiles.outcomes import OutcomeScale
    from killick.profiles.scale import ColumnScale
    from killick.spec.document import Kind, Spec

_OUTCOME = f"{SCORE} x {LABEL}"
_RESIDUAL_SPREADS_MAX = 8.0
_TIMELESS = "times move on by themselves; name an event_time in the spec, and their age is compared"
# Kinds that share a type: which of them a column is depends on the rows, and the reference's decide.
_TEXTUAL = ("categorical", "text")
_COUNTED = ("categorical", "boolean")


@dataclass(frozen=True)
class Fit:
    """How tables are measured.

    Attributes:
        spec: which column plays which part, and what is a segment.
        scale: what is counted; it holds the decision, the score and the label as columns, and every facet.
        columns: every column that the model sees or makes, under the operator's names, and what it is watched as.
        schema: the reference's types, for a table that is empty or null where the reference is not.
        width: how wide the windows are that a reference is cut into; None without event times.
        asked: what a census asks of the rows; None where none is taken.
        segments: those that rows are told apart by; a row of any other is in its grouping's rest.
    """

    spec: Spec
    scale: Scale
    columns: Mapping[str, ColumnType]
    schema: pl.Schema
    width: Duration | None = None
    asked: Questions | None = None
    segments: tuple[SegmentKey, ...] = ()

    @cached_property
    def names(self) -> Mapping[str, str]:
        """The operator's names of the columns that have another one in the house."""
        return house_names(self.spec)

    @cached_property
    def fingerprint(self) -> str:
        """Two profiles with the same one can be added and compared."""
        asked = self.asked.fingerprint if self.asked else None
        return fingerprint([self.scale.fingerprint, self.spec.fingerprint, self.width, asked, self.segments])

    @cached_property
    def watched(self) -> tuple[Watched, ...]:
        """Every column that is compared, and through which columns of the scale."""
        held = {part.column: part for part in self.scale.columns if not isinstance(part, ScoreScale)}
        facets = {one.column: one for one in self.scale.facets}
        derived = {name for one in self.scale.facets for name in one.names}
        wanted = dict.fromkeys([*(column for column in held if column not in derived), *facets])
        return tuple(self._watched(column, held, facets.get(column)) for column in wanted)

    def named(self, column: str | None) -> str | None:
        """Return what the operator calls a column."""
        return self.names.get(column, column) if column else column

    def _watched(self, column: str, held: Mapping[str, Comparable], facets: Facets | None) -> Watched:
        known = self.columns.get(self.named(column) or column)
        kind: Kind = (known.kind if known else None) or "numeric"
        if kind == "numeric" and isinstance(held.get(column), CategoricalScale):
            kind = "categorical"  # labels that are written as numbers are classes, which have no order
        method = self._method(self.named(column) or column, kind)
        if isinstance(facets, LongList):
            return Watched(
                column,
                kind,
                (held[facets.buckets],),
                shown=held.get(column),
                method=method,
                seen=held[facets.seen],  # type: ignore[arg-type]  # `LongList.scales` makes it categorical
                new_share=facets.new_share,
            )
        if facets is not None:
            return Watched(column, kind, tuple(held[name] for name in facets.names), shown=None, method=method)
        override = self.spec.features.override.get(self.named(column) or column)
        declared = bool(override and override.range) or (column == SCORE and self.spec.task == "binary")
        return Watched(column, kind, (held[column],), shown=held[column], method=method, declared=declared)

    def _method(self, column: str, kind: Kind) -> str:
        """Return the drift method that the spec names for a column, or for its kind, or the default of the kind."""
        said = self.spec.features.override.get(column)
        return (said.drift if said else None) or self.spec.drift.get(kind) or default_method(kind)


def learn_fit(table: pl.DataFrame, spec: Spec, *, width: Duration | None = None, census: bool = True) -> Fit:
    """Learn how to measure from a reference's rows.

    Args:
        table: the rows, or a sample of them.
        spec: which column plays which part.
        width: how wide the reference's windows are to be.
        census: take one of every table.

    Raises:
        DataError: there are no rows, or nothing that can be compared; or a column's values are not what the spec says.
    """
    absent = [c for c in dict.fromkeys(band.column for by in spec.segments for band in by) if c not in table.columns]
    if absent:
        raise DataError(*(Mistake(f"reference.{c}", "is missing; the spec makes segments of it") for c in absent))
    if not table.height:
        hint = "give the rows that the model was trained on, or a time when it was well"
        raise DataError(Mistake("reference", "holds no rows", hint=hint))
    if mistakes := [*override_mistakes(table, spec.features.override), *band_mistakes(table, spec.segments)]:
        raise DataError(*mistakes)
    columns = column_types(table, spec, name="reference")
    arranged = arrange_table(table, spec, name="reference")
    scale = _learn_scale(arranged, spec, {name: one.kind for name, one in columns.items() if one.kind})
    timeless = {n for n, one in columns.items() if one.kind == "timestamp"} - {one.column for one in scale.facets}
    columns |= {name: ColumnType(None, columns[name].name, _TIMELESS) for name in timeless}
    asked = _questions(arranged, spec, scale) if census else None
    segments = tuple(segment for by in ((), *spec.segments) for segment in group_by(arranged, by).segments)
    return Fit(spec, scale, columns, table.schema, width, asked, segments)


def refuse_strangers(spec: Spec, tables: Sequence[Sequence[str]]) -> None:
    """Refuse a spec that names columns which no table has: a misspelt label would be a label that never comes.

    Raises:
        SpecError: with every such name.
    """
    schema, known = spec.schema, {column for table in tables for column in table}
    named = {
        "schema.prediction_id": schema.prediction_id,
        "schema.event_time": schema.event_time,
        "schema.entity_id": schema.entity_id,
        "schema.score": schema.score,
        "schema.decision": schema.decision,
        "schema.label.column": schema.label.column if schema.label else None,
        **{f"schema.score.{each}": column for each, column in schema.scores.items()},
        **{f"schema.kpis.{kpi.name}": kpi.name for kpi in schema.kpis},
        **{f"features.override.{column}": column for column in spec.features.override},
    }
    strangers = {place: column for place, column in named.items() if column and column not in known}
    if tables and strangers:
        problem = "names a column that neither table has"
        raise SpecError(*(Mistake(at, problem, one, hint=did_you_mean(one, known)) for at, one in strangers.items()))


def column_types(
    table: pl.DataFrame, spec: Spec, *, name: str, like: Mapping[str, ColumnType] | None = None
) -> dict[str, ColumnType]:
    """Return the columns that a model sees or makes, under the operator's names, and what each is watched as.

    Args:
        table: some of the rows.
        spec: which columns these are.
        name: what to call the table in a message.
        like: the reference's, which decides what prose is and what a category.

    Raises:
        DataError: the table has no columns.
    """
    if not table.width:
        raise DataError(Mistake(name, "holds no columns", hint="give a table with a header"))
    schema = spec.schema
    made = [schema.score, *schema.scores.values(), schema.decision, schema.label.column if schema.label else None]
    wanted = [*features_of(table, spec), *(column for column in made if column and column in table.columns)]
    found = {}
    for column, own in column_kinds(table, wanted, spec.features.override).items():
        then = like[column].kind if like and column in like else None
        kind = then if own in _TEXTUAL and then in _TEXTUAL else own
        if own is None and then == "embedding" and table.schema[column].is_nested():
            kind = then  # a list that holds nothing has no length to know it by
        found[column] = ColumnType(kind, str(table.schema[column]))
    parts = {"prediction_id": schema.prediction_id, "event_time": schema.event_time, "entity_id": schema.entity_id}
    for part, named in parts.items():
        if named and named in table.columns and named not in found:
            found[named] = ColumnType(None, str(table.schema[named]), part=part)
    return found


def arrange_table(table: pl.DataFrame, spec: Spec, *, name: str) -> pl.DataFrame:
    """Arrange a table with all that is measured: its features and parts, its decision, its segments, its KPIs."""
    schema = spec.schema
    label = schema.label
    if label and label.column in table.columns and table[label.column].null_count() == table.height:
        table = table.drop(label.column)
    # A row without a time is in no window, and in everything else.
    arranged = arrange(table, spec, name=name, whole=frozenset())
    more = [schema.decision, *schema.scores.values(), *(kpi.name for kpi in schema.kpis)]
    more += [band.column for by in spec.segments for band in by]
    arranged = arranged.with_columns(
        table[c] for c in dict.fromkeys(more) if c and c in table.columns and c not in arranged.columns
    )
    if spec.task == "binary" and LABEL in arranged.columns:
        arranged = arranged.with_columns(pl.col(LABEL).cast(pl.Boolean))
    return _with_likeliest(arranged, schema.scores) if not schema.decision else arranged


def _with_likeliest(arranged: pl.DataFrame, scores: Mapping[str, str]) -> pl.DataFrame:
    """Decide for the likeliest class where classes have scores and nobody decided."""
    held = {name: column for name, column in scores.items() if column in arranged.columns}
    if not held:
        return arranged
    table = arranged.select(pl.col(column).cast(pl.Float64, strict=False) for column in held.values())
    likeliest = table.select(pl.concat_list(pl.all()).list.arg_max()).to_series()
    return arranged.with_columns(pl.Series(list(held))[likeliest].alias(DECIDED))


def house_names(spec: Spec) -> dict[str, str]:
    """Return the operator's names of the columns that have another one in the house."""
    schema = spec.schema
    return {
        PREDICTION_ID: schema.prediction_id or PREDICTION_ID,
        SCORE: schema.score or SCORE,
        LABEL: schema.label.column if schema.label else LABEL,
    }


def _learn_scale(arranged: pl.DataFrame, spec: Spec, watched: Mapping[str, Kind]) -> Scale:
    """Learn the scale of features, decision, score and label: what a check compares."""
    ranges = {name: override.range for name, override in spec.features.override.items() if override.range}
    inside = {operators: house for house, operators in house_names(spec).items() if house in arranged.columns}
    kinds: dict[str, Kind] = {}
    declared: dict[str, tuple[float, float]] = {}
    for operators, kind in watched.items():
        house = inside.get(operators, operators)
        if house not in arranged.columns or (house in PARTS and operators not in inside):
            continue
        classes = house == LABEL and spec.task != "regression"
        kinds[house] = "categorical" if classes and kind == "numeric" else kind
        if house == SCORE and spec.task == "binary":
            declared[house] = (0.0, 1.0)
        elif operators in ranges:
            declared[house] = ranges[operators]
    listed = [column for column, kind in kinds.items() if kind in _COUNTED]
    numbers = [column for column, kind in kinds.items() if kind == "numeric"]
    with over_columns(arranged.height) as each:
        counts = dict(zip(listed, each(lambda c: category_counts(arranged[c]), listed), strict=True))
        fitted = dict(zip(numbers, each(lambda c: fit_numeric(arranged[c], declared.get(c)), numbers), strict=True))
    facets = fit_facets(arranged, kinds, counts, EVENT_TIME if EVENT_TIME in arranged.columns else None)
    columns: list[ColumnScale] = [
        fitted[column] if column in fitted else fit_categorical(arranged[column], counts[column])
        for column in kinds
        if column in fitted or column in counts
    ]
    for one in facets:
        columns += one.scales(arranged)
    if not columns:
        raise DataError(Mistake("reference", "holds no column that can be compared", hint="see features.include"))
    kpis = tuple(fit_kpi(arranged[kpi.name]) for kpi in spec.schema.kpis if kpi.name in arranged.columns)
    return Scale(tuple(columns), _learn_outcome(arranged, spec), facets, kpis)


def _learn_outcome(arranged: pl.DataFrame, spec: Spec) -> OutcomeScale | None:
    """Learn what performance is computed from; None for a model without labels, or one that says nothing."""
    decision = _decision(arranged, spec)
    known = outcomes_of(arranged, spec, decision)
    if spec.schema.label is None or (known.scores is None and known.decisions is None):
        return None
    if spec.task == "binary":
        return BinaryOutcome(_OUTCOME, spec.schema.decision_threshold, decision)
    if spec.task == "multiclass":
        return fit_classes(_OUTCOME, known.labels, known.decisions) if known.decisions is not None else None
    return fit_values(_OUTCOME, known.labels, known.scores) if known.scores is not None else None


def _questions(arranged: pl.DataFrame, spec: Spec, scale: Scale) -> Questions:
    """Return what a census asks: of every column in which rows can differ, and of what the model said."""
    schema, derived = spec.schema, {name for one in scale.facets for name in one.names}
    own = [part for part in scale.columns if part.column not in derived]
    made = (SCORE, LABEL, schema.decision, *schema.scores.values())
    features = [part.column for part in own if part.column not in made]
    texts = [one.column for one in scale.facets if isinstance(one, Text)]
    times = [one.column for one in scale.facets if isinstance(one, Time)]
    scores = tuple(schema.scores.values()) or ((SCORE,) if SCORE in arranged.columns else ())
    told = scale.outcome
    decision = told.decision if isinstance(told, BinaryOutcome) else _decision(arranged, spec)
    outcome = None
    if LABEL in arranged.columns:
        score = SCORE if SCORE in arranged.columns and spec.task != "multiclass" else None
        outcome = Outcome(
            LABEL, spec.task, score, schema.decision, _bound(arranged) if spec.task == "regression" else None
        )
    said = (
        *features,
        *texts,
        *times,
        *(c for c in (*made, *(kpi.name for kpi in schema.kpis)) if c in arranged.columns),
        *(c for c in _segmented(spec) if c in arranged.columns and c not in PARTS),
    )
    return Questions(
        row=tuple(dict.fromkeys(said)),
        identity=PREDICTION_ID if schema.prediction_id else None,
        values=(*features, *texts),
        numeric=tuple(p for p in own if isinstance(p, NumericScale) and p.column not in made),
        binned=tuple(p for p in own if p.column not in (LABEL, schema.decision)) if outcome else (),
        outcome=outcome,
        output=Output(scores, spec.task != "regression", decision, schema.decision_threshold) if scores else None,
    )


def _segmented(spec: Spec) -> list[str]:
    """The columns that make segments, but for those that have another name in the house."""
    own = set(house_names(spec).values())
    return [band.column for by in spec.segments for band in by if band.column not in own]


def _decision(arranged: pl.DataFrame, spec: Spec) -> Decision | None:
    """Learn how a binary model's decisions are read; None where the spec names none."""
    column, label = spec.schema.decision, spec.schema.label
    if column is None or spec.task != "binary":
        return None
    if column not in arranged.columns:
        return Decision(column, None)
    scores = arranged[SCORE] if SCORE in arranged.columns else None
    said = label.positive if label else None
    return Decision(column, positive_decision(decision_words(arranged[column]), scores, said))


def _bound(arranged: pl.DataFrame) -> float | None:
    """Return how large a regression's residual may count: beyond eight spreads it is another fault's doing."""
    if SCORE not in arranged.columns:
        return None
    residuals = arranged[LABEL].cast(pl.Float64, strict=False) - arranged[SCORE]
    scale = fit_numeric(residuals)
    return _RESIDUAL_SPREADS_MAX * scale.spread
