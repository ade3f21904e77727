"""How far predictions of a number are off: RMSE and R2 with intervals, from additive moments of errors and truth.

Promises: exact values, and intervals by the delta method on the logarithm, so that no end is impossible. Vectorised
over broadcast arguments; where there are too few rows, or the truth does not vary, everything is NaN. Costs O(1). MAE,
bias and quantile losses are means: `mean_interval`.

Sources: the delta method, van der Vaart (1998), chapter 3; Koenker & Bassett (1978), Econometrica 46, for the quantile
loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["explained_variance", "quantile_sums", "root_mean_square"]

_Triple = tuple["NDArray[np.float64]", "NDArray[np.float64]", "NDArray[np.float64]"]


def root_mean_square(
    rows: NDArray[np.float64], squares: NDArray[np.float64], fourths: NDArray[np.float64], confidence: float
) -> _Triple:
    """Return the root mean square, and the two ends of its interval.

    Args:
        rows: how many values.
        squares: the sum of their squares.
        fourths: the sum of their fourth powers.
        confidence: for example 0.95.

    >>> value, low, high = root_mean_square(*map(np.array, (4.0, 30.0, 354.0)), 0.95)
    >>> round(float(value), 4), round(float(low), 4), round(float(high), 4)
    (2.7386, 1.8897, 3.9688)
    """
    known = rows > 0
    n = np.where(known, rows, 1.0)
    mean = squares / n
    some = np.where(mean > 0, mean, 1.0)
    # Relative to the square of the mean first: fourth powers of absurd values are near the end of float64.
    spread = np.sqrt(np.maximum(fourths / n / some / some - 1.0, 0.0) / n)
    reach = np.exp(special.ndtri(0.5 + confidence / 2.0) * np.minimum(spread, 100.0) / 2.0)
    value = np.where(known, np.sqrt(mean), np.nan)
    enough = rows > 1
    return value, np.where(enough, value / reach, np.nan), np.where(enough, value * reach, np.nan)


def explained_variance(
    rows: NDArray[np.float64],
    errors: tuple[NDArray[np.float64], NDArray[np.float64]],
    truth: tuple[NDArray[np.float64], ...],
    both: tuple[NDArray[np.float64], NDArray[np.float64]],
    unit: float,
    confidence: float,
) -> _Triple:
    """Return R2, one less the squared error in variances of the truth, and the two ends of its interval.

    Args:
        rows: how many rows.
        errors: the sums of e2 and e4.
        truth: the sums of z, z2, z3 and z4.
        both: the sums of e2 z and e2 z2.
        unit: that of the errors in units of the truth.
        confidence: for example 0.95.
    """
    n = np.maximum(rows, 1.0)
    square, fourth = (e / n for e in errors)
    mean, z2, z3, z4 = (z / n for z in truth)
    square_z, square_z2 = (b / n for b in both)
    variance = z2 - mean * mean
    # Rounding leaves a constant truth a variance of about 1e-16 of its square.
    known = (rows > 1) & (variance > 1e-12 * np.maximum(z2, 0.0)) & (variance > 0)
    v, a = np.where(known, variance, 1.0), np.where(square > 0, square, 1.0)
    # Fourth central moment of the truth, and the mean of its centred square times the squared error.
    central = z4 - 4.0 * mean * z3 + 6.0 * mean**2 * z2 - 3.0 * mean**4
    mixed = square_z2 - 2.0 * mean * square_z + mean**2 * square
    spread = np.sqrt(np.maximum(fourth / a / a - 2.0 * mixed / a / v + central / v / v, 0.0) / n)
    reach = np.exp(special.ndtri(0.5 + confidence / 2.0) * np.minimum(spread, 100.0))
    left = square / v * unit**2
    ends = (1.0 - left, 1.0 - left * reach, 1.0 - left / reach)
    value, low, high = (np.where(known, end, np.nan) for end in ends)
    return value, low, high


def quantile_sums(
    quantile: float, errors: tuple[NDArray[np.float64], ...]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sums of the quantile loss and of its square.

    Args:
        quantile: which one the prediction stands for; 0.5: the loss is half of the absolute error.
        errors: the sums of e, |e|, e2 and e|e|, where e is the prediction less the truth.

    >>> total, squares = quantile_sums(0.9, tuple(map(np.array, (-1.0, 3.0, 5.0, -3.0))))
    >>> round(float(total), 4), round(float(squares), 4)
    (1.9, 3.25)
    """
    total, size, square, signed = errors
    over, under = (size + total) / 2.0, (size - total) / 2.0
    over_square, under_square = (square + signed) / 2.0, (square - signed) / 2.0
    loss = (1.0 - quantile) * over + quantile * under
    return loss, (1.0 - quantile) ** 2 * over_square + quantile**2 * under_square
