"""Log records with attributes of ours are predictions and outcomes; all others are other people's logs."""

from __future__ import annotations

import json

import pytest

from killick.errors import DataError
from killick.formats.otlp import events_of, read_logs
from killick.wire.decode import decode_predictions

TRACE = "5B8EFFF798038103D269B633813FC60C"


def value(content):
    """Write an `AnyValue` as the protocol's JSON mapping has it: 64-bit integers are text."""
    if isinstance(content, bool):
        return {"boolValue": content}
    if isinstance(content, int):
        return {"intValue": str(content)}
    if isinstance(content, float):
        return {"doubleValue": content}
    if isinstance(content, list):
        return {"arrayValue": {"values": [value(each) for each in content]}}
    return {"stringValue": content}


def attributes(**content):
    """Write attributes; two underscores stand for a dot, and `k` for our name."""
    keys = {key.replace("__", "."): held for key, held in content.items()}
    return [{"key": key.replace("k.", "killick.", 1), "value": value(held)} for key, held in keys.items()]


def export(*records, resource=()):
    """Write an export as `examples/logs.json` of opentelemetry-proto has it, with these records."""
    scope = {"name": "my.library", "version": "1.0.0", "attributes": attributes(my__scope__attribute="some")}
    return {
        "resourceLogs": [
            {
                "resource": {"attributes": [*attributes(service__name="my.service"), *resource]},
                "scopeLogs": [{"scope": scope, "logRecords": list(records)}],
            }
        ]
    }


def record(*, trace=TRACE, event=None, **content):
    """Write a log record of 10 December 2018."""
    written = {
        "timeUnixNano": "1544712660300000000",
        "observedTimeUnixNano": "1544712660300000001",
        "severityText": "Information",
        "traceId": trace,
        "spanId": "EEE19B7EC3C1B174",
        "body": {"stringValue": "Example log record"},
        "attributes": attributes(**content),
    }
    return written | ({"eventName": event} if event else {})


def test_a_record_is_a_prediction():
    """Each attribute is a part, and the trace is the record's, in lower case."""
    one = record(
        k__model="churn",
        k__prediction_id="a",
        k__version="v3",
        k__entity_id="customer-7",
        k__role="canary",
        k__score=0.25,
        k__decision=True,
        k__latency_seconds=0.012,
        k__status="ok",
        k__log_url="https://logs/a",
        k__sampling_weight=10,
        k__metadata__region="eu",
        k__feature__temp=39.5,
        k__feature__hour=7,
        k__feature__late=True,
        k__feature__origin="JFK",
        k__feature__embedding=[0.5, 1],
    )
    found = read_logs(json.dumps(export(one)).encode())
    assert found.rejected == []
    assert found.predictions == {
        "churn": [
            {
                "prediction_id": "a",
                "event_time": 1_544_712_660_300_000,
                "entity_id": "customer-7",
                "version": "v3",
                "role": "canary",
                "status": "ok",
                "log_url": "https://logs/a",
                "score": 0.25,
                "decision": True,
                "latency_seconds": 0.012,
                "sampling_weight": 10.0,
                "features": {"temp": 39.5, "hour": 7, "late": True, "origin": "JFK", "embedding": [0.5, 1.0]},
                "metadata": {"region": "eu"},
                "trace_id": TRACE.lower(),
            }
        ]
    }


def test_model_and_version_may_stand_on_the_resource():
    """Where a service says once what it is; the record's own word goes before."""
    resource = attributes(k__model="churn", k__version="v3")
    found = events_of(
        export(record(k__prediction_id="a"), record(k__prediction_id="b", k__version="v4"), resource=resource)
    )
    assert [event["version"] for event in found.predictions["churn"]] == ["v3", "v4"]


def test_an_outcome_is_known_at_its_records_time_or_when_it_says():
    """A record may be an outcome, a prediction, or both."""
    found = events_of(
        export(
            record(k__model="churn", k__prediction_id="a", k__outcome__label=True, k__outcome__kpi__cost=40),
            record(k__model="churn", k__prediction_id="b", k__outcome__label="left", k__outcome__known_at="2018-12-11"),
            record(k__model="churn", k__prediction_id="c", k__outcome__label=0, k__score=0.5),
        )
    )
    assert found.outcomes["churn"] == [
        {"prediction_id": "a", "known_at": 1_544_712_660_300_000, "label": True, "kpis": {"cost": 40.0}},
        {"prediction_id": "b", "known_at": 1_544_486_400_000_000, "label": "left"},
        {"prediction_id": "c", "known_at": 1_544_712_660_300_000, "label": 0},
    ]
    assert [event["prediction_id"] for event in found.predictions["churn"]] == ["c"]


