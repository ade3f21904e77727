"""A first spec from a table: which column plays which part, and why.

Promise: nothing is guessed silently. A part is given to a column whose name is the usual one and whose values fit; or,
with a doubt in the notes, to the only column that has such a name. Several candidates are listed and none is taken. The
notes are keyed by the path that they are about, and `write_spec` puts them into `killick.yaml` as comments.

The names are in `roles.py`, and what kind of column each is in `kinds.py`.

Cost: names first, then some 10,000 rows spread over the table, then the few columns that are left in full: well under a
second for a million rows.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl

from killick.errors import CallError, Mistake
from killick.spec.document import Features, Label, Schema, Spec, Task
from killick.spec.load import sealed
from killick.spec.scalars import NAME
from killick.telemetry import roles
from killick.telemetry.columns import PARTS
from killick.telemetry.kinds import column_kinds
from killick.telemetry.positive import called_positive, scored_higher
from killick.telemetry.search import (
    Search,
    is_time,
    listed,
    normal,
    unfit_decision,
    unfit_flag,
    unfit_key,
    unfit_label,
    unfit_number,
    unfit_prediction_id,
    unfit_score,
    unfit_time,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.spec.document import Kind

__all__ = ["infer_spec"]

# Below so many rows 1, 2, 3 ... may well be a feature.
_COUNTER_ROWS_MIN = 100
# A label of whole numbers with more values than this is a quantity: nobody decides among so many classes.
_CLASSES_MAX = 20
# More groups than this are hard to look at, and each has few rows.
_SEGMENTS_MAX = 20
# Where both errors cost the same (`Schema.decision_threshold`).
_HALF = 0.5


def infer_spec(table: pl.DataFrame, *, model: str) -> tuple[Spec, dict[str, str]]:
    """Return a first spec for a table, and the notes that say why each part was chosen and what is in doubt.

    Args:
        table: predictions, with or without outcomes; one row each.
        model: the name of the model.

    Raises:
        CallError: the model's name cannot stand in a path.

    >>> table = pl.DataFrame({"id": [1, 2], "temp": [20.5, 3.0], "y_pred_proba": [0.2, 0.9], "y_true": [0, 1]})
    >>> spec, notes = infer_spec(table, model="rain")
    >>> spec.task, spec.schema.prediction_id, spec.schema.score, spec.schema.label.column
    ('binary', 'id', 'y_pred_proba', 'y_true')
    """
    if not NAME.fullmatch(model):
        hint = "use at most 100 letters, digits, dots, dashes and underscores"
        raise CallError(Mistake("model", "is not a name", model, hint=hint))
    search = Search(table)
    # In this order, since a column that has a part is out of the running for the next.
    event_time = _event_time(search)
    prediction_id = search.pick("prediction_id", roles.IDS, roles.ID, unfit_prediction_id)
    label, task = _label(search)
    score, decision = _predictions(search, task)
    scores = _class_scores(search, label) if task == "multiclass" and label and score is None else {}
    if task == "binary" and label:
        label = replace(label, positive=_positive(search, label, score))
    schema = Schema(
        prediction_id=prediction_id,
        event_time=event_time,
        entity_id=search.pick("entity_id", roles.ENTITIES, roles.ENTITY, unfit_key),
        score=score,
        scores=scores,
        decision=decision,
        decision_threshold=_threshold(search, score, decision) if task == "binary" else _HALF,
        version=search.pick("version", roles.VERSIONS, roles.NEVER, unfit_key),
        latency=search.pick("latency", roles.LATENCIES, roles.NEVER, unfit_number),
        status=search.pick("status", roles.STATUSES, roles.NEVER, unfit_key),
        label=label,
    )
    features = Features(exclude=_no_features(search))
    kinds = column_kinds(search.sample, features.select(search.free), {})
    _list_kinds(search, kinds)
    _suggest_segments(search, kinds)
    return sealed(Spec(model=model, task=task, schema=schema, features=features)), search.notes


# ------------------------------------------------------------------------------------------------ part by part


def _event_time(search: Search) -> str | None:
    """Pick the event time; among several it is the one that no other is ever earlier than: outcomes come later."""
    picked = search.pick("event_time", roles.TIMES, roles.TIME, unfit_time)
    times = [column for column in search.free if is_time(search.table.schema[column])]
    if picked or not times:
        return picked
    search.notes.pop("schema.event_time", None)
    if len(times) == 1:
        return search.take("event_time", times[0], "IN DOUBT: the only column with times")
    sample = search.sample.select(pl.col(times).cast(pl.Datetime("us")))
    earliest = pl.min_horizontal(times)
    first = [c for c in times if sample.select((pl.col(c) <= earliest).all()).item()]
    if len(first) == 1:
        others = listed([column for column in times if column != first[0]])
        return search.take("event_time", first[0], f"IN DOUBT: chosen since it is never later than {others}")
    search.note("event_time", f"IN DOUBT: not chosen, since several columns hold times: {listed(times)}")
    return None


def _label(search: Search) -> tuple[Label | None, Task]:
    """Pick the label, and what it says of the task."""
    column = search.pick("label", roles.LABELS, roles.NEVER, unfit_label) or search.pick(
        "label", (), roles.LABEL, unfit_flag
    )
    if column is None:
        flags = [name for name in search.free if search.table.schema[name] == pl.Boolean]
        hint = f"; of true and false there are: {listed(flags)}" if flags else ""
        if "schema.label" not in search.notes:
            search.note("label", f"no column is named like a label{hint}")
        search.notes["task"] = "IN DOUBT: there is no label to tell it by"
        return None, "binary"
    task, why = _task(_values(search, column))
    search.notes["task"] = why
    known_at = search.pick("label.known_at", (*roles.KNOWN_TIMES, f"{normal(column)}_at"), roles.KNOWN_TIME, unfit_time)
    times = [name for name in search.free if is_time(search.table.schema[name])]
    if known_at is None and times:
        search.note("label", f"IN DOUBT: if one of {listed(times)} says when the label is known, name it as known_at")
    return Label(column, known_at), task


def _values(search: Search, column: str) -> pl.Series:
    """Return the distinct values of a column. A NaN is how pandas says that there is none."""
    values = search.table[column].drop_nulls().unique()
    return values.fill_nan(None).drop_nulls() if values.dtype.is_float() else values


def _task(values: pl.Series) -> tuple[Task, str]:
    """Return the task for a label's distinct values, and why."""
    n = len(values)
    fractions = values.dtype.is_float() and bool((values % 1 != 0).any())
    if n <= 2 and not fractions:  # noqa: PLR2004 - one class and the other
        doubt = "" if n == 2 else "IN DOUBT: "  # noqa: PLR2004
        return "binary", f"{doubt}the label has {n} value{'s' * (n != 1)}"
    if fractions or (values.dtype.is_numeric() and n > _CLASSES_MAX):
        return "regression", f"the label is a number with {n:,} values"
    doubt = "IN DOUBT: " if values.dtype.is_numeric() else ""
    return "multiclass", f"{doubt}the label has {n:,} values"


