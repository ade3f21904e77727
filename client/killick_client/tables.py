"""Tables, in the caller's thread: Arrow where the table is columns already, a line of JSON for each row otherwise.

| the table | how it goes |
|---|---|
| Polars, pyarrow | an Arrow stream, in pieces of about a mebibyte; no row is touched |
| anything else with the Arrow interface (DuckDB ...) | the same, if Polars or pyarrow is loaded |
| pandas, whatever its columns are made of | rows of `to_dict("records")` |
| a mapping of columns; rows that are mappings | rows |

Nothing is imported for it: whoever hands over a Polars table has loaded Polars. Columns that are hashed or truncated,
and the ids where a sample is drawn, are the only ones that are gone through value by value.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from killick_client.assignment import point
from killick_client.encoding import encode
from killick_client.privacy import GROUPS, is_missing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from killick_client.privacy import Privacy

ARROW = "application/vnd.apache.arrow.stream"
# As large as the writer's batches of lines.
_PIECE_BYTES = 1 << 20
_WEIGHT = "sampling_weight"
SAMPLE_SALT = "killick.sample"  # not that of any traffic plan, so that the sample is not the canary's draw again


def is_drawn(prediction_id: object, sample: float) -> bool:
    """Whether a prediction is in the sample: the same answer in every service, for its outcomes too.

    >>> sum(is_drawn(number, 0.1) for number in range(10_000))
    962
    """
    return point(SAMPLE_SALT, str(prediction_id)) < sample


class Piece(NamedTuple):
    """Some rows of a table: an Arrow stream or a line, why they cannot be sent, or nothing if they are not drawn."""

    rows: int
    body: bytes | Exception | None
    is_line: bool = False


class _Columns(Protocol):
    """A table of columns, whoever made it."""

    names: list[str]
    rows: int
    bytes_held: int

    def values(self, name: str) -> list[Any]:
        """Return a column's values."""
        ...

    def put(self, name: str, values: list[Any]) -> _Columns:
        """Return the table with a column put in its place, or behind the others."""
        ...

    def drop(self, names: list[str]) -> _Columns:
        """Return the table without some columns."""
        ...

    def keep(self, rows: list[bool]) -> _Columns:
        """Return the table with some of its rows."""
        ...

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the rows."""
        ...

    def stream(self, start: int, rows: int) -> bytes:
        """Return a piece as an Arrow stream."""
        ...


class _Polars:
    """A `polars.DataFrame`."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.names, self.rows = list(frame.columns), frame.height
        # The estimate counts characters, and not where each text begins: eight bytes more for a cell, at most.
        self.bytes_held = frame.estimated_size() + 8 * frame.height * frame.width

    def values(self, name: str) -> list[Any]:
        values: list[Any] = self._frame.get_column(name).to_list()
        return values

    def put(self, name: str, values: list[Any]) -> _Polars:
        return _Polars(self._frame.with_columns(_module("polars").Series(name, values)))

    def drop(self, names: list[str]) -> _Polars:
        return _Polars(self._frame.drop(names))

    def keep(self, rows: list[bool]) -> _Polars:
        return _Polars(self._frame.filter(_module("polars").Series(rows)))

    def to_dicts(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._frame.to_dicts()
        return rows

    def stream(self, start: int, rows: int) -> bytes:
        sink = BytesIO()
        # The oldest level of the format: text as every reader of Arrow knows it, not as views.
        self._frame.slice(start, rows).write_ipc_stream(sink, compat_level=_module("polars").CompatLevel.oldest())
        return sink.getvalue()


class _PyArrow:
    """A `pyarrow.Table`."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self.names, self.rows, self.bytes_held = list(table.column_names), table.num_rows, table.nbytes

    def values(self, name: str) -> list[Any]:
        values: list[Any] = self._table.column(name).to_pylist()
        return values

    def put(self, name: str, values: list[Any]) -> _PyArrow:
        column = _module("pyarrow").array(values)
        if name in self.names:
            return _PyArrow(self._table.set_column(self.names.index(name), name, column))
        return _PyArrow(self._table.append_column(name, column))

    def drop(self, names: list[str]) -> _PyArrow:
        return _PyArrow(self._table.drop_columns(names))

    def keep(self, rows: list[bool]) -> _PyArrow:
        return _PyArrow(self._table.filter(_module("pyarrow").array(rows)))

    def to_dicts(self) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self._table.to_pylist()
        return rows

    def stream(self, start: int, rows: int) -> bytes:
        piece = self._table.slice(start, rows)
        sink = BytesIO()
        with _module("pyarrow").ipc.new_stream(sink, piece.schema) as writer:
            writer.write_table(piece)
        return sink.getvalue()


def pack(table: Any, privacy: Privacy, sample: float, weight: float | None, version: str | None) -> Iterator[Piece]:
    """Yield a table in pieces, each row in one of them.

    A table without a column `prediction_id` is not sampled. The rows of one that is get the weight, times their own if
    they have any. A table without `version` gets the client's.

    Raises:
        Exception: it is no table, or its rows beyond those of the last piece cannot be encoded.
    """
    columns = _columns(table)
    # What is private may also be a field of a column that holds others: row by row it is found.
    if columns is not None and not (privacy and any(group in columns.names for group in GROUPS)):
        yield from _pieces(columns, privacy, sample, weight, version)
        return
    # What came as a stream has been read, and cannot be read again.
    for row in _mappings(table if columns is None else columns):
        try:
            line = _line(row, privacy, sample, weight, version)
        except Exception as error:  # noqa: BLE001 - of this row; the others may be better
            yield Piece(1, error)
        else:
            yield Piece(1, line, is_line=True)


def height(table: Any) -> int:
    """Return how many rows a table has, as far as it says so; one if it does not.

    >>> [height(table) for table in ({"a": [1, 2]}, [{"a": 1}] * 3, iter([]), "text")]
    [2, 3, 1, 1]
    """
    try:
        if isinstance(table, Mapping):
            return max(map(len, table.values()), default=0)
        return 1 if isinstance(table, str | bytes) else len(table)
    except Exception:  # noqa: BLE001 - it has no length, or is no table at all
        return 1


def _columns(table: Any) -> _Columns | None:
    """Return a table that is columns already; None for any other."""
    home = type(table).__module__.partition(".")[0]
    if home == "pyarrow":
        return _PyArrow(_module("pyarrow").table(table))
    if home == "pandas" or not hasattr(table, "__arrow_c_stream__"):
        return None
    if polars := sys.modules.get("polars"):
        return _Polars(table if home == "polars" else polars.DataFrame(table))
    if pyarrow := sys.modules.get("pyarrow"):
        return _PyArrow(pyarrow.table(table))
    return None


def _pieces(
    columns: _Columns, privacy: Privacy, sample: float, weight: float | None, version: str | None
) -> Iterator[Piece]:
    if sample < 1 and "prediction_id" in columns.names:
        drawn = [is_drawn(name, sample) for name in columns.values("prediction_id")]
        yield Piece(drawn.count(False), None)
        columns = columns.keep(drawn)
        if weight is not None:
            own = columns.values(_WEIGHT) if _WEIGHT in columns.names else [None] * columns.rows
            columns = columns.put(_WEIGHT, [_weighted(one, weight) for one in own])
    if gone := [name for name in columns.names if name in privacy.dropped]:
        columns = columns.drop(gone)
    for name in [name for name in columns.names if name in privacy.changed]:
        columns = columns.put(name, [privacy.value(name, value) for value in columns.values(name)])
    if version is not None and "version" not in columns.names:
        columns = columns.put("version", [version] * columns.rows)
    rows = max(1, columns.rows * _PIECE_BYTES // max(columns.bytes_held, _PIECE_BYTES))
    for start in range(0, columns.rows, rows):
        taken = min(rows, columns.rows - start)
        yield Piece(taken, columns.stream(start, taken))


def _mappings(table: Any) -> Iterable[Mapping[str, Any]]:
    """Return the rows of a table."""
    if isinstance(table, Mapping):
        columns = [list(values) for values in table.values()]
        if len({len(values) for values in columns}) > 1:
            raise ValueError("the columns have not all the same length")
        return (dict(zip(table, values, strict=True)) for values in zip(*columns, strict=True))
    for way, arguments in (("to_dicts", ()), ("to_dict", ("records",))):
        if callable(found := getattr(table, way, None)):
            rows: Iterable[Mapping[str, Any]] = found(*arguments)
            return rows
    if isinstance(table, Iterable) and not isinstance(table, str | bytes):
        return table
    raise TypeError(f"{type(table).__name__} is no table")


def _line(
    row: Mapping[str, Any], privacy: Privacy, sample: float, weight: float | None, version: str | None
) -> bytes | None:
    """Return a row as a line; None when it is not drawn."""
    told = dict(row)
    if sample < 1 and "prediction_id" in told:
        if not is_drawn(told["prediction_id"], sample):
            return None
        if weight is not None:
            told[_WEIGHT] = _weighted(told.get(_WEIGHT), weight)
    if version is not None:
        told.setdefault("version", version)
    return encode(privacy.event(told) if privacy else told)


def _weighted(own: Any, weight: float) -> float:
    """Return the weight of a row that was drawn, and may have been drawn before."""
    return weight if is_missing(own) else float(own) * weight


def _module(name: str) -> Any:
    """Return a library that is loaded: the table in hand is its own."""
    return sys.modules[name]
