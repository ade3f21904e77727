"""The outcomes of a binary model: score bin x label, the confusion of its decisions, and its losses.

Guarantee: log loss, Brier score, error rate, confusion and base rate are exact, and so is the mean score of a bin; ROC
AUC is exact up to ties inside a score bin, an error of at most half the mass of positives and negatives that share a
bin (statistics.md 3.1); average precision is that of scores tied inside bins, with bounds in `stats/ranking.py`. A
label that is corrected later is one subtraction and one addition.
Cost: 100 score bins, twice; the score by bin, and a handful of sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from killick.profiles.cells import Cells
from killick.profiles.outcome_rows import Decision, numbers
from killick.profiles.scores import SCORE_BINS, log_losses, score_bins, valid_scores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from killick.profiles.outcome_rows import Outcomes

# TN, FN, FP, TP.
_CONFUSION = 4


class BinaryOutcome(msgspec.Struct, frozen=True, tag="outcome", tag_field="kind", omit_defaults=True):
    """The yardstick of a binary outcome.

    Attributes:
        column: what the outcome is called.
        threshold: above it a score is a positive decision, where `decision` is None.
        decision: where decisions are recorded: then they are read, and never follow from the threshold.
    """

    column: str
    threshold: float
    decision: Decision | None = None

    @property
    def undecided(self) -> bool:
        """Whether decisions are recorded, and nobody knows which of them are positive."""
        return self.decision is not None and self.decision.positive is None

    @property
    def counts_width(self) -> int:
        """Score bins of negatives, then of positives, then TN, FN, FP, TP."""
        return 2 * SCORE_BINS + _CONFUSION

    @property
    def sums_width(self) -> int:
        """Log loss and its square, squared error and its square, then the score by bin."""
        return 4 + SCORE_BINS

    def outcome_cells(self, outcomes: Outcomes, rows: int) -> Iterator[Cells]:
        """Sort labelled rows into cells: by score where that is a probability, by decision where there is one.

        What is neither falls into one more cell, which is not kept.
        """
        truth, scores = numbers(outcomes.labels, rows), numbers(outcomes.scores, rows)
        known = (truth == 0) | (truth == 1)
        labels = (truth == 1).astype(np.int64)
        scored = known & valid_scores(scores)
        bins = score_bins(scores, scored)
        if outcomes.decisions is None:
            decided, positive = scored, scores > self.threshold
        else:
            decisions = numbers(outcomes.decisions, rows)
            decided, positive = known & ((decisions == 0) | (decisions == 1)), decisions == 1
        # Two kinds of cell share the counts: each row is in one of either, so they are tallied one after the other.
        spare = 2 * SCORE_BINS
        yield Cells(np.where(scored, labels * SCORE_BINS + bins, spare), spare + 1, kept=spare)
        yield Cells(np.where(decided, 2 * positive + labels, _CONFUSION), _CONFUSION + 1, kept=_CONFUSION)
        held = np.where(scored, scores, labels)
        loss, squared = np.where(scored, log_losses(held, labels), 0.0), (held - labels) ** 2
        yield Cells(None, 1, loss)
        yield Cells(None, 1, loss**2)
        yield Cells(None, 1, squared)
        yield Cells(None, 1, squared**2)
        yield Cells(bins, SCORE_BINS, np.where(scored, scores, 0.0))
