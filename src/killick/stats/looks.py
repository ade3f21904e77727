"""Looking more than once: how a significance level is spent over looks whose number is not known beforehand.

Promise: tests at levels `alpha / (k (k + 1))` for k = 1, 2, ... err at most once in 1/alpha series, however long the series
and however dependent the looks (union bound: the levels add up to alpha). Valid for any test; it pays with power at late
looks, where a sequential test made for the purpose (`stats/sequential.py`) would not.
"""

from __future__ import annotations


def level_at_look(alpha: float, look: int) -> float:
    """Return the level of the `look`-th look, counted from 1.

    >>> [round(level_at_look(0.06, look), 3) for look in (1, 2, 3)]
    [0.03, 0.01, 0.005]
    """
    return alpha / (look * (look + 1))
