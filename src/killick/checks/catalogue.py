"""The catalogue: every check that there is, what it asks, in which numbers it answers, and when it applies.

The docs and `killick checks` are written from it; a test holds it to what the room says.
"""

from __future__ import annotations

from typing import NamedTuple

from killick.checks import (
    concept,
    constancy,
    correlation,
    drift,
    integrity,
    output,
    performance,
    quality,
    schema,
    skew,
)
from killick.checks.methods import METHODS
from killick.spec.document import METRICS

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
        "Has the table the columns that the reference has, in their order?",
        ("columns_missing", "columns_extra", "columns_reordered", "sampled_rows"),
        "two tables",
    ),
    Entry(
        schema.TYPE, "Are numbers still numbers, and text still text?", ("type_changed", "zone_changed"), "two tables"
    ),
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
        quality.OUTLIERS,
        "Are more values beyond Tukey's far fences than in the reference?",
        ("outlier_rate",),
        "numeric features and the score, by segment; two tables",
    ),
    Entry(
        constancy.CONSTANT,
        "Has a column that varied a single value now?",
        ("constant_share",),
        "numeric, categorical and boolean columns, by segment; two tables",
    ),
    Entry(
        integrity.DUPLICATES,
        "Do more rows repeat another row, or more ids another id, than in the reference?",
        ("duplicate_rate", "duplicate_id_rate"),
        "two tables",
    ),
    Entry(
        integrity.CARDINALITY,
        "Has a column as many distinct values as the reference has in as many rows?",
        ("distinct_values",),
        "features; two tables",
    ),
    Entry(
        correlation.CORRELATION,
        "Do numeric columns go together as they did?",
        ("correlation_change",),
        "numeric features; two tables",
    ),
    Entry(
        output.OUTPUT,
        "Is what the model said possible in itself?",
        ("outside_rate", "nan_rate", "decision_mismatch_rate", "sum_rate"),
        "models with a score; two tables",
    ),
    Entry(
        skew.SKEW,
        "Did the model see what the offline table says of the same entities and times?",
        ("mismatch_rate",),
        "features; two tables, with an offline table",
    ),
    Entry(
        drift.CHECK,
        "Has a column's distribution moved by more than matters, and more than healthy windows differ?",
        tuple(METHODS),
        "features, score, decision and label, by segment, from 50 rows on; two tables and live",
    ),
    Entry(
        concept.CONCEPT,
        "Does the same score, or the same value of a feature, still lead to the same outcome?",
        ("outcome_shift",),
        "models with labels, from 50 on; two tables",
    ),
    Entry(
        performance.CHECK,
        "How good were the predictions, and are they worse than on the reference?",
        (*METRICS, "bias"),
        "models with labels, by segment, from 50 labels on; two tables and live",
    ),
)
