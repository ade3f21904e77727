"""How honest probabilities are: the calibration curve and the calibration error, from counts and sums by score bin.

Promises: the mean score and the outcome rate of every bin of the curve are exact. The calibration error is the mean
distance of the two over rows (the ECE), less what so few rows would show if scores were honest. Fine score bins are
merged to at most `BINS` of about equal mass, so that a model whose scores are all small has a curve as well. Vectorised
over leading dimensions; without rows everything is NaN. Costs O(score bins).

A plain ECE only ever errs upwards: 100 rows of an honest model show 0.13 in 15 bins. The bias is that of normal noise
around the curve, shrunk by as much as the noise has blown it up (James & Stein 1961), which is none for an honest model
and the whole curve for a bad one.

Sources: Naeini, Cooper & Hauskrecht (2015), AAAI, for the ECE; Nguyen & O'Connor (2015), EMNLP, for bins of equal mass;
Broecker (2012), Climate Dynamics 39, and Kumar, Liang & Ma (2019), NeurIPS, for the bias.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from killick.stats.intervals import proportion_interval

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["BINS", "CalibrationCurve", "CalibrationError", "calibration_curve", "calibration_error"]

# As many as papers on calibration use.
BINS = 15
# With fewer rows a bin knows its outcome rate to no better than a fifth.
_BIN_ROWS_MIN = 20
# Of the absolute value of a standard normal number.
_FOLDED_MEAN = math.sqrt(2.0 / math.pi)


@dataclass(frozen=True, slots=True)
class CalibrationCurve:
    """What was promised and what came, by bin. Arrays `[..., BINS]`; bins that are not needed hold no rows.

    Attributes:
        first: the first score bin in each bin of the curve, and `last` the last one; -1 where there is none.
        last: see `first`.
        rows: how many rows.
        mean_score: what was promised; NaN without rows.
        outcome_rate: what came; NaN without rows.
    """

    first: NDArray[np.int64]
    last: NDArray[np.int64]
    rows: NDArray[np.float64]
    mean_score: NDArray[np.float64]
    outcome_rate: NDArray[np.float64]

    def interval(self, confidence: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the two ends of Wilson's interval for each outcome rate."""
        some = np.where(self.rows > 0, self.outcome_rate, 0.0)
        return proportion_interval(some * self.rows, self.rows, confidence)


