"""Confidence intervals for a proportion, an average of them, and a mean, from additive counts and sums.

Promises: vectorised over broadcast arguments; where there are too few rows (none for a proportion, fewer than two for
a mean) both ends are NaN, exactly there and nowhere else: `np.isnan` is the mask. Costs O(1) per interval.

Sources: Clopper & Pearson (1934), Biometrika 26, for the exact lower bound; Wilson (1927), JASA 22; recommended over
the normal interval by Brown, Cai & DasGupta (2001), Statistical Science.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["mean_interval", "proportion_interval", "proportion_lower", "share_interval"]

# A mean needs two rows to have a spread.
_MEAN_ROWS_MIN = 2


def proportion_interval(
    successes: ArrayLike, rows: ArrayLike, confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the two ends of Wilson's interval.

    >>> low, high = proportion_interval(8, 20, 0.95)
    >>> round(float(low), 5), round(float(high), 5)
    (0.21881, 0.61342)
    """
    k, n = np.broadcast_arrays(np.asarray(successes, dtype=np.float64), np.asarray(rows, dtype=np.float64))
    known = n > 0
    n = np.where(known, n, 1.0)
    share = k / n
    squared = float(special.ndtri(0.5 + confidence / 2.0)) ** 2
    shrink = 1.0 + squared / n
    centre = (share + squared / (2.0 * n)) / shrink
    reach = np.sqrt(squared * (share * (1.0 - share) / n + squared / (4.0 * n * n))) / shrink
    low, high = np.clip(centre - reach, 0.0, 1.0), np.clip(centre + reach, 0.0, 1.0)
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def proportion_lower(successes: ArrayLike, rows: ArrayLike, alpha: float) -> NDArray[np.float64]:
    """Return what the true proportion lies above, but for a chance of at most `alpha` at any number of rows.

    Wilson's interval is shorter, and wrong in the tail where rows are few: one success of two has a lower end of 3 % at
    alpha 0.0001, though a true 3 % gives that outcome six times in a hundred. NaN without rows.

    >>> float(proportion_lower(1, 2, 1e-4).round(6))
    5e-05
    """
    k, n = np.broadcast_arrays(np.asarray(successes, dtype=np.float64), np.asarray(rows, dtype=np.float64))
    some = k > 0
    least = special.betaincinv(np.where(some, k, 1.0), np.where(some, n - k, 0.0) + 1.0, alpha)
    return np.asarray(np.where(n > 0, np.where(some, least, 0.0), np.nan), dtype=np.float64)


def mean_interval(
    rows: ArrayLike, total: ArrayLike, total_squares: ArrayLike, confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the two ends of Student's interval for a mean, in the unit of the values.

    Args:
        rows: how many values.
        total: their sum. Give sums of centred values when the mean is large beside the spread: the variance is
            `total_squares - total**2 / rows` and loses the digits that the two have in common.
        total_squares: the sum of their squares.
        confidence: for example 0.95.

    >>> low, high = mean_interval(4, 10, 30, 0.95)
    >>> round(float(low), 4), round(float(high), 4)
    (0.4457, 4.5543)
    """
    arrays = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (rows, total, total_squares)))
    n, total_, squares = arrays
    known = n >= _MEAN_ROWS_MIN
    n = np.where(known, n, _MEAN_ROWS_MIN)
    mean = total_ / n
    variance = np.maximum(squares - total_ * mean, 0.0) / (n - 1.0)
    reach = special.stdtrit(n - 1.0, 0.5 + confidence / 2.0) * np.sqrt(variance / n)
    return np.where(known, mean - reach, np.nan), np.where(known, mean + reach, np.nan)


def share_interval(
    value: ArrayLike, standard_error: ArrayLike, trials: ArrayLike, confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the two ends of Wilson's interval for an average of shares, such as a macro F1, from its standard error.

    The average is taken for the share of as many trials as would have that standard error. Where the sample shows no
    spread, at 0 and at 1, it is that of `trials`: a class of five rows without a mistake does not prove perfection.

    Args:
        value: the average, in [0, 1]; NaN where there is none.
        standard_error: of the value.
        trials: how many rows stand behind it, where it has no spread.
        confidence: for example 0.95.

    >>> low, high = share_interval([0.4, 1.0], [0.109545, 0.0], [20, 20], 0.95)
    >>> low.round(4), high.round(4)
    (array([0.2188, 0.8389]), array([0.6134, 1.    ]))
    """
    arrays = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (value, standard_error, trials)))
    share, error, rows = arrays
    spread = share * (1.0 - share)
    inside = (spread > 0) & (error > 0)
    rows = np.where(inside, spread / np.where(inside, error, 1.0) ** 2, rows)
    rows = np.where(np.isnan(share), 0.0, rows)
    return proportion_interval(np.where(rows > 0, share, 0.0) * rows, rows, confidence)
