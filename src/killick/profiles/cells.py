"""Rows sorted into cells: the one kernel under every summary.

A summary says into which cell each row falls and, for sums, what it adds there. Counting is then one `bincount` for all
groups (segments x windows) at once, so the cost does not grow with the number of groups: about 3 ns a row and channel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Ints: TypeAlias = "NDArray[np.int64]"
Floats: TypeAlias = "NDArray[np.float64]"


@dataclass(frozen=True, slots=True)
class Cells:
    """Row `i` adds `weight[i]` (one, where weights are absent) to cell `index[i]` of `width` cells.

    Without an index there is one cell for all rows. Of the cells only the first `kept` are told, where that is given:
    sums share the index of their counts, and the odd cells at its end have none.
    """

    index: Ints | None
    width: int
    weight: Floats | None = None
    kept: int | None = None

    def tally(self, groups: Ints, number_of_groups: int) -> NDArray[np.int64] | NDArray[np.float64]:
        """Return what each group adds up to, shape `[number_of_groups, width]`, or `kept` in place of `width`.

        Counts are int64 and exact; sums are float64.

        >>> Cells(np.array([0, 1, 1]), 2).tally(np.array([0, 0, 1]), 2)
        array([[1, 1],
               [0, 1]])
        """
        if self.index is None and self.weight is not None and number_of_groups == 1:
            return np.array([[self.weight.sum()]])
        flat = groups
        if self.index is not None:
            flat = self.index if number_of_groups == 1 else groups * self.width + self.index
        tallied = np.bincount(flat, weights=self.weight, minlength=number_of_groups * self.width)
        return tallied.reshape(number_of_groups, self.width)[:, : self.kept]
