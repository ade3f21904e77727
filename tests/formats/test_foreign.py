"""Whatever the bytes, a reader of a foreign format returns events of our wire, or raises `DataError`."""

from __future__ import annotations

import base64
import json
import tracemalloc

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from killick.errors import DataError
from killick.formats.bentoml import Columns, between_requests, read_columns, read_rows
from killick.formats.bodies import read_exchanges
from killick.formats.cloudevents import pair, read_halves
from killick.formats.foreign import Decoded, Reading, lines, name_of, read_json, row_ids
from killick.formats.otlp import Logs, read_logs
from killick.formats.sagemaker import read_captures, read_labels

READINGS = [
    Reading(task, features, classes)
    for task in ("binary", "multiclass", "regression")
    for features, classes in (((), ()), (("a", "b"), ("x", "y")))
]
HEADERS = {"ce-type": "org.kubeflow.serving.inference.request", "ce-id": "1", "ce-source": "s"}


def events(body, reading):
    """Read a body as CloudEvents of each mode, and pair what there is with itself."""
    found = []
    for headers in (HEADERS, {"content-type": "application/cloudevents+json"}, {}):
        try:
            found += read_halves(headers, body).halves
        except DataError:
            continue
    pairs = [pair(half, answer, reading) for half in found for answer in (None, half)]
    return Decoded([event for each in pairs for event in each.predictions])


def bento(body, reading):
    """Read a body as rows and as their schema."""
    columns = Columns(("a",), ("score",), ("b",))
    try:
        columns = read_columns(body)
    except DataError:
        assert between_requests(body, len(body)) <= len(body)
    return read_rows(body, columns, reading)


def logs(body, reading):
    """Read a body as an export."""
    found: Logs = read_logs(body)
    return Decoded(
        [event for each in found.predictions.values() for event in each],
        [event for each in found.outcomes.values() for event in each],
    )


READERS = {
    "exchanges": read_exchanges,
    "cloudevents": events,
    "otlp": logs,
    "sagemaker": read_captures,
    "ground truth": lambda body, _: read_labels(body),
    "bentoml": bento,
}
# The words that readers look for, so that what is drawn gets past the first look.
WORDS = [
    *("inputs", "outputs", "instances", "predictions", "data", "names", "ndarray", "tensor", "values", "shape"),
    *("datatype", "name", "parameters", "content_type", "base64", "id", "request", "response", "features", "a", "b"),
    *(
        "captureData",
        "endpointInput",
        "endpointOutput",
        "eventMetadata",
        "eventId",
        "encoding",
        "CSV",
        "JSON",
        "BASE64",
    ),
    *("groundTruthData", "resourceLogs", "scopeLogs", "logRecords", "attributes", "key", "value", "stringValue"),
    *("killick.model", "killick.prediction_id", "killick.feature.x", "intValue", "arrayValue", "doubleValue"),
    *("request_id", "timestamp", "columns", "role", "feature", "score", "type", "data_base64", "headers", "Ce-Type"),
    *(
        "FP32",
        "INT64",
        "BYTES",
        "BOOL",
        "NaN",
        "\ud800",
        "2024-05-07",
        "1",
        "-1",
        "1e999",
        "org.kubeflow.serving.inference.request",
    ),
]
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers()
    | st.sampled_from([0.5, 1e300, 10**400, 2**63, -(2**63)])
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=4)
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
    max_leaves=25,
)
# One good payload of each format: what is drawn is one of these with a few pieces of it put wrong.
INPUT = {"name": "a", "datatype": "FP32", "shape": [2, 2], "data": [[1, 2.5], [3, 4]]}
TEXT = {
    "name": "b",
    "datatype": "BYTES",
    "shape": [2],
    "data": ["MQ==", "Mg=="],
    "parameters": {"content_type": "base64"},
}
OUTPUT = {"name": "p", "datatype": "FP64", "shape": [2, 2], "data": [0.25, 0.75, 0.5, 0.5]}
CSV = {"data": "1,0.5", "encoding": "CSV", "observedContentType": "text/csv"}
GOOD = {
    "exchanges": {
        "request": {"id": "i", "inputs": [INPUT, TEXT]},
        "response": {"model_version": "1", "outputs": [OUTPUT]},
        "event_time": "2024-05-07T12:00:00Z",
    },
    "cloudevents": {
        **{key.removeprefix("ce-"): text for key, text in HEADERS.items()},
        "data": {"instances": [[1, 0.5]], "predictions": [[0.25, 0.75]]},
        "metadata": '{"X-Request-Id": ["abc"]}',
    },
    "otlp": {
        "resourceLogs": [
            {
                "resource": {"attributes": [{"key": "killick.model", "value": {"stringValue": "m"}}]},
                "scopeLogs": [
                    {
                        "logRecords": [
                            {
                                "timeUnixNano": "1544712660300000000",
                                "attributes": [
                                    {"key": "killick.prediction_id", "value": {"stringValue": "a"}},
                                    {"key": "killick.feature.x", "value": {"doubleValue": 0.5}},
                                    {"key": "killick.outcome.label", "value": {"intValue": "1"}},
                                ],
                            }
                        ]
                    }
                ],
            }
        ]
    },
    "sagemaker": {
        "captureData": {"endpointInput": CSV, "endpointOutput": CSV},
        "eventMetadata": {"eventId": "e", "inferenceTime": "2019-11-20T23:33:12Z"},
    },
    "ground truth": {"groundTruthData": CSV, "eventMetadata": {"eventId": "e"}},
    "bentoml": {"request_id": "7", "timestamp": "2024-05-07T14:00:00", "a": 1, "score": 0.5, "b": 1},
}


