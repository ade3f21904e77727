"""SageMaker's files: data capture of an endpoint as predictions, ground truth as outcomes. One JSON object a line.

A captured request may hold several rows: CSV lines, or the instances of a JSON body. Its id is the caller's
`inferenceId` where there is one, else the `eventId`, which is how SageMaker itself joins labels. CSV columns are named
by a header of the model's features, else by these in their order; an unknown number of them as Spark does, `_c0`,
`_c1` ...

Sources: docs.aws.amazon.com/sagemaker/latest/dg: model-monitor-data-capture, model-monitor-pre-and-post-processing
(the record and its keys), model-monitor-model-quality-merge (ground truth).
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any

from killick.errors import DataError
from killick.formats.bodies import joined, read_request, read_response
from killick.formats.foreign import (
    ID_MAX,
    ROWS_MAX,
    Decoded,
    from_base64,
    instant,
    lines,
    mapping,
    name_of,
    read_json,
    refuse,
    rejected,
    row_ids,
    scalar,
)

if TYPE_CHECKING:
    from killick.clock import Instant
    from killick.formats.foreign import Event, Reading, Scalar

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_MISSING = frozenset({"", "nan", "null", "none", "na", "n/a"})


def read_captures(body: bytes, reading: Reading) -> Decoded:
    """Read lines of a data capture as predictions.

    Raises:
        DataError: there are more lines than can be read at once. A line that cannot be read is `rejected`.
    """
    found = Decoded()
    for index, line in lines(body):
        try:
            predictions = _capture(mapping(read_json(line, "line"), "line"), reading)
            if len(found.predictions) + len(predictions) > 2 * ROWS_MAX:
                refuse("line", f"would be more than {2 * ROWS_MAX} rows at once", hint="send it in pieces")
            found.predictions.extend(predictions)
            found.prediction_lines.extend([index] * len(predictions))
        except DataError as error:
            found.rejected.append(rejected(index, error))
    return found


def read_labels(body: bytes, *, known_at: Instant | None = None) -> Decoded:
    """Read lines of ground truth as outcomes.

    Args:
        body: the lines.
        known_at: when they could be known. The format does not say; None leaves it to the time of receipt.

    Raises:
        DataError: there are more lines than can be read at once. A line that cannot be read is `rejected`.

    >>> line = b'{"groundTruthData": {"data": "1", "encoding": "CSV"}, "eventMetadata": {"eventId": "a"}}'
    >>> read_labels(line).outcomes
    [{'prediction_id': 'a', 'label': 1}]
    """
    found = Decoded()
    told: Event = {} if known_at is None else {"known_at": known_at}
    for index, line in lines(body):
        try:
            record = mapping(read_json(line, "line"), "line")
            metadata = mapping(record.get("eventMetadata"), "eventMetadata")
            labels = _labels(mapping(record.get("groundTruthData"), "groundTruthData"))
            ids = row_ids(_id(metadata), len(labels))
            events = [{"prediction_id": each, **told, "label": label} for each, label in zip(ids, labels, strict=True)]
            found.outcomes.extend(events)
            found.outcome_lines.extend([index] * len(events))
        except DataError as error:
            found.rejected.append(rejected(index, error))
    return found


def _capture(record: dict[str, Any], reading: Reading) -> list[Event]:
    metadata = mapping(record.get("eventMetadata"), "eventMetadata")
    captured = mapping(record.get("captureData"), "captureData")
    # An endpoint's second key; a batch transform's own.
    output = next((key for key in ("endpointOutput", "batchTransformOutput") if captured.get(key)), None)
    if captured.get("endpointInput") is None:
        refuse("captureData.endpointInput", "is missing", hint="capture both Input and Output (CaptureOptions)")
    taken = _content(captured["endpointInput"], "captureData.endpointInput", reading)
    asked = read_request(taken, reading, unnamed="_c")
    answered = None
    if output:
        answered = read_response(_content(captured[output], f"captureData.{output}", reading), reading)
    shared = _shared(metadata)
    if answered is None:
        shared["status"] = "no response"
    elif answered.version:
        shared["version"] = answered.version
    return joined(asked, answered, _id(metadata), shared)


def _id(metadata: dict[str, Any]) -> str:
    return name_of(metadata.get("inferenceId") or metadata.get("eventId"), "eventMetadata.eventId")


def _shared(metadata: dict[str, Any]) -> Event:
    told: Event = {}
    if metadata.get("inferenceTime") is not None:
        told["event_time"] = instant(metadata["inferenceTime"], "eventMetadata.inferenceTime")
    if custom := metadata.get("customAttributes"):
        texts = custom if isinstance(custom, list) else [custom]
        told["metadata"] = {"custom_attributes": ",".join(text for text in texts if isinstance(text, str))[:ID_MAX]}
    return told


# ------------------------------------------------------------------------------------------------ what was captured


def _content(node: object, place: str, reading: Reading) -> Any:  # noqa: ANN401 - any JSON value
    """Return captured data as the JSON value that they mean: rows of CSV become lists."""
    fields = mapping(node, place)
    encoding, kind = fields.get("encoding"), fields.get("observedContentType")
    data = fields.get("data")
    content_type = kind.partition(";")[0].strip().lower() if isinstance(kind, str) else ""
    if encoding == "BASE64":
        held = from_base64(data, f"{place}.data")
    elif isinstance(data, str):
        held = data.encode()
    else:
        return data if encoding == "JSON" and data is not None else refuse(f"{place}.data", "must be a text")
    if encoding == "CSV" or (encoding == "BASE64" and content_type in ("text/csv", "text/plain")):
        return _csv(held, f"{place}.data", reading)
    if encoding == "JSON" or content_type in ("application/json", "application/jsonlines"):
        return _json(held, f"{place}.data")
    told = encoding if encoding != "BASE64" else content_type
    hint = "CSV, JSON, and BASE64 of text/csv, application/json or application/jsonlines can be"
    return refuse(f"{place}.encoding", "cannot be read", str(told)[:100], hint)


def _json(held: bytes, place: str) -> Any:  # noqa: ANN401 - any JSON value
    """Return one JSON value; JSON Lines are a list of theirs."""
    rows = [line for _, line in lines(held)]
    if len(rows) > 1:
        try:
            return [read_json(row, place) for row in rows]
        except DataError:  # one value that is written over several lines
            return read_json(held, place)
    return read_json(held, place)


def _csv(held: bytes, place: str, reading: Reading) -> list[list[Scalar]] | list[dict[str, Scalar]]:
    """Return the rows, by name where the first of them is a header: it may have the features in any order."""
    try:
        rows = [row for row in csv.reader(io.StringIO(held.decode(), newline=""), strict=True) if row]
    except UnicodeDecodeError:
        refuse(place, "is no UTF-8")
    except csv.Error as error:
        refuse(place, f"is no CSV: {error}")
    if len(rows) > ROWS_MAX:
        refuse(place, f"has more than {ROWS_MAX} rows")
    cells = [[_cell(cell, place) for cell in row] for row in rows]
    if not rows or sorted(rows[0]) != sorted(reading.features):
        return cells
    if any(len(row) != len(rows[0]) for row in rows):
        refuse(place, f"has rows of other lengths than its header, which names {len(rows[0])} columns")
    return [dict(zip(rows[0], row, strict=True)) for row in cells[1:]]


def _cell(written: str, place: str) -> Scalar:
    """Return what a CSV cell means: a number, nothing, or a text.

    >>> [_cell(cell, "data") for cell in ("1", "0.5", "", "JFK")]
    [1, 0.5, None, 'JFK']
    """
    text = written.strip()
    if _WHOLE.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return scalar(float(text), place)
    return None if text.lower() in _MISSING else scalar(text, place)


def _labels(data: dict[str, Any]) -> list[Scalar]:
    held, encoding = data.get("data"), data.get("encoding")
    place = "groundTruthData.data"
    if encoding == "BASE64":
        held = from_base64(held, place).decode("utf-8", errors="replace")
    if isinstance(held, str) and encoding == "JSON":
        held = read_json(held.encode(), place)
    if not isinstance(held, str):
        values = held if isinstance(held, list) else [held]
        return [scalar(value, place) for value in values]
    return [_cell(line, place) for line in held.splitlines() if line.strip()] or [None]
