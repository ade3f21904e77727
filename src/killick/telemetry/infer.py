"""A first spec from a table: which column plays which part, and why.

Promise: nothing is guessed silently. A part is given to a column whose name is the usual one and whose values fit; or,
with a doubt in the notes, to the only column that has such a name. Several candidates are listed and none is taken. The
notes are keyed by the path that they are about, and `write_spec` puts them into `killick.yaml` as comments.

The names are those of the glossary and of what people bring from other libraries: `y_true`, `y_pred`, `y_pred_proba`
(scikit-learn, NannyML), `target`, `prediction` (Evidently), `timestamp`.

Cost: names first, then some 10,000 rows spread over the table, then the few columns that are left in full: well under a
second for a million rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import polars as pl

from killick.errors import CallError, Mistake
from killick.spec.document import Features, Kind, Label, Schema, Spec, Task
from killick.spec.load import sealed
from killick.spec.scalars import NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from killick.spec.document import Override

    # Says why a column cannot play a part; empty when it can.
    Unfit: TypeAlias = Callable[[pl.Series], str]

_SAMPLE_ROWS = 10_000
# Below so many rows 1, 2, 3 ... may well be a feature.
_COUNTER_ROWS_MIN = 100
# A label of whole numbers with more values than this is a quantity: nobody decides among so many classes.
_CLASSES_MAX = 20
# More groups than this are hard to look at, and each has few rows.
_SEGMENTS_MAX = 20
# A note names so many columns and counts the others.
_LISTED_MAX = 8

_TIMES = ("event_time", "timestamp", "event_timestamp", "prediction_time", "prediction_timestamp", "predicted_at", "ts")
_TIME = re.compile(r"(^|_)(time|timestamp|date|datetime|at|ts)$")
_IDS = ("prediction_id", "request_id", "inference_id", "event_id", "id", "uuid", "row_id", "transaction_id")
_ID = re.compile(r"(^|_)(id|uuid|guid|seq|row|row_number|index)$")
_ENTITIES = ("entity_id", "user_id", "customer_id", "client_id", "account_id", "patient_id", "passenger_id")
_ENTITY = re.compile(r"(^|_)entity(_|$)")
_LABELS = ("label", "y_true", "target", "outcome", "ground_truth", "actual", "truth", "true_label", "y")
_LABEL = re.compile(r"(^|_)(label|target|outcome|actual|ground_truth|y_true)$|^(label|target|outcome|actual)_")
_SCORES = ("score", "y_pred_proba", "predicted_probability", "prediction_proba", "pred_proba", "y_score", "proba")
_SCORE = re.compile(r"(^|_)(score|proba|prob|probability)(_|$)|^p_")
_DECISIONS = ("decision", "y_pred", "prediction", "predicted", "predicted_label", "predicted_class", "pred")
_DECISION = re.compile(r"(^|_)decision$|^(predicted|pred)_")
_VALUES = ("prediction", "y_pred", "predicted", "predicted_value", "pred", "yhat", "y_hat", "forecast", "score")
_VALUE = re.compile(r"(^|_)(prediction|forecast)$|^(predicted|pred)_")
_KNOWN_AT = ("known_at", "label_known_at", "label_time", "label_timestamp", "outcome_time", "labelled_at", "labeled_at")
_KNOWN = re.compile(r"^(label|outcome|target)_.*(time|timestamp|date|at)$")
_VERSIONS = ("model_version", "version")
# Latency is in seconds: another unit in the name is left to the operator.
_LATENCIES = ("latency", "latency_seconds")
_STATUSES = ("prediction_status", "status_code", "http_status")
_NEVER = re.compile(r"(?!)")
_SPLITS = frozenset({"partition", "split", "fold"})
_POSITIVE = frozenset({"yes", "y", "true", "t", "1", "positive", "pos"})


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
    search = _Search(table)
    # In this order, since a column that has a part is out of the running for the next.
    event_time = _event_time(search)
    prediction_id = search.pick("prediction_id", _IDS, _ID, _unfit_prediction_id)
    label, task = _label(search)
    score, decision = _predictions(search, task)
    schema = Schema(
        prediction_id=prediction_id,
        event_time=event_time,
        entity_id=search.pick("entity_id", _ENTITIES, _ENTITY, _unfit_key),
        score=score,
        decision=decision,
        version=search.pick("version", _VERSIONS, _NEVER, _unfit_key),
        latency=search.pick("latency", _LATENCIES, _NEVER, _unfit_number),
        status=search.pick("status", _STATUSES, _NEVER, _unfit_key),
        label=label,
    )
    features = Features(exclude=_no_features(search))
    _suggest_segments(search, features)
    return sealed(Spec(model=model, task=task, schema=schema, features=features)), search.notes


def column_kinds(
    table: pl.DataFrame, features: Sequence[str], override: Mapping[str, Override]
) -> dict[str, Kind | None]:
    """Return each feature's kind: what the operator says, else what its type is.

    A column of whole numbers is numeric even if it holds only 0 and 1: the kind must not depend on the rows that happen
    to be there. None means that Killick cannot watch the column, whatever the operator says: it is missing, or holds
    times, lists, structs, bytes, objects or only nulls.

    >>> table = pl.DataFrame({"temp": [1.5], "gate": ["A4"], "hour": [7], "legs": [[1, 2]]})
    >>> column_kinds(table, table.columns, {})
    {'temp': 'numeric', 'gate': 'categorical', 'hour': 'numeric', 'legs': None}
    """
    kinds: dict[str, Kind | None] = {}
    for column in features:
        kind = _kind(table.schema[column]) if column in table.schema else None
        said = override[column].kind if column in override else None
        kinds[column] = said or kind if kind else None
    return kinds


# ------------------------------------------------------------------------------------------------ the search


@dataclass(slots=True)
class _Search:
    """A table, which of its columns have a part, and the notes so far."""

    table: pl.DataFrame
    taken: set[str] = field(default_factory=set)
    notes: dict[str, str] = field(default_factory=dict)
    sample: pl.DataFrame = field(init=False)

    def __post_init__(self) -> None:
        # Spread over the table, since tables are often sorted: the first rows may all be alike.
        self.sample = self.table.gather_every(max(1, self.table.height // _SAMPLE_ROWS))

    @property
    def free(self) -> list[str]:
        """The columns that have no part yet. What has no name cannot be named in a spec."""
        return [column for column in self.table.columns if column not in self.taken and column.strip()]

    def pick(self, part: str, usual: Sequence[str], likely: re.Pattern[str], unfit: Unfit) -> str | None:
        """Return the column for a part, taken and noted, or None, noted when there were candidates."""
        names = {column: _normal(column) for column in self.free}
        ranked = sorted((column for column in names if names[column] in usual), key=lambda c: usual.index(names[c]))
        others = [column for column in names if column not in ranked and likely.search(names[column])]
        refused = {}
        for column in ranked:
            refused[column] = self._refusal(column, unfit)
            if not refused[column]:
                rest = [other for other in ranked if other not in refused]
                also = f"; {_listed(rest)} could be meant too" if rest else ""
                return self.take(part, column, f"chosen by its name{also}")
        refused |= {column: self._refusal(column, unfit) for column in others}
        fitting = [column for column in others if not refused[column]]
        if len(fitting) == 1:
            return self.take(part, fitting[0], "IN DOUBT: the only column with a name and values like this")
        if fitting:
            self.note(part, f"IN DOUBT: not chosen, since several columns could be meant: {_listed(fitting)}")
        elif refused:
            reasons = [f"{column} {reason}" for column, reason in refused.items()][:_LISTED_MAX]
            self.note(part, f"not chosen: {'; '.join(reasons)}")
        return None

    def take(self, part: str, column: str, why: str) -> str:
        """Give the part to the column and note why."""
        self.taken.add(column)
        self.note(part, why)
        return column

    def note(self, part: str, text: str) -> None:
        """Note something about a part, after what is noted there already."""
        path = f"schema.{part}"
        self.notes[path] = f"{self.notes[path]}\n{text}" if path in self.notes else text

    def _refusal(self, column: str, unfit: Unfit) -> str:
        """Ask about the sample first, and about all rows only when it fits."""
        return unfit(self.sample[column]) or unfit(self.table[column])


def _normal(column: str) -> str:
    """Return a column's name in snake case.

    >>> _normal("PredictionId"), _normal("y pred.proba")
    ('prediction_id', 'y_pred_proba')
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", column)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def _listed(columns: Sequence[str]) -> str:
    more = len(columns) - _LISTED_MAX
    return ", ".join(columns[:_LISTED_MAX]) + (f" and {more} more" if more > 0 else "")


