"""The summary of a business figure: how much a prediction turned out to earn or cost.

Guarantee: number, mean and variance are exact. Sums are of values from the reference's centre, in its spreads, so that
no digits are lost to a large mean. Beside them stand those of the bounded values, in which a value of more than `BOUND`
spreads from the centre counts as one of `BOUND`: one absurd value neither hides nor makes a change there.
Cost: two counts and four sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from killick.profiles.cells import Cells
from killick.profiles.numeric import LARGEST, fit_numeric
from killick.profiles.outcome_rows import numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from killick.profiles.outcome_rows import Outcomes

# In spreads. A single row of a thousand that reaches it moves the mean by a fiftieth of a spread; and a rare large
# figure, such as one sale in a hundred rows, lies within it.
BOUND = 20.0


class KpiScale(msgspec.Struct, frozen=True, tag="kpi", tag_field="kind"):
    """The yardstick of a business figure: its centre and spread in the reference."""

    column: str
    centre: float
    spread: float

    @property
    def counts_width(self) -> int:
        """Values, and what is there and no number: NaN, infinite or absurd."""
        return 2

    @property
    def sums_width(self) -> int:
        """Values and their squares, then both of the bounded values."""
        return 4

    def outcome_cells(self, outcomes: Outcomes, rows: int) -> Iterator[Cells]:
        """Sum the values that have come."""
        series = outcomes.kpis.get(self.column)
        values = numbers(series, rows)
        held = np.abs(values) <= LARGEST
        came = np.full(rows, fill_value=False) if series is None else series.is_not_null().to_numpy()
        yield Cells(np.where(held, 0, np.where(came, 1, 2)), 3, kept=2)
        z = np.where(held, (np.where(held, values, 0.0) - self.centre) / self.spread, 0.0)
        bounded = np.clip(z, -BOUND, BOUND)
        for weight in (z, z * z, bounded, bounded * bounded):
            yield Cells(None, 1, weight)


def fit_kpi(series: pl.Series) -> KpiScale:
    """Learn a figure's centre and spread from the reference, neither of which one absurd value can move.

    >>> import polars as pl
    >>> fit_kpi(pl.Series("cost", [1.0, 2.0, 3.0])).centre
    2.0
    """
    fitted = fit_numeric(series)
    return KpiScale(series.name, fitted.centre, fitted.spread)
