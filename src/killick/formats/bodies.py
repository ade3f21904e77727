"""Requests and responses of model servers, as rows of features and what was answered for each.

Understood are the Open Inference Protocol V2 (`inputs`, `outputs`: `tensors.py`), V1 (`instances`, `predictions`), the
Seldon protocol (`data: {names, ndarray | tensor}`), and plain JSON: a list of rows, an object of one row.

What an answer means follows from the task. Of a binary model one float is the score, and two that add up to 1 are the
probabilities of both classes: the second is the score. Of a multiclass model several floats are `scores`, by the
classes' names where as many are known, else by their index. Of a regression every number is the score. Whole numbers,
texts and booleans are decisions. An answer may give both: a label and its probabilities. Several labels are no
decision; `classes` of which there are as many as scores say whose these are, as TensorFlow's classifiers answer.

Sources: `inference_rest.md` of the Open Inference Protocol; V1 of KServe's data plane
(kserve.github.io/website/docs/concepts/architecture/data-plane/v1-protocol), which is TensorFlow Serving's; its
`api_rest.md`, and `signature_constants.py` for the outputs of a classifier.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from killick.errors import DataError
from killick.formats.foreign import (
    ROWS_MAX,
    WIDTH_MAX,
    Decoded,
    called,
    feature,
    instant,
    mapping,
    name_of,
    number,
    read_json,
    refuse,
    rejected,
    row_ids,
    scalar,
    sequence,
)
from killick.formats.tensors import Tensor, flattened, read_tensors, rows_by_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from killick.formats.foreign import Event, Reading, Scalar

# The probabilities of two classes add up to 1 as exactly as half floats and two printed decimals do.
_SUM_TOLERANCE = 0.011
_BOTH_CLASSES = 2
# Which outputs may say whose the scores beside them are: of TensorFlow's classifiers and estimators, of Hugging Face's
# zero-shot pipeline. Other texts may be reasons.
_LABELS = frozenset({"classes", "all_classes", "labels"})
NO_RESPONSE = "no response"
"""The `status` of a prediction of which only the request is known."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: each row's features, and what the body says of itself."""

    rows: list[Event]
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """A response: what is known of each row (`score`, `scores`, `decision`), and what the body says of itself."""

    rows: list[Event]
    id: str | None = None
    version: str | None = None


# ------------------------------------------------------------------------------------------------ requests


def read_request(value: object, reading: Reading, *, unnamed: str = "body_") -> Asked:
    """Read the body of a request, decoded from JSON.

    Args:
        value: the body.
        reading: what is known of the model.
        unnamed: what columns of bare rows are called when they are not as many as the features; a number follows.

    Raises:
        DataError: it is of no form that is understood, or its shapes do not fit.

    >>> from killick.formats.foreign import Reading
    >>> read_request({"instances": [[39.0, 0.5]]}, Reading("binary", features=("temp", "wind"))).rows
    [{'temp': 39.0, 'wind': 0.5}]
    """
    if isinstance(value, list):
        return Asked(_rows(value, "body", reading.features, unnamed))
    body = mapping(value, "body")
    prediction_id = _own_name(body, "id")
    if isinstance(body.get("inputs"), list):
        return Asked(rows_by_name(read_tensors(body["inputs"], "inputs"), reading.features), prediction_id)
    if "instances" in body:
        rows = sequence(body["instances"], "instances")
        return Asked(_rows(rows, "instances", reading.features, "instances_"), prediction_id)
    if isinstance(body.get("data"), dict):
        names, rows = _seldon(body["data"])
        return Asked(_rows(rows, "data", names or reading.features, "data_"), prediction_id)
    known = ("features", *reading.features)
    if not body or (reading.features and not any(name in body for name in known)):
        hint = "known are inputs (V2), instances (V1), data (Seldon), and an object of features"
        refuse("body", "is no request that is understood", hint=hint)
    return Asked(_rows([body], "body", reading.features, unnamed), prediction_id)


def _own_name(body: Mapping[str, Any], key: str) -> str | None:
    return name_of(body[key], key) if body.get(key) not in (None, "") else None