# ------------------------------------------------------------------------------------------------ what fits a part


def _kind(dtype: pl.DataType) -> Kind | None:
    if dtype.is_numeric():
        return "numeric"
    if dtype == pl.Boolean:
        return "boolean"
    return "categorical" if isinstance(dtype, pl.String | pl.Categorical | pl.Enum) else None


def _is_time(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.Datetime | pl.Date)


def _unfit_time(column: pl.Series) -> str:
    return "" if _is_time(column.dtype) else f"has no type for times ({column.dtype})"


def _unfit_key(column: pl.Series) -> str:
    is_key = column.dtype.is_integer() or _kind(column.dtype) == "categorical"
    return "" if is_key else f"is neither text nor whole numbers ({column.dtype})"


def _unfit_prediction_id(column: pl.Series) -> str:
    if reason := _unfit_key(column):
        return reason
    if column.null_count():
        return "has nulls"
    return "" if column.n_unique() == len(column) else "is not unique"


def _unfit_number(column: pl.Series) -> str:
    return "" if column.dtype.is_numeric() else f"is not a number ({column.dtype})"


def _unfit_label(column: pl.Series) -> str:
    return "" if _kind(column.dtype) else f"has a type that no label has ({column.dtype})"


def _unfit_flag(column: pl.Series) -> str:
    """Refuse as a label what is only named a little like one (`day_label`), unless it has two values."""
    if reason := _unfit_label(column):
        return reason
    return "" if column.drop_nulls().n_unique() <= 2 else "has more than two values"  # noqa: PLR2004


