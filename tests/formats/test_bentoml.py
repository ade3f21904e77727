"""BentoML's monitoring logs: rows of columns whose roles a schema tells."""

from __future__ import annotations

import json

import pytest

from killick.errors import DataError, SpecError
from killick.formats.bentoml import Columns, between_requests, read_columns, read_rows
from killick.formats.folders import whole_requests
from killick.formats.foreign import Reading

# The schema that the monitor of the documentation's iris classifier writes (BentoML 1.2, _internal/monitoring).
SCHEMA = {
    "meta_data": {"bento_name": "iris_classifier", "bento_version": "lqxjspq6lsrzfapo"},
    "columns": [
        {"name": "sepal length", "role": "feature", "type": "numerical"},
        {"name": "sepal width", "role": "feature", "type": "numerical"},
        {"name": "pred", "role": "prediction", "type": "categorical"},
        {"name": "species", "role": "target", "type": "categorical"},
        {"name": "odd", "role": "other", "type": "numerical"},
    ],
}
COLUMNS = read_columns(json.dumps(SCHEMA).encode())
READING = Reading("multiclass")


def row(request="15390471862173364721", at="2024-05-07T14:00:00.123456", **values):
    """Write a line as the JSON formatter does."""
    held = {"sepal length": 4.9, "sepal width": 3.0, "pred": "setosa"} | values
    return held | {"timestamp": at, "request_id": request, "trace_id": "157239749348349380912383908219020383237"}


def data(*rows):
    """Write rows as lines; Python's `json` writes NaN."""
    return "".join(f"{json.dumps(each)}\n" for each in rows).encode()


def test_the_last_schema_holds():
    """A process appends its own; roles that are not BentoML's have no meaning."""
    older = json.dumps(SCHEMA | {"columns": []})
    assert read_columns(f"{older}\n{json.dumps(SCHEMA)}\n".encode()) == COLUMNS
    assert Columns(("sepal length", "sepal width"), ("pred",), ("species",), "lqxjspq6lsrzfapo") == COLUMNS
    outside = SCHEMA | {"meta_data": {"bento_name": "", "bento_version": "not available"}}
    assert read_columns(json.dumps(outside).encode()).version is None


def test_a_line_is_a_prediction():
    """Of the version that the bento had, in the trace that BentoML writes as a whole number."""
    (event,) = read_rows(data(row()), COLUMNS, READING).predictions
    assert event == {
        "prediction_id": "15390471862173364721",
        "event_time": 1_715_090_400_123_456,
        "features": {"sepal length": 4.9, "sepal width": 3.0},
        "decision": "setosa",
        "version": "lqxjspq6lsrzfapo",
        "trace_id": f"{157239749348349380912383908219020383237:032x}",
    }


@pytest.mark.parametrize(
    ("zone", "at", "hours"),
    [
        ("UTC", "2024-05-07T14:00:00", 14),
        ("America/New_York", "2024-05-07T14:00:00", 18),
        ("America/New_York", "2024-05-07T14:00:00+00:00", 14),
        ("America/New_York", "2024-11-03T01:30:00", 5.5 + 180 * 24),
    ],
)
def test_the_local_time_is_in_the_specs_zone(zone, at, hours):
    """Of the hour that comes twice, the first; a time that says its zone needs none."""
    (event,) = read_rows(data(row(at=at)), COLUMNS, Reading("multiclass", time_zone=zone)).predictions
    assert event["event_time"] == 1_715_040_000_000_000 + hours * 3_600_000_000


@pytest.mark.parametrize(("requests", "ids"), [("aab", ["a:0", "a:1", "b"]), ("aba", ["a:0", "b", "a:1"])])
def test_the_rows_of_a_request_are_numbered(requests, ids):
    """In their order; a request that logs twice may have others in between."""
    found = read_rows(data(*map(row, requests)), COLUMNS, READING)
    assert [event["prediction_id"] for event in found.predictions] == ids


def test_a_target_is_an_outcome_that_was_known_at_once():
    """Where the monitor logs one."""
    found = read_rows(data(row("a", species="virginica"), row("b", species=None), row("c")), COLUMNS, READING)
    at = found.predictions[0]["event_time"]
    assert found.outcomes == [{"prediction_id": "a", "known_at": at, "label": "virginica"}]


def test_what_python_calls_nan_is_missing():
    """It is no JSON, and BentoML writes it."""
    (event,) = read_rows(data(row(**{"sepal width": float("nan")})), COLUMNS, READING).predictions
    assert event["features"]["sepal width"] is None


def test_a_number_sequence_is_a_list_and_no_trace_is_none():
    """`numerical_sequence` is an embedding; `str(None)` and 0 are how BentoML says that there is no trace."""
    written = row(**{"sepal length": [1, 2.5]}) | {"trace_id": "0"}
    (event,) = read_rows(data(written), COLUMNS, READING).predictions
    assert event["features"]["sepal length"] == [1.0, 2.5]
    assert "trace_id" not in event


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (5, "line"),
        ({}, "request_id"),
        (row("None"), "request_id"),
        (row(at=None), "timestamp"),
        (row(at="soon"), "timestamp"),
        (row(at="0001-01-01T00:00:00+23:59"), None),
        (row(**{"sepal width": {}}), "sepal width"),
        (row(pred={}), "response"),
    ],
)
def test_a_line_that_cannot_be_read_is_rejected_and_the_rest_stands(bad, field):
    """With its number."""
    found = read_rows(data(row("a"), bad, row("z")), COLUMNS, READING)
    assert [(each.index, each.field) for each in found.rejected] == ([(1, field)] if field else [])
    assert [event["prediction_id"] for event in found.predictions][:: 2 - bool(field)] == ["a", "z"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"columns": [5]}', b'{"columns": [{"role": "feature"}]}'])
def test_what_is_no_schema_is_refused(body):
    """Without it nobody knows what the columns are."""
    with pytest.raises(DataError):
        read_columns(body)


def test_a_time_zone_that_nobody_knows_is_the_specs_mistake():
    """Not the data's."""
    with pytest.raises(SpecError, match=r"schema\.time_zone"):
        read_rows(b"", COLUMNS, Reading("multiclass", time_zone="Mars/Olympus"))


@pytest.mark.parametrize("requests", ["aaabccccd", "ababcdcdd", "aabacbbcdcddee"])
def test_pieces_are_cut_between_requests(requests):
    """However a file is torn, the rows of a request are read together, also where others are in between."""
    lines = data(*map(row, requests)).splitlines(keepends=True)
    pieces = list(whole_requests(b"".join(lines[at : at + 2]) for at in range(0, len(lines), 2)))
    assert len(pieces) > 1
    assert b"".join(pieces) == b"".join(lines)
    read = [event["prediction_id"] for piece in pieces for event in read_rows(piece, COLUMNS, READING).predictions]
    assert read == [event["prediction_id"] for event in read_rows(b"".join(lines), COLUMNS, READING).predictions]


def test_a_line_of_no_request_holds_nothing_together():
    """A place between two of them is as good as any."""
    body = b'{"request_id": "None"}\n' * 2 + b"no json\n" * 2
    assert [between_requests(body, most) for most in (22, 23, 46, 53, 62)] == [0, 23, 46, 46, 62]


def test_a_file_of_one_request_is_not_held_whole():
    """It is cut all the same when it is longer than a request can be."""
    pieces = [b'{"request_id": "7"}\n' * 20_000] * 6
    assert [piece.count(b"\n") for piece in whole_requests(pieces)] == [60_000, 60_000]
