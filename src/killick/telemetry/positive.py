"""Which of two values is the positive one, where nobody said so: by what it is called, else by its scores.

Promise: a value is named only when nothing speaks against it; None means that it is not known, and that nobody may
guess. The words are in `roles.py`. Costs one pass over the rows, and only where no word helps.
"""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING, Any

import polars as pl

from killick.telemetry.roles import OPPOSITES, POSITIVE

if TYPE_CHECKING:
    from collections.abc import Sequence

# Two mean scores that differ by so many standard errors differ for a reason: by chance one time in 370.
_ERRORS_APART = 3
# Beside 2, one is the first of two classes.
_ONES = {"1", "0", "-1"}


def called_positive(values: Sequence[Any]) -> list[Any]:
    """Return those of two values that have a name for positive: `yes`, `approved`, true, and 1 beside 0 or -1.

    >>> called_positive(["reject", "Approve"]), called_positive([1, 2])
    (['Approve'], [])
    """
    named = {str(value).lower(): value for value in values}
    return [value for word, value in named.items() if word in POSITIVE and (word != "1" or named.keys() <= _ONES)]


def scored_higher(values: pl.Series, scores: pl.Series) -> list[Any]:
    """Return the one of two values whose mean score is surely the higher, if there is one.

    >>> scored_higher(pl.Series(["a", "a", "b", "b"]), pl.Series([0.1, 0.2, 0.8, 0.9]))
    ['b']
    """
    scored = pl.DataFrame({"value": values, "score": scores.cast(pl.Float64).fill_nan(None)}).drop_nulls()
    means = scored.group_by("value").agg(mean=pl.col("score").mean(), error=pl.col("score").var() / pl.len())
    ranked = means.sort("mean", descending=True)
    if ranked.height != 2 or ranked["error"].null_count():  # noqa: PLR2004 - one value and the other
        return []
    apart = ranked["mean"][0] - ranked["mean"][1]
    return ranked["value"].to_list()[:1] if apart > _ERRORS_APART * sqrt(ranked["error"].sum()) else []


def positive_decision(words: pl.Series, scores: pl.Series | None, said: str | float | None = None) -> str | None:
    """Return the word of the positive decision; None where it is not known, or where there are more than two.

    Args:
        words: the decisions, in lower case; null where there is none.
        scores: the probability of the positive class, row by row.
        said: the label's positive value, which the same word means in a decision.

    >>> positive_decision(pl.Series(["no", "yes"]), None), positive_decision(pl.Series(["no", "yes"]), None, said="no")
    ('yes', 'no')
    >>> positive_decision(pl.Series(["false"]), None), positive_decision(pl.Series(["a", "b"]), None)
    ('true', None)
    """
    values = words.drop_nulls().unique().sort().to_list()
    if not 1 <= len(values) <= 2:  # noqa: PLR2004 - one decision and the other
        return None
    asked = _word(said)
    if asked in values:
        return asked
    if len(values) == 1 and values[0] in OPPOSITES:
        return OPPOSITES[values[0]]
    found = called_positive(values)
    if len(found) != 1 and scores is not None:
        found = scored_higher(words, scores)
    return str(found[0]) if len(found) == 1 else None


def _word(said: str | float | None) -> str | None:
    """Write a value of the spec as a column's values are written."""
    whole = isinstance(said, float) and said.is_integer()
    return None if said is None else str(int(said) if whole else said).lower()
