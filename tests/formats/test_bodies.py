"""Requests and responses as model servers publish them become rows of features and answers."""

from __future__ import annotations

import json

import pytest

from killick.errors import DataError
from killick.formats.bodies import joined, read_exchanges, read_request, read_response
from killick.formats.foreign import Reading

IRIS = ("sepal_length", "sepal_width", "petal_length", "petal_width")
BINARY = Reading("binary")
CLASSES = Reading("multiclass", IRIS, ("setosa", "versicolor", "virginica"))
REGRESSION = Reading("regression")

# kserve.github.io, "Deploy Scikit-learn models with InferenceService": V1, then V2, then its answers.
V1_REQUEST = {"instances": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]}
V1_RESPONSE = {"predictions": [1, 1]}
V2_REQUEST = {
    "inputs": [
        {"name": "input-0", "shape": [2, 4], "datatype": "FP32", "data": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]}
    ]
}
V2_RESPONSE = {
    "id": "823248cc-d770-4a51-9606-16803395569c",
    "model_name": "sklearn-v2-iris",
    "model_version": "v1.0.0",
    "outputs": [{"data": [1, 1], "datatype": "INT64", "name": "predict", "parameters": None, "shape": [2]}],
}
# The outputs of a classifier's signature in TensorFlow: the order of the classes may differ from row to row.
CLASSIFIED = {
    "predictions": [{"classes": ["b", "a"], "scores": [0.9, 0.1]}, {"classes": ["a", "b"], "scores": [0.75, 0.25]}]
}
# docs.seldon.ai/mlserver, Content Types: a data frame of two columns.
PANDAS = {
    "parameters": {"content_type": "pd"},
    "inputs": [
        {
            "name": "First Name",
            "datatype": "BYTES",
            "parameters": {"content_type": "str"},
            "shape": [2],
            "data": ["Joanne", "Michael"],
        },
        {"name": "Age", "datatype": "INT32", "shape": [2], "data": [34, 22]},
    ],
}


@pytest.mark.parametrize("body", [V1_REQUEST, V2_REQUEST], ids=["v1", "v2"])
def test_both_protocols_say_the_same(body):
    """Two flowers of four features, named by the model's own list."""
    rows = [dict(zip(IRIS, row, strict=True)) for row in V1_REQUEST["instances"]]
    assert read_request(body, CLASSES).rows == rows


def test_a_data_frame_has_its_own_columns():
    """MLServer's `pd`: one tensor a column, texts and numbers."""
    assert read_request(PANDAS, BINARY).rows == [
        {"First Name": "Joanne", "Age": 34},
        {"First Name": "Michael", "Age": 22},
    ]


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        ({"instances": [{"temp": 39.0, "origin": "JFK"}]}, [{"temp": 39.0, "origin": "JFK"}]),
        ({"instances": [{"features": [1, 2.5]}]}, [{"features_0": 1, "features_1": 2.5}]),
        ({"instances": [{"features": {"temp": 1}}]}, [{"temp": 1}]),
        ({"instances": [1, 2]}, [{"instances_0": 1}, {"instances_0": 2}]),
        ({"instances": []}, []),
        ([[1, 2]], [{"body_0": 1, "body_1": 2}]),
        ({"temp": 39.0}, [{"temp": 39.0}]),
        ({"data": {"names": ["f0", "f1"], "ndarray": [0.77, 0.63]}}, [{"f0": 0.77, "f1": 0.63}]),
        ({"data": {"names": ["a", "b"], "ndarray": [[1, 2], [3, 4]]}}, [{"a": 1, "b": 2}, {"a": 3, "b": 4}]),
        ({"data": {"names": ["a"], "tensor": {"shape": [2, 1], "values": [5, 6]}}}, [{"a": 5.0}, {"a": 6.0}]),
    ],
    ids=lambda value: json.dumps(value)[:50],
)
def test_other_requests_are_rows_too(body, rows):
    """Objects keep their names, SageMaker's and Seldon's wrappings are taken off."""
    assert read_request(body, BINARY).rows == rows


