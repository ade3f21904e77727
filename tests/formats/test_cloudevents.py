"""What KServe's and Seldon's loggers post becomes halves, and halves of one id become predictions."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import msgspec
import pytest

from killick.errors import DataError
from killick.formats.cloudevents import Half, pair, read_halves
from killick.formats.foreign import Reading

READING = Reading("binary", ("temp", "wind"))
TRACE = "f927e47b237c00f371dcc88f3c0ec2ac"
# The attributes that kserve/pkg/logger/worker.go sets, as sdk-go sends them in binary mode.
KSERVE = {
    "Ce-Id": "0009174a-24a8-4603-b098-09c8799950e9",
    "Ce-Specversion": "1.0",
    "Ce-Type": "org.kubeflow.serving.inference.request",
    "Ce-Source": "http://localhost:9081/",
    "Ce-Time": "2024-05-07T12:00:00.000000123Z",
    "Ce-Inferenceservicename": "flight-delay",
    "Ce-Namespace": "default",
    "Ce-Component": "predictor",
    "Ce-Endpoint": "default",
    "Ce-Metadata": quote(json.dumps({"X-Request-Id": ["abc"], "Traceparent": [f"00-{TRACE}-ccc466a3ec1cf492-01"]})),
    "Content-Type": "application/json",
}
RESPONSE = KSERVE | {
    "Ce-Type": "org.kubeflow.serving.inference.response",
    "Ce-Time": "2024-05-07T12:00:00.250000Z",
}
ASKED = b'{"instances": [[39.0, 0.5]]}'
ANSWERED = b'{"predictions": [0.75]}'
NOON = 1_715_083_200_000_000


def half(headers=KSERVE, body=ASKED):
    """Return the only half of a request."""
    (found,) = read_halves(headers, body).halves
    return found


def test_a_request_and_its_response_are_a_prediction():
    """With the time of the one, the latency between the two, and the trace of the caller."""
    found = pair(half(), half(RESPONSE, ANSWERED), READING)
    assert found.rejected == []
    assert found.predictions == [
        {
            "prediction_id": "0009174a-24a8-4603-b098-09c8799950e9",
            "event_time": NOON,
            "latency_seconds": 0.25,
            "trace_id": TRACE,
            "metadata": {
                "namespace": "default",
                "component": "predictor",
                "endpoint": "default",
                "x-request-id": "abc",
                "traceparent": f"00-{TRACE}-ccc466a3ec1cf492-01",
            },
            "features": {"temp": 39.0, "wind": 0.5},
            "score": 0.75,
        }
    ]


def test_all_modes_of_a_cloudevent_say_the_same():
    """Headers, one JSON object, its data in base64 or as an object, and a batch."""
    attributes = {
        "specversion": "1.0",
        **{name[3:].lower(): value for name, value in KSERVE.items() if name.startswith("Ce-")},
        "metadata": json.dumps({"X-Request-Id": ["abc"], "Traceparent": [f"00-{TRACE}-ccc466a3ec1cf492-01"]}),
        "datacontenttype": "application/json",
    }
    structured = {"content-type": "application/cloudevents+json; charset=utf-8"}
    whole = [
        attributes | {"data": json.loads(ASKED)},
        attributes | {"data": ASKED.decode()},
        attributes | {"data_base64": base64.b64encode(ASKED).decode()},
    ]
    read = [half(structured, json.dumps(event).encode()) for event in whole]
    batch = read_halves({"content-type": "application/cloudevents-batch+json"}, json.dumps([*whole, 5, {}]).encode())
    expected = half()
    for found in [*read, *batch.halves]:
        assert msgspec.structs.replace(found, body=b"") == msgspec.structs.replace(expected, body=b"")
        assert json.loads(found.body) == json.loads(ASKED)
    assert [(each.index, each.field) for each in batch.rejected] == [(3, "event"), (4, "data")]


def test_mlserver_names_the_model_and_joins_by_its_own_id():
    """Version 0.3, as its responses carry it (docs.seldon.ai); `inferenceservicename` is the server there."""
    headers = {
        "ce-endpoint": "mlflow-apple-demand",
        "ce-id": "9ddc841e-a8d4-405f-a7e4-73f7aa9bab09",
        "ce-inferenceservicename": "mlserver",
        "ce-modelid": "mlflow-apple-demand",
        "ce-namespace": "default",
        "ce-requestid": "9ddc841e-a8d4-405f-a7e4-73f7aa9bab09",
        "ce-source": "io.seldon.serving.deployment.mlserver.default",
        "ce-specversion": "0.3",
        "ce-type": "io.seldon.serving.inference.response",
        "content-type": "application/json",
    }
    found = half(headers, b"{}")
    assert (found.part, found.models) == ("response", ("mlflow-apple-demand", "mlserver"))
    body = {"id": "9", "parameters": {"headers": {name.title(): text for name, text in headers.items()}}, "outputs": []}
    assert half({"content-type": "application/json"}, json.dumps(body).encode()).id == found.id


def test_seldon_cores_halves_have_ids_of_their_own_and_a_request_in_common():
    """Its executor's headers; the join is by `ce-requestid`, the model the deployment."""
    headers = {
        "ce-endpoint": "predictor",
        "ce-id": "6a572f54-658c-413f-a272-dd757903bd89",
        "ce-inferenceservicename": "model-test",
        "ce-modelid": "model-test-predictor",
        "ce-namespace": "ml-workshop",
        "ce-requestid": "12b0d447-288e-42a0-a7b4-b630c8b4895c",
        "ce-source": "http://:8000/",
        "ce-specversion": "1.0",
        "ce-time": "2022-08-16T22:38:13.447502807Z",
        "ce-traceparent": "00-64564c191d5294dc3c5e578fe70b1bd8-cca0ca20e93e2036-00",
        "ce-type": "io.seldon.serving.inference.request",
    }
    found = half(headers, b'{ "data": {"ndarray": [[2,1]] }}')
    assert found.id == "12b0d447-288e-42a0-a7b4-b630c8b4895c"
    assert found.models == ("model-test", "model-test-predictor")
    assert found.trace_id == "64564c191d5294dc3c5e578fe70b1bd8"
    assert pair(found, None, READING).predictions[0]["features"] == {"temp": 2, "wind": 1}


