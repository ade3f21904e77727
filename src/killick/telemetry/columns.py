"""The names that a prediction's parts have inside the house, whatever the operator's tables call them.

A batch is a Polars frame with these columns, and with the features under their own names. Instants are int64
microseconds. An operator's feature may not bear one of these names: the door says so.
"""

from __future__ import annotations

PREDICTION_ID = "prediction_id"
EVENT_TIME = "event_time"
ENTITY_ID = "entity_id"
SCORE = "score"
VERSION = "version"
ROLE = "role"
LABEL = "label"
KNOWN_AT = "known_at"

PARTS = (PREDICTION_ID, EVENT_TIME, ENTITY_ID, SCORE, VERSION, ROLE, LABEL, KNOWN_AT)

# What a serving process tells besides: it is kept with a prediction that was sent, and a history has none of it.
DECISION = "decision"
LATENCY = "latency_seconds"
STATUS = "response_status"  # not `status`: many a feature is called so
TRACE_ID = "trace_id"
LOG_URL = "log_url"
METADATA = "metadata"
WEIGHT = "sampling_weight"
CLASS_SCORE = "score."  # followed by the class

TOLD = (DECISION, LATENCY, STATUS, TRACE_ID, LOG_URL, METADATA, WEIGHT)


def features(columns: list[str]) -> tuple[str, ...]:
    """Return the features of an arranged table: every column that is no part.

    >>> features(["temp", "event_time"])
    ('temp',)
    """
    return tuple(column for column in columns if column not in PARTS)
