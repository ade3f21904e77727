"""What a model's output can have wrong in itself, row by row: counts, which need no reference and add up.

Cost: 10 ms a million rows and score column.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from killick.profiles.gram import as_numbers
from killick.profiles.outcome_rows import Decision, decided

if TYPE_CHECKING:
    import polars as pl

    from killick.profiles.cells import Floats

# Stores round to float32, which keeps seven digits: what is nearer than this is the same number.
_SAME = 1e-6
# Classes are often written with three digits or two; ten of them may then sum to a hundredth more or less than one.
SUM_REACH = 0.01


class Output(msgspec.Struct, frozen=True):
    """Which columns hold a model's output.

    Attributes:
        scores: the columns of its scores: one, or one a class.
        probability: whether a score is one, and so lies in [0, 1].
        decision: where a binary model's decision is.
        threshold: above it the decision is positive.
    """

    scores: tuple[str, ...]
    probability: bool = True
    decision: Decision | None = None
    threshold: float = 0.5


class Faults(NamedTuple):
    """Rows by what is wrong with them, and those that could be asked.

    Attributes:
        scored: rows with a number in a score.
        outside: of these, with one outside [0, 1].
        present: rows where a score is not missing.
        nan: of these, with NaN or an infinity in one.
        decided: rows with one finite score and a decision that can be read.
        mismatched: of these, those whose decision does not follow from score and threshold.
        summed: rows with a finite score for each of several classes.
        off: of these, those that do not sum to 1.
    """

    scored: int = 0
    outside: int = 0
    present: int = 0
    nan: int = 0
    decided: int = 0
    mismatched: int = 0
    summed: int = 0
    off: int = 0

    def plus(self, other: Faults) -> Faults:
        """Return the counts of both."""
        return Faults(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def minus(self, other: Faults) -> Faults:
        """Return the counts without those of the other."""
        return Faults(*(mine - theirs for mine, theirs in zip(self, other, strict=True)))


def faults_of(table: pl.DataFrame, output: Output) -> Faults:
    """Count the faults of a table's output. A column that it lacks is missing in every row.

    >>> import polars as pl
    >>> faults_of(pl.DataFrame({"p": [0.2, 1.5, None]}), Output(("p",)))[:4]
    (2, 1, 2, 0)
    """
    if not output.scores or not table.height:
        return Faults()
    series = [as_numbers(table, name) for name in output.scores]
    scores = [one.to_numpy() for one in series]
    finite = [np.isfinite(values) for values in scores]
    there = [one.is_not_null().to_numpy() for one in series]
    some_finite, some_there = np.logical_or.reduce(finite), np.logical_or.reduce(there)
    nan = np.logical_or.reduce([known & ~number for known, number in zip(there, finite, strict=True)])
    outside = np.zeros(table.height, np.bool_)
    if output.probability:
        for values, known in zip(scores, finite, strict=True):
            outside |= known & ((values < -_SAME) | (values > 1.0 + _SAME))
    decided, mismatched = _decisions(table, scores[0], output) if len(scores) == 1 else (0, 0)
    summed, off = _sums(scores) if len(scores) > 1 and output.probability else (0, 0)
    return Faults(
        scored=int(some_finite.sum()),
        outside=int(outside.sum()),
        present=int(some_there.sum()),
        nan=int(nan.sum()),
        decided=decided,
        mismatched=mismatched,
        summed=summed,
        off=off,
    )


def _decisions(table: pl.DataFrame, scores: Floats, output: Output) -> tuple[int, int]:
    """How many decisions can be read beside a score, and how many are not what the threshold makes of it."""
    if output.decision is None:
        return 0, 0
    decisions = decided(table, output.decision)
    yes = (decisions == 1).fill_null(value=False).to_numpy()
    known = decisions.is_not_null().to_numpy() & np.isfinite(scores)
    # At the threshold itself models differ in which side they take, and rounding may have taken it for them.
    apart = np.abs(scores - output.threshold) > _SAME
    wrong = known & apart & (yes != (scores > output.threshold))
    return int(known.sum()), int(wrong.sum())


def _sums(scores: list[Floats]) -> tuple[int, int]:
    total = np.sum(scores, axis=0)
    known = np.isfinite(total)
    return int(known.sum()), int((known & (np.abs(total - 1.0) > SUM_REACH)).sum())
