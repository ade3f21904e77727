"""What a distance between two samples is, whatever it measures: a number, what luck puts into it, and a test.

Promises: a distance that does not exist, because one side has no rows, is NaN, exactly there and nowhere else; a
verdict's threshold (`reach`) and its p-value say the same: `excess > reach(minimum, level)` where
`p_exceeds(minimum) < level`, to four digits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats: TypeAlias = NDArray[np.float64]

__all__ = ["Distance", "pair_of", "positive_variance", "root_variance", "shares_of", "variance_of"]


@dataclass(frozen=True, slots=True)
class Distance(ABC):
    """A distance and what its sampling distribution says about it. All fields have the leading shape of the counts.

    Attributes:
        value: as people know the metric.
        excess: what is left when that is taken off which the mere size of the samples puts there, never below 0: what
            can be compared between samples of different sizes.
        standard_error: of the excess (delta method).
        luck: the variance that the mere size of the samples gives to the excess.
        bins: how many bins are not empty on both sides; one alone cannot differ.
    """

    value: Floats
    excess: Floats
    standard_error: Floats
    luck: Floats
    bins: NDArray[np.int64]

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where both sides had rows; everything else is NaN where this is false."""
        return ~np.isnan(self.value)

    @abstractmethod
    def interval(self, confidence: float) -> tuple[Floats, Floats]:
        """Return the lower and upper end for the true distance, in the unit of the excess."""

    @abstractmethod
    def p_exceeds(self, minimum: float = 0.0) -> Floats:
        """Return the p-value of "the true distance is at most `minimum`": small means drift that matters."""

    @abstractmethod
    def reach(self, minimum: float, levels: Floats) -> Floats:
        """Return the excess above which `p_exceeds(minimum)` is below each level; NaN for a level that is NaN."""


def root_variance(square: Floats, variance: Floats) -> Floats:
    """Return the variance of `sqrt(max(x, 0))` for x with a mean of `square`.

    The delta method's, but no more than near zero: for a normal x the variance is 0.23 to 0.27 spreads there.
    """
    below = 4.0 * np.maximum(square, np.sqrt(variance))
    return np.asarray(np.divide(variance, below, out=np.zeros_like(below), where=below > 0), dtype=np.float64)


def positive_variance(mean: Floats, variance: Floats) -> Floats:
    """Return the variance of `max(x, 0)` for a normal x."""
    spread = np.sqrt(variance)
    at = np.divide(mean, spread, out=np.full_like(spread, np.inf), where=spread > 0)
    below, density = special.ndtr(-at), np.exp(-0.5 * at * at) / np.sqrt(2.0 * np.pi)
    first = mean * (1.0 - below) + spread * density
    # Written so that nothing large cancels: the variance, less what is cut off below zero.
    kept = variance * (1.0 - below) + (mean - first) * first
    return np.asarray(np.maximum(kept, 0.0), dtype=np.float64)


def pair_of(reference: ArrayLike, current: ArrayLike) -> tuple[Floats, Floats]:
    """Return both sides' counts as numbers of one shape."""
    n, m = np.broadcast_arrays(np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64))
    return n, m


def shares_of(counts: Floats) -> Floats:
    """Return each bin's share of the rows; 0 where there are none."""
    total = counts.sum(axis=-1, keepdims=True)
    return np.asarray(counts / np.where(total > 0, total, 1.0), dtype=np.float64)


def variance_of(shares: Floats, values: Floats) -> Floats:
    """Return the variance of a value that a row has by its bin."""
    mean = (shares * values).sum(axis=-1, keepdims=True)
    return np.asarray((shares * (values - mean) ** 2).sum(axis=-1), dtype=np.float64)