@dataclass(frozen=True, slots=True)
class CalibrationError:
    """A calibration error. All fields have the leading shape of the counts.

    Attributes:
        value: the error without its bias, at least 0.
        plain: the error as it stands in the curve: never too small, on average.
        noise: what honest scores would show.
        standard_error: of each.
    """

    value: NDArray[np.float64]
    plain: NDArray[np.float64]
    noise: NDArray[np.float64]
    standard_error: NDArray[np.float64]

    def interval(self, confidence: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the two ends, in [0, 1]. Both err to the safe side, as the bias is only known roughly.

        The lower one is 0 unless the curve is surely further off than honest scores would be; the upper one leaves the
        bias in.
        """
        reach = special.ndtri(0.5 + confidence / 2.0) * self.standard_error
        low = np.where(self.plain - self.noise > reach, self.value - reach, 0.0 * self.value)
        return np.clip(low, 0.0, 1.0), np.clip(self.plain + reach, 0.0, 1.0)


def calibration_curve(
    outcomes: ArrayLike, rows: ArrayLike, scores: ArrayLike, mass: ArrayLike | None = None
) -> CalibrationCurve:
    """Return the calibration curve.

    Args:
        outcomes: rows with the label, by score bin in ascending order, [..., score bins].
        rows: all rows, [..., score bins].
        scores: the sum of their scores, [..., score bins].
        mass: rows by score bin that the curve's bins are to hold equally: the reference's, where two are compared.

    >>> curve = calibration_curve([0, 9, 30], [40, 20, 40], [4.0, 10.0, 32.0])
    >>> curve.mean_score.round(2)[curve.rows > 0], curve.outcome_rate[curve.rows > 0]
    (array([0.1, 0.5, 0.8]), array([0.  , 0.45, 0.75]))
    """
    k, n, s = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (outcomes, rows, scores)))
    by = np.broadcast_to(n if mass is None else np.asarray(mass, dtype=np.float64), n.shape)
    total = by.sum(axis=-1)
    bins = np.clip(np.minimum(total, n.sum(axis=-1)) // _BIN_ROWS_MIN, 1, BINS)
    middle = (np.cumsum(by, axis=-1) - by / 2.0) / np.maximum(total, 1.0)[..., None]
    group = np.minimum(middle * bins[..., None], bins[..., None] - 1).astype(np.int64)
    held = _gathered(n, group)
    some = np.where(held > 0, held, np.nan)
    # Groups grow with the score bin, so each is a run: it ends where as many bins are in it or below it.
    ends = np.cumsum(_gathered(np.ones_like(n), group), axis=-1).astype(np.int64)
    starts = np.concatenate([np.zeros((*n.shape[:-1], 1), np.int64), ends[..., :-1]], axis=-1)
    empty = starts == ends
    return CalibrationCurve(
        first=np.where(empty, -1, starts),
        last=np.where(empty, -1, ends - 1),
        rows=held,
        mean_score=_gathered(s, group) / some,
        outcome_rate=_gathered(k, group) / some,
    )


def calibration_error(curve: CalibrationCurve) -> CalibrationError:
    """Return the calibration error of a curve.

    >>> curve = calibration_curve([0, 900, 3000], [4000, 2000, 4000], [400.0, 1000.0, 3200.0])
    >>> found = calibration_error(curve)
    >>> round(float(found.plain), 3), round(float(found.value), 3), round(float(found.standard_error), 3)
    (0.07, 0.07, 0.004)
    """
    rows = curve.rows
    total = rows.sum(axis=-1)
    known = total > 0
    weight = rows / np.maximum(total, 1.0)[..., None]
    seen = rows > 0
    rate = np.where(seen, curve.outcome_rate, 0.0)
    gap = np.abs(rate - np.where(seen, curve.mean_score, 0.0))
    # Half a row of either outcome is added, or a bin without a single one would claim to know its rate.
    smooth = (rate * rows + 0.5) / (rows + 1.0)
    variance = np.where(seen, smooth * (1.0 - smooth) / np.maximum(rows, 1.0), 0.0)
    noise = np.sqrt(variance)
    plain = (weight * gap).sum(axis=-1)
    seen_power = (weight * gap * gap).sum(axis=-1)
    share = 1.0 - (weight * variance).sum(axis=-1) / np.where(seen_power > 0, seen_power, 1.0)
    real = np.sqrt(np.clip(np.where(seen_power > 0, share, 0.0), 0.0, 1.0))[..., None] * gap
    bias = (weight * (_folded(real, noise) - real)).sum(axis=-1)
    return CalibrationError(
        value=np.where(known, np.maximum(plain - bias, 0.0), np.nan),
        plain=np.where(known, plain, np.nan),
        noise=np.where(known, _FOLDED_MEAN * (weight * noise).sum(axis=-1), np.nan),
        standard_error=np.where(known, np.sqrt((weight * weight * variance).sum(axis=-1)), np.nan),
    )


def _gathered(cells: NDArray[np.float64], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """Sum cells by group, `[..., BINS]`."""
    leading = math.prod(cells.shape[:-1])
    places = (group.reshape(leading, -1) + BINS * np.arange(leading)[:, None]).ravel()
    gathered = np.bincount(places, weights=cells.ravel(), minlength=leading * BINS)
    return np.asarray(gathered.reshape(*cells.shape[:-1], BINS), dtype=np.float64)


def _folded(mean: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean of the absolute value of a normal number; the mean itself where it has no spread."""
    some = np.where(spread > 0, spread, 1.0)
    t = mean / some
    folded = some * _FOLDED_MEAN * np.exp(-t * t / 2.0) + mean * (1.0 - 2.0 * special.ndtr(-t))
    return np.asarray(np.where(spread > 0, folded, mean), dtype=np.float64)
