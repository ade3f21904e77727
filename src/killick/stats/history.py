"""How unusual is a statistic against its own healthy history: a prediction limit and a surprise.

At a million rows per window every row-level test is significant, because healthy windows differ by more than sampling
noise. The yardstick here is how much the healthy windows differed. Statistics are taken to be positive and
right-skewed (a PSI, a distance, a rate), so the logarithm of `x + floor` is what is compared, with Student's t for
one new value.

Promises: for an independent history that is lognormal, the false-alarm rate is exactly alpha at every length; at 28
windows and alpha 1 % (0.1 %), AR(0.5) gives 1.2 % (0.14 %), and logs with the tails of Student's t with 4 degrees of
freedom 1.7 % (0.6 %): heavy tails cost most at small alpha. A history shorter than `WINDOWS_MIN` is no yardstick: every
number is then NaN, exactly there and nowhere else. A window that is NaN is missing. Costs O(windows) per history.

Sources: Hahn & Meeker, Statistical Intervals (1991), 4.6; statistics.md 1.6.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["PredictionLimit", "Wander", "beyond_p_value", "prediction_limit", "surprise", "wander"]

# Below eight windows the t-quantile at 1 % puts the limit more than three spreads out, where hardly anything is found.
WINDOWS_MIN = 8
# A history that never moved (all zeros) has no spread, but the next window is not bound to be equal to the last digit.
# Five percent of (value + floor) is believed healthy whatever the history says.
LOG_SPREAD_MIN = 0.05


@dataclass(frozen=True, slots=True)
class PredictionLimit:
    """What the next healthy window will stay below. All fields have the leading shape of the history.

    `limit` is in the unit of the statistic; `centre` and `spread` are of log(x + floor).
    """

    limit: NDArray[np.float64]
    centre: NDArray[np.float64]
    spread: NDArray[np.float64]
    windows: NDArray[np.int64]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where the history was long enough; everything else is NaN where this is false."""
        return ~np.isnan(self.limit)


def prediction_limit(history: ArrayLike, alpha: ArrayLike, *, floor: float) -> PredictionLimit:
    """Return the limit that one more healthy window exceeds with probability `alpha`.

    Args:
        history: the statistic in healthy windows, at least 0, [..., windows].
        alpha: false alarms per window, for example 0.001; one for all histories, or one for each, [...].
        floor: an amount of the statistic that does not matter, above 0; it keeps zeros and ties from looking exact.

    >>> history = [0.010, 0.012, 0.009, 0.011, 0.013, 0.010, 0.012, 0.011]
    >>> round(float(prediction_limit(history, 0.01, floor=0.001).limit), 5)
    0.01594
    """
    logs, seen = _logs(history, floor)
    centre, spread, df, error = _location(logs, seen)
    limit = np.exp(centre + special.stdtrit(df, 1.0 - np.asarray(alpha)) * spread * error) - floor
    return PredictionLimit(np.asarray(limit), centre, spread, seen.sum(axis=-1))


def surprise(history: ArrayLike, value: ArrayLike, *, floor: float) -> NDArray[np.float64]:
    """Return the p-value of a new window: the chance that a healthy one is as high; arguments as for the limit.

    Args:
        history: the statistic in healthy windows, at least 0, [..., windows].
        value: the statistic now, [...]; NaN is unknown and stays so.
        floor: an amount of the statistic that does not matter, above 0.

    >>> history = [0.010, 0.012, 0.009, 0.011, 0.013, 0.010, 0.012, 0.011]
    >>> round(float(surprise(history, 0.0165, floor=0.001)), 4)
    0.0068
    """
    logs, seen = _logs(history, floor)
    now = np.log(np.asarray(value, dtype=np.float64) + floor)
    centre, spread, df, error = _location(logs, seen)
    return np.asarray(special.stdtr(df, -(now - centre) / (spread * error)), dtype=np.float64)


class Wander(NamedTuple):
    """How much a number of healthy windows varies beyond the luck of their rows, and in how many windows that was seen.

    With fewer than `WINDOWS_MIN` nothing is known, and the variance is 0.
    """

    variance: float = 0.0
    windows: int = 0


def wander(values: ArrayLike, errors: ArrayLike) -> Wander:
    """Return what the variance of the windows' values exceeds their sampling variance by (method of moments).

    Args:
        values: of healthy windows, `[windows]`; NaN is missing.
        errors: their standard errors, `[windows]`.

    >>> wander([1.0, 3.0] * 8, [0.5] * 16).windows, round(wander([1.0, 3.0] * 8, [0.5] * 16).variance, 3)
    (16, 0.817)
    """
    each, error = np.asarray(values, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    seen = np.isfinite(each) & np.isfinite(error)
    if seen.sum() < WINDOWS_MIN:
        return Wander()
    beyond = float(each[seen].var(ddof=1) - np.square(error[seen]).mean())
    return Wander(max(beyond, 0.0), int(seen.sum()))


def beyond_p_value(beyond: float, error: float, healthy: Wander = Wander()) -> float:  # noqa: B008 - it is frozen
    """Return the chance that a difference is so far beyond what it may be, by the luck of rows and of windows.

    By the normal law where windows do not wander, else by Student's t: as many as they are say how much.

    Args:
        beyond: how far.
        error: the standard error of the difference by the rows.
        healthy: how much windows as wide as the current one wander.

    >>> round(beyond_p_value(1.96, 1.0), 3), round(beyond_p_value(1.96, 1.0, Wander(3.0, 15)), 3)
    (0.025, 0.173)
    """
    if not healthy.variance:
        return float(special.ndtr(-beyond / error)) if error > 0 else float(beyond <= 0)
    total = math.sqrt(error**2 + healthy.variance * (1.0 + 1.0 / healthy.windows))
    return float(special.stdtr(healthy.windows - 1.0, -beyond / total))


def _logs(history: ArrayLike, floor: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values = np.asarray(history, dtype=np.float64)
    seen = ~np.isnan(values)
    return np.log(np.where(seen, values, 0.0) + floor), seen


def _location(
    logs: NDArray[np.float64], seen: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Centre, spread, degrees of freedom and the widening for one new value; NaN where the history is too short."""
    windows = seen.sum(axis=-1)
    enough = windows >= WINDOWS_MIN
    n = np.where(enough, windows, WINDOWS_MIN).astype(np.float64)
    centre = np.where(seen, logs, 0.0).sum(axis=-1) / n
    squares = np.where(seen, (logs - centre[..., None]) ** 2, 0.0).sum(axis=-1)
    spread = np.sqrt(squares / (n - 1.0))
    df, error = n - 1.0, np.sqrt(1.0 + 1.0 / n)
    unknown = ~enough
    spread = np.maximum(spread, LOG_SPREAD_MIN)
    return np.where(unknown, np.nan, centre), np.where(unknown, np.nan, spread), df, error
