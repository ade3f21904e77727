"""The kinds of outcome that there are, one for each task: what performance is computed from.

Each has `column`, `counts_width`, `sums_width` and `outcome_cells(outcomes, rows)`, and a file of its own; what else
the house takes from these files is named here.
"""

from __future__ import annotations

from typing import TypeAlias

from killick.profiles.outcomes_binary import BinaryOutcome
from killick.profiles.outcomes_classes import ClassOutcome
from killick.profiles.outcomes_values import ValueOutcome
from killick.profiles.scores import SCORE_BINS, ScoreScale, log_losses, score_bins, valid_scores

__all__ = ["SCORE_BINS", "OutcomeScale", "ScoreScale", "log_losses", "score_bins", "valid_scores"]

OutcomeScale: TypeAlias = BinaryOutcome | ClassOutcome | ValueOutcome
