"""What labels say of predictions, by the bins of each column: the residual's count, sum and sum of squares.

A residual is label minus score where there is a score; whether the decision was the label for several classes; the
label itself where nothing was predicted. Its mean in a bin does not depend on how many rows fall there, so it tells a
changed relation from changed inputs. Sums add up; a label that is corrected is one subtraction and one addition.
Cost: a look-up of each column's cells and three `bincount`, of the labelled rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec
import numpy as np
import polars as pl

from killick.profiles.categorical import as_text
from killick.profiles.gram import as_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.profiles.cells import Floats
    from killick.profiles.scale import ColumnScale

Task: TypeAlias = Literal["binary", "regression", "multiclass"]


class Outcome(msgspec.Struct, frozen=True):
    """Which columns hold what came true and what was said of it.

    Attributes:
        label: the column of the label; of a binary model boolean, or 0 and 1.
        task: what kind of label it is.
        score: the column of the score: a probability, or a regression's prediction.
        decision: the column of the decision, for several classes.
        bound: a regression's residual beyond it counts as this large, or one absurd label would hide all others.
    """

    label: str
    task: Task
    score: str | None = None
    decision: str | None = None
    bound: float | None = None


def residuals_of(table: pl.DataFrame, outcome: Outcome) -> Floats:
    """Return each row's residual, `[rows]`; NaN where the label, or what it is compared with, is not known.

    >>> table = pl.DataFrame({"y": [True, False, None], "p": [0.75, 0.5, 0.5]})
    >>> residuals_of(table, Outcome("y", "binary", score="p")).tolist()
    [0.25, -0.5, nan]
    """
    nothing = np.full(table.height, np.nan)
    if outcome.label not in table.columns:
        return nothing
    if outcome.task == "multiclass":
        if outcome.decision is None or outcome.decision not in table.columns:
            return nothing
        right = as_text(table[outcome.decision]) == as_text(table[outcome.label])
        return right.cast(pl.Float64).to_numpy().copy()
    residuals = as_numbers(table, outcome.label).to_numpy().copy()
    if outcome.score is not None:
        residuals -= as_numbers(table, outcome.score).to_numpy()
    residuals[~np.isfinite(residuals)] = np.nan
    if outcome.task == "binary":
        # What is neither 0 nor 1 minus a probability is no residual of one.
        residuals[np.abs(residuals) > 1.0] = np.nan
    elif outcome.bound is not None:
        np.clip(residuals, -outcome.bound, outcome.bound, out=residuals)
    return residuals


def residuals_by_bin(table: pl.DataFrame, residuals: Floats, columns: Sequence[ColumnScale]) -> dict[str, Floats]:
    """Return rows, sum and sum of squares of the residuals in each cell of each column, `[3, cells]`."""
    known = ~np.isnan(residuals)
    kept, labelled = residuals[known], table.filter(pl.Series(known))
    found = {}
    for column in columns:
        width = column.counts_width
        sums = np.zeros((3, width))
        if column.column in table.columns and len(kept):
            index = next(iter(column.cells(labelled[column.column]))).index
            sums[0] = np.bincount(index, minlength=width)  # type: ignore[arg-type]  # the first cells have an index
            sums[1] = np.bincount(index, weights=kept, minlength=width)  # type: ignore[arg-type]
            sums[2] = np.bincount(index, weights=kept * kept, minlength=width)  # type: ignore[arg-type]
        found[column.column] = sums
    return found
