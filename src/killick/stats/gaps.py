"""Distances that add up gaps, and what luck would make of them: Kolmogorov-Smirnov, total variation, Wasserstein-1.

Each is a norm of the difference of two distributions. A norm obeys the triangle inequality, so a distance that is seen
is at most the true one and the norm of the luck. For the luck there is a law without simulation: a norm of a Gaussian
is above its mean by `z` Lipschitz constants with a chance of at most that of a standard normal (Borell 1975; a convex
function's median is not above its mean: Kwapien 1994). The mean is the sum of half-normal means, the Lipschitz constant
`deviation` a variance that no signs of the gaps exceed. For Kolmogorov-Smirnov the law is Kolmogorov's own.

Promises: `p_exceeds` is at most its level for every true distance up to `minimum`, wherever it lies: the price is power
when drift is spread over many bins, of which PSI needs fewer rows. Any leading dimensions; bins that are empty on both
sides do not count; NaN where one side has no rows. Costs O(bins); closed formulas only.

Sources: the bracket and the distance from counts and sums are derived in statistics.md 1.3 and 1.4; Stephens (1970) for
Kolmogorov's law at few rows; Bhatia & Davis (2000) for a variance inside a bin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy import special

from killick.stats import moved
from killick.stats.distance import Distance, pair_of, root_variance, shares_of, variance_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["Bracket", "Gap", "kolmogorov_smirnov", "scaled", "sum_of", "total_variation", "wasserstein"]

# The mean of |z|, and what is left of the variance of z when its sign is lost.
_HALF_NORMAL = math.sqrt(2.0 / math.pi)
_SIGN_LOST = 1.0 - 2.0 / math.pi
# The mean of Kolmogorov's distribution.
_KOLMOGOROV_MEAN = math.sqrt(math.pi / 2.0) * math.log(2.0)


@dataclass(frozen=True, slots=True)
class Gap(Distance):
    """A sum of gaps: `noise` is its mean without drift, `deviation` how far luck spreads it at most.

    The excess is `sqrt(value^2 - noise^2)`, because luck adds to a gap as squares do: far from zero nothing is taken
    off a distance that is hardly biased there.
    """

    noise: Floats
    deviation: Floats

    def interval(self, confidence: float) -> tuple[Floats, Floats]:
        """Return the lower and upper end for the true distance; conservative: the noise is only below."""
        reach = special.ndtri(0.5 + confidence / 2.0) * self.deviation
        return np.maximum(self.value - self.noise - reach, 0.0), self.value + reach

    def p_exceeds(self, minimum: float = 0.0) -> Floats:
        """Return the p-value of "the true distance is at most `minimum`"; 1 where there was nothing to vary."""
        over = self.value - self.noise - minimum
        z = np.divide(over, self.deviation, out=np.where(over > 0, np.inf, -np.inf), where=self.deviation > 0)
        return np.where(self.known, special.ndtr(-z), np.nan)

    def reach(self, minimum: float, levels: Floats) -> Floats:
        """Return the excess above which `p_exceeds(minimum)` is below each level; NaN for a level that is NaN."""
        return _beyond(minimum + self.noise - special.ndtri(levels) * self.deviation, self.noise)


@dataclass(frozen=True, slots=True)
class Bracket(Distance):
    """A Kolmogorov-Smirnov distance: that of the rows lies between `value` (also `low`) and `high`.

    `rows` is n_e = NM / (N + M), `noise` the mean of the value without drift.
    """

    high: Floats
    noise: Floats
    rows: Floats

    @property
    def low(self) -> Floats:
        """The lower end of the bracket."""
        return self.value

    def interval(self, confidence: float) -> tuple[Floats, Floats]:
        """Return the lower and upper end for the true distance: the bracket, and Kolmogorov's band on either side."""
        reach = special.kolmogi(1.0 - confidence) / self._scale
        return np.maximum(self.value - reach, 0.0), np.minimum(self.high + reach, 1.0)

    def p_exceeds(self, minimum: float = 0.0) -> Floats:
        """Return the p-value of "the true distance is at most `minimum`".

        Two samples' distribution functions stray from the truth by no more than Kolmogorov's law says, so the distance
        seen is above the true one by no more: the tail at `value - minimum`. The bins can only lower the value.
        """
        return np.where(self.known, special.kolmogorov(np.maximum(self.value - minimum, 0.0) * self._scale), np.nan)

    def reach(self, minimum: float, levels: Floats) -> Floats:
        """Return the excess above which `p_exceeds(minimum)` is below each level; NaN for a level that is NaN."""
        return _beyond(minimum + special.kolmogi(levels) / self._scale, self.noise)

    @property
    def _scale(self) -> Floats:
        root = np.sqrt(self.rows)
        return np.asarray(root + 0.12 + 0.11 / root, dtype=np.float64)


