"""How many labels are expected by now: the product-limit estimate of delays, from windows of every age.

A window that is young cannot have its late labels yet, so the share of labels by delay is not what the labels that are
in would say: they are the quick ones. Kaplan and Meier (1958) count in each delay only those predictions that are old
enough to have been seen through it; a prediction whose label never comes is one that is still waiting.
Cost: one pass over windows x buckets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


def labelled_shares(predictions: Ints, labels: Ints, ages: Ints, ends: Ints) -> Floats:
    """Return which share of predictions has its label by the end of each bucket of delay.

    Args:
        predictions: of each window, shape `[windows]`.
        labels: those that came, by bucket of delay, shape `[windows, buckets]`.
        ages: how old the youngest prediction of each window is, in the unit of `ends`, shape `[windows]`.
        ends: when each bucket ends, ascending, shape `[buckets]`.

    Returns:
        shape `[buckets]`, not falling; NaN from the first bucket on that no window is old enough for.

    >>> ages, ends = np.array([10, 1]), np.array([1, 2])
    >>> labelled_shares(np.array([100, 100]), np.array([[50, 25], [50, 0]]), ages, ends).tolist()
    [0.5, 0.75]
    """
    before = np.cumsum(labels, axis=1) - labels
    at_risk = predictions[:, None] - before
    seen = ages[:, None] >= ends[None, :]
    risk = np.where(seen, at_risk, 0).sum(axis=0)
    came = np.where(seen, labels, 0).sum(axis=0)
    hazard = np.divide(came, risk, out=np.full(len(ends), np.nan), where=risk > 0)
    # Where everybody is labelled nobody is left at risk, and nothing more can come.
    done = seen.any(axis=0) & (risk <= 0)
    return 1 - np.cumprod(1 - np.where(done, 0.0, hazard))


def expected_labels(predictions: int, age: int, shares: Floats, ends: Ints) -> float | None:
    """Return how many labels a window of this age should have by now; None while nothing is known of any delay.

    Between the ends of buckets the share grows evenly with the logarithm of the age, as delays spread over doublings.
    Beyond the last bucket that was seen it stays as it is there: so many at least, since what comes later is unknown.

    >>> expected_labels(200, 2, np.array([0.5, 0.75]), np.array([1, 2]))
    150.0
    """
    known = np.isfinite(shares)
    if not known.any():
        return None
    last = int(np.flatnonzero(known)[-1])
    if age <= 0:
        return 0.0
    times = np.concatenate([[ends[0] / 2], ends[: last + 1]]).astype(np.float64)
    levels = np.concatenate([[0.0], shares[: last + 1]])
    return float(predictions * np.interp(np.log(age), np.log(times), levels))