def _rows(rows: list[Any], place: str, names: Sequence[str], unnamed: str) -> list[Event]:
    """Return rows that are objects, lists of values in the order of the features, or single values."""
    _few(rows, place)
    if rows and all(isinstance(row, dict) for row in rows):
        return [_named(row, f"{place}[{at}]", names) for at, row in enumerate(rows)]
    if any(isinstance(row, dict) for row in rows):
        refuse(place, "mixes objects with other rows")
    vectors = [[scalar(cell, f"{place}[{at}]") for cell in _vector(row, place)] for at, row in enumerate(rows)]
    return _by_position(vectors, place, names, unnamed)


def _named(row: dict[str, Any], place: str, names: Sequence[str]) -> Event:
    """Return a row that is an object. SageMaker's built-in algorithms put the values into one key, `features`."""
    if set(row) == {"features"} and "features" not in names:
        inner = row["features"]
        if isinstance(inner, dict):
            return _named(inner, f"{place}.features", names)
        return _rows([sequence(inner, f"{place}.features")], f"{place}.features", names, "features_")[0]
    if len(row) > WIDTH_MAX:
        refuse(place, f"has more than {WIDTH_MAX} values")
    return {name_of(name, place): feature(value, f"{place}.{name:.100}") for name, value in row.items()}


def _by_position(vectors: list[list[Scalar]], place: str, names: Sequence[str], unnamed: str) -> list[Event]:
    widths = {len(vector) for vector in vectors}
    if len(widths) > 1:
        refuse(place, f"have rows of {min(widths)} to {max(widths)} values")
    width = widths.pop() if widths else 0
    if width > WIDTH_MAX:
        refuse(place, f"have more than {WIDTH_MAX} values a row")
    columns = names if len(names) == width else [f"{unnamed}{at}" for at in range(width)]
    return [dict(zip(columns, vector, strict=True)) for vector in vectors]


def _vector(row: object, place: str) -> list[Any]:
    return flattened(row, place) if isinstance(row, list) else [row]


def _seldon(data: dict[str, Any]) -> tuple[list[str], list[Any]]:
    """Return names and rows of Seldon's `data`: an `ndarray`, or a `tensor` of a shape and flat values."""
    names = [name_of(name, "data.names") for name in sequence(data.get("names") or [], "data.names")]
    if len(set(names)) < len(names):
        refuse("data.names", "names a column twice")
    if isinstance(data.get("tensor"), dict):
        held = data["tensor"]
        node = {"name": "tensor", "datatype": "FP64", "shape": held.get("shape"), "data": held.get("values")}
        return names, [list(vector) for vector in read_tensors([node], "data.tensor")[0].vectors()]
    rows = sequence(data.get("ndarray"), "data.ndarray")
    # One row may be written without the brackets around it.
    return names, rows if all(isinstance(row, list) for row in rows) else [rows]


def _few(rows: list[Any], place: str) -> None:
    if len(rows) > ROWS_MAX:
        refuse(place, f"has more than {ROWS_MAX} rows", hint="send it in pieces")


# ------------------------------------------------------------------------------------------------ responses


def read_response(value: object, reading: Reading) -> Answered:
    """Read the body of a response, decoded from JSON.

    Raises:
        DataError: it is of no form that is understood, or says neither a score nor a decision.

    >>> from killick.formats.foreign import Reading
    >>> read_response({"predictions": [[0.75, 0.25]]}, Reading("binary")).rows
    [{'score': 0.25}]
    """
    if not isinstance(value, dict):
        return Answered(_answers(_outputs(value if isinstance(value, list) else [value], "body"), reading))
    version = _own_name(value, "model_version")
    outputs = _outputs_of(value)
    return Answered(_answers(outputs, reading), _own_name(value, "id"), version)


def _outputs_of(body: dict[str, Any]) -> list[Tensor]:
    if isinstance(body.get("outputs"), list):
        return read_tensors(body["outputs"], "outputs")
    if "predictions" in body:
        return _outputs(sequence(body["predictions"], "predictions"), "predictions")
    if isinstance(body.get("data"), dict):
        return _outputs(_seldon(body["data"])[1], "data")
    if said := next((key for key in ("error", "detail") if key in body), None):
        refuse("response", "is an error", str(body[said])[:100] if isinstance(body[said], str) else said)
    return _outputs([body], "body")