def kolmogorov_smirnov(reference: ArrayLike, current: ArrayLike) -> Bracket:
    """Return the bracket of the largest gap between the two distribution functions of the rows.

    Args:
        reference: counts, [..., bins], in the order of the values.
        current: counts on the same bins, [..., bins].

    >>> drift = kolmogorov_smirnov([100] * 10, [130, 120, 110, 105, 100, 95, 90, 90, 85, 75])
    >>> round(float(drift.low), 4), round(float(drift.high), 4), round(float(drift.p_exceeds()), 4)
    (0.065, 0.165, 0.0279)
    """
    n, m = pair_of(reference, current)
    rows_n, rows_m, known = _rows(n, m)
    p, q = (np.cumsum(shares_of(counts), axis=-1) for counts in (n, m))
    gaps = np.abs(moved.gaps_of(n, m))
    value = gaps.max(axis=-1, initial=0.0)
    crossed = np.maximum(p - q + shares_of(m), q - p + shares_of(n))
    noise = 1.0 / rows_n + 1.0 / rows_m
    # A handful of edges strays less than a continuum: no more than all their half-normal means together.
    pooled = (n + m).cumsum(axis=-1) / (rows_n + rows_m)[..., None]
    of_few = _HALF_NORMAL * np.sqrt(np.maximum(pooled * (1.0 - pooled), 0.0)).sum(axis=-1)
    expected = np.minimum(_KOLMOGOROV_MEAN, of_few) * np.sqrt(noise)
    widest = np.argmax(gaps, axis=-1)[..., None] if gaps.shape[-1] else None
    at_p, at_q = (0.0 if widest is None else np.take_along_axis(f, widest, axis=-1)[..., 0] for f in (p, q))
    variance = np.maximum(at_p * (1.0 - at_p), 0.0) / rows_n + np.maximum(at_q * (1.0 - at_q), 0.0) / rows_m
    excess, error, luck = _after_luck(value, expected, variance)
    high = np.clip(crossed.max(axis=-1, initial=0.0), value, 1.0)
    value, excess, error, luck, high, expected, rows = (
        np.where(known, field, np.nan) for field in (value, excess, error, luck, high, expected, 1.0 / noise)
    )
    return Bracket(value, excess, error, luck, _used(n, m), high, expected, rows)


def total_variation(reference: ArrayLike, current: ArrayLike) -> Gap:
    """Return the share of rows that would have to move, in [0, 1].

    Args:
        reference: counts, [..., bins].
        current: counts on the same bins, [..., bins].

    >>> drift = total_variation([5000] * 2, [3000, 7000])
    >>> round(float(drift.value), 6), bool(drift.p_exceeds(0.15) < 1e-6), bool(drift.p_exceeds(0.2) < 0.5)
    (0.2, True, False)
    """
    n, m = pair_of(reference, current)
    rows_n, rows_m, _ = _rows(n, m)
    p, q = shares_of(n), shares_of(m)
    value = 0.5 * np.abs(q - p).sum(axis=-1)
    each = p * (1.0 - p) / rows_n[..., None] + q * (1.0 - q) / rows_m[..., None]
    expected = 0.5 * _HALF_NORMAL * np.sqrt(each).sum(axis=-1)
    # Signs split the rows in two; no split varies more than an even one, which a share above a half forbids.
    deviation = np.sqrt(_split(p) / rows_n + _split(q) / rows_m)
    signs = 0.5 * np.sign(q - p)
    variance = variance_of(p, signs) / rows_n + variance_of(q, signs) / rows_m
    return _gap((n, m), value, expected, deviation, variance)


