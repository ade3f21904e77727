"""The catalogue: every check that there is, what it asks, in which numbers it answers, and when it applies.

The docs and `killick checks` are written from it; a test holds it to what the room says.
"""

from __future__ import annotations

from typing import NamedTuple

from killick.checks import drift, performance, quality, schema

__all__ = ["CATALOGUE", "Entry"]


class Entry(NamedTuple):
    """One check."""

    name: str
    meaning: str
    metrics: tuple[str, ...]
    applies: str


CATALOGUE: tuple[Entry, ...] = (
    Entry(
        schema.SCHEMA,
        "Has the table the columns that the reference has?",
        ("columns_missing", "columns_extra"),
        "two tables",
    ),
    Entry(schema.TYPE, "Are numbers still numbers, and text still text?", ("type_changed",), "two tables"),
    Entry(
        schema.FRESHNESS,
        "Is the reference older than what it judges?",
        ("days_behind",),
        "two tables with event times",
    ),
    Entry(
        quality.MISSING,
        "Are more values missing, or no number, than in the reference?",
        ("missing_rate",),
        "every feature and the score, by segment; two tables and live",
    ),
    Entry(
        quality.UNSEEN,
        "Are there categories that the reference does not know?",
        ("unseen_rate",),
        "categorical and boolean features, by segment; two tables and live",
    ),
    Entry(
        quality.RANGE,
        "Are values outside the declared range, or outside that of the reference?",
        ("outside_rate",),
        "numeric features and the score, by segment; two tables and live",
    ),
    Entry(
        drift.CHECK,
        "Has a column's distribution moved by more than matters, and more than healthy windows differ?",
        ("psi", "wasserstein", "total_variation"),
        "features, score, decision and label, by segment, from 50 rows on; two tables and live",
    ),
    Entry(
        performance.CHECK,
        "How good were the predictions, and are they worse than on the reference?",
        ("log_loss", "roc_auc", "error_rate"),
        "binary models with a score, from 50 labels on; two tables and live",
    ),
)