def _outputs(rows: list[Any], place: str) -> list[Tensor]:
    """Return what stands in rows as columns: one of each key where they are objects, else one alone."""
    _few(rows, place)
    if not all(isinstance(row, dict) for row in rows):
        return [_output(place, [_vector(row, place) for row in rows])]
    keys = list(dict.fromkeys(key for row in rows for key in row))
    if len(keys) > WIDTH_MAX:
        refuse(place, f"have more than {WIDTH_MAX} keys")
    columns = {key: [row.get(key) for row in rows] for key in keys if len(rows) * len(keys) <= ROWS_MAX * 10}
    plain = {key: column for key, column in columns.items() if not any(isinstance(each, dict) for each in column)}
    return [_output(f"{place}.{key:.100}", [_vector(each, place) for each in column]) for key, column in plain.items()]


def _output(name: str, vectors: list[list[Any]]) -> Tensor:
    widths = {len(vector) for vector in vectors}
    if len(widths) > 1:
        refuse(name, f"answers with {min(widths)} to {max(widths)} values a row")
    width = widths.pop() if widths else 0
    values = [scalar(cell, name) for vector in vectors for cell in vector]
    # JSON writers drop the point of 1.0: one fraction makes the column one of floats.
    return Tensor(name, len(vectors), width, values, _have_fractions(values))


def _answers(outputs: list[Tensor], reading: Reading) -> list[Event]:
    """Return each row's `score`, `scores` and `decision`, of each the first that the outputs hold."""
    rows: list[Event] = [{} for _ in range(outputs[0].rows)] if outputs else []
    labels = next((output for output in outputs if _are_labels(output)), None)
    given: set[str] = set()
    for output in outputs:
        for part, values in _parts(output, reading, labels):
            if part not in given:
                given.add(part)
                for row, value in zip(rows, values, strict=True):
                    if value is not None:
                        row[part] = value
    if not given:
        told = f"neither a score nor a decision of a {reading.task} model"
        refuse("response", f"holds {told}", hint="one number a row, a probability for each class, or a label")
    return rows


def _are_labels(output: Tensor) -> bool:
    """Whether each row names several classes, each of them once."""
    if output.width == 1 or output.name.rpartition(".")[2] not in _LABELS:
        return False
    are_texts = all(isinstance(value, str) for value in output.values)
    return are_texts and all(len(set(vector)) == output.width for vector in output.vectors())


def _parts(output: Tensor, reading: Reading, labels: Tensor | None) -> Iterator[tuple[str, list[Any]]]:
    """Yield what one output says of every row."""
    if output.width == 1:
        yield from _single(output.values, reading, is_real=output.is_real)
    elif output.width > 1 and _are_numbers(output.values):
        yield from _several(output, reading, labels)
    elif output.width > 1:
        # A label and its probability, as Clarify and many a handler write them; Autopilot's lists may follow, as texts.
        label, probability, *rest = (output.values[at :: output.width] for at in range(output.width))
        if not _have_fractions(label) and _are_numbers(probability) and not any(map(_are_numbers, rest)):
            yield "decision", label
            if not rest:
                yield "score", probability


def _single(values: list[Scalar], reading: Reading, *, is_real: bool) -> Iterator[tuple[str, list[Any]]]:
    if reading.task == "regression":
        if _are_numbers(values):
            yield "score", [number(value, "response") for value in values]
    elif reading.task == "binary" and is_real and _are_numbers(values):
        yield "score", [number(value, "response") for value in values]
    else:
        whole = [int(value) if isinstance(value, float) and value.is_integer() else value for value in values]
        yield "decision", whole


def _several(output: Tensor, reading: Reading, labels: Tensor | None) -> Iterator[tuple[str, list[Any]]]:
    by_class = _by_class(output, reading, labels)
    if reading.task == "multiclass":
        known_scores = ({name: score for name, score in row.items() if score is not None} for row in by_class)
        yield "scores", [scores or None for scores in known_scores]
    elif reading.task == "binary" and output.width == _BOTH_CLASSES:
        vectors = [list(row.values()) for row in by_class]
        known = [vector for vector in vectors if None not in vector]
        if all(abs(sum(value for value in vector if value is not None) - 1) <= _SUM_TOLERANCE for vector in known):
            yield "score", [vector[1] for vector in vectors]
        elif all(vector[0] in (0, 1) for vector in known):
            yield "decision", [None if vector[0] is None else int(vector[0]) for vector in vectors]
            yield "score", [vector[1] for vector in vectors]


