"""OTLP in protobuf says what its JSON says."""

from __future__ import annotations

import builtins
from contextlib import suppress

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from killick.adapters.otlp import read_logs_protobuf
from killick.errors import CallError, DataError
from killick.formats.otlp import events_of

ATTRIBUTES = [
    {"key": "killick.model", "value": {"stringValue": "churn"}},
    {"key": "killick.prediction_id", "value": {"stringValue": "a"}},
    {"key": "killick.score", "value": {"doubleValue": 0.25}},
    {"key": "killick.decision", "value": {"boolValue": False}},
    {"key": "killick.feature.hour", "value": {"intValue": "7"}},
    {"key": "killick.feature.nothing", "value": {}},
    {"key": "killick.feature.nan", "value": {"doubleValue": "NaN"}},
    {"key": "killick.feature.e", "value": {"arrayValue": {"values": [{"doubleValue": 0.5}, {"intValue": "1"}]}}},
    {"key": "other", "value": {"kvlistValue": {"values": [{"key": "k", "value": {"stringValue": "v"}}]}}},
]
EXPORT = {
    "resourceLogs": [
        {
            "resource": {"attributes": [{"key": "killick.version", "value": {"stringValue": "v3"}}]},
            "scopeLogs": [
                {
                    "scope": {"name": "my.library"},
                    "logRecords": [
                        {"timeUnixNano": "1544712660300000000", "attributes": ATTRIBUTES},
                        {"body": {"stringValue": "somebody else's"}},
                        {
                            "eventName": "feature_flag.evaluation",
                            "attributes": [{"key": "feature_flag.key", "value": {"stringValue": "churn"}}],
                        },
                    ],
                }
            ],
        }
    ]
}
TRACE = "5b8efff798038103d269b633813fc60c"


def test_both_encodings_of_an_export_say_the_same():
    """The trace too, which is bytes in one and hex in the other."""
    message = ParseDict(EXPORT, ExportLogsServiceRequest())
    message.resource_logs[0].scope_logs[0].log_records[0].trace_id = bytes.fromhex(TRACE)
    EXPORT["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["traceId"] = TRACE.upper()
    found = read_logs_protobuf(message.SerializeToString())
    assert found == events_of(EXPORT)
    (event,) = found.predictions["churn"]
    assert (event["trace_id"], event["version"], event["features"]["e"]) == (TRACE, "v3", [0.5, 1.0])
    assert found.ignored == 1


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_bytes_are_an_export_or_a_data_error(body):
    """Protobuf takes many things for a message; none of them breaks us."""
    with suppress(DataError):
        found = read_logs_protobuf(body)
        assert (found.predictions, found.outcomes) == ({}, {})


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    """JSON needs nothing."""
    real = builtins.__import__

    def absent(name, *rest):
        if name.startswith("opentelemetry"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(CallError, match=r"pip install 'killick\[otlp\]'"):
        read_logs_protobuf(b"")