def _positive(search: Search, label: Label, score: str | None) -> str | int | None:
    """Return the value that means positive, when it is not simply true or 1."""
    values = _values(search, label.column)
    if values.dtype == pl.Boolean or (values.dtype.is_numeric() and values.is_in([0, 1]).all()):
        return None
    found = called_positive(values.to_list())
    why = "is taken for positive"
    if len(found) != 1 and score:
        found, why = (
            scored_higher(search.table[label.column], search.table[score]),
            f"is taken for positive: its {score} is higher",
        )
    if len(found) == 1:
        positive = found[0] if isinstance(found[0], str) else int(found[0])
        search.note("label", f"IN DOUBT: {positive!r} {why}")
        return positive
    shown = ", ".join(repr(value) for value in values.sort().to_list())
    search.note("label", f"IN DOUBT: say which value is positive: {shown}")
    return None


def _predictions(search: Search, task: Task) -> tuple[str | None, str | None]:
    """Pick what the model said: for a regression its value; else its score, and the decision made from it."""
    if task == "regression":
        return search.pick("score", roles.VALUES, roles.VALUE, unfit_number), None
    score = search.pick("score", roles.SCORES, roles.SCORE, unfit_score)
    decision = search.pick("decision", roles.DECISIONS, roles.DECISION, unfit_decision)
    if score is None:
        # A library's `prediction` may hold probabilities.
        before = search.notes.pop("schema.score", None)
        score = search.pick("score", roles.DECISIONS, roles.NEVER, unfit_score)
        if score:
            search.note("score", "IN DOUBT: it holds fractions in [0, 1], so it is taken for the score")
            search.notes.pop("schema.decision", None)
        else:
            search.notes.pop("schema.score", None)
            search.note("score", before or "no column is named like a score")
    return score, decision


