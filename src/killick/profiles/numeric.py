"""The summary of a numeric column: counts and sums over bins anchored in the reference.

Guarantee: counts are exact; PSI, the KS bracket and rank distances need only them, and Wasserstein-1 is exact from
counts and sums wherever the two distribution functions do not cross inside a bin (Vallender 1974; derivation in the
docs). No value, however large, can move a bin: bins come from the reference's quantiles and stay.
Cost: about 5 ns a value for all rows at once, by sorting blocks that stay in a core's cache; about 10 ns where rows are
told apart by group. 2 x about 30 numbers a column.

Bins are right-closed, `(edge, next edge]`. A value that makes up more than half a bin's share (an atom, such as
`precip = 0`) has a bin of its own, or its mass would blur its neighbours. Beyond what the reference held, bins go on at
1, 2, 4 and 8 spreads: with a single bin there, a summer seen from a winter's scale would be one bin, and nothing that
happened in it would show (decision 0004).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import polars as pl

from killick.profiles.cells import Cells

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from killick.profiles.cells import Floats, Ints

# Twenty bins lose little of a smooth shift and need only a hundred rows to be filled; credit scoring's ten lose more.
BINS = 20
# How far beyond the reference bins go on, in spreads: a doubling reaches any change of unit in a few bins.
OUTER = (1.0, 2.0, 4.0, 8.0)
# Beyond it a number counts as infinite: its square, summed over all rows that there will ever be, must stay a number,
# or one absurd value would spoil the sums for good, since infinity cannot be subtracted again.
LARGEST = 1e100
# The same bound from the other side: a column that varies less than this does not vary.
_SPREAD_MIN = 1e-40
# Rounding alone spreads a constant by about 1e-16 of its value, and no real spread comes near that.
_SPREAD_RELATIVE_MIN = 1e-12
# Tukey's far fences: three interquartile ranges beyond the quartiles (Exploratory Data Analysis, 1977), where a normal
# column has two values in a million.
_FENCE_RANGES = 3.0
# A block of values that stays in a core's cache while it is sorted, or while all edges pass over it.
_BLOCK_ROWS = 32_768
# Bins need no more rows than this to be learned: the share of a bin of five percent is then known to a tenth of a
# percent of the rows, and both sides are counted in full afterwards.
_FIT_ROWS, _FIT_SEED = 65_536, 0
# With fewer rows the calls cost more than they save, and with more edges a byte could not count them.
_SCAN_ROWS_MIN, _SCAN_EDGES_MAX = 8_192, 255
# Beyond these an edge is written as a power of ten.
_DECIMALS_MAX, _GROUPED_MAX = 8, 1e12
# Missing, NaN, -inf and +inf follow the bins: unknown is a value, and each of the four has another cause.
ODD = ("missing", "nan", "negative_infinity", "positive_infinity")


class NumericScale(msgspec.Struct, frozen=True, tag="numeric", tag_field="kind"):
    """The yardstick of a numeric column: inner edges, centre and spread for moments, and the range that is expected.

    `low` and `high` are inclusive, and edges: what lies outside can be counted exactly. So are Tukey's far fences; a
    column whose middle half does not vary has none, and both are 0.
    """

    column: str
    edges: tuple[float, ...]
    centre: float
    spread: float
    low: float = 0.0
    high: float = 0.0
    fence_low: float = 0.0
    fence_high: float = 0.0

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
        values = _numbers(series)
        index = _bins(np.asarray(self.edges), values)
        usable = np.abs(values) <= LARGEST
        if usable.all():
            held = values
            moments = (values - self.centre) / self.spread
        else:
            odd = ~usable
            index[odd] = self.bins + _odd_kind(values[odd], series.is_null().to_numpy()[odd])
            held = np.where(usable, values, 0.0)
            moments = np.where(usable, (held - self.centre) / self.spread, 0.0)
        yield Cells(index, self.counts_width)
        yield Cells(index, self.counts_width, held, kept=self.bins)
        yield Cells(None, 1, np.square(moments, out=moments))

    def totals(self, series: pl.Series) -> tuple[Ints, Floats]:
        """Return the counts and sums of all rows together.

        The same numbers as `cells` gives to a single group, without saying of each row where it fell: a sorted block is
        cut at the edges by a binary search for each edge.
        """
        values = _numbers(series)
        edges, counts, sums = np.asarray(self.edges), np.zeros(self.counts_width, np.int64), np.zeros(self.sums_width)
        for start in range(0, len(values), _BLOCK_ROWS):
            # NaN is sorted behind infinity.
            block = np.sort(values[start : start + _BLOCK_ROWS])
            first, last, known = np.searchsorted(block, [-LARGEST, np.nextafter(LARGEST, np.inf), np.nan])
            held = block[first:last]
            ends = np.append(np.searchsorted(held, edges, side="right"), len(held))
            starts = np.append(0, ends[:-1])
            counts[: self.bins] += ends - starts
            counts[self.bins :] += (0, len(block) - known, first, known - last)
            filled = ends > starts
            if len(held):
                sums[: self.bins][filled] += np.add.reduceat(held, starts[filled])
            moments = (held - self.centre) / self.spread
            sums[-1] += np.square(moments, out=moments).sum()
        # A null is a NaN among numbers; only the column knows which it was.
        counts[self.bins : self.bins + 2] += (series.null_count(), -series.null_count())
        return counts, sums

    def label(self, cell: int) -> str:
        """Name a count's cell in words.

        >>> NumericScale("temp", (0.0, 10.0), 5.0, 1.0).label(1)
        '(0, 10]'
        """
        return ODD[cell - self.bins].replace("_", " ") if cell >= self.bins else self.span(cell, cell)

    def span(self, first: int, last: int) -> str:
        """Name a run of bins in words, from the first to the last.

        >>> scale = NumericScale("income", (1234.5678, 2234.5678, 3234.5678), 2e3, 500.0)
        >>> scale.span(1, 2), scale.span(2, 3)
        ('(1,235, 3,235]', '> 2,235')
        """
        bottom = self.edges[first - 1] if first else None
        top = self.edges[last] if last < len(self.edges) else None
        if top is None:
            return "any" if bottom is None else f"> {self._short(bottom)}"
        # An edge just below another one is there to give the value of the other a bin of its own.
        after = self.edges[last + 1] if last + 1 < len(self.edges) and _touch(top, self.edges[last + 1]) else None
        if bottom is None:
            return f"<= {self._short(top)}" if after is None else f"< {self._short(after)}"
        if _touch(bottom, top):
            return self._short(top)
        left, right = (bottom, top) if after is None else (bottom, after)
        low, high = self._short(left), self._short(right)
        if low == high:
            low, high = f"{left:.6g}", f"{right:.6g}"
        return f"({low}, {high}]" if after is None else f"({low}, {high})"

    def _short(self, edge: float) -> str:
        """Write an edge to a hundredth of a spread; the number next to zero is meant as zero."""
        if abs(edge) <= np.finfo(float).tiny:
            return "0"
        # Or to three digits, where what is small beside the spread would be written as nothing.
        size = min(self.spread, abs(edge))
        decimals = 2 - math.floor(math.log10(size))
        if not 0 <= decimals <= _DECIMALS_MAX or abs(edge) >= _GROUPED_MAX:
            return f"{edge:,.0f}" if decimals < 0 and abs(edge) < _GROUPED_MAX else f"{edge:.6g}"
        text = f"{edge:,.{decimals}f}"
        return text.rstrip("0").rstrip(".") if decimals else text


def fit_numeric(series: pl.Series, declared: tuple[float, float] | None = None) -> NumericScale:
    """Learn the bins of a column from the reference.

    Args:
        series: the column's values in the reference.
        declared: the range that the operator declares; without one, it is that of the reference.

    A column without a single finite value has no edges but those of a declared range: all that comes later falls into
    one bin, and says so.
    """
    everything = _numbers(series)
    least, most = _extremes(everything)
    if declared:
        declared = max(declared[0], -LARGEST), min(declared[1], LARGEST)
    if least > most:
        edges = np.unique([np.nextafter(declared[0], -np.inf), declared[1]]) if declared else np.empty(0)
        return NumericScale(series.name, tuple(edges.tolist()), 0.0, 1.0, *(declared or (0.0, 0.0)))
    low, high = declared or (least, most)
    # Sorted, so that rows in another order give the same scale to the last bit.
    values = np.sort(_some(everything))
    values = values[np.abs(values) <= LARGEST]
    inner = np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1], method="inverted_cdf")
    atoms = _atoms(values)
    core = _core(values)
    spread = _spread(core) or _spread(values) or 1.0
    fences = _fences(values)
    beyond = np.asarray(OUTER) * spread
    below = np.nextafter(np.concatenate([atoms, [least, low], fences[:1]]), -np.inf)
    edges = np.unique(np.concatenate([inner, atoms, below, [most, high], fences[1:], least - beyond, most + beyond]))
    edges += 0.0  # -0.0 and 0.0 are one edge, and must be one text in the fingerprint
    return NumericScale(
        series.name, tuple(edges.tolist()), float(core.mean()), spread, low + 0.0, high + 0.0, *(fences + 0.0).tolist()
    )


def outside(scale: NumericScale, counts: Ints) -> Ints:
    """Return how many values lie outside the expected range, shape `[...]` for counts `[..., cells]`."""
    return _beyond(scale, counts, scale.low, scale.high)


def beyond_fences(scale: NumericScale, counts: Ints) -> Ints:
    """Return how many values lie beyond Tukey's far fences, as `outside`; none where there are no fences."""
    if scale.fence_low == scale.fence_high:
        return np.zeros(counts.shape[:-1], np.int64)
    return _beyond(scale, counts, scale.fence_low, scale.fence_high)


