"""SageMaker's captured requests are predictions, its ground truth outcomes."""

from __future__ import annotations

import base64
import json

import pytest

from killick.formats.foreign import Reading
from killick.formats.sagemaker import read_captures, read_labels

# docs.aws.amazon.com/sagemaker/latest/dg/model-monitor-pre-and-post-processing.html, the record that it shows.
PUBLISHED = {
    "captureData": {
        "endpointInput": {
            "observedContentType": "text/csv",
            "mode": "INPUT",
            "data": "132,25,113.2,96,269.9,107,,0,0,0,0,0,0,1,0,1,0,0,1",
            "encoding": "CSV",
        },
        "endpointOutput": {
            "observedContentType": "text/csv; charset=utf-8",
            "mode": "OUTPUT",
            "data": "0.01076381653547287",
            "encoding": "CSV",
        },
    },
    "eventMetadata": {"eventId": "feca1ab1-8025-47e3-8f6a-99e3fdd7b8d9", "inferenceTime": "2019-11-20T23:33:12Z"},
    "eventVersion": "0",
}
BINARY = Reading("binary")


def capture(data, output="0.5", *, kind="CSV", encoding=None, content_type="text/csv", **metadata):
    """Write a captured request."""
    return {
        "captureData": {
            "endpointInput": {
                "observedContentType": content_type,
                "mode": "INPUT",
                "data": data,
                "encoding": encoding or kind,
            },
            "endpointOutput": {"observedContentType": "text/csv", "mode": "OUTPUT", "data": output, "encoding": kind},
        },
        "eventMetadata": {"eventId": "e", "inferenceTime": "2019-11-20T23:33:12Z"} | metadata,
        "eventVersion": "0",
    }


def read(*records, reading=BINARY):
    """Read records as lines."""
    return read_captures("\n".join(json.dumps(record) for record in records).encode(), reading)


def test_the_published_record_is_a_prediction():
    """Nineteen columns without names, the seventh empty, and a probability."""
    (event,) = read(PUBLISHED).predictions
    assert event["prediction_id"] == "feca1ab1-8025-47e3-8f6a-99e3fdd7b8d9"
    assert event["event_time"] == 1_574_292_792_000_000
    assert event["score"] == 0.01076381653547287
    assert len(event["features"]) == 19
    assert [event["features"][f"_c{at}"] for at in (0, 2, 6)] == [132, 113.2, None]


@pytest.mark.parametrize(
    "data",
    [
        '39.5,"JFK, New York"\n-4e1,LGA\n',
        'temp,origin\n39.5,"JFK, New York"\n-4e1,LGA\n',
        'origin,temp\n"JFK, New York",39.5\nLGA,-4e1\n',
    ],
    ids=["no header", "header", "header in another order"],
)
def test_columns_have_the_headers_names_or_else_the_features_in_their_order(data):
    """Texts in quotes are texts; a header, where a client sends one, is none of the rows."""
    reading = Reading("binary", ("temp", "origin"))
    events = read(capture(data, "0.25\n0.75\n"), reading=reading).predictions
    assert [event["features"] for event in events] == [
        {"temp": 39.5, "origin": "JFK, New York"},
        {"temp": -40.0, "origin": "LGA"},
    ]
    assert [(event["prediction_id"], event["score"]) for event in events] == [("e:0", 0.25), ("e:1", 0.75)]


def test_a_row_that_does_not_fit_its_header_is_refused():
    """Nobody knows which of its values is missing."""
    found = read(capture("origin,temp\nLGA\n"), reading=Reading("binary", ("temp", "origin")))
    assert [(each.field, found.predictions) for each in found.rejected] == [("captureData.endpointInput.data", [])]


def test_the_callers_id_goes_before_sagemakers():
    """As SageMaker itself joins labels; what else it notes is kept."""
    (event,) = read(capture("1", inferenceId="mine", customAttributes=["trace=7", "x"])).predictions
    assert (event["prediction_id"], event["metadata"]) == ("mine", {"custom_attributes": "trace=7,x"})


@pytest.mark.parametrize(
    ("data", "encoding", "content_type", "features"),
    [
        ('{"instances": [{"features": [1.5, 2]}]}', "JSON", "application/json", {"temp": 1.5, "wind": 2}),
        ('{"temp": 1.5, "wind": 2}', "JSON", "application/json", {"temp": 1.5, "wind": 2}),
        ('{"features": [1.5, 2]}\n', "JSON", "application/jsonlines", {"temp": 1.5, "wind": 2}),
        ('{\n"temp": 1.5,\n"wind": 2\n}', "JSON", "application/json", {"temp": 1.5, "wind": 2}),
        (base64.b64encode(b"1.5,2").decode(), "BASE64", "text/csv; charset=utf-8", {"temp": 1.5, "wind": 2}),
        (base64.b64encode(b"[[1.5, 2]]").decode(), "BASE64", "application/json", {"temp": 1.5, "wind": 2}),
    ],
)
def test_every_encoding_is_read(data, encoding, content_type, features):
    """CSV, JSON in its forms, and base64 of either by its content type."""
    record = capture(data, encoding=encoding, content_type=content_type)
    found = read(record, reading=Reading("binary", ("temp", "wind")))
    assert found.rejected == []
    assert [event["features"] for event in found.predictions] == [features]


