"""How unusual is a statistic against its own healthy history: a prediction limit, a surprise and a rank.

At a million rows per window every row-level test is significant, because healthy windows differ by more than sampling
noise. The yardstick here is how much the healthy windows differed. Statistics are taken to be positive and
right-skewed (a PSI, a distance, a rate), so the logarithm of `x + floor` is what is compared, with Student's t for
one new value.

Promises: for an independent history that is lognormal, the false-alarm rate is exactly alpha at every length; at 28
windows and alpha 1 % (0.1 %), AR(0.5) gives 1.2 % (0.14 %), and logs with the tails of Student's t with 4 degrees of
freedom 1.7 % (0.6 %), robust 2.4 % (0.7 %): heavy tails cost most at small alpha, and there the rank is the check.
The rank p-value needs no shape at all, only exchangeable windows, and cannot fall below 1 / (windows + 1). A history
shorter than `WINDOWS_MIN` is no yardstick: every number is then NaN, exactly there and nowhere else, and `known` is
false. Costs O(windows) per history, with the robust scale one partial sort.

Sources: Hahn & Meeker, Statistical Intervals (1991), 4.6 for the limit; Vovk, Gammerman & Shafer (2005) for the rank;
statistics.md 1.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["PredictionLimit", "Surprise", "prediction_limit", "surprise"]

# Below eight windows the median and its deviation rest on a handful of order statistics, and the t-quantile at 1 % puts
# the limit more than three spreads out, where hardly anything is found.
WINDOWS_MIN = 8
# A history that never moved (all zeros) has no spread, but the next window is not bound to be equal to the last digit.
# Five percent of (value + floor) is believed healthy whatever the history says.
LOG_SPREAD_MIN = 0.05
# The median absolute deviation of a normal distribution is this part of its standard deviation.
_MAD_OF_NORMAL = 0.6744897501960817
# The variance of a median is pi/2 that of a mean, and 1.4826 MAD is worth 37 % of the degrees of freedom.
_MEDIAN_VARIANCE = np.pi / 2.0
_MAD_EFFICIENCY = 0.37


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


@dataclass(frozen=True, slots=True)
class Surprise:
    """How unusual a value is. All fields have the leading shape of the history.

    `p_value` is the log-t tail, `p_rank` the distribution-free rank (ties count as unusual), `score` the t-statistic.
    """

    p_value: NDArray[np.float64]
    p_rank: NDArray[np.float64]
    score: NDArray[np.float64]
    windows: NDArray[np.int64]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where the history was long enough and the value exists; everything else is NaN where this is false."""
        return ~np.isnan(self.p_value)


def prediction_limit(
    history: ArrayLike, alpha: float, *, floor: float, present: ArrayLike | None = None, robust: bool = False
) -> PredictionLimit:
    """Return the limit that one more healthy window exceeds with probability `alpha`.

    Args:
        history: the statistic in healthy windows, at least 0, [..., windows].
        alpha: false alarms per window, for example 0.001.
        floor: an amount of the statistic that does not matter, above 0; it keeps zeros and ties from looking exact.
        present: false where a window is missing, like `history`; NaN is missing in any case.
        robust: use the median and the median absolute deviation, for a history that may hold an undetected incident.
            A tenth of it may then be arbitrary; the price is power in short histories, and a higher rate under heavy
            tails.

    >>> history = [0.010, 0.012, 0.009, 0.011, 0.013, 0.010, 0.012, 0.011]
    >>> round(float(prediction_limit(history, 0.01, floor=0.001).limit), 5)
    0.01594
    """
    logs, seen = _logs(history, floor, present)
    centre, spread, df, error = _location(logs, seen, robust=robust)
    limit = np.exp(centre + special.stdtrit(df, 1.0 - alpha) * spread * error) - floor
    return PredictionLimit(np.asarray(limit), centre, spread, seen.sum(axis=-1))


def surprise(
    history: ArrayLike, value: ArrayLike, *, floor: float, present: ArrayLike | None = None, robust: bool = False
) -> Surprise:
    """Return how unusual the value of a new window is; arguments as for `prediction_limit`.

    Args:
        history: the statistic in healthy windows, at least 0, [..., windows].
        value: the statistic now, [...]; NaN is unknown and stays so.
        floor: an amount of the statistic that does not matter, above 0.
        present: false where a window is missing.
        robust: use the median and the median absolute deviation.

    >>> history = [0.010, 0.012, 0.009, 0.011, 0.013, 0.010, 0.012, 0.011]
    >>> odd = surprise(history, 0.0165, floor=0.001)
    >>> round(float(odd.p_value), 4), round(float(odd.p_rank), 4)
    (0.0068, 0.1111)
    """
    logs, seen = _logs(history, floor, present)
    now = np.log(np.asarray(value, dtype=np.float64) + floor)
    centre, spread, df, error = _location(logs, seen, robust=robust)
    score = (now - centre) / (spread * error)
    p_value = special.stdtr(df, -score)
    windows = seen.sum(axis=-1)
    as_unusual = (seen & (logs >= now[..., None])).sum(axis=-1)
    p_rank = np.where(np.isnan(p_value), np.nan, (as_unusual + 1.0) / (windows + 1.0))
    return Surprise(np.asarray(p_value), p_rank, np.asarray(score), windows)


def _logs(history: ArrayLike, floor: float, present: ArrayLike | None) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    values = np.asarray(history, dtype=np.float64)
    seen = ~np.isnan(values)
    if present is not None:
        seen = seen & np.asarray(present, dtype=np.bool_)
    return np.log(np.where(seen, values, 0.0) + floor), seen


def _location(
    logs: NDArray[np.float64], seen: NDArray[np.bool_], *, robust: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Centre, spread, degrees of freedom and the widening for one new value; NaN where the history is too short."""
    windows = seen.sum(axis=-1)
    enough = windows >= WINDOWS_MIN
    n = np.where(enough, windows, WINDOWS_MIN).astype(np.float64)
    if robust:
        centre = _median(logs, seen)
        spread = _median(np.abs(logs - centre[..., None]), seen) / _MAD_OF_NORMAL
        df, error = np.maximum(_MAD_EFFICIENCY * (n - 1.0), 1.0), np.sqrt(1.0 + _MEDIAN_VARIANCE / n)
    else:
        centre = np.where(seen, logs, 0.0).sum(axis=-1) / n
        squares = np.where(seen, (logs - centre[..., None]) ** 2, 0.0).sum(axis=-1)
        spread = np.sqrt(squares / (n - 1.0))
        df, error = n - 1.0, np.sqrt(1.0 + 1.0 / n)
    unknown = ~enough
    spread = np.maximum(spread, LOG_SPREAD_MIN)
    return np.where(unknown, np.nan, centre), np.where(unknown, np.nan, spread), df, error


def _median(values: NDArray[np.float64], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Median of what was seen: what was not sorts last, as infinity; 0 where nothing was seen."""
    if values.shape[-1] == 0:
        return np.zeros(values.shape[:-1])
    ordered = np.sort(np.where(seen, values, np.inf), axis=-1)
    count = np.maximum(seen.sum(axis=-1, keepdims=True), 1)
    low = np.take_along_axis(ordered, (count - 1) // 2, axis=-1)
    high = np.take_along_axis(ordered, count // 2, axis=-1)
    middle = ((low + high) / 2.0)[..., 0]
    return np.asarray(np.where(np.isinf(middle), 0.0, middle), dtype=np.float64)
