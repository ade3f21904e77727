"""Is a share of rows surely higher than in another sample, and how many new kinds does a second sample hold by luck?

Promises: both sides count as samples, so that none seen among N rows is "rarer than about 1 / N" and not "impossible".
The tail is exact up to 2,000 successes, and costs O(successes) there; beyond, the normal on the arc-sine scale.

Sources: the beta-binomial predictive distribution with Laplace's prior (for the rows outside a sample's own range it is
the distribution of exceedances: Wilks 1941); Good (1953), Biometrika 40, for what was not seen yet, and Robbins (1968),
Annals of Mathematical Statistics 39, for the error of his estimate.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

__all__ = ["expected_new", "share_p_value"]

# Up to so many successes an exact tail is summed; beyond, the normal on the arc-sine scale is within a hundredth of it.
_EXACT_MAX = 2_000


def share_p_value(before: int, rows_before: int, now: int, rows_now: int) -> float:
    """Return the chance of at least `now` of `rows_now` when the share is what `before` of `rows_before` says.

    The predictive (beta-binomial) tail: what the reference did not see is not impossible, it is rarer than one in its
    rows. With one more than the rows outside a range of the reference's own least and largest it is exact.

    >>> round(share_p_value(0, 500, 1, 50), 4), share_p_value(0, 500, 10, 50) < 1e-8
    (0.0909, True)
    """
    a, b = before + 1.0, max(rows_before - before, 1) + 0.0
    if now <= 0:
        return 1.0
    if now > _EXACT_MAX or rows_now - now < 0:
        gap = math.asin(math.sqrt(min(now / rows_now, 1.0))) - math.asin(math.sqrt(min(a / (a + b), 1.0)))
        return float(special.ndtr(-2.0 * gap / math.sqrt(1.0 / rows_now + 1.0 / (a + b))))
    k = np.arange(now, dtype=float)
    log_chances = (
        special.gammaln(rows_now + 1.0)
        - special.gammaln(k + 1.0)
        - special.gammaln(rows_now - k + 1.0)
        + special.betaln(a + k, b + rows_now - k)
        - special.betaln(a, b)
    )
    return float(np.clip(1.0 - np.exp(log_chances).sum(), 0.0, 1.0))


def expected_new(once: int, twice: int) -> int:
    """Return how many rows of a second sample as large may well have values that the first did not.

    As many as the first has values that occur once (Good-Turing), and two standard errors of that estimate.

    >>> expected_new(0, 0), expected_new(100, 50)
    (0, 129)
    """
    return once + math.ceil(2.0 * math.sqrt(once + 2.0 * twice))