def put_wrong(draw, node):
    """Return a value with one piece of it replaced, removed or said twice, somewhere below."""
    if not node or not isinstance(node, dict | list) or draw(st.integers(0, 5)) == 0:
        return draw(trees)
    if isinstance(node, list):
        at = draw(st.integers(0, len(node) - 1))
        return [*node[:at], *draw(st.sampled_from([[], [node[at]] * 2, [put_wrong(draw, node[at])]])), *node[at + 1 :]]
    key = draw(st.sampled_from(sorted(node)))
    rest = {name: inner for name, inner in node.items() if name != key}
    return rest if draw(st.integers(0, 3)) == 0 else rest | {key: put_wrong(draw, node[key])}


@st.composite
def spoiled(draw, name):
    """Return lines of a good payload, each with up to two pieces put wrong."""
    written = []
    for _ in range(draw(st.integers(1, 3))):
        held = GOOD[name]
        for _ in range(draw(st.integers(0, 2))):
            held = put_wrong(draw, held)
        written.append(json.dumps(held))
    return "\n".join(written if name not in ("exchanges", "cloudevents", "otlp") else written[:1]).encode()


bodies = (
    st.binary(max_size=40)
    | st.sampled_from([b"[" * 3_000, b'{"a":' * 3_000, b"[" * 3_000 + b"]" * 3_000, b"NaN", b"[-Infinity]", b"\xff"])
    | st.lists(trees.map(json.dumps), max_size=3).map("\n".join).map(str.encode)
)


@pytest.mark.parametrize("name", READERS)
def test_a_good_payload_of_each_format_is_read(name):
    """So that what is put wrong in it is all that is wrong."""
    found = READERS[name](json.dumps(GOOD[name]).encode(), READINGS[1])
    assert found.predictions or found.outcomes
    assert found.rejected == []


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=120)
@given(st.data(), st.sampled_from(READINGS))
def test_no_payload_makes_anything_but_a_result_or_a_data_error(name, data, reading):
    """And whatever comes out is JSON that says the same when it is read back: the wire can carry it."""
    body = data.draw(spoiled(name) | bodies if data.draw(st.integers(0, 3)) == 0 else spoiled(name))
    try:
        found = READERS[name](body, reading)
    except DataError:
        return
    for event in [*found.predictions, *found.outcomes]:
        assert msgspec.json.decode(msgspec.json.encode(event)) == event
        assert isinstance(event["prediction_id"], str)
    for event in found.predictions:
        assert isinstance(event["features"], dict)
    assert all(each.field and each.reason for each in found.rejected)


@pytest.mark.parametrize(
    "body",
    [
        {"id": "a", "inputs": [{"name": "x", "datatype": "FP32", "shape": [10**9, 0], "data": []}]},
        {"id": "a", "inputs": [{"name": "x", "datatype": "FP32", "shape": [10**9, 10**9], "data": [1]}]},
        {"id": "a", "instances": [[]] * 200_000},
        {"id": "a" * 10**6, "instances": [[1]] * 1_000},
    ],
    ids=["rows of nothing", "a huge shape", "many rows", "a long id"],
)
def test_what_a_body_claims_costs_nothing(body):
    """A small body is answered with little memory, whatever numbers stand in it."""
    written = json.dumps({"request": body}).encode()
    tracemalloc.start()
    try:
        found = read_exchanges(written, READINGS[0])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [found.predictions, len(found.rejected)] == [[], 1]
    assert peak < 40 * len(written) + 2**20


def test_what_json_has_no_word_for_is_missing():
    """As Python's own `json` writes it."""
    assert read_json(b'{"a": NaN, "b": [-Infinity, 1]}', "body") == {"a": None, "b": [None, 1]}
    with pytest.raises(DataError, match="body: is no JSON"):
        read_json(b'{"a": NaN', "body")


def test_half_a_character_costs_its_row_and_not_what_it_came_with():
    """It is read as NUL, which ids and the wire refuse; whole characters, and what a text says of NaN, are kept."""
    body = rb'["\ud83d\ude00", "\ud83d", "\\ud83d NaN", "\"NaN", NaN]'
    assert read_json(body, "body") == ["\N{GRINNING FACE}", "\0", "\\ud83d NaN", '"NaN', None]


def test_lines_are_counted_as_an_editor_does():
    """Empty ones too; and there is a bound."""
    assert list(lines(b"a\n\r\n b \n")) == [(0, b"a"), (2, b"b")]
    with pytest.raises(DataError, match="more than 100000 lines"):
        list(lines(b"\n" * 100_001))


def test_ids_may_be_numbers():
    """As clients in untyped languages send them; what a store could not keep is none."""
    assert [name_of(value, "id") for value in ("a", 7, 0)] == ["a", "7", "0"]
    for value in (True, 1.5, None, "", " ", "x" * 501, [], 2**63, "a\0", "\ud800"):
        with pytest.raises(DataError):
            name_of(value, "id")
    assert row_ids("a", 0) == []


def test_a_body_in_base64_is_read_as_its_bytes():
    """Between a fuzzer that cannot know base64 and the reader behind it."""
    held = base64.b64encode(json.dumps({"instances": [[1, 2]]}).encode()).decode()
    body = json.dumps({"type": HEADERS["ce-type"], "id": "1", "source": "s", "data_base64": held}).encode()
    (half,) = read_halves({"content-type": "application/cloudevents+json"}, body).halves
    assert pair(half, None, READINGS[1]).predictions[0]["features"] == {"a": 1, "b": 2}
