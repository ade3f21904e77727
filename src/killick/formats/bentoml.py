"""BentoML's monitoring logs: lines of column values, and a schema that says which column is what.

`bentoml.monitor` writes a line a row to `<name>/data/data.<worker>.log`, and once a process the columns' roles
(`feature`, `prediction`, `target`) to `<name>/schema/schema.<worker>.log`. Its `timestamp` is the local time of the
machine and says no zone; `request_id` names the request. Its rows follow each other, unless an asynchronous service
logs twice in it, and others in between. A `target` is an outcome that was known at once.

Sources: docs.bentoml.com, Monitoring and data collection; BentoML's `_internal/monitoring/default.py` and `base.py`.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from killick.clock import from_datetime
from killick.errors import DataError, Mistake, SpecError
from killick.formats.bodies import read_response
from killick.formats.foreign import (
    Decoded,
    called,
    feature,
    lines,
    mapping,
    name_of,
    read_json,
    refuse,
    rejected,
    row_ids,
    scalar,
    sequence,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from killick.clock import Instant
    from killick.formats.foreign import Event, Reading

# `str(None)`: how BentoML writes that there is none.
_NONE = frozenset({"", "None", "0"})


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns a monitor writes, by their role, and the version of the bento that wrote them."""

    features: tuple[str, ...]
    predictions: tuple[str, ...]
    targets: tuple[str, ...] = ()
    version: str | None = None


def read_columns(body: bytes) -> Columns:
    """Read a schema log. A process appends its schema when it starts: the last line holds.

    Raises:
        DataError: no line says what the columns are.

    >>> line = b'{"meta_data": {}, "columns": [{"name": "temp", "role": "feature", "type": "numerical"}]}'
    >>> read_columns(line).features
    ('temp',)
    """
    last = None
    for _, line in lines(body):
        last = line
    record = mapping(read_json(last or b"null", "schema"), "schema")
    roles: dict[str, list[str]] = {"feature": [], "prediction": [], "target": []}
    for at, node in enumerate(sequence(record.get("columns"), "schema.columns")):
        column = mapping(node, f"schema.columns[{at}]")
        role = column.get("role")
        if isinstance(role, str) and role in roles:
            roles[role].append(name_of(column.get("name"), f"schema.columns[{at}].name"))
    metadata, place = record.get("meta_data"), "schema.meta_data.bento_version"
    version = metadata.get("bento_version") if isinstance(metadata, dict) else None
    # What BentoML writes outside a built bento.
    known = name_of(version, place) if version not in (None, "", "not available") else None
    return Columns(tuple(roles["feature"]), tuple(roles["prediction"]), tuple(roles["target"]), known)


def read_rows(body: bytes, columns: Columns, reading: Reading) -> Decoded:
    """Read lines of a data log as predictions, and outcomes where the monitor has a target.

    The rows of one request must not be torn apart: which number a row has is told by the others.

    Raises:
        DataError: there are more lines than can be read at once. A line that cannot be read is `rejected`.
        SpecError: nobody knows the time zone.
    """
    zone = _zone(reading.time_zone)
    found = Decoded()
    readable = list(_readable(body, found))
    rows = Counter(row["request_id"] for _, row in readable)
    ids = {request_id: iter(row_ids(request_id, number)) for request_id, number in rows.items()}
    for index, row in readable:
        prediction_id = next(ids[row["request_id"]])
        try:
            at = _local(row.get("timestamp"), zone)
            prediction = _prediction(row, prediction_id, at, columns, reading)
            label = _label(row, columns)
        except DataError as error:
            found.rejected.append(rejected(index, error))
            continue
        found.predictions.append(prediction)
        found.prediction_lines.append(index)
        if label is not None:
            found.outcomes.append({"prediction_id": prediction_id, "known_at": at, "label": label})
            found.outcome_lines.append(index)
    found.rejected.sort(key=lambda each: each.index)
    return found


def between_requests(body: bytes, most: int) -> int:
    r"""Return the last place, up to `most`, that no request has lines on both sides of; 0 where there is none.

    >>> between_requests(b'{"request_id": "a"}\n{"request_id": "b"}\n{"request_id": "b"}\n', most=45)
    20
    """
    written = body.split(b"\n")
    requests = [_request_id(line) for line in written]
    ends = {request_id: index for index, request_id in enumerate(requests)}
    found = place = 0
    end = -1
    for index, (line, request_id) in enumerate(zip(written, requests, strict=True)):
        if place > most:
            break
        if end < index:
            found = place
        end = max(end, ends[request_id] if request_id else index)
        place += len(line) + 1
    return found


def _request_id(line: bytes) -> str:
    """Return which request a line is of; empty where it is of none."""
    try:
        return str(_row(line)["request_id"])
    except DataError:
        return ""


def _readable(body: bytes, found: Decoded) -> Iterator[tuple[int, Event]]:
    """Yield the lines that are rows of a request, and note the others."""
    for index, line in lines(body):
        try:
            yield index, _row(line)
        except DataError as error:
            found.rejected.append(rejected(index, error))


def _row(line: bytes) -> Event:
    row = mapping(read_json(line, "line"), "line")
    request_id = name_of(row.get("request_id"), "request_id")
    if request_id in _NONE:
        refuse("request_id", "is missing", request_id, "log within a request, which has an id")
    return row | {"request_id": request_id}


def _prediction(row: Event, prediction_id: str, at: Instant, columns: Columns, reading: Reading) -> Event:
    event: Event = {"prediction_id": prediction_id, "event_time": at}
    event["features"] = {name: feature(value, name) for name, value in _held(row, columns.features)}
    if predicted := dict(_held(row, columns.predictions)):
        event |= read_response(predicted, reading).rows[0]
    if columns.version:
        event["version"] = columns.version
    trace_id = row.get("trace_id")
    if isinstance(trace_id, str | int) and str(trace_id) not in _NONE:
        event["trace_id"] = _trace_id(trace_id)
    return event


def _trace_id(written: str | int) -> str:
    """Return a trace's id in hex, as every other tool shows it; BentoML writes the whole number."""
    text = name_of(str(written), "trace_id")
    return f"{int(text):032x}" if text.isascii() and text.isdigit() and int(text) < 2**128 else text


def _label(row: Event, columns: Columns) -> Any:  # noqa: ANN401 - any label
    held = dict(_held(row, columns.targets))
    return scalar(next(iter(held.values())), columns.targets[0]) if held else None


def _held(row: Event, names: Iterable[str]) -> Iterator[tuple[str, Any]]:
    return ((name, row[name]) for name in names if name in row)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        hint = "write UTC, or a name such as America/New_York"
        raise SpecError(Mistake("schema.time_zone", "is no time zone that is known", name, hint=hint)) from None


def _local(value: object, zone: ZoneInfo) -> Instant:
    """Return the instant of a local time. Of an hour that comes twice the first is meant."""
    if not isinstance(value, str):
        refuse("timestamp", f"must be a time as ISO 8601 text, not {called(value)}")
    try:
        moment = datetime.fromisoformat(value)
        return from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        refuse("timestamp", "is no time", value, "write ISO 8601, as 2013-04-01T00:00")
