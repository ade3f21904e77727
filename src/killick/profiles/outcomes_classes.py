"""The outcomes of a multiclass model: the confusion of its decisions, and how often its confidence was right.

Guarantee: accuracy and log loss are exact, and so are precision, recall and F1 of the fifty commonest classes of the
reference. All other classes share one cell, where a decision still counts as right only if it is the label itself.
Cost: the square of the number of classes, at most 2,600 counts; 100 score bins, twice, with their sums.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import polars as pl

from killick.profiles.categorical import as_text
from killick.profiles.cells import Cells
from killick.profiles.outcome_rows import numbers
from killick.profiles.scores import SCORE_BINS, log_losses, score_bins, valid_scores

if TYPE_CHECKING:
    from collections.abc import Iterator

    from killick.profiles.cells import Ints
    from killick.profiles.outcome_rows import Outcomes

# Nobody reads a table of more, and the memory of a window grows with the square.
CLASSES_MAX = 50


class ClassOutcome(msgspec.Struct, frozen=True, tag="class_outcome", tag_field="kind"):
    """The yardstick of a multiclass outcome: its known classes, the commonest first."""

    column: str
    classes: tuple[str, ...]

    @property
    def side(self) -> int:
        """How many classes the confusion tells apart: the known ones, and the rest."""
        return len(self.classes) + 1

    @property
    def confusion_width(self) -> int:
        """Label x decision, then what is wrong inside the rest."""
        return self.side**2 + 1

    @property
    def counts_width(self) -> int:
        """The confusion, the confidence by bin of wrong decisions and of right ones, and the rows with a log loss."""
        return self.confusion_width + 2 * SCORE_BINS + 1

    @property
    def sums_width(self) -> int:
        """Log loss and its square, then the confidence by bin."""
        return 2 + SCORE_BINS

    def outcome_cells(self, outcomes: Outcomes, rows: int) -> Iterator[Cells]:
        """Sort rows that have a label and a decision into cells; the others fall into one that is not kept."""
        label, decision = _classes(outcomes.labels, rows), _classes(outcomes.decisions, rows)
        known = (label.is_not_null() & decision.is_not_null()).to_numpy()
        right = (label == decision).fill_null(value=False).to_numpy()
        label_codes, decision_codes = self._codes(label), self._codes(decision)
        rest = self.side - 1
        lost = (label_codes == rest) & (decision_codes == rest) & ~right
        cell = np.where(lost, self.side**2, label_codes * self.side + decision_codes)
        width = self.confusion_width
        yield Cells(np.where(known, cell, width), width + 1, kept=width)
        confidence = numbers(outcomes.scores, rows)
        scored = known & valid_scores(confidence)
        bins = score_bins(confidence, scored)
        spare = 2 * SCORE_BINS
        yield Cells(np.where(scored, right * SCORE_BINS + bins, spare), spare + 1, kept=spare)
        given = numbers(outcomes.label_scores, rows)
        judged = label.is_not_null().to_numpy() & valid_scores(given)
        loss = np.where(judged, log_losses(np.where(judged, given, 1.0), np.ones(rows, np.int64)), 0.0)
        yield Cells(np.where(judged, 0, 1), 2, kept=1)
        yield Cells(None, 1, loss)
        yield Cells(None, 1, loss**2)
        yield Cells(bins, SCORE_BINS, np.where(scored, confidence, 0.0))

    def _codes(self, classes: pl.Series) -> Ints:
        codes = classes.cast(pl.Enum(self.classes), strict=False).to_physical().cast(pl.Int64)
        return codes.fill_null(self.side - 1).to_numpy()


def fit_classes(column: str, labels: pl.Series | None, decisions: pl.Series | None = None) -> ClassOutcome:
    """Learn the classes from the reference: the commonest fifty among labels and decisions, ties in order of the text.

    >>> fit_classes("label", pl.Series(["b", "a", "b"])).classes
    ('b', 'a')
    """
    text = pl.concat([_classes(series, 0) for series in (labels, decisions)]).drop_nulls().alias("text")
    counts = text.value_counts(name="rows").sort(["rows", "text"], descending=[True, False])
    return ClassOutcome(column, tuple(counts["text"].head(CLASSES_MAX).to_list()))


def _classes(series: pl.Series | None, rows: int) -> pl.Series:
    """Classes as text; a NaN among classes that are numbers is a class that has not come."""
    if series is None:
        return pl.Series("", [None] * rows, dtype=pl.String)
    return as_text(series.fill_nan(None) if series.dtype.is_float() else series).alias("")