def _unfit_score(column: pl.Series) -> str:
    if not column.dtype.is_float():
        return f"is not a fraction ({column.dtype})"
    inside = column.fill_nan(None).drop_nulls().is_between(0, 1)
    return "" if inside.all() else "leaves [0, 1]"


def _unfit_decision(column: pl.Series) -> str:
    if column.dtype.is_float():
        whole = (column.fill_nan(None).drop_nulls() % 1 == 0).all()
        return "" if whole else "has fractions"
    return "" if _kind(column.dtype) else f"has a type that no decision has ({column.dtype})"


# ------------------------------------------------------------------------------------------------ part by part


def _event_time(search: _Search) -> str | None:
    """Pick the event time; among several it is the one that no other is ever earlier than: outcomes come later."""
    picked = search.pick("event_time", _TIMES, _TIME, _unfit_time)
    times = [column for column in search.free if _is_time(search.table.schema[column])]
    if picked or not times:
        return picked
    search.notes.pop("schema.event_time", None)
    if len(times) == 1:
        return search.take("event_time", times[0], "IN DOUBT: the only column with times")
    sample = search.sample.select(pl.col(times).cast(pl.Datetime("us")))
    earliest = pl.min_horizontal(times)
    first = [c for c in times if sample.select((pl.col(c) <= earliest).all()).item()]
    if len(first) == 1:
        others = _listed([column for column in times if column != first[0]])
        return search.take("event_time", first[0], f"IN DOUBT: chosen since it is never later than {others}")
    search.note("event_time", f"IN DOUBT: not chosen, since several columns hold times: {_listed(times)}")
    return None


