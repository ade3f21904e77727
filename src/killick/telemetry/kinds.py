"""What kind of column each is, and so how it can be watched.

The kind follows from the type, not from which rows happen to be there: whole numbers are numeric even where they are
only 0 and 1. Prose and embeddings are the exceptions, since no type tells them from words and from lists: they are
recognised by their values in the reference, and whoever reads a later table keeps the reference's kind.

Cost: types alone, and for strings and lists some 10,000 values of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from killick.errors import Mistake
from killick.spec.document import ORDERED_METHODS, Override
from killick.telemetry.frames import drawn_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from killick.spec.document import Kind, SegmentBy

_LOOKED_AT = 10_000
# Names of things are seldom longer than three words: New York City, Licence to drive.
_PROSE_WORDS = 4
# A column whose values hardly recur is prose sooner, but not if they are ids or names of people, of one or two words.
_UNIQUE_PROSE_WORDS = 3
_UNIQUE_SHARE = 0.5
# So few values that come again and again are categories, however long their names: the answers of a questionnaire.
_ANSWERS_MAX = 20
_ANSWER_ROWS_MIN = 5

# What an operator may call a column of a kind. Numbers may be codes, and words may be prose; nothing else is as free.
_MAY_BE: Mapping[Kind, frozenset[Kind]] = {
    "numeric": frozenset({"categorical"}),
    "boolean": frozenset({"categorical"}),
    "categorical": frozenset({"text"}),
    "text": frozenset({"categorical"}),
}


def column_kinds(
    table: pl.DataFrame, features: Sequence[str], override: Mapping[str, Override]
) -> dict[str, Kind | None]:
    """Return each feature's kind: what the operator says where the type allows it, else what its type is.

    Numbers of every width and decimals are numeric, and so are durations and times of day: seconds. Dates and instants
    are timestamps. None means that Killick cannot watch the column, whatever the operator says: it is missing, or holds
    structs, lists of several lengths, bytes, objects or only nulls.

    >>> table = pl.DataFrame({"temp": [1.5], "gate": ["A4"], "hour": [7], "leg": [{"km": 2}]})
    >>> column_kinds(table, table.columns, {})
    {'temp': 'numeric', 'gate': 'categorical', 'hour': 'numeric', 'leg': None}
    """
    kinds: dict[str, Kind | None] = {}
    for column in features:
        kind = kind_of(table[column]) if column in table.columns else None
        said = override[column].kind if column in override else None
        kinds[column] = said if kind and said in _MAY_BE.get(kind, ()) else kind
    return kinds


def override_mistakes(table: pl.DataFrame, override: Mapping[str, Override]) -> list[Mistake]:
    """Return what the operator says of columns that their types do not allow: it would be passed over otherwise.

    >>> table = pl.DataFrame({"gate": ["A4"]})
    >>> print(*override_mistakes(table, {"gate": Override(drift="wasserstein")}))
    features.override.gate.drift: needs numbers in an order (found 'wasserstein'); the column is categorical
    """
    mistakes = []
    for column, said in override.items():
        own = kind_of(table[column]) if column in table.columns else None
        kind = column_kinds(table, [column], override)[column]
        path = f"features.override.{column}"
        if own and said.kind not in (None, kind):
            hint = f"write one of {', '.join(sorted({own, *_MAY_BE.get(own, ())}))}"
            problem = f"does not fit a column of type {table.schema[column]}"
            mistakes.append(Mistake(f"{path}.kind", problem, value=said.kind, hint=hint))
        if own and said.drift in ORDERED_METHODS and kind != "numeric":
            problem, hint = "needs numbers in an order", f"the column is {kind}"
            mistakes.append(Mistake(f"{path}.drift", problem, value=said.drift, hint=hint))
    return mistakes


def band_mistakes(table: pl.DataFrame, segments: Sequence[SegmentBy]) -> list[Mistake]:
    """Return the bands that cut what has no numbers: every row of them would be missing.

    >>> from killick.spec.document import Band
    >>> print(*band_mistakes(pl.DataFrame({"gate": ["A4"]}), ((Band("gates", "gate", bins=(500.0,)),),)))
    segments.gates.bins: needs numbers (found 'gate'); the column is of type String
    """
    cut = dict.fromkeys(band for by in segments for band in by if band.bins and band.column in table.columns)
    return [
        Mistake(
            f"segments.{band.name}.bins",
            "needs numbers",
            value=band.column,
            hint=f"the column is of type {table.schema[band.column]}",
        )
        for band in cut
        if table.schema[band.column] != pl.Null and _kind_by_type(table.schema[band.column]) != "numeric"
    ]


def alike_type(column: pl.Series, known: pl.DataType) -> pl.DataType | None:
    """Return the reference's type of a column where its own says the same in another way; None where it does not.

    A column of nulls has the type that its reader guessed, and CSV and JSON write true and false as 1 and 0.

    >>> alike_type(pl.Series([1, 0, None]), pl.Boolean()), alike_type(pl.Series([2, 0]), pl.Boolean()) is None
    (Boolean, True)
    """
    if column.null_count() == len(column):
        return known
    if isinstance(known, pl.Boolean) and column.dtype.is_numeric() and not column.dtype.is_decimal():
        values = column.fill_nan(None) if column.dtype.is_float() else column
        return known if ((values == 0) | (values == 1)).all() else None
    return None


def kind_of(column: pl.Series) -> Kind | None:
    """Return a column's kind, or None when it cannot be watched.

    >>> kind_of(pl.Series(["It was late.", "The flight to Boston was two hours late."]))
    'text'
    >>> kind_of(pl.Series([[0.1, 0.2], [0.3, 0.4]]))
    'embedding'
    """
    kind = _kind_by_type(column.dtype)
    if isinstance(column.dtype, pl.String):
        return "text" if _is_prose(_drawn(column).drop_nulls()) else "categorical"
    if isinstance(column.dtype, pl.List) and column.dtype.inner.is_float():
        lengths = _drawn(column).drop_nulls().list.len()
        return "embedding" if lengths.n_unique() == 1 and lengths[0] > 0 else None
    return kind


def _drawn(column: pl.Series) -> pl.Series:
    """Return some 10,000 values of a column, in their order, or all when it has no more."""
    rows = drawn_rows(len(column), _LOOKED_AT)
    return column if rows is None else column.gather(pl.Series(rows))


def _kind_by_type(dtype: pl.DataType) -> Kind | None:
    if dtype.is_numeric() or isinstance(dtype, pl.Duration | pl.Time):
        return "numeric"
    if isinstance(dtype, pl.Boolean):
        return "boolean"
    if isinstance(dtype, pl.Categorical | pl.Enum):
        return "categorical"
    if isinstance(dtype, pl.Datetime | pl.Date):
        return "timestamp"
    if isinstance(dtype, pl.Array) and len(dtype.shape) == 1 and dtype.inner.is_float() and dtype.shape[0]:
        return "embedding"
    return None


def _is_prose(values: pl.Series) -> bool:
    """Whether strings are sentences: by the number of their words, and by how seldom one comes again."""
    written = values.filter(values.str.contains(r"\S"))
    if written.is_empty():
        return False
    words = written.str.count_matches(r"\S+")
    different = written.n_unique()
    if different <= _ANSWERS_MAX and len(written) >= _ANSWER_ROWS_MIN * different:
        return False
    if different > _UNIQUE_SHARE * len(written) and float(words.mean()) >= _UNIQUE_PROSE_WORDS:  # type: ignore[arg-type]
        return True
    return float(words.median()) >= _PROSE_WORDS  # type: ignore[arg-type]