def wasserstein(
    edges: ArrayLike,
    reference_counts: ArrayLike,
    reference_sums: ArrayLike,
    current_counts: ArrayLike,
    current_sums: ArrayLike,
    spread: ArrayLike,
) -> Gap:
    """Return the Wasserstein-1 distance in spreads, from counts and sums per bin.

    A lower bound of that of the rows, and equal to it wherever the two distribution functions do not cross inside a
    bin. The two open bins are taken to have the tail of an exponential. Without an edge nothing is known: NaN.

    Args:
        edges: the inner cut points, ascending, [..., bins - 1]; bin j holds `edges[j-1] < x <= edges[j]`. To pad,
            repeat the last edge.
        reference_counts: rows per bin, [..., bins].
        reference_sums: sums of the rows' values per bin, [..., bins].
        current_counts: as for the reference.
        current_sums: as for the reference.
        spread: the unit, above 0, [...].

    >>> drift = wasserstein([2.5, 4.5, 6.5], [2, 2, 2, 2], [3, 7, 11, 15], [1, 2, 2, 3], [2, 7, 11, 24.5], 2.0)
    >>> float(drift.value), round(float(drift.p_exceeds()), 2)
    (0.53125, 0.6)
    """
    cuts, unit = np.asarray(edges, dtype=np.float64), np.asarray(spread, dtype=np.float64)
    n, m = pair_of(reference_counts, current_counts)
    rows_n, rows_m, _ = _rows(n, m)
    if not cuts.shape[-1]:
        unknown = np.full(n.shape[:-1], np.nan)
        return Gap(unknown, unknown, unknown, unknown, _used(n, m), unknown, unknown)
    value = moved.way_moved(cuts, n, reference_sums, m, current_sums) / unit
    widths, opens = _bins(cuts, n.shape)
    before, now = (_side(cuts, widths, opens, *side) for side in ((n, reference_sums), (m, current_sums)))
    expected = _HALF_NORMAL * np.sqrt(
        before.cut_variance / rows_n[..., None] + now.cut_variance / rows_m[..., None]
    ).sum(axis=-1)
    # Signs make a function of slope 1, and no such function varies more than the values do.
    straight, signs = np.ones_like(n), np.sign(now.cut_mean - before.cut_mean)
    most, variance = (
        before.variance(widths, way) / rows_n + now.variance(widths, way) / rows_m for way in (straight, signs)
    )
    return _gap((n, m), value, expected / unit, np.sqrt(most) / unit, variance / unit**2)


def scaled(gap: Gap, by: float) -> Gap:
    """Return a distance in another unit, of which there are `by` to one of its own."""
    return Gap(
        gap.value * by,
        gap.excess * by,
        gap.standard_error * by,
        gap.luck * by * by,
        gap.bins,
        gap.noise * by,
        gap.deviation * by,
    )


def sum_of(certain: Gap, other: Gap) -> Gap:
    """Return the sum of two distances whose luck is independent; where the second is unknown, the first alone."""
    value, noise, deviation, error, luck = (
        np.where(other.known, theirs, 0.0)
        for theirs in (other.value, other.noise, other.deviation, other.standard_error, other.luck)
    )
    value, noise = certain.value + value, certain.noise + noise
    return Gap(
        value,
        _beyond(value, noise),
        np.hypot(certain.standard_error, error),
        certain.luck + luck,
        np.maximum(certain.bins, other.bins),
        noise,
        np.hypot(certain.deviation, deviation),
    )


@dataclass(frozen=True, slots=True)
class _Side:
    """One side's values bin by bin: `offset` is the bin's mean less the edge below it (above it, in the first).

    `cut_mean` and `cut_variance` are of all values, cut to the bin.
    """

    shares: Floats
    offset: Floats
    within: Floats
    cut_mean: Floats
    cut_variance: Floats

    def variance(self, widths: Floats, signs: Floats) -> Floats:
        """Return the variance of the function that rises or falls by one a unit, as each bin's sign says."""
        steps = signs * widths
        at = np.cumsum(steps, axis=-1) - steps + signs * self.offset
        inside: Floats = (self.shares * self.within * signs**2).sum(axis=-1)
        return variance_of(self.shares, at) + inside


