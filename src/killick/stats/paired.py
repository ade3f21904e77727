"""Is one of two treatments of the same rows better: the mean of paired differences, with rows of one cluster dependent.

Promises: a one-sided p-value and lower bound that allow any dependence inside a cluster (a day, a user), by the
cluster-robust variance with the CR1 correction and Student's t with one degree of freedom less than there are
clusters. One cluster says nothing about the spread between clusters, and clusters that all agree to the last digit
show none: both give None, which is not a pass. With fewer than about ten clusters of very different sizes the test is
too bold (the tests measure it): group into even clusters. Costs one pass over the rows.

Sources: Liang & Zeger (1986), Biometrika 73; Cameron & Miller (2015), Journal of Human Resources 50, sections II and
VI.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["PairedImprovement", "anytime_reach", "paired_improvement"]

_CLUSTERS_MIN = 2


@dataclass(frozen=True, slots=True)
class PairedImprovement:
    """The mean difference per row, in the unit of the differences, and how sure it is."""

    mean: float
    standard_error: float
    clusters: int
    rows: int

    def lower(self, alpha: float) -> float:
        """Return the bound that the true mean lies below with a chance of at most `alpha`."""
        return self.mean - float(special.stdtrit(self.clusters - 1, 1.0 - alpha)) * self.standard_error

    def anytime_lower(self, alpha: float) -> float:
        """Return a bound like `lower` that holds at all times at once: look after every row, and stop when you like.

        Asymptotic confidence sequence (Waudby-Smith et al. 2021; statistics.md 2.1), two-sided at `2 * alpha`.
        """
        return self.mean - anytime_reach(self.clusters, 2.0 * alpha) * self.standard_error * math.sqrt(self.clusters)

    def p_value(self, minimum: float = 0.0) -> float:
        """Return the p-value of "the true mean is at most `minimum`"; a negative `minimum` tests non-inferiority."""
        return float(special.stdtr(self.clusters - 1, (minimum - self.mean) / self.standard_error))


def anytime_reach(observations: int, alpha: float, *, sharpest_at: int = 100) -> float:
    """Return how far a running mean of unit spread may stray from the truth, at all times at once.

    Args:
        observations: how many there are now.
        alpha: the chance that the mean ever strays further.
        sharpest_at: the number of observations at which the reach is smallest against that of a single look. A hundred
            hours are five days, when a decision about a fault in production is due.

    >>> [round(anytime_reach(t, 0.05, sharpest_at=1000), 6) for t in (100, 1000, 10_000)]
    [0.385505, 0.095982, 0.032417]
    """
    rho = (-2.0 * math.log(alpha) + math.log(1.0 - 2.0 * math.log(alpha))) / sharpest_at
    grown = observations * rho + 1.0
    return math.sqrt(2.0 * grown / (observations**2 * rho) * math.log(math.sqrt(grown) / alpha))


def paired_improvement(differences: ArrayLike, clusters: ArrayLike) -> PairedImprovement | None:
    """Return the mean improvement, or None when the clusters show no spread to judge it by.

    Args:
        differences: one finite number per row, what the new treatment is better by, [rows].
        clusters: the cluster of each row, as whole numbers or strings, [rows].

    >>> gain = paired_improvement([0.2, 0.0, 0.3, 0.1, 0.4, 0.2], [1, 1, 2, 2, 3, 3])
    >>> round(gain.mean, 3), round(gain.standard_error, 4), round(gain.lower(0.05), 4), round(gain.p_value(), 4)
    (0.2, 0.0577, 0.0314, 0.0371)
    """
    values = np.asarray(differences, dtype=np.float64)
    names, members = np.unique(np.asarray(clusters), return_inverse=True)
    groups = len(names)
    if groups < _CLUSTERS_MIN:
        return None
    mean = float(values.mean())
    sums = np.bincount(members.ravel(), weights=values - mean, minlength=groups)
    standard_error = float(np.sqrt(groups / (groups - 1.0) * (sums @ sums))) / values.size
    # What rounding alone leaves over when all clusters agree.
    if standard_error <= 8 * np.finfo(np.float64).eps * float(np.abs(values).max()):
        return None
    return PairedImprovement(mean, standard_error, groups, values.size)