@pytest.mark.parametrize(
    ("body", "reading", "rows"),
    [
        (V1_RESPONSE, CLASSES, [{"decision": 1}, {"decision": 1}]),
        (V2_RESPONSE, CLASSES, [{"decision": 1}, {"decision": 1}]),
        ({"predictions": [0.3, 1]}, BINARY, [{"score": 0.3}, {"score": 1.0}]),
        ({"predictions": [[0.3], [0.5]]}, BINARY, [{"score": 0.3}, {"score": 0.5}]),
        ({"predictions": [[0.7, 0.3], [1, 0]]}, BINARY, [{"score": 0.3}, {"score": 0.0}]),
        ({"predictions": [[1, 0.3]]}, BINARY, [{"decision": 1, "score": 0.3}]),
        ({"predictions": [["bad", 0.3]]}, BINARY, [{"decision": "bad", "score": 0.3}]),
        ({"predictions": [True]}, BINARY, [{"decision": True}]),
        (
            {"predictions": [[0.2, 0.3, 0.5]]},
            CLASSES,
            [{"scores": {"setosa": 0.2, "versicolor": 0.3, "virginica": 0.5}}],
        ),
        ({"predictions": [[0.2, 0.8]]}, CLASSES, [{"scores": {"0": 0.2, "1": 0.8}}]),
        ({"predictions": ["setosa"]}, CLASSES, [{"decision": "setosa"}]),
        ({"predictions": [2.0]}, CLASSES, [{"decision": 2}]),
        ({"predictions": [3, 4]}, REGRESSION, [{"score": 3.0}, {"score": 4.0}]),
        ({"predictions": [{"score": 0.99, "predicted_label": 1}]}, BINARY, [{"score": 0.99, "decision": 1}]),
        ({"data": {"names": ["t:0"], "ndarray": [[0.25]]}}, BINARY, [{"score": 0.25}]),
        ([0.25], BINARY, [{"score": 0.25}]),
        (0.25, BINARY, [{"score": 0.25}]),
        ({"predictions": [None, 0.5]}, BINARY, [{}, {"score": 0.5}]),
        (CLASSIFIED, CLASSES, [{"scores": {"a": 0.1, "b": 0.9}}, {"scores": {"a": 0.75, "b": 0.25}}]),
        (CLASSIFIED, BINARY, [{"score": 0.9}, {"score": 0.25}]),
        ({"predictions": [{"reasons": ["old", "far"], "p": [0.1, 0.9]}]}, BINARY, [{"score": 0.9}]),
        ({"predictions": [[1, 0.9, "[0.1, 0.9]", "[0, 1]"]]}, BINARY, [{"decision": 1}]),
        ({"predictions": [["late", 0.9, "[0.1, 0.9]", "['no', 'late']"]]}, BINARY, [{"decision": "late"}]),
    ],
    ids=lambda value: json.dumps(value)[:40] if not isinstance(value, Reading) else value.task,
)
def test_an_answer_means_what_its_task_says(body, reading, rows):
    """Scores, probabilities of both classes or of all, and labels."""
    assert read_response(body, reading).rows == rows


@pytest.mark.parametrize(
    "row", [["a", "b"], ["a", 0.1, "b", 0.9], [0.1, 0.9, "a", "b"], ["a", "b", 0.1]], ids=json.dumps
)
def test_several_labels_are_no_decision(row):
    """Nobody says that the first of them is."""
    with pytest.raises(DataError, match="neither a score nor a decision"):
        read_response({"predictions": [row]}, CLASSES)


def test_a_label_and_its_probabilities_are_both_kept():
    """As scikit-learn models answer through ONNX: an output for each."""
    outputs = [
        {"name": "label", "datatype": "INT64", "shape": [2], "data": [1, 0]},
        {"name": "probabilities", "datatype": "FP32", "shape": [2, 2], "data": [0.25, 0.75, 0.5, 0.5]},
    ]
    assert read_response({"outputs": outputs}, BINARY).rows == [
        {"decision": 1, "score": 0.75},
        {"decision": 0, "score": 0.5},
    ]
    assert read_response(V2_RESPONSE, CLASSES).version == "v1.0.0"