def test_a_canary_says_its_role_and_a_version_is_the_bodys():
    """`ce-endpoint` is `default` or `canary`; V2 names the version."""
    body = {"model_version": "v2", "outputs": [{"name": "p", "datatype": "FP32", "shape": [1], "data": [0.5]}]}
    event = pair(
        half(KSERVE | {"Ce-Endpoint": "canary"}), half(RESPONSE, json.dumps(body).encode()), READING
    ).predictions[0]
    assert (event["role"], event["version"], event["score"]) == ("canary", "v2", 0.5)


@pytest.mark.parametrize(
    ("response", "status"),
    [
        (None, "no response"),
        (half(RESPONSE | {"Ce-Statuscode": "503"}, b"upstream gone"), "503"),
        (half(RESPONSE, b"upstream gone"), "unreadable response"),
        (half(RESPONSE, b'{"predictions": [0.1, 0.2]}'), "unreadable response"),
        (half(RESPONSE, b'{"error": "model not found"}'), "unreadable response"),
    ],
)
def test_features_are_watched_when_there_is_no_answer(response, status):
    """The prediction has no score, and says why."""
    (event,) = pair(half(), response, READING).predictions
    assert event["status"] == status
    assert event["features"] == {"temp": 39.0, "wind": 0.5}
    assert "score" not in event


def test_a_success_says_nothing_of_its_status():
    """Which leaves it at `ok`."""
    (event,) = pair(half(), half(RESPONSE | {"Ce-Statuscode": "200"}, ANSWERED), READING).predictions
    assert "status" not in event


def test_a_request_that_cannot_be_read_is_rejected_with_its_place():
    """There is nothing to watch in it."""
    found = pair(half(body=b'{"instances": 5}'), half(RESPONSE, ANSWERED), READING)
    assert found.predictions == []
    assert [(each.index, each.field, each.reason) for each in found.rejected] == [
        (0, "instances", "must be an array, not a number")
    ]


@pytest.mark.parametrize("answered", ["2024-05-07T11:59:59Z", "2024-05-07T14:00:00Z", "yesterday", ""])
def test_a_latency_that_cannot_be_is_none(answered):
    """Clocks that disagree, halves of two calls, times that are none."""
    (event,) = pair(half(), half(RESPONSE | {"Ce-Time": answered}, ANSWERED), READING).predictions
    assert "latency_seconds" not in event


@pytest.mark.parametrize(
    ("parent", "trace_id"),
    [
        (f"00-{TRACE}-ccc466a3ec1cf492-01", TRACE),
        (f"cc-{TRACE}-ccc466a3ec1cf492-01-what-the-future-brings", TRACE),
        (f"00-{TRACE}-ccc466a3ec1cf492-01-what-the-future-brings", None),
        (f"cc-{TRACE}-ccc466a3ec1cf492-01.what", None),
        (f"ff-{TRACE}-ccc466a3ec1cf492-01", None),
        (f"00-{TRACE.upper()}-ccc466a3ec1cf492-01", None),
        (f"00-{'0' * 32}-ccc466a3ec1cf492-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE}-ccc466a3ec1cf492", None),
    ],
)
def test_a_trace_is_read_as_w3c_says(parent, trace_id):
    """A header of a version to come is read as far as it is known; what is none is passed over."""
    assert half(KSERVE | {"Ce-Metadata": "", "Ce-Traceparent": parent}).trace_id == trace_id


def test_nobodys_key_is_kept():
    """Even where the operator lets the logger forward every header."""
    kept = {"Authorization": ["Bearer x"], "Cookie": ["a=b"], "X-Api-Key": ["k"], "X-B3-Traceid": ["7"], "N": [5]}
    found = half(KSERVE | {"Ce-Metadata": json.dumps(kept)})
    assert (found.metadata, found.trace_id) == ({"x-b3-traceid": "7"}, "7")
    assert half(KSERVE | {"Ce-Metadata": "{"}).metadata == {}


@pytest.mark.parametrize(
    ("headers", "body", "said"),
    [
        ({}, b"{}", "ce-type: is missing"),
        ({}, b"[", "body: is no JSON"),
        ({"ce-type": "com.github.push"}, b"", "ce-type: is not logged by a model server (found 'com.github.push')"),
        (KSERVE | {"Ce-Id": ""}, b"", "ce-id: must have 1 to 500 characters"),
        (KSERVE | {"Ce-Id": "x" * 501}, b"", "ce-id: must have 1 to 500 characters"),
        ({"content-type": "application/cloudevents+json"}, b"[]", "body: must be an object"),
        ({"content-type": "application/cloudevents-batch+json"}, b"{}", "body: must be an array"),
        ({"content-type": "application/cloudevents+json"}, b'{"data_base64": "?"}', "data_base64: is not base64"),
    ],
)
def test_what_is_no_event_of_a_logger_is_refused(headers, body, said):
    """With what is wrong."""
    with pytest.raises(DataError) as caught:
        read_halves(headers, body)
    assert said in str(caught.value)


def test_a_half_can_wait_in_a_store():
    """It is the same when it comes back."""
    held = msgspec.msgpack.encode(half())
    assert msgspec.msgpack.decode(held, type=Half) == half()
