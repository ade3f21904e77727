"""How well classes are told apart: averages of precision, recall and F1 over classes, from a confusion matrix.

Promises: exactly scikit-learn's numbers (a share of nothing is 0; a class that is in neither labels nor decisions does
not count), with standard errors by the delta method on multinomial counts, which need the whole matrix and not only its
margins. Vectorised over leading dimensions; without rows everything is NaN. Costs O(classes squared).

Source: Takahashi, Yamamoto, Kuchiba & Koyama (2022), Applied Intelligence 52, for the delta method on macro F1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from killick.stats.intervals import share_interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray

__all__ = ["ClassAverage", "class_averages"]


@dataclass(frozen=True, slots=True)
class ClassAverage:
    """An average over classes. All fields have the leading shape of the counts.

    Where there is no spread, `trials` is how many rows as good as each other would be as uncertain as its classes.
    """

    value: NDArray[np.float64]
    standard_error: NDArray[np.float64]
    trials: NDArray[np.float64]

    def interval(self, confidence: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the two ends, in [0, 1]."""
        return share_interval(self.value, self.standard_error, self.trials, confidence)


def class_averages(counts: ArrayLike, lost: ArrayLike = 0) -> Mapping[str, ClassAverage]:
    """Return `f1_macro`, `f1_weighted`, `precision_macro` and `recall_macro`.

    Args:
        counts: rows by label and decision, [..., classes, classes]; the last class may stand for all that are rare.
        lost: rows whose label and decision are different rare classes, [...].

    >>> averages = class_averages([[8, 2], [1, 9]])
    >>> round(float(averages["f1_macro"].value), 4), round(float(averages["f1_macro"].standard_error), 4)
    (0.8496, 0.08)
    """
    matrix = np.asarray(counts, dtype=np.float64)
    wrong = np.broadcast_to(np.asarray(lost, dtype=np.float64), matrix.shape[:-2])
    labels, decisions = matrix.sum(axis=-1), matrix.sum(axis=-2)
    labels[..., -1] += wrong
    decisions[..., -1] += wrong
    right = np.diagonal(matrix, axis1=-2, axis2=-1)
    both = labels + decisions
    share = np.where(both > 0, 1.0, 0.0) / np.maximum((both > 0).sum(axis=-1, keepdims=True), 1)
    rows = labels.sum(axis=-1, keepdims=True)
    weight = labels / np.maximum(rows, 1.0)
    f1, precision, recall = _over(2.0 * right, both), _over(right, decisions), _over(right, labels)
    weighted = (weight * f1).sum(axis=-1, keepdims=True)
    # Each average's derivatives by the right ones, the labels and the decisions of a class.
    parts = {
        "f1_macro": (
            (share * f1).sum(axis=-1),
            (_over(2.0 * share, both), -_over(share * f1, both), -_over(share * f1, both)),
            _trials(share, both - right),
        ),
        "f1_weighted": (
            weighted[..., 0],
            (
                _over(2.0 * weight, both),
                _over(f1 - weighted, np.broadcast_to(rows, f1.shape)) - _over(weight * f1, both),
                -_over(weight * f1, both),
            ),
            _trials(weight, both - right),
        ),
        "precision_macro": (
            (share * precision).sum(axis=-1),
            (_over(share, decisions), np.zeros_like(right), -_over(share * precision, decisions)),
            _trials(share, decisions),
        ),
        "recall_macro": (
            (share * recall).sum(axis=-1),
            (_over(share, labels), -_over(share * recall, labels), np.zeros_like(right)),
            _trials(share, labels),
        ),
    }
    known = rows[..., 0] > 0
    return {
        name: ClassAverage(
            value=np.where(known, value, np.nan),
            standard_error=np.where(known, np.sqrt(_variance(matrix, wrong, right, slopes)), np.nan),
            trials=np.where(known, trials, 0.0),
        )
        for name, (value, slopes, trials) in parts.items()
    }


def _variance(
    matrix: NDArray[np.float64],
    lost: NDArray[np.float64],
    right: NDArray[np.float64],
    slopes: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """The sum of squares of what each row moves the average by; these moves sum to zero, as no average has a unit."""
    by_right, by_label, by_decision = slopes
    wrong_move = (by_label[..., :, None] + by_decision[..., None, :]) ** 2
    both = by_label + by_decision
    squares = (matrix * wrong_move).sum(axis=(-2, -1)) + (right * ((both + by_right) ** 2 - both**2)).sum(axis=-1)
    return np.asarray(np.maximum(squares + lost * both[..., -1] ** 2, 0.0), dtype=np.float64)


def _trials(share: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many trials an average of equal shares is worth."""
    return np.asarray(1.0 / np.maximum((_over(share * share, rows)).sum(axis=-1), 1e-300), dtype=np.float64)


def _over(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """A share; of nothing it is 0."""
    return np.asarray(np.where(whole > 0, part, 0.0) / np.where(whole > 0, whole, 1.0), dtype=np.float64)