def test_metadata_are_written_by_the_wire():
    """Which has `true` for a boolean, and nothing for what is missing or no number."""
    one = record(k__model="churn", k__prediction_id="a", k__metadata__late=True, k__metadata__ratio=float("nan"))
    one["attributes"].append({"key": "killick.metadata.region", "value": {}})
    events = events_of(export(one)).predictions["churn"]
    table = decode_predictions(json.dumps(events).encode(), "json", model="churn", spec=None, now=2**51).table
    assert table["metadata"].to_list() == ['{"late":"true"}']


def test_class_scores_are_kept_even_when_they_are_zero():
    """Zero is a probability."""
    found = events_of(
        export(record(k__model="iris", k__prediction_id="a", k__scores__setosa=0.0, k__scores__other=1.0))
    )
    assert found.predictions["iris"][0]["scores"] == {"setosa": 0.0, "other": 1.0}


@pytest.mark.parametrize("apart", [True, False])
def test_an_evaluated_flag_is_the_assignment(apart):
    """On the prediction's own record, or on an event of the same trace; what the prediction says itself goes before."""
    flag = {
        "feature_flag__key": "churn",
        "feature_flag__result__variant": "v4",
        "feature_flag__context__id": "customer-7",
        "feature_flag__provider__name": "Flag Manager",
    }
    own = {"k__model": "churn", "k__prediction_id": "a", "k__score": 0.5}
    if apart:
        other = record(trace="0" * 31 + "1", event="feature_flag.evaluation", **flag)
        records = [record(event="feature_flag.evaluation", **flag), other, record(**own)]
    else:
        records = [record(**own, **flag)]
    found = events_of(export(*records, record(trace=None, **own | {"k__version": "v9"})))
    first, second = found.predictions["churn"]
    assert (first["version"], first["entity_id"]) == ("v4", "customer-7")
    assert (second["version"], "entity_id" in second) == ("v9", False)
    assert found.ignored == 0


def test_other_peoples_logs_are_ignored_and_counted():
    """The published examples themselves, too."""
    assert events_of(export(record(string__attribute="some string"), record())).ignored == 2
    assert events_of({}).ignored == 0
    assert events_of({"resourceLogs": [{"scopeLogs": [{}]}]}).ignored == 0


def test_numbers_come_in_every_spelling_that_the_mapping_allows():
    """Integers as numbers too, NaN as text, an empty value, and a time that is not there."""
    odd = {
        "timeUnixNano": "0",
        "attributes": [
            *attributes(k__model="m", k__prediction_id="a"),
            {"key": "killick.feature.a", "value": {"intValue": 10}},
            {"key": "killick.feature.b", "value": {"doubleValue": "NaN"}},
            {"key": "killick.feature.c", "value": {}},
            {"key": "killick.feature.d"},
        ],
    }
    (event,) = events_of(export(odd)).predictions["m"]
    assert event == {"prediction_id": "a", "features": {"a": 10, "b": None, "c": None, "d": None}}


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (record(k__score=0.5), "killick.model"),
        (record(k__model="m", k__score=0.5), "killick.prediction_id"),
        (record(k__model="m", k__prediction_id="a", k__score="high"), "killick.score"),
        (record(k__model="m", k__prediction_id="a", k__sampling_weight=0), "killick.sampling_weight"),
        (record(k__model="m", k__prediction_id="a", k__feature__x=["a"]), "killick.feature.x"),
        (record(k__model="m", k__prediction_id="a") | {"timeUnixNano": "soon"}, "timeUnixNano"),
        (record(k__model="m", k__prediction_id="a", k__outcome__known_at="soon"), "killick.outcome.known_at"),
        ({"attributes": [{"key": "killick.model", "value": {"colour": 1}}]}, "attributes.killick.model"),
        ({"attributes": [{"key": "killick.model", "value": {"intValue": "ten"}}]}, "attributes.killick.model"),
        ({"attributes": 5}, "attributes"),
        (5, "logRecord"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_record_that_cannot_be_read_is_rejected_and_the_rest_stands(bad, field):
    """With its number among all records of the export."""
    found = events_of(export(record(), bad, record(k__model="m", k__prediction_id="z", k__score=0.5)))
    assert [(each.index, each.field) for each in found.rejected] == [(1, field)]
    assert [event["prediction_id"] for event in found.predictions["m"]] == ["z"]
    assert found.ignored == 1


@pytest.mark.parametrize("body", [b"", b"5", b'{"resourceLogs": 5}', b'{"resourceLogs": [5]}', b"[" * 5_000])
def test_what_is_no_export_is_refused(body):
    """Whole: there are no records to tell apart."""
    with pytest.raises(DataError):
        read_logs(body)


def test_values_nested_without_end_are_refused():
    """A record's own mistake."""
    deep = value(1)
    for _ in range(40):
        deep = {"arrayValue": {"values": [deep]}}
    bad = {"attributes": [*attributes(k__model="m"), {"key": "killick.feature.x", "value": deep}]}
    assert "nested more than 16 deep" in events_of(export(bad)).rejected[0].reason
