"""The tail of a share against a fixed one: exact at any number of rows. Costs O(1).

Source: the binomial tail is an incomplete beta function (DLMF 8.17.5).
"""

from __future__ import annotations

from scipy import special

__all__ = ["binomial_tail"]


def binomial_tail(successes: int, rows: int, share: float) -> float:
    """Return the chance of at least so many successes of `rows`, each with the chance `share`.

    >>> round(binomial_tail(2, 3, 0.5), 6), binomial_tail(0, 3, 0.5)
    (0.5, 1.0)
    """
    if successes <= 0:
        return 1.0
    return float(special.betainc(successes, rows - successes + 1.0, share))