def _beyond(scale: NumericScale, counts: Ints, low: float, high: float) -> Ints:
    tops = np.append(np.asarray(scale.edges), np.inf)
    inside = (tops >= low) & (tops <= high)
    beyond: Ints = counts[..., : scale.bins][..., ~inside].sum(axis=-1)
    return beyond


def _bins(edges: Floats, values: Floats) -> Ints:
    """How many edges lie below each value: its bin. NaN is in any.

    Comparing every value with every edge takes no branch, so it is six times as fast as a binary search whose steps no
    processor can foresee (1M values, 29 edges: 3.5 ms against 22 ms).
    """
    if len(values) < _SCAN_ROWS_MIN or len(edges) > _SCAN_EDGES_MAX:
        return np.searchsorted(edges, values, side="left")
    index = np.empty(len(values), np.int64)
    above, below = np.empty(_BLOCK_ROWS, np.bool_), np.empty(_BLOCK_ROWS, np.uint8)
    for start in range(0, len(values), _BLOCK_ROWS):
        block = values[start : start + _BLOCK_ROWS]
        rows = len(block)
        below[:rows] = 0
        for edge in edges:
            np.greater(block, edge, out=above[:rows])
            below[:rows] += above[:rows].view(np.uint8)
        index[start : start + rows] = below[:rows]
    return index