def _threshold(search: Search, score: str | None, decision: str | None) -> float:
    """Return the score above which decisions are positive: one half, unless all of them follow from another one."""
    if score is None or decision is None:
        return _HALF
    said = search.table.select(pl.col(score).cast(pl.Float64), pl.col(decision)).drop_nulls()
    ranked = said.group_by(decision).agg(pl.col(score).min().alias("least"), pl.col(score).max().alias("most"))
    ranked = ranked.sort("least")
    if ranked.height != 2:  # noqa: PLR2004 - one decision and the other
        return _HALF
    below, above = ranked["most"][0], ranked["least"][1]
    if not below < above or below <= _HALF < above:
        return _HALF
    search.note("decision_threshold", f"no decision differs where scores above {below:g} are the positive ones")
    return float(below + above) / 2


def _class_scores(search: Search, label: Label) -> dict[str, str]:
    """Return the score of each class, where every class has one that is named after it: `y_pred_proba_setosa`."""
    named = {normal(column): column for column in search.free if not unfit_score(search.sample[column])}
    classes = [str(value) for value in _values(search, label.column).sort().to_list()]
    for prefix in roles.SCORE_PREFIXES:
        scores = {each: named[name] for each in classes if (name := f"{prefix}_{normal(each)}") in named}
        if len(set(scores.values())) == len(classes) > 1:
            search.taken |= set(scores.values())
            search.notes["schema.score"] = "chosen by their names: one for each class"
            return scores
    return {}


# ------------------------------------------------------------------------------------------------ the other columns


def _no_features(search: Search) -> tuple[str, ...]:
    """Return the patterns of the columns that no model looks at.

    One that cannot be watched stays a feature: a check then says that it is not known how it does.
    """
    reasons = {}
    for column in search.free:
        name = normal(column)
        if column in PARTS:
            # Whatever it means here, elsewhere in the house it would be taken for that part.
            reasons[column] = f"{column} is a name that the house keeps for itself; rename the column to watch it"
        elif _counts_rows(search, column):
            reasons[column] = f"{column} counts rows"
        elif name in roles.SPLITS:
            reasons[column] = f"{column} says which part of the data a row belongs to"
        elif is_time(search.table.schema[column]) and (name in roles.KNOWN_TIMES or roles.KNOWN_TIME.search(name)):
            reasons[column] = f"{column} says when the label is known, which no model can look at"
    if reasons:
        search.notes["features.exclude"] = "\n".join(reasons.values())
    # A name with a bracket or a star in it would be read as a pattern.
    return tuple(re.sub(r"([*?\[])", r"[\1]", column) for column in reasons)


def _counts_rows(search: Search, column: str) -> bool:
    """Whether whole numbers only grow from row to row: such a column drifts for ever and means nothing.

    Not whether each is the one before plus one: the table may be a sample of a larger one.
    """
    values = search.table[column]
    if not values.dtype.is_integer() or len(values) < _COUNTER_ROWS_MIN:
        return False
    # The first rows refuse nearly every column before all of one are looked at.
    return all(
        rows.null_count() == 0 and bool((rows > rows.shift(1)).all())
        for rows in (values.head(_COUNTER_ROWS_MIN), values)
    )


def _list_kinds(search: Search, kinds: Mapping[str, Kind | None]) -> None:
    """Note which features there are of each kind; what cannot be watched is named with its type."""
    by_kind: dict[str, list[str]] = {}
    for column, kind in kinds.items():
        if kind is not None:
            by_kind.setdefault(kind, []).append(column)
        else:
            by_kind.setdefault("cannot be watched", []).append(f"{column} ({search.table.schema[column]})")
    lines = [f"{kind} ({len(columns)}): {listed(columns)}" for kind, columns in by_kind.items()]
    if lines:
        search.notes["features"] = "\n".join(lines)


def _suggest_segments(search: Search, kinds: Mapping[str, Kind | None]) -> None:
    """Note which features have few values, and so could be segments. None is chosen: it is a matter of meaning."""
    candidates = [
        column
        for column, kind in kinds.items()
        if kind == "categorical" and 2 <= search.sample[column].n_unique() <= _SEGMENTS_MAX  # noqa: PLR2004 - one value divides nothing
    ]
    if candidates:
        search.notes["segments"] = f"columns with few values, if one should be judged apart: {listed(candidates)}"
