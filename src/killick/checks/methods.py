"""The distances that `drift.univariate` can be judged by: what each is fit for, and from where on it matters.

`Method.material` is one thing said in eight units: a normal column that moves by 0.1414 standard deviations, a PSI of
0.02 (a fifth of what the folklore calls moderate). So the same drift is material by every method; what differs is what
they see and how many rows they need for it. With 1,000 rows on either side and twenty bins a shift of 0.4 is found at
1 % in 99 of 100 by PSI's family and by Wasserstein-1, in 98 by Kolmogorov-Smirnov, and in 31 by total variation.

The default is PSI for every kind. Its test has the most power against drift of unknown shape, it needs no order,
missing is a bin of its own, and one unit for all columns is what lets a report sort them by how much they moved. Peers
choose by kind and size (KS or Wasserstein for numbers, chi-square or Jensen-Shannon for categories): theirs are here.

Missing values are cells, and count in every method. Where bins have an order they stand at its ends: minus infinity
first, then the bins, infinity, NaN and missing, so a surge of missing values is a jump of that height in the
distribution function. In Wasserstein-1, where a place beyond the last bin would have to have a number, a row that
turns into a missing one has moved by `sqrt(2 pi)` spreads: what a normal has to shift, per share of its rows that no
longer overlap. The two distances are added (`checks/apart.py`).

Sources: statistics.md 1.1-1.5; Cohen (1988) for w.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from killick.spec.document import KINDS, ORDERED_METHODS
from killick.stats import distances, gaps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from killick.profiles.cells import Ints
    from killick.spec.document import Kind
    from killick.stats.distance import Distance

_DEFAULTS: Mapping[Kind, str] = dict.fromkeys(KINDS, "psi")


@dataclass(frozen=True, slots=True)
class Method:
    """A distance by its name.

    Attributes:
        name: as the spec and verdicts have it.
        called: as people read it.
        unit: what stands behind a number of it, with its space; empty where it has none.
        material: the largest distance that does not matter, in the unit of `Distance.excess`.
        family: how it is computed from counts alone; None where it needs sums.
    """

    name: str
    called: str
    unit: str
    material: float
    family: Callable[[Ints, Ints], Distance] | None

    @property
    def ordered(self) -> bool:
        """Whether it needs an order, which categories do not have."""
        return self.name in ORDERED_METHODS


# Of N(0, 1) against N(0.1414, 1), rounded: Jensen-Shannon to base 2 is sqrt(0.02 / (8 ln 2)) = 0.0601, Hellinger
# sqrt(1 - exp(-0.02 / 8)) = 0.0500, total variation and Kolmogorov-Smirnov 2 Phi(0.0707) - 1 = 0.0564, w 0.1414.
METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("psi", "PSI", "", 0.02, distances.psi),
        Method("chi_square", "chi-square's w", "", 0.14, distances.chi_square),
        Method("g_test", "G's w", "", 0.14, distances.g_test),
        Method("jensen_shannon", "Jensen-Shannon", "", 0.06, distances.jensen_shannon),
        Method("hellinger", "Hellinger", "", 0.05, distances.hellinger),
        Method("total_variation", "total variation", "", 0.056, gaps.total_variation),
        Method("kolmogorov_smirnov", "KS", "", 0.056, gaps.kolmogorov_smirnov),
        Method("wasserstein", "Wasserstein-1", " spreads", 0.14, None),
    )
}


def default_method(kind: Kind) -> str:
    """Return the method that columns of a kind are judged by when the spec does not say: why, is said above.

    >>> default_method("numeric")
    'psi'
    """
    return _DEFAULTS[kind]
