"""How well scores rank: the areas under the ROC and the precision-recall curve, from counts by class and score bin.

Promises: the exact AUC of the binned score (ties count half), which differs from that of the unbinned score by at most
half of the pairs that share a bin, and DeLong's standard error of it; the exact average precision of the binned score,
and its standard error by the delta method. In either average precision, binned or not, the precision of each positive
lies between that of its bin's first positive, all its negatives before it, and of its last, with none. Vectorised over
leading dimensions; with one class absent everything is NaN, exactly there and nowhere else. Costs O(bins).

Sources: DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44, whose per-row components are functions of the bin, so
the variance needs only counts; Hoeffding (1963), JASA 58, for the interval when that variance is zero; average
precision is the sum of Zhu (2004) and of scikit-learn, without interpolation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from killick.stats.intervals import share_interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["AreaUnderCurve", "AveragePrecision", "average_precision", "roc_auc"]


@dataclass(frozen=True, slots=True)
class AreaUnderCurve:
    """The AUC of binned scores. All fields have the leading shape of the counts."""

    value: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    smaller_class: NDArray[np.float64]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where both classes had rows; everything else is NaN where this is false."""
        return ~np.isnan(self.value)

    def interval(self, confidence: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the two ends for the AUC of the binned score, in [0, 1].

        DeLong on the logit scale. Where all ranks agree the sample shows no spread, and DeLong would claim certainty
        from two rows; there Hoeffding's bound for `smaller_class` disjoint pairs stands in, which holds at every size.
        """
        auc = self.value
        inside = (auc > 0) & (auc < 1) & (self.standard_error > 0)
        middle = np.where(inside, auc, 0.5)
        slope = middle * (1.0 - middle)
        reach = special.ndtri(0.5 + confidence / 2.0) * np.where(inside, self.standard_error, 0.0) / slope
        logit = special.logit(middle)
        low, high = special.expit(logit - reach), special.expit(logit + reach)
        flat_low, flat_high = _without_spread(auc, self.smaller_class, confidence)
        known = self.known
        return (
            np.where(known, np.where(inside, low, flat_low), np.nan),
            np.where(known, np.where(inside, high, flat_high), np.nan),
        )


@dataclass(frozen=True, slots=True)
class AveragePrecision:
    """The average precision of binned scores. All fields have the leading shape of the counts."""

    value: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    positives: NDArray[np.float64]

    def interval(self, confidence: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the two ends, in [0, 1]; where all positives come first, as if each had been a trial."""
        return share_interval(self.value, self.standard_error, self.positives, confidence)


def roc_auc(positives: ArrayLike, negatives: ArrayLike) -> AreaUnderCurve:
    """Return the area under the ROC curve.

    Args:
        positives: rows with the label, per score bin in ascending order of score, [..., bins].
        negatives: rows without it, [..., bins].

    >>> auc = roc_auc([0, 1, 3], [4, 1, 1])
    >>> round(float(auc.value), 4), round(float(auc.standard_error), 4)
    (0.875, 0.1102)
    """
    p, n = np.broadcast_arrays(np.asarray(positives, dtype=np.float64), np.asarray(negatives, dtype=np.float64))
    total_p, total_n = p.sum(axis=-1), n.sum(axis=-1)
    known = (total_p > 0) & (total_n > 0)
    some_p, some_n = np.where(known, total_p, 1.0), np.where(known, total_n, 1.0)
    # What each positive of a bin wins against the negatives, and each negative loses against the positives.
    wins = (np.cumsum(n, axis=-1) - n / 2.0) / some_n[..., None]
    losses = (total_p[..., None] - np.cumsum(p, axis=-1) + p / 2.0) / some_p[..., None]
    value = (p * wins).sum(axis=-1) / some_p
    variance = _component(p, wins, value, some_p) + _component(n, losses, value, some_n)
    return AreaUnderCurve(
        value=np.where(known, value, np.nan),
        standard_error=np.where(known, np.sqrt(variance), np.nan),
        smaller_class=np.where(known, np.minimum(total_p, total_n), np.nan),
    )


def average_precision(positives: ArrayLike, negatives: ArrayLike) -> AveragePrecision:
    """Return the average precision: precision at each bin from the top, weighted by the positives it adds.

    Args:
        positives: rows with the label, per score bin in ascending order of score, [..., bins].
        negatives: rows without it, [..., bins].

    >>> found = average_precision([0, 1, 3], [4, 1, 1])
    >>> round(float(found.value), 4), round(float(found.standard_error), 4)
    (0.7292, 0.2054)
    """
    p, n = np.broadcast_arrays(np.asarray(positives, dtype=np.float64), np.asarray(negatives, dtype=np.float64))
    total_p = p.sum(axis=-1)
    known = (total_p > 0) & (n.sum(axis=-1) > 0)
    some_p = np.where(known, total_p, 1.0)[..., None]
    above_p, above_n = (np.cumsum(c[..., ::-1], axis=-1)[..., ::-1] for c in (p, n))
    above = np.maximum(above_p + above_n, 1.0)
    precision = above_p / above
    value = (p * precision).sum(axis=-1, keepdims=True) / some_p
    # The derivatives by one more positive and one more negative of a bin, which each bin below feels as well.
    by_positive = (precision - value) / some_p + np.cumsum(p / some_p * above_n / above**2, axis=-1)
    by_negative = -np.cumsum(p / some_p * above_p / above**2, axis=-1)
    variance = (p * by_positive**2 + n * by_negative**2).sum(axis=-1)
    return AveragePrecision(
        value=np.where(known, value[..., 0], np.nan),
        standard_error=np.where(known, np.sqrt(variance), np.nan),
        positives=np.where(known, total_p, 0.0),
    )


def _component(
    counts: NDArray[np.float64], scores: NDArray[np.float64], mean: NDArray[np.float64], rows: NDArray[np.float64]
) -> NDArray[np.float64]:
    """One class's share of DeLong's variance. A class of one row has no spread of its own and takes the worst, 1/4."""
    squares = (counts * (scores - mean[..., None]) ** 2).sum(axis=-1)
    several = rows > 1
    spread = squares / np.where(several, rows - 1.0, 1.0)
    return np.asarray(np.where(several, spread, 0.25) / rows, dtype=np.float64)


def _without_spread(
    auc: NDArray[np.float64], pairs: NDArray[np.float64], confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Solve `pairs * KL(auc || theta) = ln(2 / (1 - confidence))` where it is closed: at 0, 1/2 (all tied) and 1."""
    fall = np.exp(-np.log(2.0 / (1.0 - confidence)) / pairs)
    half = np.sqrt(np.maximum(1.0 - fall * fall, 0.0)) / 2.0
    low = np.where(auc >= 1, fall, np.where(auc <= 0, 0.0, 0.5 - half))
    high = np.where(auc <= 0, 1.0 - fall, np.where(auc >= 1, 1.0, 0.5 + half))
    return low, high
