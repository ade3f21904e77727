"""The outcomes of a regression: sums of its errors, and of the truth that they are measured against.

Guarantee: MAE, RMSE, R2, bias and the quantile loss at the median are exact from these sums, and so are their
standard errors. Errors are held in spreads of the reference's errors and the truth in its own, from its centre, so that
no digits are lost to a large mean or an odd unit.
Cost: two counts and fourteen sums.

One absurd error makes a mean useless, as long as its row is there. What a model is judged by is therefore the bounded
error as well, in which an error of more than `BOUND` spreads counts as one of `BOUND`: it neither hides nor makes a
change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import polars as pl

from killick.profiles.cells import Cells
from killick.profiles.numeric import fit_numeric
from killick.profiles.outcome_rows import numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from killick.profiles.outcome_rows import Outcomes

# In spreads. Its fourth power, summed over all rows that there will ever be, must stay a number.
_LARGEST = 1e70
# Normal errors never reach it, and heavy ones one time in thousands; yet a single row of a thousand that does moves the
# mean by a fiftieth of a spread, and widens its standard error by a fifth.
BOUND = 20.0


class ValueOutcome(msgspec.Struct, frozen=True, tag="value_outcome", tag_field="kind"):
    """The yardstick of a regression's outcome.

    Attributes:
        column: what the outcome is called.
        centre: of the truth in the reference.
        spread: of the truth in the reference.
        error_spread: of the errors in the reference.
    """

    column: str
    centre: float
    spread: float
    error_spread: float

    @property
    def counts_width(self) -> int:
        """Rows that are summed, and labelled rows that cannot be: no prediction, or a number that is none."""
        return 2

    @property
    def sums_width(self) -> int:
        """The sums that `outcome_cells` yields, in its order."""
        return 14

    def outcome_cells(self, outcomes: Outcomes, rows: int) -> Iterator[Cells]:
        """Sum errors `e` (prediction less truth), the truth `z`, and the errors `b` bounded.

        In this order: e, |e|, e2, e|e|, e4; z, z2, z3, z4; e2 z, e2 z2; b, |b|, b2.
        """
        truth, predicted = numbers(outcomes.labels, rows), numbers(outcomes.scores, rows)
        with np.errstate(over="ignore", invalid="ignore"):
            z, e = (truth - self.centre) / self.spread, (predicted - truth) / self.error_spread
            held = (np.abs(z) <= _LARGEST) & (np.abs(e) <= _LARGEST)
        labelled = ~np.isnan(truth)
        yield Cells(np.where(held, 0, np.where(labelled, 1, 2)), 3, kept=2)
        z, e = np.where(held, z, 0.0), np.where(held, e, 0.0)
        size, square, z_square = np.abs(e), e * e, z * z
        bounded = np.clip(e, -BOUND, BOUND)
        for weight in (e, size, square, e * size, square * square, z, z_square, z_square * z, z_square * z_square):
            yield Cells(None, 1, weight)
        for weight in (square * z, square * z_square, bounded, np.abs(bounded), bounded * bounded):
            yield Cells(None, 1, weight)


def fit_values(column: str, labels: pl.Series | None, predictions: pl.Series) -> ValueOutcome:
    """Learn where the truth lies and how far errors go, from the reference.

    Without labels the predictions stand for both: they lie where the truth does, and err by no more than they vary.
    """
    if labels is None or not labels.count():
        truth = fit_numeric(predictions)
        return ValueOutcome(column, truth.centre, truth.spread, truth.spread)
    truth, rows = fit_numeric(labels), len(labels)
    with np.errstate(over="ignore", invalid="ignore"):
        errors = numbers(predictions, rows) - numbers(labels, rows)
    finite = errors[np.isfinite(errors)]
    varies = bool(len(finite)) and finite.min() < finite.max()
    spread = fit_numeric(pl.Series("errors", finite)).spread if varies else truth.spread
    return ValueOutcome(column, truth.centre, truth.spread, spread)