def test_half_floats_add_up_to_one_as_well_as_they_can():
    """And two scores that plainly do not are no probabilities of two classes."""
    assert read_response({"predictions": [[0.333, 0.6665]]}, BINARY).rows == [{"score": 0.6665}]
    with pytest.raises(DataError, match="neither a score nor a decision of a binary model"):
        read_response({"predictions": [[3.1, -2.2]]}, BINARY)


@pytest.mark.parametrize(
    "body",
    [
        {"predictions": []},
        {"predictions": [[1.5, 2.5]]},
        {"predictions": [[1.5], [1.5, 2]]},
        {"predictions": ["late"]},
        {"predictions": 5},
        {"predictions": [{"a": {"b": 1}}]},
        {},
        "late",
        {"choices": [{"message": {"content": "hello"}}]},
    ],
    ids=json.dumps,
)
def test_what_is_no_answer_of_a_regression_is_refused(body):
    """Rather than a number found somewhere in it."""
    with pytest.raises(DataError):
        read_response(body, REGRESSION)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (5, "body: must be an object"),
        ({}, "body: is no request that is understood"),
        ({"messages": []}, "body: is no request that is understood"),
        ({"instances": 5}, "instances: must be an array, not a number"),
        ({"instances": [[1], [1, 2]]}, "instances: have rows of 1 to 2 values"),
        ({"instances": [[1], {"temp": 2}]}, "instances: mixes objects with other rows"),
        ({"instances": [1] * 100_001}, "instances: has more than 100000 rows"),
        ({"instances": [[0] * 10_001]}, "instances: have more than 10000 values a row"),
        ({"instances": [{"temp": {"deep": 1}}]}, "instances[0].temp: must be a number, a text, true, false or null"),
        ({"data": {"names": ["a", "a"], "ndarray": [[1, 2]]}}, "data.names: names a column twice"),
        ({"id": ["a"], "instances": []}, "id: must be a text"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_request_that_cannot_be_read_says_where(body, said):
    """With the names of the features known, an object without any of them is none."""
    with pytest.raises(DataError) as caught:
        read_request(body, Reading("binary", ("temp",)))
    assert said in str(caught.value)


def test_rows_of_a_request_have_its_id_and_their_number():
    """A single row has the id alone; answers go to their own rows."""
    asked = read_request(V1_REQUEST, CLASSES)
    events = joined(asked, read_response(V1_RESPONSE, CLASSES), "a", {"event_time": 5})
    assert [(event["prediction_id"], event["decision"], event["event_time"]) for event in events] == [
        ("a:0", 1, 5),
        ("a:1", 1, 5),
    ]
    one = read_request({"instances": [[1]]}, BINARY)
    assert [event["prediction_id"] for event in joined(one, None, "a", {})] == ["a"]
    with pytest.raises(DataError, match="response: answers 2 rows, and the request has 1"):
        joined(one, read_response(V1_RESPONSE, CLASSES), "a", {})


def test_exchanges_are_requests_with_their_responses():
    """With what whoever held both knows besides; one that cannot be read does not spoil the others."""
    good = {
        "request": V1_REQUEST,
        "response": V2_RESPONSE,
        "event_time": "2024-05-07T12:00:00Z",
        "latency_seconds": 0.012,
        "trace_id": "f0",
    }
    body = json.dumps(
        [good, {"response": V1_RESPONSE}, {"request": V1_REQUEST}, 5, {"request": V1_REQUEST, "prediction_id": "b"}]
    )
    found = read_exchanges(body.encode(), CLASSES)
    shared = {"version": "v1.0.0", "trace_id": "f0", "event_time": 1_715_083_200_000_000, "latency_seconds": 0.012}
    assert found.predictions[0] == {
        "prediction_id": "823248cc-d770-4a51-9606-16803395569c:0",
        **shared,
        "features": dict(zip(IRIS, [6.8, 2.8, 4.8, 1.4], strict=True)),
        "decision": 1,
    }
    assert [event["prediction_id"] for event in found.predictions[2:]] == ["b:0", "b:1"]
    assert found.predictions[2]["status"] == "no response"
    assert [(each.index, each.field) for each in found.rejected] == [(1, "request"), (2, "prediction_id"), (3, "body")]
    with pytest.raises(DataError, match="body: is no JSON"):
        read_exchanges(b"[", BINARY)