def _bins(cuts: Floats, shape: tuple[int, ...]) -> tuple[Floats, NDArray[np.bool_]]:
    """The widths of the bins, 0 for the open ones; and which are open above, padded ones among them."""
    opens = np.ones((*cuts.shape[:-1], cuts.shape[-1] + 1), dtype=np.bool_)
    opens[..., 1:] = cuts >= cuts[..., -1:]
    opens[..., 0] = False
    widths = np.zeros(opens.shape)
    widths[..., 1:-1] = np.diff(cuts, axis=-1)
    return np.broadcast_to(widths, shape), np.broadcast_to(opens, shape)


def _side(cuts: Floats, widths: Floats, opens: NDArray[np.bool_], counts: Floats, sums: ArrayLike) -> _Side:
    shares, sums = shares_of(counts), np.asarray(sums, dtype=np.float64)
    edges = np.broadcast_to(np.concatenate([cuts[..., :1], cuts], axis=-1), counts.shape)
    means = np.divide(sums, counts, out=edges.copy(), where=counts > 0)
    offset = np.where(opens, np.maximum(means - edges, 0.0), np.clip(means - edges, 0.0, widths))
    offset[..., 0] = np.minimum(means - edges, 0.0)[..., 0]
    # Inside a bin no variance exceeds Bhatia and Davis's; in an open one an exponential's is its mean, squared.
    within = np.where(widths > 0, offset * (widths - offset), offset * offset)
    above = np.maximum(1.0 - np.cumsum(shares, axis=-1), 0.0)
    cut_mean = shares * offset + above * widths
    squares = np.where(widths > 0, cut_mean * widths, 2.0 * shares * offset * offset)
    return _Side(shares, offset, within, cut_mean, np.maximum(squares - cut_mean * cut_mean, 0.0))


def _rows(n: Floats, m: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """The rows of both sides, 1 where there are none; and where there are some on both."""
    rows_n, rows_m = n.sum(axis=-1), m.sum(axis=-1)
    known = (rows_n > 0) & (rows_m > 0)
    return np.where(known, rows_n, 1.0), np.where(known, rows_m, 1.0), known


def _split(shares: Floats) -> Floats:
    """The variance of a share that no split of the bins exceeds."""
    largest = np.maximum(shares.max(axis=-1, initial=0.0), 0.5)
    return np.asarray(largest * (1.0 - largest), dtype=np.float64)


def _beyond(value: Floats, noise: Floats) -> Floats:
    """What is left of a value when luck's share of its square is taken off."""
    return np.asarray(np.sqrt(np.maximum((value - noise) * (value + noise), 0.0)), dtype=np.float64)


def _after_luck(value: Floats, noise: Floats, variance: Floats) -> tuple[Floats, Floats, Floats]:
    """The excess, its standard error, and its variance by luck: near zero the signs of the gaps are luck, too."""
    excess = _beyond(value, noise)
    drift = np.divide(excess, value, out=np.zeros_like(value), where=value > 0) ** 2
    by_luck = variance * (_SIGN_LOST + (1.0 - _SIGN_LOST) * drift)
    error, luck = (root_variance(excess**2, 4.0 * value**2 * each) for each in (variance, by_luck))
    return excess, np.sqrt(error), luck


def _gap(sides: tuple[Floats, Floats], value: Floats, noise: Floats, deviation: Floats, variance: Floats) -> Gap:
    known = _rows(*sides)[2]
    fields = (value, *_after_luck(value, noise, variance), noise, deviation)
    value, excess, error, luck, noise, deviation = (np.where(known, field, np.nan) for field in fields)
    return Gap(value, excess, error, luck, _used(*sides), noise, deviation)


def _used(n: Floats, m: Floats) -> NDArray[np.int64]:
    return np.asarray(((n > 0) | (m > 0)).sum(axis=-1), dtype=np.int64)