def _label(search: _Search) -> tuple[Label | None, Task]:
    """Pick the label, and what it says of the task."""
    column = search.pick("label", _LABELS, _NEVER, _unfit_label) or search.pick("label", (), _LABEL, _unfit_flag)
    if column is None:
        flags = [name for name in search.free if search.table.schema[name] == pl.Boolean]
        hint = f"; of true and false there are: {_listed(flags)}" if flags else ""
        if "schema.label" not in search.notes:
            search.note("label", f"no column is named like a label{hint}")
        search.notes["task"] = "IN DOUBT: there is no label to tell it by"
        return None, "binary"
    values = search.table[column].drop_nulls().unique()
    if values.dtype.is_float():
        values = values.fill_nan(None).drop_nulls()
    task, why = _task(values)
    search.notes["task"] = why
    known_at = search.pick("label.known_at", (*_KNOWN_AT, f"{_normal(column)}_at"), _KNOWN, _unfit_time)
    times = [name for name in search.free if _is_time(search.table.schema[name])]
    if known_at is None and times:
        search.note("label", f"IN DOUBT: if one of {_listed(times)} says when the label is known, name it as known_at")
    return Label(column, known_at, positive=_positive(search, values) if task == "binary" else None), task


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


def _positive(search: _Search, values: pl.Series) -> str | int | None:
    """Return the value that means positive, when it is not simply true or 1."""
    if values.dtype == pl.Boolean or (values.dtype.is_numeric() and values.is_in([0, 1]).all()):
        return None
    found = [value for value in values.to_list() if str(value).lower() in _POSITIVE]
    if len(found) == 1:
        positive = found[0] if isinstance(found[0], str) else int(found[0])
        search.note("label", f"IN DOUBT: {positive!r} is taken for positive")
        return positive
    shown = ", ".join(repr(value) for value in values.sort().to_list())
    search.note("label", f"IN DOUBT: say which value is positive: {shown}")
    return None


def _predictions(search: _Search, task: Task) -> tuple[str | None, str | None]:
    """Pick what the model said: for a regression its value; else its score, and the decision made from it."""
    if task == "regression":
        return search.pick("score", _VALUES, _VALUE, _unfit_number), None
    score = search.pick("score", _SCORES, _SCORE, _unfit_score)
    decision = search.pick("decision", _DECISIONS, _DECISION, _unfit_decision)
    if score is None:
        # A library's `prediction` may hold probabilities.
        before = search.notes.pop("schema.score", None)
        score = search.pick("score", _DECISIONS, _NEVER, _unfit_score)
        if score:
            search.note("score", "IN DOUBT: it holds fractions in [0, 1], so it is taken for the score")
            search.notes.pop("schema.decision", None)
        else:
            search.notes.pop("schema.score", None)
            search.note("score", before or "no column is named like a score")
    return score, decision


# ------------------------------------------------------------------------------------------------ the other columns


def _no_features(search: _Search) -> tuple[str, ...]:
    """Return the patterns of the columns that no model looks at, or that cannot be watched."""
    reasons = {}
    for column in search.free:
        if not _kind(search.table.schema[column]):
            reasons[column] = f"{column} ({search.table.schema[column]}) cannot be watched"
        elif _counts_rows(search, column):
            reasons[column] = f"{column} counts rows"
        elif _normal(column) in _SPLITS:
            reasons[column] = f"{column} says which part of the data a row belongs to"
    if reasons:
        search.notes["features.exclude"] = "\n".join(reasons.values())
    # A name with a bracket or a star in it would be read as a pattern.
    return tuple(re.sub(r"([*?\[])", r"[\1]", column) for column in reasons)


def _counts_rows(search: _Search, column: str) -> bool:
    """Whether each value is the one before plus one: such a column drifts for ever and means nothing."""
    values = search.table[column]
    if not values.dtype.is_integer() or len(values) < _COUNTER_ROWS_MIN:
        return False
    return all(
        rows.null_count() == 0 and bool((rows.cast(pl.Int64, strict=False).diff().drop_nulls() == 1).all())
        for rows in (values.head(_COUNTER_ROWS_MIN), values)
    )


def _suggest_segments(search: _Search, features: Features) -> None:
    """Note which features have few values, and so could be segments. None is chosen: it is a matter of meaning."""
    candidates = [
        column
        for column in features.select(search.free)
        if _kind(search.table.schema[column]) == "categorical"
        and 2 <= search.sample[column].n_unique() <= _SEGMENTS_MAX  # noqa: PLR2004 - one value divides nothing
    ]
    if candidates:
        search.notes["segments"] = f"columns with few values, if one should be judged apart: {_listed(candidates)}"
