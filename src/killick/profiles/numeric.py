"""The summary of a numeric column: counts and sums over bins anchored in the reference.

Guarantee: counts are exact; PSI, the KS bracket and rank distances need only them, and Wasserstein-1 is exact from counts
and sums wherever the two distribution functions do not cross inside a bin (Vallender 1974; derivation in the docs).
No value, however large, can move a bin: bins come from the reference's quantiles and stay.
Cost: one binary search a value; 2 x about 24 numbers a column.

Bins are right-closed, `(edge, next edge]`. A value that makes up more than half a bin's share (an atom, such as
`precip = 0`) has a bin of its own, or its mass would blur its neighbours. Beyond what the reference held, bins go on at 1,
2, 4 and 8 spreads: with a single bin there, a summer seen from a winter's scale would be one bin, and nothing that
happened in it would show (decision 0004).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import polars as pl

from killick.profiles.cells import Cells

if TYPE_CHECKING:
    from collections.abc import Iterator

    from killick.profiles.cells import Floats, Ints

# Twenty bins lose little of a smooth shift and need only a hundred rows to be filled; credit scoring's ten lose more.
BINS = 20
# How far beyond the reference bins go on, in spreads: a doubling reaches any change of unit in a few bins.
OUTER = (1.0, 2.0, 4.0, 8.0)
# Missing, NaN, -inf and +inf follow the bins: unknown is a value, and each of the four has another cause.
ODD = ("missing", "nan", "negative_infinity", "positive_infinity")


class NumericScale(msgspec.Struct, frozen=True, tag="numeric", tag_field="kind"):
    """The yardstick of a numeric column: inner edges, centre and spread for moments, and the range that is expected.

    `low` and `high` are inclusive, and edges: what lies outside can be counted exactly.
    """

    column: str
    edges: tuple[float, ...]
    centre: float
    spread: float
    low: float = 0.0
    high: float = 0.0

    @property
    def bins(self) -> int:
        """How many bins there are, the two outer ones included."""
        return len(self.edges) + 1

    @property
    def counts_width(self) -> int:
        """How many counts the column needs: bins, then the odd ones."""
        return self.bins + len(ODD)

    @property
    def sums_width(self) -> int:
        """How many sums it needs: one a bin, and the centred second moment."""
        return self.bins + 1

    def cells(self, series: pl.Series) -> Iterator[Cells]:
        """Sort the column's values into cells: counts, sums by bin, and the second moment."""
        missing = series.is_null().to_numpy()
        values = series.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
        finite = np.isfinite(values)
        index = np.searchsorted(np.asarray(self.edges), values, side="left")
        if not finite.all():
            odd = self.bins + _odd_kind(values, missing)
            index = np.where(finite, index, odd)
        held = np.where(finite, values, 0.0)
        bin_index = np.where(finite, index, 0)
        with np.errstate(over="ignore"):
            moment = np.where(finite, ((held - self.centre) / self.spread) ** 2, 0.0)
        yield Cells(index, self.counts_width)
        yield Cells(bin_index, self.bins, held)
        yield Cells(np.zeros_like(index), 1, moment)

    def label(self, cell: int) -> str:
        """Name a count's cell in words.

        >>> NumericScale("temp", (0.0, 10.0), 5.0, 1.0).label(1)
        '(0, 10]'
        """
        if cell >= self.bins:
            return ODD[cell - self.bins].replace("_", " ")
        if cell == 0:
            return f"<= {self.edges[0]:.6g}" if self.edges else "any"
        if cell == self.bins - 1:
            return f"> {self.edges[-1]:.6g}"
        return f"({self.edges[cell - 1]:.6g}, {self.edges[cell]:.6g}]"


def fit_numeric(series: pl.Series, declared: tuple[float, float] | None = None) -> NumericScale:
    """Learn the bins of a column from the reference.

    Args:
        series: the column's values in the reference.
        declared: the range that the operator declares; without one, it is that of the reference.

    A column without a single finite value has no edges: all that comes later falls into one bin, and says so.
    """
    values = series.drop_nulls().cast(pl.Float64, strict=False).to_numpy()
    values = values[np.isfinite(values)]
    if not len(values):
        return NumericScale(series.name, (), 0.0, 1.0)
    least, most = float(values.min()), float(values.max())
    low, high = declared or (least, most)
    inner = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1], method="inverted_cdf")
    atoms = _atoms(values)
    # The spread is that of the middle 98 %, so that one absurd value in the reference cannot flatten every later effect.
    bottom, top = np.quantile(values, [0.01, 0.99])
    core = values[(values >= bottom) & (values <= top)]
    spread = float(core.std()) or float(values.std()) or 1.0
    beyond = np.asarray(OUTER) * spread
    below = np.nextafter(np.concatenate([atoms, [least, low]]), -np.inf)
    edges = np.unique(np.concatenate([inner, atoms, below, [most, high], least - beyond, most + beyond]))
    return NumericScale(series.name, tuple(edges.tolist()), float(core.mean()), spread, low, high)


def outside(scale: NumericScale, counts: Ints) -> Ints:
    """Return how many values lie outside the expected range, shape `[...]` for counts `[..., cells]`."""
    edges = np.asarray(scale.edges)
    tops = np.append(edges, np.inf)
    inside = (tops >= scale.low) & (tops <= scale.high)
    return counts[..., : scale.bins][..., ~inside].sum(axis=-1)


def _atoms(values: Floats) -> Floats:
    """Values that alone hold more than half of an even bin's share."""
    distinct, counts = np.unique(values, return_counts=True)
    return distinct[counts > len(values) / (2 * BINS)]


def _odd_kind(values: Floats, missing: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Ints:
    """0 missing, 1 NaN, 2 -inf, 3 +inf."""
    kind = np.where(missing, 0, 1)
    kind = np.where(np.isneginf(values), 2, kind)
    return np.where(np.isposinf(values), 3, kind)

