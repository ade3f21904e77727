"""Tensors of the Open Inference Protocol (V2): named columns of rows out of shapes, datatypes and flat data.

The first dimension is the batch: its elements are rows. A tensor of one value a row is a column of its own name. A
wider one is named by the model's known features when it has as many values as there are features without a column of
their own, else `name_0`, `name_1` ...; where the tensor itself is a known feature, it is one, with a list of numbers a
row. BYTES are text: MLServer's content types `str` and `datetime` as they stand, `base64` decoded.

Source: the protocol's `inference_rest.md` (github.com/kserve/open-inference-protocol) and MLServer's content types
(docs.seldon.ai/mlserver/user-guide/content-type). Data may be flat or nested. Triton's binary data, which follow the
JSON and are no part of it, are refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

from killick.formats.foreign import (
    DEPTH_MAX,
    ROWS_MAX,
    WIDTH_MAX,
    called,
    from_base64,
    mapping,
    name_of,
    number,
    refuse,
    scalar,
    sequence,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from killick.formats.foreign import Event, Scalar

_WHOLE = frozenset({"INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64"})
_REAL = frozenset({"FP16", "FP32", "FP64", "BF16"})
DATATYPES = frozenset({"BOOL", "BYTES"}) | _WHOLE | _REAL


@dataclass(frozen=True, slots=True)
class Tensor:
    """Values in row-major order: `width` of them for each of `rows` rows. `is_real` when they are floats."""

    name: str
    rows: int
    width: int
    values: list[Scalar]
    is_real: bool

    def vectors(self) -> list[list[Scalar]]:
        """Return the values of each row."""
        return [self.values[row * self.width : (row + 1) * self.width] for row in range(self.rows)]


def read_tensors(value: object, place: str) -> list[Tensor]:
    """Read `inputs` or `outputs`.

    Raises:
        DataError: one of them is no tensor, or they have different numbers of rows.
    """
    tensors = [read_tensor(node, f"{place}[{index}]") for index, node in enumerate(sequence(value, place))]
    if not tensors:
        refuse(place, "is empty")
    if len({tensor.rows for tensor in tensors}) > 1:
        told = ", ".join(f"{tensor.name}: {tensor.rows}" for tensor in tensors[:8])
        refuse(place, f"have different numbers of rows ({told})", hint="the first dimension is the batch")
    return tensors


def read_tensor(node: object, place: str) -> Tensor:
    """Read one tensor.

    Raises:
        DataError: a key is missing, a value is not of the datatype, or the shape is not that of the data.

    >>> read_tensor({"name": "temp", "shape": [2, 1], "datatype": "FP32", "data": [[1.5], [2]]}, "inputs[0]").values
    [1.5, 2.0]
    """
    fields = mapping(node, place)
    name = name_of(fields.get("name"), f"{place}.name")
    datatype = fields.get("datatype")
    if not isinstance(datatype, str) or datatype not in DATATYPES:
        told = datatype if isinstance(datatype, str) else None
        refuse(
            f"{place}.datatype", "is no datatype of the protocol", told, f"known here: {', '.join(sorted(DATATYPES))}"
        )
    parameters = fields.get("parameters") or {}
    if "data" not in fields and isinstance(parameters, dict) and "binary_data_size" in parameters:
        refuse(f"{place}.data", "is binary, outside the JSON", hint="let the client send JSON: binary_data=False")
    flat = flattened(fields.get("data"), f"{place}.data")
    rows, width = _layout(fields.get("shape"), flat, f"{place}.shape", is_text=datatype == "BYTES")
    content_type = parameters.get("content_type") if isinstance(parameters, dict) else None
    values = _converted(flat, datatype, content_type == "base64", f"{place}.data")
    return Tensor(name, rows, width, values, datatype in _REAL)


def flattened(data: object, place: str) -> list[Any]:
    """Return data that may be nested as one list, in row-major order.

    >>> flattened([[1, 2], [3, 4]], "data")
    [1, 2, 3, 4]
    """
    if not isinstance(data, list):
        return [data]
    level = data
    for _ in range(DEPTH_MAX):
        nested = [isinstance(value, list) for value in level]
        if not any(nested):
            return level
        if not all(nested):
            refuse(place, "mixes values with lists of them")
        level = [value for inner in level for value in inner]
    return refuse(place, f"is nested more than {DEPTH_MAX} deep")


def rows_by_name(tensors: Sequence[Tensor], features: Sequence[str]) -> list[Event]:
    """Return each row's values by column.

    Raises:
        DataError: two columns would have one name.

    >>> tensor = Tensor("input-0", 1, 2, [39.0, 0.5], True)
    >>> rows_by_name([tensor], ["temp", "wind"]), rows_by_name([tensor], ["temp"])
    ([{'temp': 39.0, 'wind': 0.5}], [{'input-0_0': 39.0, 'input-0_1': 0.5}])
    """
    own = {tensor.name for tensor in tensors}
    left = [feature for feature in features if feature not in own]
    # One tensor has all that is not a column of its own; with two of them nobody knows whose the names are.
    strangers = [tensor for tensor in tensors if tensor.name not in features]
    rows: list[Event] = [{} for _ in range(tensors[0].rows)]
    names = 0
    for tensor in tensors:
        if tensor.width > 1 and tensor.name in features:
            columns: dict[str, list[Any]] = {tensor.name: tensor.vectors()}
        else:
            known = left if len(strangers) == 1 and tensor is strangers[0] and len(left) == tensor.width else []
            columns = {
                column: tensor.values[at :: tensor.width]
                for at, column in enumerate(known or _numbered(tensor.name, tensor.width))
            }
        names += len(columns)
        for column, values in columns.items():
            for row, value in zip(rows, values, strict=True):
                row[column] = value
    if rows and len(rows[0]) < names:
        refuse("inputs", "name a column twice", hint="give each tensor its own name")
    return rows


def _numbered(name: str, width: int) -> list[str]:
    return [name] if width == 1 else [f"{name}_{at}" for at in range(width)]


def _layout(shape: object, flat: list[Any], place: str, *, is_text: bool) -> tuple[int, int]:
    """Return how many rows there are, and how many values a row."""
    sizes = sequence(shape, place)
    if len(sizes) > DEPTH_MAX or not all(isinstance(size, int) and size >= 0 for size in sizes):
        refuse(place, f"must be at most {DEPTH_MAX} whole numbers, none of them negative")
    if is_text and len(sizes) <= 1:
        # Of one text, clients send as its shape the number of its bytes.
        sizes = [len(flat)]
    if prod(sizes) != len(flat):
        refuse(place, f"stands for {_counted(prod(sizes))} values, and there are {len(flat)}")
    rows = sizes[0] if sizes else 1
    width = prod(sizes[1:])
    if rows > ROWS_MAX or width > WIDTH_MAX:
        refuse(place, f"has more than {ROWS_MAX} rows, or more than {WIDTH_MAX} values a row")
    return rows, width


def _counted(count: int) -> str:
    """Write a number that may have a thousand digits."""
    return str(count) if count < 2**63 else "too many"


def _converted(flat: list[Any], datatype: str, is_base64: bool, place: str) -> list[Scalar]:  # noqa: FBT001 - a codec
    if datatype in _REAL:
        return [number(value, place) for value in flat]
    if datatype == "BYTES":
        return [_decoded(value, place) if is_base64 else _text(value, place) for value in flat]
    kind = _boolean if datatype == "BOOL" else _whole
    return [None if value is None else kind(value, place) for value in flat]


def _boolean(value: object, place: str) -> bool:
    if isinstance(value, bool) or value in (0, 1):
        return bool(value)
    return refuse(place, f"must be true or false, not {called(value)}")


def _whole(value: object, place: str) -> Scalar:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        return scalar(int(value), place)
    return refuse(place, f"must be a whole number, not {called(value)}")


def _text(value: object, place: str) -> Scalar:
    if value is None or isinstance(value, str):
        return scalar(value, place)
    return refuse(place, f"must be a text, not {called(value)}")


def _decoded(value: object, place: str) -> Scalar:
    """Decode base64; bytes that are no text stay in base64, as something that can at least be told from another."""
    if value is None:
        return None
    try:
        return scalar(from_base64(value, place).decode(), place)
    except UnicodeDecodeError:
        return scalar(value, place)