@pytest.mark.parametrize(
    ("task", "output", "answer"),
    [
        ("binary", "1,0.93", {"decision": 1, "score": 0.93}),
        ("binary", "0.25,0.75", {"score": 0.75}),
        ("multiclass", "0.25,0.25,0.5", {"scores": {"0": 0.25, "1": 0.25, "2": 0.5}}),
        ("multiclass", "setosa", {"decision": "setosa"}),
        ("regression", "9.223058700561523", {"score": 9.223058700561523}),
        ("regression", "9", {"score": 9.0}),
    ],
)
def test_what_is_answered_follows_from_the_task(task, output, answer):
    """A label and its probability, probabilities, a class, a value."""
    (event,) = read(capture("1", output), reading=Reading(task)).predictions
    assert {part: event[part] for part in ("score", "scores", "decision") if part in event} == answer


def test_a_batch_transforms_output_stands_under_its_own_key():
    """And without any output there is no response."""
    record = capture("1")
    record["captureData"]["batchTransformOutput"] = record["captureData"].pop("endpointOutput")
    assert read(record).predictions[0]["score"] == 0.5
    del record["captureData"]["batchTransformOutput"]
    assert read(record).predictions[0]["status"] == "no response"


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (5, "line"),
        ({}, "eventMetadata"),
        ({"eventMetadata": {"eventId": "a"}}, "captureData"),
        ({"eventMetadata": {"eventId": "a"}, "captureData": {}}, "captureData.endpointInput"),
        (capture("1", eventId=None), "eventMetadata.eventId"),
        (capture("1", inferenceTime="soon"), "eventMetadata.inferenceTime"),
        (capture("1", "0.1\n0.2"), "response"),
        (capture("1", "late", kind="CSV") | {"captureData": {"endpointInput": 5}}, "captureData.endpointInput"),
        (capture('"open', "0.5"), "captureData.endpointInput.data"),
        (capture("?", encoding="BASE64"), "captureData.endpointInput.data"),
        (capture("/w==", encoding="BASE64"), "captureData.endpointInput.data"),
        (capture("AA==", encoding="BASE64", content_type="application/x-npy"), "captureData.endpointInput.encoding"),
        (capture("1", encoding="XML"), "captureData.endpointInput.encoding"),
        (capture(5), "captureData.endpointInput.data"),
        (capture("{", encoding="JSON"), "captureData.endpointInput.data"),
        (capture("1\n1,2", "0.1\n0.2"), "body"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_line_that_cannot_be_read_is_rejected_and_the_rest_stands(bad, field):
    """With its number, empty lines counted."""
    text = f"\n{json.dumps(bad)}\n{json.dumps(PUBLISHED)}\n{{\n"
    found = read_captures(text.encode(), BINARY)
    assert [(each.index, each.field) for each in found.rejected] == [(1, field), (3, "line")]
    assert len(found.predictions) == 1


def test_ground_truth_is_an_outcome():
    """As model-monitor-model-quality-merge.html shows it; when it was known is the reader's to say."""
    published = (
        '{"groundTruthData": {"data": "1", "encoding": "CSV"}, '
        '"eventMetadata": {"eventId": "aaaa-bbbb-cccc"}, "eventVersion": "0"}'
    )
    assert read_labels(published.encode()).outcomes == [{"prediction_id": "aaaa-bbbb-cccc", "label": 1}]
    assert read_labels(published.encode(), known_at=5).outcomes[0]["known_at"] == 5


@pytest.mark.parametrize(
    ("data", "labels"),
    [
        ({"data": "setosa", "encoding": "CSV"}, ["setosa"]),
        ({"data": "0.5", "encoding": "CSV"}, [0.5]),
        ({"data": "", "encoding": "CSV"}, [None]),
        ({"data": "1\n0\n", "encoding": "CSV"}, [1, 0]),
        ({"data": "[1, 0]", "encoding": "JSON"}, [1, 0]),
        ({"data": "MQ==", "encoding": "BASE64"}, [1]),
        ({"data": True, "encoding": "JSON"}, [True]),
    ],
)
def test_labels_are_what_is_written(data, labels):
    """One a row of the request, with the row's id."""
    line = {"groundTruthData": data, "eventMetadata": {"eventId": "a"}}
    found = read_labels(json.dumps(line).encode())
    assert [outcome["label"] for outcome in found.outcomes] == labels
    assert len({outcome["prediction_id"] for outcome in found.outcomes}) == len(labels)


def test_ground_truth_without_an_id_is_rejected():
    """Nobody could join it."""
    found = read_labels(
        b'{"groundTruthData": {"data": "1"}}\n{"groundTruthData": 1, "eventMetadata": {"eventId": "a"}}'
    )
    assert [each.field for each in found.rejected] == ["eventMetadata", "groundTruthData"]
