"""Many p-values at once: adjusted p-values that can be compared with one level.

Promises: Benjamini-Hochberg controls the expected share of false findings for independent or positively dependent
tests, Holm the chance of any false finding under every dependence. A NaN is a test that was not made: it stays NaN
and is not counted. Both work along the last axis and keep the order of the input. Cost: one sort.

Sources: Benjamini & Hochberg (1995), JRSS B 57; Holm (1979), Scandinavian Journal of Statistics 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["benjamini_hochberg", "holm"]


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return adjusted p-values: rejecting those at most q keeps the false discovery rate at q.

    Args:
        p_values: in [0, 1] or NaN, [..., tests].

    >>> benjamini_hochberg([0.01, 0.04, 0.03, 0.5]).round(4).tolist()
    [0.04, 0.0533, 0.0533, 0.5]
    """
    p, order, rank, tests = _sorted(p_values)
    # NaN sorts last, so the running minimum from the right must step over it: infinity does.
    stepped = np.where(np.isnan(p), np.inf, p * (tests / rank))
    adjusted = np.minimum.accumulate(stepped[..., ::-1], axis=-1)[..., ::-1]
    return _unsorted(np.where(np.isnan(p), np.nan, np.minimum(adjusted, 1.0)), order)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return adjusted p-values: rejecting those at most alpha keeps the chance of any false rejection at alpha.

    Args:
        p_values: in [0, 1] or NaN, [..., tests].

    >>> holm([0.01, 0.04, 0.03, 0.5]).round(4).tolist()
    [0.04, 0.09, 0.09, 0.5]
    """
    p, order, rank, tests = _sorted(p_values)
    stepped = np.where(np.isnan(p), 0.0, p * (tests - rank + 1.0))
    adjusted = np.maximum.accumulate(stepped, axis=-1)
    return _unsorted(np.where(np.isnan(p), np.nan, np.minimum(adjusted, 1.0)), order)


def _sorted(
    p_values: ArrayLike,
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, axis=-1, kind="stable")
    rank = np.arange(1.0, p.shape[-1] + 1.0)
    tests = (~np.isnan(p)).sum(axis=-1, keepdims=True).astype(np.float64)
    return np.take_along_axis(p, order, axis=-1), order, rank, tests


def _unsorted(values: NDArray[np.float64], order: NDArray[np.intp]) -> NDArray[np.float64]:
    result = np.empty_like(values)
    np.put_along_axis(result, order, values, axis=-1)
    return result
