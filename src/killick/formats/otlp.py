"""OpenTelemetry logs (OTLP/HTTP): log records with attributes of ours are predictions and outcomes.

A service that has an OpenTelemetry SDK needs no other: it logs a record with `killick.prediction_id`, and what it has
of the rest (`docs/formats.md` lists the attributes). `killick.model` and `killick.version` may stand on the record, its
scope or its resource, the nearest holds. A record that names an outcome (`killick.outcome.*`) is one. Records without
attributes of ours are other people's logs: ignored, and counted.

A `feature_flag.evaluation` event says which version an entity was assigned: its flag is the model, its variant the
version, its context the entity. On a prediction's own record, or on another record of the same trace in the same
export, it fills in what the prediction does not say itself.

Sources: OTLP 1.9 and its JSON mapping (trace ids in hex, 64-bit integers as text; `examples/logs.json` of
opentelemetry-proto); feature flags in events, semantic conventions 1.54. Protobuf becomes the same JSON values in
`adapters/otlp.py`.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from killick.errors import DataError
from killick.formats.foreign import (
    DEPTH_MAX,
    ROWS_MAX,
    WIDTH_MAX,
    called,
    feature,
    instant,
    mapping,
    name_of,
    number,
    read_json,
    refuse,
    rejected,
    scalar,
    sequence,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from killick.formats.foreign import Event, Scalar
    from killick.telemetry.quarantine import Rejected

OURS = "killick."
_FEATURE = f"{OURS}feature."
_SCORES = f"{OURS}scores."
_METADATA = f"{OURS}metadata."
_OUTCOME = f"{OURS}outcome."
_KPI = f"{OURS}outcome.kpi."

# int64 microseconds are nanoseconds of some 19 digits more; what is longer is no time.
_TIME_DIGITS_MAX = 20
_TRACE_ID = re.compile(r"[0-9a-fA-F]{32}")


def _weight(value: object, place: str) -> float:
    read = number(value, place)
    return read if read is not None and read > 0 else refuse(place, "must be above zero")


# How each attribute of a prediction is read; the part has the name that is behind `killick.`.
_PARTS: Mapping[str, Callable[[object, str], Any]] = {
    "prediction_id": name_of,
    "entity_id": name_of,
    "version": name_of,
    "role": name_of,
    "status": name_of,
    "log_url": scalar,
    "score": number,
    "decision": scalar,
    "latency_seconds": number,
    "sampling_weight": _weight,
}


@dataclass(frozen=True, slots=True)
class Logs:
    """What an export holds: events by model, which records were refused, and how many were none of ours.

    `places` has, by kind and model, the index of the record that each event comes from; `whose` has the kind and model
    of each refused record, by its index, where it says whose it is.
    """

    predictions: dict[str, list[Event]] = field(default_factory=dict)
    outcomes: dict[str, list[Event]] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    ignored: int = 0
    places: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    whose: dict[int, tuple[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Record:
    """A log record with the attributes that hold for it, its own before its scope's and its resource's."""

    own: dict[str, Any]
    around: dict[str, Any]
    fields: dict[str, Any]

    def get(self, key: str) -> Any:  # noqa: ANN401 - any value of OTLP
        return self.own.get(key, self.around.get(key))

    @property
    def trace_id(self) -> str | None:
        found = self.fields.get("traceId")
        return found.lower() if isinstance(found, str) and _TRACE_ID.fullmatch(found) and found.strip("0") else None

    @property
    def is_assignment(self) -> bool:
        event = self.fields.get("eventName") or self.own.get("event.name")
        return event == "feature_flag.evaluation"


def read_logs(body: bytes) -> Logs:
    r"""Read an `ExportLogsServiceRequest` in JSON.

    Raises:
        DataError: it is no such request.

    >>> attributes = '{"key": "killick.model", "value": {"stringValue": "churn"}}, ' \
    ...     '{"key": "killick.prediction_id", "value": {"stringValue": "a"}}, ' \
    ...     '{"key": "killick.score", "value": {"doubleValue": 0.25}}'
    >>> record = f'{{"timeUnixNano": "1000000", "attributes": [{attributes}]}}'
    >>> read_logs(f'{{"resourceLogs": [{{"scopeLogs": [{{"logRecords": [{record}]}}]}}]}}'.encode()).predictions
    {'churn': [{'prediction_id': 'a', 'event_time': 1000, 'score': 0.25, 'features': {}}]}
    """
    return events_of(read_json(body, "body"))


def events_of(export: object) -> Logs:
    """Return what an export holds, given as the values of its JSON form.

    Raises:
        DataError: it is no `ExportLogsServiceRequest`.
    """
    records, refused, ignored = [], [], 0
    for index, record in enumerate(_records(mapping(export, "body"))):
        if index >= ROWS_MAX:
            refuse("body", f"has more than {ROWS_MAX} log records", hint="send it in pieces")
        if isinstance(record, DataError):
            refused.append(rejected(index, record))
        elif record.is_assignment or any(key.startswith(OURS) for key in record.own):
            records.append((index, record))
        else:
            ignored += 1
    found = Logs(rejected=refused, ignored=ignored)
    assignments = _assignments([record for _, record in records])
    for index, record in records:
        if any(key.startswith(OURS) for key in record.own):
            try:
                _take(index, record, assignments, found)
            except DataError as error:
                found.rejected.append(rejected(index, error))
                with suppress(DataError):
                    found.whose[index] = _whose(record)
    found.rejected.sort(key=lambda each: each.index)
    return found


def _records(export: dict[str, Any]) -> Iterator[_Record | DataError]:
    """Yield every log record with the attributes of what it is in, or why it cannot be read."""
    for resource_logs in _listed(export, "resourceLogs"):
        resource = _attributes(mapping(resource_logs.get("resource") or {}, "resource"), "resource.attributes")
        for scope_logs in _listed(resource_logs, "scopeLogs"):
            scope = _attributes(mapping(scope_logs.get("scope") or {}, "scope"), "scope.attributes")
            for record in sequence(scope_logs.get("logRecords") or [], "logRecords"):
                try:
                    fields = mapping(record, "logRecord")
                    yield _Record(_attributes(fields, "attributes"), resource | scope, fields)
                except DataError as error:
                    yield error


def _listed(holder: dict[str, Any], key: str) -> Iterator[dict[str, Any]]:
    return (mapping(each, key) for each in sequence(holder.get(key) or [], key))


def _attributes(holder: dict[str, Any], place: str) -> dict[str, Any]:
    """Return attributes by key, those that no reading of ours asks for unread."""
    pairs = sequence(holder.get("attributes") or [], place)
    if len(pairs) > WIDTH_MAX:
        refuse(place, f"has more than {WIDTH_MAX} attributes")
    found = {}
    for pair in pairs:
        key = mapping(pair, place).get("key")
        if isinstance(key, str) and key.startswith((OURS, "feature_flag.", "event.name")):
            found[key] = _value(pair.get("value"), f"{place}.{key:.100}")
    return found


def _value(node: object, place: str, depth: int = 0) -> Any:  # noqa: ANN401 - any value of OTLP
    """Return an `AnyValue`: one key that says its type."""
    if depth > DEPTH_MAX:
        refuse(place, f"is nested more than {DEPTH_MAX} deep")
    if not node:
        return None
    if not isinstance(node, dict) or len(node) != 1:
        refuse(place, "must be an object with one key, such as stringValue")
    ((kind, content),) = node.items()
    if kind in ("stringValue", "boolValue", "bytesValue"):
        return content
    if kind == "intValue":
        return _whole(content, place)
    if kind == "doubleValue":
        return _double(content, place)
    if kind not in ("arrayValue", "kvlistValue"):
        refuse(place, "has a value of no type that OTLP knows", kind[:100])
    inner = sequence(mapping(content, place).get("values") or [], place)
    if kind == "arrayValue":
        return [_value(each, place, depth + 1) for each in inner]
    pairs = [mapping(each, place) for each in inner]
    return {name_of(pair.get("key"), place): _value(pair.get("value"), place, depth + 1) for pair in pairs}


def _whole(content: object, place: str) -> Scalar:
    if isinstance(content, str) and re.fullmatch(r"-?[0-9]{1,19}", content):
        content = int(content)
    if isinstance(content, int) and not isinstance(content, bool):
        return scalar(content, place)
    return refuse(place, f"must be a whole number, not {called(content)}")


def _double(content: object, place: str) -> float | None:
    if content in ("NaN", "Infinity", "-Infinity"):
        return None
    return number(content, place)


# ------------------------------------------------------------------------------------------------ what a record says


def _assignments(records: list[_Record]) -> dict[tuple[str | None, object], _Record]:
    """Return the evaluations of flags by trace and flag: the last one holds, as it did in the service."""
    return {
        (record.trace_id, flag): record
        for record in records
        if record.is_assignment and isinstance(flag := record.own.get("feature_flag.key"), str)
    }


def _take(index: int, record: _Record, assignments: Mapping[tuple[str | None, object], _Record], found: Logs) -> None:
    model = name_of(record.get(f"{OURS}model"), f"{OURS}model")
    said = {key: value for key, value in record.own.items() if key.startswith(OURS)}
    about_outcome = any(key.startswith(_OUTCOME) for key in said)
    about_prediction = any(key.startswith((_FEATURE, _SCORES)) for key in said) or any(
        f"{OURS}{part}" in said for part in ("score", "decision", "latency_seconds")
    )
    outcome = _outcome(record) if about_outcome else None
    if about_prediction or not about_outcome:
        assigned = assignments.get((record.trace_id, model)) if record.trace_id else None
        own = record if record.own.get("feature_flag.key") == model else None
        found.predictions.setdefault(model, []).append(_prediction(record, own or assigned))
        found.places.setdefault(("predictions", model), []).append(index)
    if outcome:
        found.outcomes.setdefault(model, []).append(outcome)
        found.places.setdefault(("outcomes", model), []).append(index)


def _whose(record: _Record) -> tuple[str, str]:
    kind = "outcomes" if any(key.startswith(_OUTCOME) for key in record.own) else "predictions"
    return kind, name_of(record.get(f"{OURS}model"), f"{OURS}model")


def _prediction(record: _Record, assignment: _Record | None) -> Event:
    event: Event = {"prediction_id": name_of(record.own.get(f"{OURS}prediction_id"), f"{OURS}prediction_id")}
    time = _time(record)
    if time is not None:
        event["event_time"] = time
    if assignment is not None:
        for part, key in (("version", "feature_flag.result.variant"), ("entity_id", "feature_flag.context.id")):
            if assignment.own.get(key) is not None:
                event[part] = name_of(assignment.own[key], key)
    for part, parse in _PARTS.items():
        value = record.get(f"{OURS}{part}") if part == "version" else record.own.get(f"{OURS}{part}")
        if value is not None and (held := parse(value, f"{OURS}{part}")) is not None:
            event[part] = held
    event["features"] = {name: feature(value, _FEATURE + name) for name, value in _under(record, _FEATURE)}
    if scores := {
        name: read for name, value in _under(record, _SCORES) if (read := number(value, _SCORES + name)) is not None
    }:
        event["scores"] = scores
    # The wire leaves out what is null, and writes scalars as text.
    if metadata := {name: scalar(value, _METADATA + name) for name, value in _under(record, _METADATA)}:
        event["metadata"] = metadata
    if record.trace_id:
        event["trace_id"] = record.trace_id
    return event


def _outcome(record: _Record) -> Event:
    event: Event = {"prediction_id": name_of(record.own.get(f"{OURS}prediction_id"), f"{OURS}prediction_id")}
    known_at = record.own.get(f"{_OUTCOME}known_at")
    time = _time(record) if known_at is None else instant(known_at, f"{_OUTCOME}known_at")
    if time is not None:
        event["known_at"] = time
    event["label"] = scalar(record.own.get(f"{_OUTCOME}label"), f"{_OUTCOME}label")
    if kpis := {name: read for name, value in _under(record, _KPI) if (read := number(value, _KPI + name)) is not None}:
        event["kpis"] = kpis
    return event


def _under(record: _Record, prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in record.own.items():
        if key.startswith(prefix):
            yield name_of(key[len(prefix) :], prefix), value


def _time(record: _Record) -> int | None:
    """Return the record's time in microseconds; OTLP's 0 is no time, and then when it was observed will do."""
    for key in ("timeUnixNano", "observedTimeUnixNano"):
        value = record.fields.get(key)
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _TIME_DIGITS_MAX:
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value // 1_000
        if value not in (None, 0):
            refuse(key, "must be nanoseconds since 1970, as a whole number")
    return None
