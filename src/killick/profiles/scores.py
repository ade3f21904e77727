"""The summary of a score: a probability by its place between 0 and 1.

Guarantee: counts are exact; a score of exactly `k / 100` is in the bin that begins there, to the last bit.
Cost: 100 score bins with their sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from killick.profiles.cells import Cells

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl
    from numpy.typing import NDArray

    from killick.profiles.cells import Floats, Ints

SCORE_BINS = 100
# A probability of exactly 0 or 1 that turns out wrong would cost infinitely much; this is float64's own resolution, and
# what scikit-learn's log_loss does.
_CLIP = float(np.finfo(np.float64).eps)


class ScoreScale(msgspec.Struct, frozen=True, tag="score", tag_field="kind"):
    """The yardstick of a probability: a hundred even bins of [0, 1], then *outside* and *missing*."""

    column: str

    @property
    def bins(self) -> int:
        """How many cells hold scores: the even bins, and *outside*."""
        return SCORE_BINS + 1

    @property
    def counts_width(self) -> int:
        """How many counts: the bins, and *missing*."""
        return self.bins + 1

    @property
    def sums_width(self) -> int:
        """How many sums: the score by bin."""
        return SCORE_BINS

    def cells(self, series: pl.Series) -> Iterator[Cells]:
        """Sort scores into bins, with their sums."""
        scores = series.to_numpy().astype(np.float64)
        missing = np.isnan(scores)
        valid = valid_scores(scores)
        bins = score_bins(scores, valid)
        yield Cells(np.where(valid, bins, np.where(missing, self.bins, SCORE_BINS)), self.counts_width)
        yield Cells(bins, SCORE_BINS, np.where(valid, scores, 0.0))

    def label(self, cell: int) -> str:
        """Name a count's cell in words.

        >>> ScoreScale("p").label(31)
        '[0.31, 0.32)'
        """
        if cell >= SCORE_BINS:
            return ("outside [0, 1]", "missing")[cell - SCORE_BINS]
        return f"[{cell / SCORE_BINS:.2f}, {(cell + 1) / SCORE_BINS:.2f})"


def valid_scores(scores: Floats) -> NDArray[np.bool_]:
    """Whether each score is a probability."""
    return (scores >= 0) & (scores <= 1)


def score_bins(scores: Floats, valid: NDArray[np.bool_]) -> Ints:
    """The even bin of each score, `[k / 100, (k + 1) / 100)` to the last bit; 0 for what is not a probability.

    >>> score_bins(np.array([0.0, 0.29, 0.57, 1.0]), np.full(4, fill_value=True))
    array([ 0, 29, 57, 99])
    """
    held = np.where(valid, scores, 0.0)
    bins = (held * SCORE_BINS).astype(np.int64)
    # 0.29 * 100 is 28.999999999999996: the product may round across an edge, and one step mends it.
    bins += held >= (bins + 1) / SCORE_BINS
    bins -= held < bins / SCORE_BINS
    return np.minimum(bins, SCORE_BINS - 1)


def log_losses(scores: Floats, labels: Ints) -> Floats:
    """The log loss of each prediction, in nats.

    >>> log_losses(np.array([0.5, 1.0]), np.array([1, 1])).round(4)
    array([0.6931, 0.    ])
    """
    sure = np.clip(scores, _CLIP, 1 - _CLIP)
    return -np.log(np.where(labels == 1, sure, 1 - sure))
