"""What is known of answered predictions, row by row: label, score, decision and business figures.

Each is a column or nothing, all of one length. A missing value means that it has not come yet, or never will; it is
told by null, or by NaN where a library has no null.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import polars as pl

from killick.profiles.categorical import as_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from killick.profiles.cells import Floats


class Decision(msgspec.Struct, frozen=True):
    """Where a binary model's decisions are recorded, and which of them are positive.

    Attributes:
        column: what holds them.
        positive: the word of the positive one, as `decision_words` writes it; None where nobody knows which it is.
    """

    column: str
    positive: str | None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Outcomes:
    """Outcomes of some rows.

    Attributes:
        labels: the truth: 0 and 1 (or booleans) of a binary model, a class as text, or a number.
        scores: the probability of the positive class; a multiclass model's confidence in its decision; a regression's
            prediction.
        decisions: what was decided: 0 and 1 (or booleans), or the predicted class. None: a binary model's decisions
            follow from its threshold.
        label_scores: the probability that a multiclass model gave the label's class, where it gives each class one.
        kpis: business figures by column.
        delays: how long after its prediction each became known, in microseconds.
    """

    labels: pl.Series | None = None
    scores: pl.Series | None = None
    decisions: pl.Series | None = None
    label_scores: pl.Series | None = None
    kpis: Mapping[str, pl.Series] = field(default_factory=dict)
    delays: pl.Series | None = None


def scores_of(classes: pl.Series, scores: Mapping[str, pl.Series]) -> pl.Series:
    """Return the score that each row has for its own class; null where there is none.

    Of the labels they are `label_scores`, of the decisions the confidence.

    Args:
        classes: each row's class.
        scores: by class as text, each row's score for it.

    >>> scores_of(pl.Series(["b", "a", "c"]), {"a": pl.Series([0.1, 0.2, 0.3]), "b": pl.Series([0.9] * 3)}).to_list()
    [0.9, 0.2, None]
    """
    text = as_text(classes)
    found = pl.Series("score", [None] * len(classes), dtype=pl.Float64)
    for name, series in scores.items():
        found = (
            series.cast(pl.Float64, strict=False).alias("score").zip_with((text == name).fill_null(value=False), found)
        )
    return found


def decision_words(decisions: pl.Series) -> pl.Series:
    """Return decisions as words in lower case, null where there is none: `1.0` is `1`, and true is `true`.

    >>> decision_words(pl.Series([1.0, float("nan")])).to_list(), decision_words(pl.Series(["Yes "])).to_list()
    (['1', None], ['yes'])
    """
    known = decisions.fill_nan(None) if decisions.dtype.is_float() else decisions
    return as_text(known).str.strip_chars().str.to_lowercase()


def decided(table: pl.DataFrame, decision: Decision) -> pl.Series:
    """Return a binary model's decisions as 1 where they are positive, 0 where they are not; null where unknown.

    >>> table = pl.DataFrame({"said": ["approve", "reject", None]})
    >>> decided(table, Decision("said", "approve")).to_list(), decided(table, Decision("said", None)).to_list()
    ([1, 0, None], [None, None, None])
    """
    if decision.positive is None or decision.column not in table.columns:
        return pl.Series(decision.column, [None], dtype=pl.Int64).new_from_index(0, table.height)
    return (decision_words(table[decision.column]) == decision.positive).cast(pl.Int64)


def numbers(series: pl.Series | None, rows: int) -> Floats:
    """Return a column as float64, NaN where there is no number.

    >>> numbers(pl.Series([True, None]), 2)
    array([ 1., nan])
    """
    if series is None or series.dtype.is_nested():
        return np.full(rows, np.nan)
    return series.cast(pl.Float64, strict=False).to_numpy()