def _by_class(output: Tensor, reading: Reading, labels: Tensor | None) -> list[dict[str, float | None]]:
    """Return each row's numbers, by the labels beside them, the known names or their index."""
    vectors = [[number(value, output.name) for value in vector] for vector in output.vectors()]
    if labels is not None and labels.width == output.width:
        # The likeliest class may be listed first; by their names they have the same order in every row.
        named = zip(labels.vectors(), vectors, strict=True)
        return [dict(sorted(zip(map(str, row), vector, strict=True), key=itemgetter(0))) for row, vector in named]
    fits = len(reading.classes) == output.width
    classes = reading.classes if fits else [str(at) for at in range(output.width)]
    return [dict(zip(classes, vector, strict=True)) for vector in vectors]


def _have_fractions(values: list[Scalar]) -> bool:
    return any(isinstance(value, float) for value in values)


def _are_numbers(values: list[Scalar]) -> bool:
    return all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values)


# ------------------------------------------------------------------------------------------------ predictions


def joined(asked: Asked, answered: Answered | None, prediction_id: str, shared: Mapping[str, Any]) -> list[Event]:
    """Return a prediction for each row of a request and its response.

    Args:
        asked: the request.
        answered: the response, or None: of its rows only the features are known.
        prediction_id: the request's; a row of several has its number behind it.
        shared: what all of them have in common, such as `event_time`; it is not copied.

    Raises:
        DataError: the response has another number of rows than the request.
    """
    rows = len(asked.rows)
    if answered is not None and len(answered.rows) != rows:
        refuse("response", f"answers {len(answered.rows)} rows, and the request has {rows}")
    answers = answered.rows if answered else [{}] * rows
    ids = row_ids(prediction_id, rows)
    return [
        {"prediction_id": each, **shared, "features": features, **answer}
        for each, features, answer in zip(ids, asked.rows, answers, strict=True)
    ]


def read_exchanges(body: bytes, reading: Reading) -> Decoded:
    """Read requests together with their responses, as whoever holds both sends them.

    An exchange is `{"request": {...}, "response": {...}}`, and may say its `prediction_id` (else the id of either
    body), `event_time`, `latency_seconds`, `version`, `role` and `trace_id`. The body holds one or an array of them.

    Raises:
        DataError: the body is no JSON, or neither an object nor an array.
    """
    value = read_json(body, "body")
    exchanges = value if isinstance(value, list) else [mapping(value, "body")]
    _few(exchanges, "body")
    found = Decoded()
    for index, each in enumerate(exchanges):
        try:
            found.predictions.extend(_exchange(mapping(each, "body"), reading))
        except DataError as error:
            found.rejected.append(rejected(index, error))
        if len(found.predictions) > ROWS_MAX:
            refuse("body", f"has more than {ROWS_MAX} rows", hint="send it in pieces")
    return found


def _exchange(each: dict[str, Any], reading: Reading) -> list[Event]:
    if "request" not in each:
        refuse("request", "is missing", hint='write {"request": {...}, "response": {...}}')
    asked = read_request(each["request"], reading)
    answered = read_response(each["response"], reading) if each.get("response") is not None else None
    own = _own_name(each, "prediction_id") or asked.id or (answered.id if answered else None)
    if own is None:
        refuse("prediction_id", "is missing", hint="give the exchange, or one of its bodies, an id")
    shared: Event = {key: name_of(each[key], key) for key in ("version", "role", "trace_id") if each.get(key)}
    if answered and answered.version:
        shared.setdefault("version", answered.version)
    if each.get("event_time") is not None:
        shared["event_time"] = _event_time(each["event_time"])
    if each.get("latency_seconds") is not None:
        shared["latency_seconds"] = number(each["latency_seconds"], "latency_seconds")
    if answered is None:
        shared["status"] = NO_RESPONSE
    return joined(asked, answered, own, shared)


def _event_time(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return instant(value, f"event_time ({called(value)})" if not isinstance(value, str) else "event_time")