def _numbers(series: pl.Series) -> Floats:
    """Return the values as float64; NaN for what is missing, and for what is no number (text, a list)."""
    if series.dtype.is_nested() or series.dtype == pl.Object:
        return np.full(len(series), np.nan)
    if isinstance(series.dtype, pl.Categorical | pl.Enum):
        series = series.cast(pl.String)
    return series.cast(pl.Float64, strict=False).to_numpy()


def _extremes(values: Floats) -> tuple[float, float]:
    """The least and the largest usable value; infinity and minus infinity where there is none."""
    least, most = float(np.min(values, initial=np.inf)), float(np.max(values, initial=-np.inf))
    if math.isnan(least):  # looking past every NaN takes three times as long, so it is done only where there is one
        least, most = float(np.fmin.reduce(values, initial=np.inf)), float(np.fmax.reduce(values, initial=-np.inf))
    if least < -LARGEST or (most > LARGEST and least <= most):
        return _extremes(values[np.abs(values) <= LARGEST])
    return least, most


def _some(values: Floats) -> Floats:
    """All values, or so many that bins can be learned from them: by chance, since a step might meet a rhythm."""
    if len(values) <= _FIT_ROWS:
        return values
    return values[np.random.default_rng(_FIT_SEED).integers(0, len(values), _FIT_ROWS)]


def _fences(values: Floats) -> Floats:
    """Tukey's far fences of sorted values, low and high; empty where the middle half does not vary."""
    lower, upper = np.quantile(values, [0.25, 0.75], method="inverted_cdf")
    reach = _FENCE_RANGES * (upper - lower)
    return np.array([lower - reach, upper + reach]) if reach > 0 else np.empty(0)


def _core(values: Floats) -> Floats:
    """The middle 98 %: one absurd value in the reference must not flatten every later effect."""
    bottom, top = np.quantile(values, [0.01, 0.99])
    core = values[(values >= bottom) & (values <= top)]
    return core if len(core) else values


def _spread(values: Floats) -> float:
    """The standard deviation; 0 for what does not vary but for rounding."""
    spread = float(values.std())
    return spread if spread >= max(_SPREAD_MIN, _SPREAD_RELATIVE_MIN * float(np.abs(values).max())) else 0.0


def _atoms(values: Floats) -> Floats:
    """Values, of sorted ones, that alone hold more than half of an even bin's share."""
    starts = np.flatnonzero(np.concatenate([[True], values[1:] != values[:-1]]))
    counts = np.diff(np.append(starts, len(values)))
    return values[starts[counts > len(values) / (2 * BINS)]]


def _odd_kind(values: Floats, missing: NDArray[np.bool_]) -> Ints:
    """0 missing, 1 NaN, 2 negative and infinite, 3 positive and infinite."""
    kind = np.where(missing, 0, 1)
    kind = np.where(values < -LARGEST, 2, kind)
    return np.where(values > LARGEST, 3, kind)


def _touch(low: float, high: float) -> bool:
    return bool(np.nextafter(high, -np.inf) == low)
