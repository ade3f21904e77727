"""The names that columns have where people come from, and the part that each name means.

From the glossary; scikit-learn and NannyML (`y_true`, `y_pred`, `y_pred_proba`, `y_pred_proba_<class>`), Evidently
(`target`, `prediction`), Arize (`prediction_label`, `prediction_score`, `actual_label`), Databricks (`model_id`).
Each part has its usual names, the likeliest first, and a pattern for names that only resemble one. All are in snake
case.
"""

from __future__ import annotations

import re

TIMES = (
    *("event_time", "timestamp", "event_timestamp", "prediction_time", "prediction_timestamp", "predicted_at", "ts"),
    *("datetime", "inference_time", "inference_timestamp"),
)
TIME = re.compile(r"(^|_)(time|timestamp|date|datetime|at|ts)$")
IDS = ("prediction_id", "request_id", "inference_id", "event_id", "id", "uuid", "row_id", "transaction_id")
ID = re.compile(r"(^|_)(id|uuid|guid|seq|row|row_number|index)$")
ENTITIES = ("entity_id", "user_id", "customer_id", "client_id", "account_id", "patient_id", "passenger_id")
ENTITY = re.compile(r"(^|_)entity(_|$)")
LABELS = (
    *("label", "y_true", "target", "outcome", "ground_truth", "actual", "truth", "true_label", "y"),
    *("actual_label", "actual_value", "actual_score", "y_test"),
)
# Not `prediction_label`, which is the decision.
LABEL = re.compile(
    r"^(?!pred(icted|iction)?_)(.*_)?(label|target|outcome|actual|ground_truth|y_true)$|^(label|target|outcome|actual)_"
)
SCORES = (
    *("score", "y_pred_proba", "predicted_probability", "prediction_proba", "pred_proba", "y_score", "proba"),
    *("prediction_score", "prediction_probability", "prediction_probas", "predicted_proba", "y_proba", "y_prob"),
    "probability",
)
SCORE = re.compile(r"(^|_)(score|proba|prob|probability)(_|$)|^p_")
SCORE_PREFIXES = (
    "y_pred_proba",
    "prediction_proba",
    "predicted_probability",
    "pred_proba",
    "proba",
    "prob",
    "score",
    "p",
)
DECISIONS = (
    *("decision", "y_pred", "prediction", "predicted", "predicted_label", "predicted_class", "pred"),
    *("prediction_label", "prediction_labels", "prediction_class"),
)
DECISION = re.compile(r"(^|_)decision$|^(predicted|pred)_")
VALUES = (
    *("prediction", "y_pred", "predicted", "predicted_value", "pred", "yhat", "y_hat", "forecast", "score"),
    *("prediction_value", "prediction_score", "prediction_label"),
)
VALUE = re.compile(r"(^|_)(prediction|forecast)$|^(predicted|pred)_")
KNOWN_TIMES = (
    *("known_at", "label_known_at", "label_time", "label_timestamp", "outcome_time", "labelled_at", "labeled_at"),
    *("label_date", "actual_timestamp"),
)
KNOWN_TIME = re.compile(r"^(label|outcome|target|actual)_.*(time|timestamp|date|at)$")
VERSIONS = ("model_version", "version", "model_id")
# Latency is in seconds: another unit in the name is left to the operator.
LATENCIES = ("latency", "latency_seconds")
STATUSES = ("prediction_status", "status_code", "http_status")
NEVER = re.compile(r"(?!)")
SPLITS = frozenset({"partition", "split", "fold"})
# Labels and decisions alike.
POSITIVE = frozenset({"yes", "y", "true", "t", "1", "positive", "pos", "approve", "approved"})
# What the positive value is called where only the other one is there.
OPPOSITES = {"no": "yes", "n": "y", "false": "true", "f": "t", "0": "1", "negative": "positive", "neg": "pos"}
