"""How far apart two histograms on the same bins are, and what mere luck would make of it: the chi-square family.

PSI, Pearson's X2, G, Jensen-Shannon and Hellinger are one statistic in five units: for small differences
`PSI = 8 JS = 8 H^2 = X2 c = G c` with `c = 1/N + 1/M`, and each, divided by `c`, follows chi-square with `bins - 1`
degrees of freedom without drift, and the non-central one with drift. So they share one test and one interval; what
differs is the unit, and how much a bin that one side hardly has weighs. What is no member (Kolmogorov-Smirnov, and
total variation and Wasserstein-1 with their distributions) is in `stats/gaps.py`.

Promises: every function works over any leading dimensions, so all columns and segments of a model go through in one
call. A bin that is empty on both sides does not count, so histograms of different lengths may be padded with zeros.
Where a distance does not exist, because one side has no rows, the result is NaN, exactly there and nowhere else, and
without a warning. With five rows expected in each bin the tests keep their level: at nominal 5 % 2-5.7 %, at 1 %
0.1-1.4 %, most for PSI where nearly all bins hold just five, and for two bins, whose counts are few. Of a minimum above
a w of 0.3 and sides that differ a hundredfold, X2 errs more often: twice its level at first, at a shift of one spread
up to 16 % at nominal 1 %. The others keep theirs up to there.
Costs O(bins) per histogram; nothing is sorted.

Sources: Yurdakul & Naranjo (2020), Journal of Risk Model Validation, for PSI / (1/N + 1/M) -> chi-square; Cohen (1988)
for w; the non-central form and the Wasserstein distance from counts and sums are derived in statistics.md 1.1-1.4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy import special

from killick.stats.distance import Distance, pair_of, positive_variance, root_variance, shares_of, variance_of
from killick.stats.noncentral import noncentral_chi2_sf
from killick.stats.noncentral_quantile import noncentral_chi2_isf

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats: TypeAlias = NDArray[np.float64]

__all__ = [
    "Distance",
    "Divergence",
    "chi_square",
    "g_test",
    "hellinger",
    "jensen_shannon",
    "psi",
]

# Half a row in every bin (Jeffreys): an empty bin costs a bounded amount instead of the ln(1/epsilon) of peers.
SMOOTHING = 0.5


@dataclass(frozen=True, slots=True)
class Divergence(Distance):
    """One of the chi-square family.

    `statistic` is what is tested, in the unit of PSI, and `statistic_error` its standard error: over `noise`
    (c = 1/N + 1/M) it follows chi-square with `bins - 1` degrees of freedom. The excess is the statistic less
    `noise (bins - 1)` where `unit` is 0; else the metric is a root, and the excess `sqrt(that / unit)`.
    """

    statistic: Floats
    statistic_error: Floats
    noise: Floats
    unit: float = 0.0

    def interval(self, confidence: float) -> tuple[Floats, Floats]:
        """Return the lower and upper end for the true distance (PSI's coverage is 0.946-0.981 at 95 %)."""
        reach = special.ndtri(0.5 + confidence / 2.0) * self.statistic_error
        centre = self.statistic - self.noise * (self.bins - 1)
        return self._in_unit(centre - reach), self._in_unit(centre + reach)

    def p_exceeds(self, minimum: float = 0.0) -> Floats:
        """Return the p-value of "the true distance is at most `minimum`", by the non-central chi-square."""
        p = np.full(self.value.shape, np.nan)
        known = self.known
        noise = self.noise[known]
        p[known] = noncentral_chi2_sf(self.statistic[known] / noise, self._df(known), self._plain(minimum) / noise)
        return p

    def reach(self, minimum: float, levels: Floats) -> Floats:
        """Return the excess above which `p_exceeds(minimum)` is below each level; NaN for a level that is NaN."""
        needed = np.full(self.value.shape, np.nan)
        known = self.known & np.isfinite(levels)
        noise = self.noise[known]
        quantile = noncentral_chi2_isf(levels[known], self._df(known), self._plain(minimum) / noise)
        needed[known] = self._in_unit(noise * (quantile - (self.bins[known] - 1)))
        return needed

    def _df(self, known: NDArray[np.bool_]) -> Floats:
        """A single bin cannot differ: its statistic is 0, and one degree of freedom keeps the distribution defined."""
        return np.maximum(self.bins[known] - 1, 1).astype(np.float64)

    def _plain(self, distance: float) -> float:
        return self.unit * distance * distance if self.unit else distance

    def _in_unit(self, plain: Floats) -> Floats:
        return _in_unit(plain, self.unit)


@dataclass(frozen=True, slots=True)
class _Sides:
    """Two histograms and their shares; a bin that is empty on both sides has share 0 on both."""

    n: Floats
    m: Floats
    p: Floats
    q: Floats
    used: NDArray[np.bool_]
    known: NDArray[np.bool_]
    weight: Floats

    @property
    def pooled(self) -> Floats:
        """Shares of both sides together, each side weighing what it has rows."""
        return self.weight * self.p + (1.0 - self.weight) * self.q


# A member: its value in PSI's unit, and what one row in a bin adds to it on either side (influence functions).
_Member: TypeAlias = "tuple[Floats, Floats, Floats]"


def psi(reference: ArrayLike, current: ArrayLike, *, smoothing: float = SMOOTHING) -> Divergence:
    """Return the population stability index, the symmetrised Kullback-Leibler divergence of two histograms, in nats.

    Args:
        reference: counts, [..., bins].
        current: counts on the same bins, [..., bins].
        smoothing: rows added to every bin; above 0 unless no bin is empty.

    >>> drift = psi([100] * 10, [130, 120, 110, 105, 100, 95, 90, 90, 85, 75], smoothing=0)
    >>> round(float(drift.value), 6), round(float(drift.excess), 6), round(float(drift.p_exceeds()), 5)
    (0.024708, 0.006708, 0.19408)
    """
    sides = _sides(reference, current, smoothing)
    member = _symmetric_divergence(sides)
    return _divergence(sides, member, member[0])


def chi_square(reference: ArrayLike, current: ArrayLike) -> Divergence:
    """Return Pearson's X2 of two samples (homogeneity; both sides are samples, not one of them the truth).

    `value` is the statistic, which grows with the rows. Everything else is in Cohen's w, `sqrt(X2 / n_e)`, which does
    not: 0.1 is small, 0.3 medium, 0.5 large, 0.14 the size of PSI 0.02.

    Args:
        reference: counts, [..., bins].
        current: counts on the same bins, [..., bins].

    >>> drift = chi_square([100] * 10, [130, 120, 110, 105, 100, 95, 90, 90, 85, 75])
    >>> round(float(drift.value), 4), round(float(drift.p_exceeds()), 5), round(float(drift.excess), 4)
    (12.2978, 0.19703, 0.0812)
    """
    plain, smooth = _sides(reference, current, 0.0), _sides(reference, current, SMOOTHING)
    tested = _pearson(plain)[0]
    return _divergence(smooth, (tested, *_pearson(smooth)[1:]), tested / _noise(plain), unit=1.0)


def g_test(reference: ArrayLike, current: ArrayLike) -> Divergence:
    """Return the likelihood-ratio statistic G of two samples; in Cohen's w but for its `value`, as `chi_square`.

    Args:
        reference: counts, [..., bins].
        current: counts on the same bins, [..., bins].

    >>> round(float(g_test([100] * 10, [130, 120, 110, 105, 100, 95, 90, 90, 85, 75]).value), 4)
    12.3258
    """
    plain, smooth = _sides(reference, current, 0.0), _sides(reference, current, SMOOTHING)
    value = _likelihood(plain, plain.weight)[0] / _noise(plain)
    return _divergence(smooth, _likelihood(smooth, smooth.weight), value, unit=1.0)


def jensen_shannon(reference: ArrayLike, current: ArrayLike) -> Divergence:
    """Return the Jensen-Shannon distance to base 2, the root of the divergence, in [0, 1].

    Args:
        reference: counts, [..., bins].
        current: counts on the same bins, [..., bins].

    >>> round(float(jensen_shannon([100] * 10, [130, 120, 110, 105, 100, 95, 90, 90, 85, 75]).value), 6)
    0.066675
    """
    plain, smooth = _sides(reference, current, 0.0), _sides(reference, current, SMOOTHING)
    unit = 8.0 * math.log(2.0)
    value = _in_unit(_likelihood(plain, 0.5)[0], unit)
    return _divergence(smooth, _likelihood(smooth, 0.5), value, unit=unit)


def hellinger(reference: ArrayLike, current: ArrayLike) -> Divergence:
    """Return the Hellinger distance, in [0, 1]; needs no smoothing, so it suits long lists of categories.

    Args:
        reference: counts, [..., bins].
        current: counts on the same bins, [..., bins].

    >>> round(float(hellinger([100] * 10, [130, 120, 110, 105, 100, 95, 90, 90, 85, 75]).value), 6)
    0.055542
    """
    plain, smooth = _sides(reference, current, 0.0), _sides(reference, current, SMOOTHING)
    return _divergence(smooth, _roots(smooth), _in_unit(_roots(plain)[0], 8.0), unit=8.0)


def _symmetric_divergence(sides: _Sides) -> _Member:
    p, q = sides.p, sides.q
    ratio = np.divide(q, p, out=np.ones_like(p), where=sides.used & (p > 0))
    log_ratio = np.log(ratio)
    return ((q - p) * log_ratio).sum(axis=-1), 1.0 - log_ratio - ratio, log_ratio + 1.0 - 1.0 / ratio


def _pearson(sides: _Sides) -> _Member:
    gap = sides.q - sides.p
    lean = np.divide(gap, sides.pooled, out=np.zeros_like(gap), where=sides.used)
    bend = lean * lean
    return (gap * lean).sum(axis=-1), -2.0 * lean - sides.weight * bend, 2.0 * lean - (1.0 - sides.weight) * bend


def _likelihood(sides: _Sides, weight: Floats | float) -> _Member:
    """2 (sum n ln(p/m) + sum m ln(q/m)) over the noise, where m weighs the sides: with even weights, 8 JS."""
    p, q = sides.p, sides.q
    middle = weight * p + (1.0 - weight) * q
    by_p = 2.0 / (1.0 - weight) * _log_ratio(p, middle)
    by_q = 2.0 / weight * _log_ratio(q, middle)
    return (p * by_p + q * by_q).sum(axis=-1), by_p, by_q


def _roots(sides: _Sides) -> _Member:
    p, q = sides.p, sides.q
    ratio = np.sqrt(np.divide(q, p, out=np.ones_like(p), where=sides.used & (p > 0)))
    inverse = np.divide(1.0, ratio, out=np.ones_like(p), where=ratio > 0)
    return 4.0 * ((np.sqrt(p) - np.sqrt(q)) ** 2).sum(axis=-1), 4.0 * (1.0 - ratio), 4.0 * (1.0 - inverse)


def _log_ratio(shares: Floats, others: Floats) -> Floats:
    """ln(shares / others), 0 where the share is 0: it is multiplied by it."""
    ratio = np.divide(shares, others, out=np.ones_like(shares), where=(shares > 0) & (others > 0))
    return np.asarray(np.log(ratio), dtype=np.float64)


def _divergence(sides: _Sides, member: _Member, value: Floats, *, unit: float = 0.0) -> Divergence:
    tested, by_p, by_q = member
    rows_n, rows_m = sides.n.sum(axis=-1), sides.m.sum(axis=-1)
    variance = variance_of(sides.q, by_q) / np.where(sides.known, rows_m, 1.0)
    variance += variance_of(sides.p, by_p) / np.where(sides.known, rows_n, 1.0)
    bins, noise, tested = sides.used.sum(axis=-1), _noise(sides), np.maximum(tested, 0.0)
    plain = np.maximum(tested - noise * (bins - 1), 0.0)
    # The chi-square's own variance, and what drift adds: of the plug-in the part that is drift, not luck.
    drift = np.divide(plain, tested, out=np.zeros_like(plain), where=tested > 0)
    luck = 2.0 * np.maximum(bins - 1, 0) * noise**2 + variance * drift
    error = variance
    if unit:
        luck, error = root_variance(plain, luck) / unit, root_variance(plain, variance) / unit
    else:
        luck = positive_variance(plain, luck)
    numbers = (np.maximum(value, 0.0), _in_unit(plain, unit), np.sqrt(error), luck, tested, np.sqrt(variance), noise)
    known = (np.where(sides.known, number, np.nan) for number in numbers)
    value, excess, error, luck, tested, spread, noise = known
    return Divergence(value, excess, error, luck, np.asarray(bins, dtype=np.int64), tested, spread, noise, unit)


def _in_unit(plain: Floats, unit: float) -> Floats:
    bounded = np.maximum(plain, 0.0)
    return np.asarray(np.sqrt(bounded / unit) if unit else bounded, dtype=np.float64)


def _sides(reference: ArrayLike, current: ArrayLike, smoothing: float) -> _Sides:
    n, m = pair_of(reference, current)
    used = (n > 0) | (m > 0)
    p = shares_of(np.where(used, n + smoothing, 0.0))
    q = shares_of(np.where(used, m + smoothing, 0.0))
    rows_n, rows_m = n.sum(axis=-1), m.sum(axis=-1)
    known = (rows_n > 0) & (rows_m > 0)
    weight = np.where(known, rows_n / np.where(known, rows_n + rows_m, 1.0), 0.5)[..., None]
    return _Sides(n, m, p, q, used, known, weight)


def _noise(sides: _Sides) -> Floats:
    """1/N + 1/M; 1 where unknown."""
    rows_n, rows_m = (np.where(sides.known, counts.sum(axis=-1), 2.0) for counts in (sides.n, sides.m))
    return np.asarray(1.0 / rows_n + 1.0 / rows_m, dtype=np.float64)
